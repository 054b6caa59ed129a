"""Weights that a formula gives, so that golden files need not store them."""

from __future__ import annotations

import torch
from torch import Tensor


def formula_tensor(shape: tuple[int, ...], number: int, scale: float = 0.1) -> Tensor:
    """Numbers in [-scale, scale] that look random; the same on every machine and version.

    Args: number: of the tensor, so that each has other values.
    """
    count = 1
    for size in shape:
        count *= size
    places = torch.arange(count, dtype=torch.float64)
    return (scale * torch.sin(places * places * 0.618 + places * 1.7 + 3.1 * number)).float().view(shape)


def formula_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """A tensor for every name, in the order of the names; norms scale by about 1."""
    state: dict[str, Tensor] = {}
    for number, name in enumerate(sorted(shapes)):
        state[name] = formula_tensor(shapes[name], number)
        if "norm" in name and name.endswith("weight"):
            state[name] += 1.0
    return state
