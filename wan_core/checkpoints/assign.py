"""Strict loading: the tensors of a file must be exactly those of the model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor, nn

from ..errors import CheckpointMismatchError
from ..ops.quantized import PackedWeight, put_packed
from .header import Header
from .packing import refuse_unknown_packing
from .tensors import iterate_stored, to_device

SHOWN_KEYS = 5


def build_and_load(
    build: Callable[[], nn.Module],
    header: Header,
    *,
    names: Mapping[str, str] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = torch.float32,
    as_stored: Collection[str] = (),
) -> nn.Module:
    """Build a model without memory, check every shape against the header, then put the stored tensors in.

    Args:
        build: makes the model from its configuration.
        names: stored key -> parameter name; by default the same. Keys that it leaves out count as unexpected.
        dtype: of floating-point tensors; None keeps the stored one, and gives float32 where a packed one is unpacked.
        as_stored: parameters that keep their stored dtype anyway.
    Returns: the model in inference mode (`train(False)`). Linear layers and embeddings whose weights are packed (fp8,
        int8, GGUF) hold them so: `ops.quantized`.
    Raises: CheckpointMismatchError: tensors missing, unexpected or of another shape.
        CheckpointError: unreadable, or packed in an unknown way.
    """
    refuse_unknown_packing(header)
    with torch.device("meta"):
        model = build()
    stored = dict(names) if names is not None else {key: key for key in header.tensors}
    _compare(model, header, stored)
    given = set(stored.values())
    if any(name not in given for name, _ in model.named_buffers()):
        model = build()  # buffers that are computed, not stored, need real memory
    tensors = _read(model, header, stored, torch.device(device), dtype, as_stored)
    model.load_state_dict(tensors, strict=True, assign=True)
    left = [name for name, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta]
    if left:
        raise CheckpointMismatchError(
            f"weights: expected a value for every tensor, got none for {_some(left)} in {header.name}. "
            "Use the file of this model."
        )
    return model.to(device).train(False)


def _compare(model: nn.Module, header: Header, stored: Mapping[str, str]) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {stored[key]: info.shape for key, info in header.tensors.items() if key in stored}
    missing = sorted(set(expected) - set(found))
    unexpected = sorted(set(found) - set(expected)) + sorted(set(header.tensors) - set(stored))
    shapes = [
        f"{name} {found[name]} instead of {expected[name]}"
        for name in sorted(set(expected) & set(found))
        if found[name] != expected[name]
    ]
    if missing or unexpected or shapes:
        raise CheckpointMismatchError(
            f"weights: expected the {len(expected)} tensors of {type(model).__name__}, got {len(header.tensors)}: "
            f"{len(missing)} missing ({_some(missing)}), {len(unexpected)} unexpected ({_some(unexpected)}), "
            f"{len(shapes)} of another shape ({_some(shapes)}) in {header.name}. Use the file of this model."
        )


def _read(
    model: nn.Module,
    header: Header,
    stored: Mapping[str, str],
    device: torch.device,
    dtype: torch.dtype | None,
    as_stored: Collection[str],
) -> dict[str, Tensor]:
    """Tensors for the model's parameters; layers whose weights are packed are replaced by ones that hold them so."""
    tensors: dict[str, Tensor] = {}
    for key, value in iterate_stored(header, stored):
        name = stored[key]
        if not isinstance(value, PackedWeight):
            wanted = dtype if value.is_floating_point() and name not in as_stored else None
            tensors[name] = value.to(device=device, dtype=wanted)
            continue
        packed = to_device(value, device)
        if not put_packed(model, name, packed, dtype or torch.float32):
            tensors[name] = packed.unpack(dtype or torch.float32)
            continue
        layer = name.removesuffix(".weight")
        buffers = model.get_submodule(layer).named_buffers(recurse=False)
        tensors |= {f"{layer}.{own}": buffer for own, buffer in buffers}
    return tensors


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN_KEYS])
    return f"{shown}, ..." if len(names) > SHOWN_KEYS else shown or "none"
