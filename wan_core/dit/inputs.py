"""Checks and small reckonings on what a tower is given."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ShapeError
from ..ops.rope import Places, rope_table, token_positions


def fewest_steps(steps: Tensor, frames: int) -> Tensor:
    """One timestep per sample or latent frame where those given per frame or token, (B, G), are equal within it."""
    if steps.shape[1] == 1 or torch.compiler.is_compiling():
        return steps
    for groups in (1, frames):
        parts = steps.unflatten(1, (groups, -1))
        if bool((parts == parts[..., :1]).all()):
            return parts[..., 0]
    return steps


def shared_steps(steps: Tensor) -> Tensor:
    """Timesteps (1, G) for the whole batch where those of all samples, (B, G), are equal."""
    if steps.shape[0] == 1 or torch.compiler.is_compiling():
        return steps
    return steps[:1] if bool((steps == steps[:1]).all()) else steps


def rope_of_places(key: tuple[tuple[Places, ...], int, torch.device]) -> Tensor:
    """`rope_table` of the tokens of all pieces, for a width of heads on a device."""
    pieces, head_dim, device = key
    return rope_table(token_positions(pieces, device), head_dim)


def check_tokens(what: str, tokens: Tensor, batch: int, width: int) -> None:
    """Check tokens (batch or 1, N, width).

    Raises: ShapeError: they have another shape.
    """
    if tokens.ndim != 3 or tokens.shape[-1] != width or tokens.shape[0] not in (1, batch):
        raise ShapeError(
            f"{what}: expected ({batch} or 1, tokens, {width}), got {tuple(tokens.shape)}. "
            "Use the encoder that belongs to this model, one row per sample."
        )
