"""What a weights file holds, read without touching a tensor."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import CheckpointError

#: Bytes of one element, by the name that safetensors gives the dtype.
DTYPE_BYTES = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "I64": 8,
    "U64": 8,
    "F64": 8,
}
MAX_HEADER_BYTES = 100_000_000
PICKLE_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".pkl")
DAMAGED = "The file is damaged or incomplete: copy or download it again."


class TensorInfo(NamedTuple):
    """Shape and dtype (as safetensors names it, e.g. "BF16") of a stored tensor."""

    shape: tuple[int, ...]
    dtype: str


class Packing(NamedTuple):
    """How a weight is packed: a format that `ops.quantized` names, and the key of its scale, None where it has none."""

    format: str
    scale: str | None = None


class Place(NamedTuple):
    """Where in its file a tensor lies, in bytes."""

    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Header:
    """Contents of one or several weights files.

    tensors: key -> shape (unpacked) and dtype (of what is stored).   files: key -> the file that holds it.
    metadata: text entries (of all files).   name: what errors call it.
    packing: key -> how it is packed, for those that are.   places: key -> place in the file, for GGUF.
    Scales and other companions of packed weights are in `files` but not in `tensors`.
    """

    tensors: Mapping[str, TensorInfo]
    files: Mapping[str, Path]
    metadata: Mapping[str, str]
    name: str
    packing: Mapping[str, Packing] = field(default_factory=dict)
    places: Mapping[str, Place] = field(default_factory=dict)

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of a tensor that is known to be there."""
        return self.tensors[key].shape


def read_header(path: Path | str) -> Header:
    """Read the header of one safetensors file as it is; no tensor is read. `source.open_header` reads every format.

    Raises: CheckpointError: missing, no safetensors file, or its size does not fit its own header (damaged).
    """
    path = Path(path)
    size = file_size(path)
    _refuse_pickle(path)
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise CheckpointError(
                f"weights file: expected a safetensors header, got {size} bytes of something else in {path}. {DAMAGED}"
            )
        raw = file.read(length)
    try:
        entries = json.loads(raw)
        metadata = {str(k): str(v) for k, v in dict(entries.pop("__metadata__", {})).items()}
        tensors = {str(key): _tensor_info(entry) for key, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(
            f"weights file: expected a safetensors header, got unreadable text in {path}. {DAMAGED}"
        ) from error
    if 8 + length + end != size:
        raise CheckpointError(
            f"weights file: expected {8 + length + end} bytes, as its header says, got {size} in {path}. {DAMAGED}"
        )
    return Header(tensors, dict.fromkeys(tensors, path), metadata, str(path))


def _tensor_info(entry: Mapping[str, Any]) -> TensorInfo:
    """Check one entry of a header: its offsets must fit its shape."""
    shape = tuple(int(n) for n in entry["shape"])
    dtype = str(entry["dtype"])
    first, last = (int(n) for n in entry["data_offsets"])
    count = 1
    for n in shape:
        count *= n
    if dtype in DTYPE_BYTES and last - first != count * DTYPE_BYTES[dtype]:
        raise ValueError("offsets do not fit the shape")
    return TensorInfo(shape, dtype)


def file_size(path: Path) -> int:
    """Bytes of a file.

    Raises: CheckpointError: there is none, or it can not be read.
    """
    if path.is_dir():
        raise CheckpointError(f"weights file: expected a file, got the folder {path}. Name the file itself.")
    if not path.exists():
        raise CheckpointError(
            f"weights file: expected a file, got nothing at {path}. Check the path; nano's own weights come with the "
            "package, so reinstall it if they are missing."
        )
    try:
        return path.stat().st_size
    except OSError as error:
        raise CheckpointError(
            f"weights file: expected a readable file, got '{error}' for {path}. Check it."
        ) from error


def _refuse_pickle(path: Path) -> None:
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise CheckpointError(
            f"weights file: expected .safetensors, got {path.suffix} in {path}. Such a file can run code when it is "
            "opened; download the safetensors version or convert it."
        )
