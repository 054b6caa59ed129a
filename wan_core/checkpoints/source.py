"""What a path leads to: a file, a sharded index, or a folder as Diffusers and the original releases lay it out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from .gguf_file import MAGIC, read_gguf_header
from .header import DAMAGED, Header, TensorInfo, read_header
from .key_maps import ALL_IN_ONE_PREFIX, OTHER_PART_PREFIXES
from .packing import find_packing
from .torch_file import SUFFIXES, read_torch_header

INDEX_SUFFIX = ".safetensors.index.json"
CONFIG_NAME = "config.json"
EXPERT_FOLDERS = ("high_noise_model", "low_noise_model")
MODEL_CLASSES = ("WanTransformer3DModel", "WanModel")


@dataclass(frozen=True, slots=True)
class Source:
    """Header of everything under a path, and the `config.json` beside the weights (empty where there is none)."""

    header: Header
    config: Mapping[str, Any]


def open_source(path: Path | str, part: str = "transformer") -> Source:
    """Find the weights that a path means and read their headers; no tensor is read.

    Args:
        path: a .safetensors, .gguf or .pth file, an index (.safetensors.index.json), a folder with either and a
            config.json, or a Diffusers pipeline folder.
        part: the folder that is taken of a pipeline folder: transformer, transformer_2, vae, text_encoder ...
    Raises: CheckpointError: nothing there, several candidates, a missing shard, a damaged file.
    """
    path = Path(path)
    if path.is_dir():
        path = _weights_in(path, part)
    header = _read_index(path) if path.name.endswith(".json") else open_header(path)
    config = _read_config(path.parent / CONFIG_NAME)
    if part.startswith("transformer"):
        header = _without_other_parts(header)
        config = config if config.get("_class_name") in MODEL_CLASSES else {}
    return Source(header, config)


def open_header(path: Path | str) -> Header:
    """Read the header of one file of any format (.safetensors, .gguf, .pth), with its packing; no tensor is read.

    Raises: CheckpointError: missing, damaged, of another format, or a .pth file that holds more than tensors.
        MissingDependencyError: a GGUF file without the package `gguf`.
    """
    return find_packing(_read_any(Path(path)))


def _without_other_parts(header: Header) -> Header:
    """The transformer of an all-in-one checkpoint of ComfyUI; any other header as it is."""
    if not any(key.startswith(ALL_IN_ONE_PREFIX) for key in header.tensors):
        return header
    kept = {key: info for key, info in header.tensors.items() if not key.startswith(OTHER_PART_PREFIXES)}
    return replace(header, tensors=kept)


def _read_any(path: Path) -> Header:
    is_gguf = path.suffix.lower() == ".gguf"
    if path.is_file() and not is_gguf:
        with path.open("rb") as file:
            is_gguf = file.read(len(MAGIC)) == MAGIC
    if is_gguf:
        return read_gguf_header(path)
    if path.suffix.lower() in SUFFIXES:
        return read_torch_header(path)
    return read_header(path)


def _weights_in(folder: Path, part: str) -> Path:
    if (folder / "model_index.json").is_file() and (folder / part).is_dir():
        folder = folder / part
    found = sorted(folder.glob(f"*{INDEX_SUFFIX}")) or sorted(folder.glob("*.safetensors"))
    if not found and (folder / EXPERT_FOLDERS[0]).is_dir():
        raise CheckpointError(
            f"weights folder: expected one model, got the two experts of Wan2.2 in {folder}. "
            f"Name one of its folders {' and '.join(EXPERT_FOLDERS)}."
        )
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise CheckpointError(
            f"weights folder: expected one index or one .safetensors file, got {names} in {folder}. "
            "Name the file itself."
        )
    return found[0]


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"JSON file: expected readable JSON, got '{error}' in {path}. {DAMAGED}"
        ) from error
    if not isinstance(data, dict):
        raise CheckpointError(
            f"JSON file: expected an object, got {type(data).__name__} in {path}. {DAMAGED}"
        )
    return data


def _read_index(path: Path) -> Header:
    shards = _read_json(path).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise CheckpointError(f"index: expected the entry 'weight_map', got none in {path}. {DAMAGED}")
    tensors: dict[str, TensorInfo] = {}
    files: dict[str, Path] = {}
    metadata: dict[str, str] = {}
    for name in sorted({str(shard) for shard in shards.values()}):
        shard = _read_any(path.parent / Path(name).name)
        metadata.update(shard.metadata)
        tensors.update(shard.tensors)
        files.update(shard.files)
    lost = sorted(set(shards) - set(tensors))
    if lost:
        raise CheckpointError(
            f"index: expected tensor {lost[0]} (and {len(lost) - 1} more) in its shards, got shards without it in "
            f"{path}. {DAMAGED}"
        )
    return find_packing(Header(tensors, files, metadata, str(path)))


def _read_config(path: Path) -> Mapping[str, Any]:
    """Entries of the config.json beside the weights; none where there is no such file."""
    return _read_json(path) if path.is_file() else {}
