"""Tensors of a header: unpacked to plain ones, or as they are packed in the file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import CheckpointError
from ..ops.quantized import PackedWeight
from .gguf_file import read_gguf_bytes
from .header import DAMAGED, Header
from .torch_file import DTYPE_NAMES, SUFFIXES, read_torch_tensors


def read_tensors(
    header: Header,
    keys: Iterable[str] | None = None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = torch.float32,
) -> dict[str, Tensor]:
    """Read tensors as plain ones.

    Args:
        header: of `source.open_source` or `source.open_header`.   keys: which; None: all of `header.tensors`.
        dtype: of floating-point tensors; None keeps the stored one, and gives float32 for what is packed.
    Returns: key -> tensor, in the shape of the header.
    Raises: CheckpointError: a file can not be read, or is packed in an unknown way.
    """
    tensors: dict[str, Tensor] = {}
    for key, stored in iterate_stored(header, keys):
        if isinstance(stored, PackedWeight):
            tensors[key] = to_device(stored, device).unpack(dtype or torch.float32)
        else:
            wanted = dtype if stored.is_floating_point() else None
            tensors[key] = stored.to(device=device, dtype=wanted)
    return tensors


def iterate_stored(
    header: Header, keys: Iterable[str] | None = None
) -> Iterator[tuple[str, Tensor | PackedWeight]]:
    """Yield tensors one at a time, on the CPU, as they are stored: packed weights as `PackedWeight`.

    Args and errors as `read_tensors`. The order is that of the files.
    """
    by_file: dict[Path, list[str]] = {}
    for key in header.tensors if keys is None else keys:
        by_file.setdefault(header.files[key], []).append(key)
    for path, own in by_file.items():
        scales = _read_scales(header, own)
        for key, tensor in _read(header, path, own):
            packing = header.packing.get(key)
            if packing is None:
                yield key, tensor
                continue
            data = tensor.contiguous().view(-1).view(torch.uint8)
            scale = None if packing.scale is None else scales[packing.scale]
            yield key, PackedWeight(packing.format, header.shape(key), data, scale)


def to_device(packed: PackedWeight, device: torch.device | str) -> PackedWeight:
    """The packed weight on a device."""
    scale = None if packed.scale is None else packed.scale.to(device)
    return PackedWeight(packed.format, packed.shape, packed.data.to(device), scale)


def _read_scales(header: Header, keys: Iterable[str]) -> dict[str, Tensor]:
    """Scales of packed weights, which are small, by their own keys."""
    names = [packing.scale for key in keys if (packing := header.packing.get(key)) and packing.scale]
    scales: dict[str, Tensor] = {}
    for path in dict.fromkeys(header.files[name] for name in names):
        own = [name for name in names if header.files[name] == path]
        scales |= {name: value.float() for name, value in _read(header, path, own)}
    return scales


def _read(header: Header, path: Path, keys: list[str]) -> Iterator[tuple[str, Tensor]]:
    """Yield the plain tensors of one file; of packed GGUF tensors the bytes."""
    if not keys:
        return
    if keys[0] in header.places:
        yield from _read_gguf(header, path, keys)
    elif path.suffix.lower() in SUFFIXES:
        tensors = read_torch_tensors(path)
        yield from ((key, tensors[key]) for key in keys)
    else:
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                for key in keys:
                    yield key, file.get_tensor(key)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"weights file: expected readable tensors, got '{error}' in {path}. {DAMAGED}"
            ) from error


def _read_gguf(header: Header, path: Path, keys: list[str]) -> Iterator[tuple[str, Tensor]]:
    dtypes = {name: dtype for dtype, name in DTYPE_NAMES.items()}
    for key, data in zip(keys, read_gguf_bytes(path, [header.places[key] for key in keys]), strict=True):
        if key in header.packing:
            yield key, data
        else:
            yield key, data.view(dtypes[header.tensors[key].dtype]).view(header.shape(key))
