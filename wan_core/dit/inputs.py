"""Checks and small reckonings on what a tower is given."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ShapeError
from ..ops.rope import Places, rope_table, token_positions
from ..types import TokenStream


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


def stream_biases(
    first: int, streams: Sequence[TokenStream], counts: Sequence[int], num_blocks: int, like: Tensor
) -> tuple[Tensor | None, ...] | None:
    """What is added to the scores of each key in the self-attention of each block, so that streams weigh as they say.

    A token whose score is log(w) higher counts as w equal tokens.

    Args:
        first: number of noisy tokens.   streams, counts: with the number of tokens of each.
        num_blocks: of the tower.   like: gives device and dtype.
    Returns: one (L,) a block, None for one in which all count as trained; None where that holds for every block.
    Raises: ShapeError: weights of another number of blocks, or negative or infinite ones.
    """
    if all(stream.weights is None for stream in streams):
        return None
    rows: list[tuple[float, ...]] = [stream.weights or (1.0,) * num_blocks for stream in streams]
    if any(len(row) != num_blocks or not all(0.0 <= w < math.inf for w in row) for row in rows):
        raise ShapeError(
            f"stream weights: expected {num_blocks} finite numbers >= 0, one a block, got {rows}. Resolve the strength "
            "for this model."
        )
    made: dict[tuple[float, ...], Tensor | None] = {(1.0,) * len(streams): None}
    for block in zip(*rows, strict=True):
        if block not in made:
            scores = [0.0, *(math.log(w) if w else -math.inf for w in block)]
            pieces = torch.tensor(scores, device=like.device, dtype=like.dtype)
            lengths = torch.tensor([first, *counts], device=like.device)
            made[block] = pieces.repeat_interleave(lengths)
    return tuple(made[block] for block in zip(*rows, strict=True))
