"""Where a tokenizer is found, and what is said when it is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_umt5 import spiece, tiny_umt5, tokenizer_json, write_umt5_gguf

from wan_core.checkpoints.source import open_header
from wan_core.checkpoints.text_tokenizer import find_tokenizer, read_tokenizer
from wan_core.errors import CheckpointError
from wan_core.text.tokenizer import JsonTokenizer, SentencePieceTokenizer

TEXT = "the cat sits on the beach , and waves ."
IDS = SentencePieceTokenizer(spiece(), "test").token_ids(TEXT)


def weights(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    save_file({"x": torch.zeros(1)}, folder / "w.safetensors")
    return folder / "w.safetensors"


@pytest.mark.parametrize(
    "place",
    [
        "text_encoder/tokenizer.json",
        "text_encoder/spiece.model",
        "text_encoder/tokenizer/spiece.model",
        "text_encoder/google/umt5-xxl/tokenizer.json",
        "tokenizer/tokenizer.json",
    ],
)
def test_places_beside_the_weights(tmp_path: Path, place: str) -> None:
    path = weights(tmp_path / "text_encoder")
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    if place.endswith(".json"):
        (tmp_path / place).write_text(tokenizer_json(), encoding="utf-8")
    else:
        (tmp_path / place).write_bytes(spiece())
    found = find_tokenizer(open_header(path))
    assert isinstance(found, JsonTokenizer if place.endswith(".json") else SentencePieceTokenizer)
    assert found.token_ids(TEXT) == IDS


def test_what_is_inside_the_file_goes_first_and_what_is_named_before_it(tmp_path: Path) -> None:
    content = {"x": torch.zeros(1), "spiece_model": torch.tensor(list(spiece()), dtype=torch.uint8)}
    save_file(content, tmp_path / "w.safetensors")
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    header = open_header(tmp_path / "w.safetensors")
    assert isinstance(find_tokenizer(header), SentencePieceTokenizer)
    assert isinstance(find_tokenizer(header, tmp_path / "tokenizer.json"), JsonTokenizer)
    assert isinstance(find_tokenizer(header, str(tmp_path)), JsonTokenizer)
    other = weights(tmp_path / "other")
    assert find_tokenizer(open_header(other), tmp_path / "w.safetensors").token_ids(TEXT) == IDS
    with pytest.raises(CheckpointError, match=r"expected one inside the file, got none in .*other"):
        read_tokenizer(other)


def test_metadata_of_gguf(tmp_path: Path) -> None:
    state = tiny_umt5().state_dict()
    write_umt5_gguf(tmp_path / "a.gguf", state, "F32")
    found = find_tokenizer(open_header(tmp_path / "a.gguf"))
    assert found.token_ids(TEXT) == IDS and (found.size, found.end_id) == (64, 1)
    assert read_tokenizer(tmp_path / "a.gguf").token_ids(TEXT) == IDS
    write_umt5_gguf(tmp_path / "b.gguf", state, "F32", tokenizer="llama")
    with pytest.raises(CheckpointError, match="expected the kind t5, got 'llama'"):
        find_tokenizer(open_header(tmp_path / "b.gguf"))
    write_umt5_gguf(tmp_path / "c.gguf", state, "F32", tokenizer=None)
    with pytest.raises(CheckpointError, match="expected one inside the weights file or beside it"):
        find_tokenizer(open_header(tmp_path / "c.gguf"))


def test_nothing_found_names_the_places(tmp_path: Path) -> None:
    path = weights(tmp_path / "w")
    with pytest.raises(
        CheckpointError, match=r"spiece\.model.*google/umt5-xxl.*got none for .*w\.safetensors"
    ):
        find_tokenizer(open_header(path))


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("missing.model", None, "expected a file, got nothing"),
        ("t.txt", b"x", r"expected a \.json, \.model, \.safetensors or \.gguf file"),
        ("t.json", b"\xff\xfe", "expected a readable file"),
        ("t.json", b"[]", r"expected a tokenizer\.json"),
        ("t.model", b"", "expected a sentencepiece model, got nothing"),
        ("", None, r"expected tokenizer\.json or spiece\.model, got neither in the folder"),
    ],
)
def test_bad_choices(tmp_path: Path, name: str, content: bytes | None, text: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=text):
        read_tokenizer(tmp_path / name)
