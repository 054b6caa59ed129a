"""GGUF files: their header, and the bytes of their tensors.

The header is walked here and not by `gguf.GGUFReader`, which takes ten seconds for the vocabulary of umT5; the package
says what the types of tensors are called and how large their blocks are.
Source of the layout: ggml-org/ggml docs/gguf.md and llama.cpp gguf-py/gguf/gguf_reader.py (MIT).
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import CheckpointError, MissingDependencyError
from ..ops.gguf_blocks import BLOCK_TYPES
from .header import DAMAGED, Header, Packing, Place, TensorInfo, file_size

MAGIC = b"GGUF"
VERSIONS = (2, 3)
#: Where converters note the shape of a tensor that was stored in another one, before the tensor's name.
ORIGINAL_SHAPE = "comfy.gguf.orig_shape."
#: Types of metadata entries: number -> format of `struct`; text and lists have numbers of their own.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9
_ALIGNMENT = "general.alignment"


class _Walker:
    """Reads numbers and texts one after the other; a `ValueError` says that they end too early."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise ValueError(f"the header goes on after the {len(self.data)} bytes of the file")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, kind: str = "Q") -> Any:
        return struct.unpack(f"<{kind}", self.take(struct.calcsize(f"<{kind}")))[0]

    def text(self) -> str:
        return self.take(self.number()).decode("utf-8")

    def value(self) -> Any:
        """One entry of the metadata: a number, a text, or a list of them."""
        kind = self.number("I")
        if kind != _LIST:
            return self._single(kind)
        inner, count = self.number("I"), self.number()
        if inner in _SCALARS:
            kept = np.dtype(f"<{_SCALARS[inner]}")
            return np.frombuffer(self.take(count * kept.itemsize), dtype=kept).tolist()
        return [self._single(inner) for _ in range(count)]

    def _single(self, kind: int) -> Any:
        if kind == _TEXT:
            return self.text()
        if kind not in _SCALARS:
            raise ValueError(f"metadata of the unknown type {kind}")
        return self.number(_SCALARS[kind])


class _Stored(NamedTuple):
    """A tensor as the header has it: innermost axis first, type by number, place after the header."""

    name: str
    axes: tuple[int, ...]
    kind: int
    offset: int


class _Contents(NamedTuple):
    entries: dict[str, Any]
    tensors: list[_Stored]
    data_start: int


def read_gguf_header(path: Path) -> Header:
    """Read what a GGUF file holds; no tensor is read.

    Metadata entries with one value are kept as text, lists are left out. Shapes run from the outermost axis on, as in
    torch; a shape that the converter noted as the original one counts.
    Raises: CheckpointError: damaged or incomplete.   MissingDependencyError: the package `gguf` is not installed.
    Source: city96/ComfyUI-GGUF loader.py (Apache-2.0), the entry for original shapes.
    """
    contents, size = _read(path), file_size(path)
    tensors: dict[str, TensorInfo] = {}
    places: dict[str, Place] = {}
    packing: dict[str, Packing] = {}
    for stored in contents.tensors:
        kind, count = _type(stored, path)
        places[stored.name] = Place(contents.data_start + stored.offset, count)
        end = sum(places[stored.name])
        if end > size or stored.name in tensors:
            problem = (
                "two tensors of one name"
                if stored.name in tensors
                else f"{size} bytes instead of {end} or more"
            )
            raise CheckpointError(
                f"weights file: expected a complete GGUF file, got '{problem}' in {path}. {DAMAGED}"
            )
        tensors[stored.name] = TensorInfo(_shape(stored, contents.entries, path), kind)
        if kind in BLOCK_TYPES:
            packing[stored.name] = Packing(kind)
    metadata = {name: str(value) for name, value in contents.entries.items() if not isinstance(value, list)}
    return Header(tensors, dict.fromkeys(tensors, path), metadata, str(path), packing, places)


def read_gguf_entries(path: Path, names: Iterable[str]) -> dict[str, Any]:
    """Some entries of the metadata of a GGUF file, lists among them; those that it has not are left out.

    Raises: CheckpointError: damaged or incomplete.
    """
    entries = _read(path).entries
    return {name: entries[name] for name in names if name in entries}


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


def _read(path: Path) -> _Contents:
    if file_size(path) < len(MAGIC):
        raise CheckpointError(
            f"weights file: expected a complete GGUF file, got 'no header' in {path}. {DAMAGED}"
        )
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _walk(_Walker(data))
        except (ValueError, OverflowError, MemoryError) as error:
            raise CheckpointError(
                f"weights file: expected a complete GGUF file, got '{error}' in {path}. {DAMAGED}"
            ) from error


def _walk(walker: _Walker) -> _Contents:
    magic, version = walker.take(len(MAGIC)), walker.number("I")
    if magic != MAGIC or version not in VERSIONS:
        raise ValueError(f"version {version} of the format (known are {VERSIONS})")
    tensor_count, entry_count = walker.number(), walker.number()
    entries: dict[str, Any] = {}
    for _ in range(entry_count):
        name = walker.text()
        entries[name] = walker.value()
    tensors: list[_Stored] = []
    for _ in range(tensor_count):
        name = walker.text()
        axes = tuple(walker.number() for _ in range(walker.number("I")))
        tensors.append(_Stored(name, axes, walker.number("I"), walker.number()))
    alignment = int(entries.get(_ALIGNMENT, 32))
    if alignment < 1:
        raise ValueError(f"alignment {alignment}")
    return _Contents(entries, tensors, -(-walker.at // alignment) * alignment)


def _type(stored: _Stored, path: Path) -> tuple[str, int]:
    """Name of a tensor's type, and its bytes."""
    try:
        import gguf
    except ImportError as error:
        raise MissingDependencyError(
            f"GGUF weights: expected the package gguf, got none installed for {path}. Run: pip install gguf"
        ) from error
    try:
        kind = gguf.GGMLQuantizationType(stored.kind)
    except ValueError as error:
        raise CheckpointError(
            f"tensor {stored.name}: expected a type that the package gguf knows, got number {stored.kind} in {path}. "
            "Run: pip install --upgrade gguf"
        ) from error
    values, size = gguf.GGML_QUANT_SIZES[kind]
    return kind.name, math.prod(stored.axes) // values * size


def _shape(stored: _Stored, entries: dict[str, Any], path: Path) -> tuple[int, ...]:
    shape = tuple(reversed(stored.axes))
    noted = entries.get(ORIGINAL_SHAPE + stored.name)
    if noted is None:
        return shape
    original = tuple(int(n) for n in noted)
    if math.prod(original) != math.prod(shape):
        raise CheckpointError(
            f"tensor {stored.name}: expected {math.prod(shape)} values, got the original shape {original} in {path}. "
            f"{DAMAGED}"
        )
    return original
