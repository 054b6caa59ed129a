"""Files of `torch.save` (.pth, .pt): opened for their tensors alone, never for the programs that they may hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..errors import CheckpointError
from .header import DAMAGED, Header, TensorInfo, file_size

SUFFIXES = (".pth", ".pt")
ZIP_MAGIC = b"PK\x03\x04"
#: Where some files keep their tensors, beside other things.
WRAPPERS = ("state_dict", "model", "params", "generator")
#: Names that safetensors gives the dtypes.
DTYPE_NAMES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}


def read_torch_header(path: Path) -> Header:
    """Read what a .pth file holds; of the newer kind (since torch 1.6) no tensor is read.

    Raises: CheckpointError: damaged, holds more than tensors, or no tensors.
    """
    tensors = read_torch_tensors(path)
    return Header(
        {key: TensorInfo(tuple(value.shape), DTYPE_NAMES[value.dtype]) for key, value in tensors.items()},
        dict.fromkeys(tensors, path),
        {},
        str(path),
    )


def read_torch_tensors(path: Path) -> dict[str, Tensor]:
    """Key -> tensor of a .pth file, on the CPU; of the newer kind they are mapped, and read when they are used.

    Raises: as `read_torch_header`.
    """
    size = file_size(path)
    with path.open("rb") as file:
        is_zip = file.read(4) == ZIP_MAGIC
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except Exception as error:  # whatever reading a stranger's file runs into
        if type(error).__name__ == "UnpicklingError":
            raise CheckpointError(
                f"weights file: expected tensors alone, got a file that asks to run code in {path}. Do not open it "
                "with other programs; download a .safetensors version from the model's own page."
            ) from error
        raise CheckpointError(
            f"weights file: expected tensors saved by torch, got {size} bytes of something else "
            f"({type(error).__name__}) in {path}. {DAMAGED}"
        ) from error
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    found = dict(content) if isinstance(content, Mapping) else {}
    tensors = {str(key): value for key, value in found.items() if isinstance(value, Tensor)}
    strange = sorted({str(value.dtype) for value in tensors.values() if value.dtype not in DTYPE_NAMES})
    if not tensors or strange:
        raise CheckpointError(
            f"weights file: expected named tensors, got {', '.join(strange) or 'none'} in {path}. "
            "Name the file of the model's weights."
        )
    return tensors
