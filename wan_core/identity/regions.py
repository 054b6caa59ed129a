"""Where in the picture, and when, a character's reference acts: boxes or masks to a weight for every token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import ConfigError, InputError
from ..ops.key_value import PreparedInjection
from .strength import ShapedInjection


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A box for a part of the clip.

    Attributes:
        left, top, right, bottom: as shares of width and height, 0 to 1.
        start, end: seconds (or shares of the clip, see `region_weights`); it acts from `start` on, up to
            `end`, by default to the end of the clip.
    Raises:
        InputError: an empty box or time, or shares outside of 0 to 1.
    """

    left: float
    top: float
    right: float
    bottom: float
    start: float = 0.0
    end: float = math.inf

    def __post_init__(self) -> None:
        spans = ((self.left, self.right), (self.top, self.bottom))
        is_box = all(0.0 <= low < high <= 1.0 for low, high in spans)
        if not is_box or not 0.0 <= self.start < self.end:
            raise InputError(
                "region: expected 0 <= x0 < x1 <= 1, 0 <= y0 < y1 <= 1 and 0 <= t0 < t1, got "
                f"{self.left:g},{self.top:g},{self.right:g},{self.bottom:g} from {self.start:g} s to {self.end:g} s. "
                "Give shares of width and height, and seconds."
            )


def region_weights(regions: Sequence[Region], grid: tuple[int, int, int], seconds: float = 1.0) -> Tensor:
    """How strongly a reference acts on each token: by the share of the token's patch that the boxes cover.

    Args:
        regions: boxes of one character; where several meet, the larger share counts. A box with a time acts on the
            latent frames that are shown mostly within it.
        grid: tokens of the clip: latent frames, rows, columns.   seconds: length of the clip; 1
            where times are given as shares of it.
    Returns:
        (frames * rows * columns,) in [0, 1], in the order of the tokens.
    Raises:
        ConfigError: no region or an empty grid.   InputError: a box or time too small to reach a token.
    """
    if not regions or min(grid) < 1:
        raise ConfigError(
            f"regions: expected a box and a grid, got {len(regions)} and {grid}. Correct the call."
        )
    frames, rows, columns = grid
    total = torch.zeros(grid)
    for own in regions:
        when = _cover(own.start / seconds, min(1.0, own.end / seconds), frames) >= 0.5
        where = _cover(own.top, own.bottom, rows)[:, None] * _cover(own.left, own.right, columns)
        if not bool(when.any()):
            raise InputError(
                f"region: expected at least half a latent frame ({seconds / frames / 2:.2f} s) within the clip of "
                f"{seconds:g} s, got {own.start:g} s to {own.end:g} s. Change the time."
            )
        total = torch.maximum(total, when[:, None, None] * where)
    return total.flatten()


def mask_weights(masks: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """How strongly a reference acts on each token, from masks.

    Args:
        masks: (H, W) for the whole clip or (F, H, W) for its pictures, 0 to 1; averaged over each token's patch and
            the pictures nearest to its latent frame.
        grid: as `region_weights`.
    Returns:
        (frames * rows * columns,).
    Raises:
        InputError: another shape, numbers outside of 0 to 1, or masks that are empty.
    """
    clip = masks[None] if masks.ndim == 2 else masks
    if clip.ndim != 3 or 0 in clip.shape or not bool(((clip >= 0) & (clip <= 1)).all()):
        raise InputError(
            f"mask: expected (H, W) or (F, H, W) from 0 to 1, got {tuple(masks.shape)}. White is the character."
        )
    weights = functional.adaptive_avg_pool3d(clip[None, None].float(), grid)[0, 0].flatten()
    if not bool((weights > 0).any()):
        raise InputError("mask: expected some white, got none. White is where the character is.")
    return weights


def restrict(
    injection: PreparedInjection | ShapedInjection, weights: Tensor | None
) -> PreparedInjection | ShapedInjection:
    """Let a reference act on some tokens alone; see `PreparedInjection.with_regions`.

    Args:
        injection: prepared, with or without a table of strengths.   weights: of `region_weights`, None for everywhere.
    """
    if isinstance(injection, ShapedInjection):
        return ShapedInjection(injection=injection.injection.with_regions(weights), table=injection.table)
    return injection.with_regions(weights)


def refuse_regions(regions: Sequence[object], method: str) -> None:
    """Say that a mechanism can not be restricted.

    Args:
        regions: of the characters.   method: what the model is called.
    Raises:
        InputError: there are some.
    """
    if regions:
        raise InputError(
            f"region: expected none for {method}, got {len(regions)}. Its references are tokens that every token of "
            "the clip attends to; regions work with Lynx and nano. Say in the prompt who stands where."
        )


def _cover(low: float, high: float, count: int) -> Tensor:
    """Share of each of `count` equal parts of 0 to 1 that lies between low and high."""
    edges = torch.arange(count + 1, dtype=torch.float64) / count
    share = (edges[1:].clamp(max=high) - edges[:-1].clamp(min=low)).clamp(min=0.0) * count
    return share.clamp(max=1.0).float()
