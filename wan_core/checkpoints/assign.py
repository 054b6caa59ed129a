"""Strict loading: the tensors of a file must be exactly those of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import CheckpointError, CheckpointMismatchError
from .header import DAMAGED, Header

SHOWN_KEYS = 5


def build_and_load(
    build: Callable[[], nn.Module],
    header: Header,
    *,
    names: Mapping[str, str] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = torch.float32,
) -> nn.Module:
    """Build a model without memory, check every shape against the header, then put the stored tensors in.

    Args:
        build: makes the model from its configuration.
        names: stored key -> parameter name; by default the same. Keys that it leaves out count as unexpected.
        dtype: of floating-point tensors; None keeps the stored one.
    Returns: the model in inference mode (`train(False)`).
    Raises: CheckpointMismatchError: tensors missing, unexpected or of another shape.   CheckpointError: unreadable.
    """
    with torch.device("meta"):
        model = build()
    stored = dict(names) if names is not None else {key: key for key in header.tensors}
    _compare(model, header, stored)
    tensors = _read(header, stored, torch.device(device), dtype)
    if len(dict(model.named_buffers())) > sum(name in tensors for name, _ in model.named_buffers()):
        model = build()  # buffers that are computed, not stored, need real memory
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
    header: Header, stored: Mapping[str, str], device: torch.device, dtype: torch.dtype | None
) -> dict[str, Tensor]:
    by_file: dict[Path, list[str]] = {}
    for key in stored:
        by_file.setdefault(header.files[key], []).append(key)
    tensors: dict[str, Tensor] = {}
    for path, keys in by_file.items():
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                for key in keys:
                    tensor: Tensor = file.get_tensor(key)
                    wanted = dtype if tensor.is_floating_point() else None
                    tensors[stored[key]] = tensor.to(device=device, dtype=wanted)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(
                f"weights file: expected readable tensors, got '{error}' in {path}. {DAMAGED}"
            ) from error
    return tensors


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN_KEYS])
    return f"{shown}, ..." if len(names) > SHOWN_KEYS else shown or "none"
