"""Where the tokenizer of a text encoder is: given, inside the weights file, or beside it. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..text.sentencepiece_model import write_sentencepiece
from ..text.tokenizer import JsonTokenizer, SentencePieceTokenizer, Tokenizer
from .gguf_file import read_gguf_entries
from .header import DAMAGED, Header
from .source import open_header
from .tensors import read_tensors

#: Tensor of bytes in which ComfyUI's files carry the sentencepiece model.
SPIECE_KEY = "spiece_model"
#: Files of a tokenizer in the order in which they are taken: the official code prefers tokenizer.json too.
TOKENIZER_FILES = ("tokenizer.json", "spiece.model")
#: Folders beside the weights, or beside their folder, that releases keep the tokenizer in.
TOKENIZER_FOLDERS = ("", "tokenizer", "google/umt5-xxl", "../tokenizer")
GGUF_PREFIX = "tokenizer.ggml."


def find_tokenizer(header: Header, chosen: Path | str | None = None) -> Tokenizer:
    """Find and read the tokenizer for the weights of a header.

    Args: chosen: a tokenizer.json or spiece.model file, a folder that holds one, or a .safetensors or .gguf file of
        umT5 that carries one. None: inside the weights file (ComfyUI's, GGUF), else beside it: in its folder, in
        `tokenizer/`, `google/umt5-xxl/` or `../tokenizer/`, which is where releases keep it.
    Raises: CheckpointError: none found, with the places that were searched; or a damaged one.
    """
    if chosen is not None:
        return read_tokenizer(Path(chosen))
    inside = _inside(header)
    if inside is not None:
        return inside
    folder = next(iter(header.files.values())).parent
    for file in _candidates(folder):
        if file.is_file():
            return read_tokenizer(file)
    places = ", ".join(str(Path(name) / file) for name in TOKENIZER_FOLDERS for file in TOKENIZER_FILES)
    raise CheckpointError(
        f"tokenizer: expected one inside the weights file or beside it ({places}), got none for {header.name}. Put "
        "tokenizer.json or spiece.model of google/umt5-xxl into that folder, or name it with the argument tokenizer."
    )


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a tokenizer from a path that the user named; arguments and errors as `find_tokenizer`."""
    if path.is_dir():
        found = next((file for file in _candidates(path) if file.is_file()), None)
        if found is None:
            raise CheckpointError(
                f"tokenizer: expected {' or '.join(TOKENIZER_FILES)}, got neither in the folder {path}. "
                "Put one of umT5's there."
            )
        path = found
    if not path.is_file():
        raise CheckpointError(f"tokenizer: expected a file, got nothing at {path}. Check the path.")
    suffix = path.suffix.lower()
    if suffix in (".safetensors", ".gguf"):
        inside = _inside(open_header(path))
        if inside is None:
            raise CheckpointError(
                f"tokenizer: expected one inside the file, got none in {path}. Name a tokenizer.json or spiece.model."
            )
        return inside
    if suffix not in (".json", ".model"):
        raise CheckpointError(
            f"tokenizer: expected a .json, .model, .safetensors or .gguf file, got {path}. Name the tokenizer of umT5."
        )
    try:
        if suffix == ".json":
            return JsonTokenizer(path.read_text(encoding="utf-8"), str(path))
        return SentencePieceTokenizer(path.read_bytes(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"tokenizer: expected a readable file, got '{error}' in {path}. {DAMAGED}"
        ) from error


def _candidates(folder: Path) -> Iterator[Path]:
    for name in TOKENIZER_FOLDERS:
        for file in TOKENIZER_FILES:
            yield folder / name / file


def _inside(header: Header) -> Tokenizer | None:
    """The tokenizer that a weights file carries, or None."""
    key = next((key for key in header.tensors if key.split(".")[-1] == SPIECE_KEY), None)
    if key is not None:
        data = read_tensors(header, [key], dtype=None)[key]
        return SentencePieceTokenizer(data.numpy().tobytes(), f"{key} of {header.name}")
    if header.metadata.get(GGUF_PREFIX + "model") is not None:
        return _from_gguf(header)
    return None


def _from_gguf(header: Header) -> Tokenizer:
    """The tokenizer in the metadata of a GGUF file.

    Source: ggml-org/llama.cpp gguf-py/gguf/constants.py (MIT), names of the entries.
    """
    kind = header.metadata[GGUF_PREFIX + "model"]
    if kind != "t5":
        raise CheckpointError(
            f"tokenizer: expected the kind t5, got '{kind}' in {header.name}. Use a GGUF file of umT5, or name a "
            "tokenizer.json or spiece.model with the argument tokenizer."
        )
    names = (
        "tokens",
        "scores",
        "token_type",
        "precompiled_charsmap",
        "eos_token_id",
        "padding_token_id",
        "unknown_token_id",
        "add_space_prefix",
        "remove_extra_whitespaces",
    )
    path = next(iter(header.files.values()))
    entries: dict[str, Any] = read_gguf_entries(path, [GGUF_PREFIX + name for name in names])
    tokens, scores, kinds, charsmap, *rest = (entries.get(GGUF_PREFIX + name) for name in names)
    end, padding, unknown, prefix, spaces = rest
    if tokens is None or scores is None or kinds is None:
        raise CheckpointError(
            f"tokenizer: expected tokens with scores and kinds in the metadata, got less in {header.name}. Name a "
            "tokenizer.json or spiece.model with the argument tokenizer."
        )
    model = write_sentencepiece(
        tokens,
        scores,
        kinds,
        end_id=1 if end is None else end,
        pad_id=0 if padding is None else padding,
        unknown_id=kinds.index(2) if unknown is None and 2 in kinds else (unknown or 0),
        charsmap=bytes(number & 0xFF for number in charsmap or ()),
        dummy_prefix=prefix is not False,
        remove_extra_spaces=spaces is not False,
        where=header.name,
    )
    return SentencePieceTokenizer(model, header.name)
