"""GGUF files: their header, and the bytes of their tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointError, MissingDependencyError
from ..ops.gguf_blocks import BLOCK_TYPES
from .header import DAMAGED, Header, Packing, Place, TensorInfo, file_size

MAGIC = b"GGUF"
#: Where converters note the shape of a tensor that was stored in another one, before the tensor's name.
ORIGINAL_SHAPE = "comfy.gguf.orig_shape."


def read_gguf_header(path: Path) -> Header:
    """Read what a GGUF file holds; no tensor is read.

    Metadata entries with one value are kept as text, lists are left out. Shapes run from the outermost axis on, as in
    torch; a shape that the converter noted as the original one counts.
    Raises: CheckpointError: damaged or incomplete.   MissingDependencyError: the package `gguf` is not installed.
    Source: ggml-org/llama.cpp gguf-py/gguf/gguf_reader.py (MIT); city96/ComfyUI-GGUF loader.py (Apache-2.0), the entry
    for original shapes.
    """
    reader = _open(path)
    tensors: dict[str, TensorInfo] = {}
    places: dict[str, Place] = {}
    packing: dict[str, Packing] = {}
    for tensor in reader.tensors:
        name, kind = str(tensor.name), str(tensor.tensor_type.name)
        shape = tuple(int(n) for n in reversed(tensor.shape.tolist()))
        noted = reader.get_field(ORIGINAL_SHAPE + name)
        if noted is not None:
            original = tuple(int(n) for n in noted.contents())
            if math.prod(original) != math.prod(shape):
                raise CheckpointError(
                    f"tensor {name}: expected {math.prod(shape)} values, got the original shape {original} in {path}. "
                    f"{DAMAGED}"
                )
            shape = original
        tensors[name] = TensorInfo(shape, kind)
        places[name] = Place(int(tensor.data_offset), int(tensor.n_bytes))
        if kind in BLOCK_TYPES:
            packing[name] = Packing(kind)
    metadata = {
        str(name): str(field.contents())
        for name, field in reader.fields.items()
        if field.types and field.types[0].name != "ARRAY"
    }
    return Header(tensors, dict.fromkeys(tensors, path), metadata, str(path), packing, places)


def read_gguf_entries(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """Some entries of the metadata of a GGUF file, lists among them; those that it has not are left out.

    Raises: as `read_gguf_header`.
    """
    reader = _open(path)
    fields = {name: reader.get_field(name) for name in names}
    return {name: field.contents() for name, field in fields.items() if field is not None}


def read_gguf_bytes(path: Path, places: Sequence[Place]) -> Iterator[Tensor]:
    """Yield the bytes of tensors, uint8 with one axis each, one at a time.

    Raises: CheckpointError: the file ends too early.
    """
    with path.open("rb") as file:
        for place in places:
            file.seek(place.start)
            data = np.fromfile(file, dtype=np.uint8, count=place.size)
            if data.size != place.size:
                raise CheckpointError(
                    f"weights file: expected {place.size} bytes at {place.start}, got fewer in {path}. {DAMAGED}"
                )
            yield torch.from_numpy(data)


def _open(path: Path) -> Any:
    file_size(path)
    try:
        import gguf
    except ImportError as error:
        raise MissingDependencyError(
            f"GGUF weights: expected the package gguf, got none installed for {path}. Run: pip install gguf"
        ) from error
    try:
        return gguf.GGUFReader(path)
    except (ValueError, KeyError, IndexError, OverflowError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"weights file: expected a complete GGUF file, got '{reason}' in {path}. {DAMAGED}"
        ) from error
