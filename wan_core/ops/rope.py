"""Rotary position embedding over time, height and width."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

THETA = 10000.0
#: Tokens that are rotated at a time on a CPU where the result is not float32, so that what is stays in the cache.
TILE_TOKENS = 256


class Places(NamedTuple):
    """Where the tokens of one piece stand; plain numbers, so that what is computed from them can be kept by them.

    grid: patches along time, height and width, or along a sequence alone.   scale: step of a sequence's time.
    offset: added to (time, height, width).   source: number of a stream, see `rope_table`.
    """

    grid: tuple[int, ...]
    scale: float = 1.0
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    source: int = 0


def axis_dims(head_dim: int) -> tuple[int, int, int]:
    """Number of rotated pairs of a head for (time, height, width); 128 gives (22, 21, 21).

    Source: Wan-Video/Wan2.1@9737cba wan/modules/model.py (the rest of the division by three goes to time).
    """
    spatial = head_dim // 6
    return head_dim // 2 - 2 * spatial, spatial, spatial


def grid_positions(frames: int, height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Positions of a video's tokens in the order frame, row, column: (frames * height * width, 3), float64."""
    axes = [torch.arange(n, device=device, dtype=position_dtype(device)) for n in (frames, height, width)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 2)


def sequence_positions(
    length: int, scale: float = 1.0, offset: float = 0.0, device: torch.device | None = None
) -> Tensor:
    """Positions of a sound's tokens: (length, 3) with time = scale * index + offset and height = width = 0.

    A zero position leaves its pairs unrotated, so this equals a rotary embedding of the time pairs alone.
    Source: character-ai/Ovi@5b69b25 ovi/modules/model.py (`temporal_rope_scaling_factor` is `scale`).
    """
    time = torch.arange(length, device=device, dtype=position_dtype(device)) * scale + offset
    return torch.stack((time, torch.zeros_like(time), torch.zeros_like(time)), dim=-1)


def token_positions(pieces: tuple[Places, ...], device: torch.device | None = None) -> Tensor:
    """Positions of the tokens of all pieces, one after the other.

    Returns: (L, 3) for a single piece of source 0, else (L, 4) with the source last; as `rope_table` takes them.
    """
    parts: list[Tensor] = []
    for piece in pieces:
        first, *others = piece.grid
        if others:
            own = grid_positions(first, *others, device=device)
        else:
            own = sequence_positions(first, piece.scale, device=device)
        parts.append(F.pad(own + own.new_tensor(piece.offset), (0, 1), value=float(piece.source)))
    positions = torch.cat(parts)
    is_plain = len(pieces) == 1 and not any(piece.source for piece in pieces)
    return positions[:, :3] if is_plain else positions


def position_dtype(device: torch.device | None) -> torch.dtype:
    """float64 as upstream, float32 on a device that has no float64."""
    return torch.float32 if device is not None and device.type == "mps" else torch.float64


def rope_table(positions: Tensor, head_dim: int) -> Tensor:
    """Cosines and sines for `apply_rope`, computed once per forward and shared by all blocks.

    Args: positions: (L, 3), time, height, width; fractions and negative numbers are allowed. A fourth column is the
        number of a stream, which turns all pairs of the head by itself times their frequency.
    Returns: (L, head_dim / 2, 2), float32, the last axis cosine and sine.
    Source: Wan-Video/Wan2.1@9737cba wan/modules/model.py rope_params; neuregex/ComfyUI-BerniniR@1bd2745 bernini/rope.py
    (stream numbers). Differs: any position instead of a table of 1024.
    """
    angles: list[Tensor] = []
    for axis, pairs in enumerate(axis_dims(head_dim)):
        exponent = torch.arange(pairs, device=positions.device, dtype=positions.dtype) / max(pairs, 1)
        angles.append(positions[:, axis, None] * THETA**-exponent)
    angle = torch.cat(angles, dim=-1)
    if positions.shape[1] == 4:
        half = head_dim // 2
        exponent = torch.arange(half, device=positions.device, dtype=positions.dtype) / half
        angle = angle + positions[:, 3:] * THETA**-exponent
    return torch.stack((angle.cos(), angle.sin()), dim=-1).float()


def apply_rope(
    x: Tensor, table: Tensor, dtype: torch.dtype | None = None, *, overwrite: bool = False
) -> Tensor:
    """Rotate neighbouring pairs of every head.

    Args:
        x: (B, heads, L, head_dim).   table: (L, head_dim / 2, 2) of `rope_table`.
        dtype: of the result, None: that of `x`.
        overwrite: nothing else needs x, so that the result may take its place where no gradients are recorded.
    Returns: (B, heads, L, head_dim); computed in float32.
    """
    dtype = x.dtype if dtype is None else dtype
    is_plain = not (torch.compiler.is_compiling() or torch.is_grad_enabled())
    if is_plain and dtype != torch.float32 and x.device.type == "cpu" and x.shape[2] > TILE_TOKENS:
        result = torch.empty_like(x, dtype=dtype)
        for start in range(0, x.shape[2], TILE_TOKENS):
            tile = slice(start, start + TILE_TOKENS)
            result[:, :, tile] = apply_rope(x[:, :, tile], table[tile], torch.float32)
        return result
    pairs = x.float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():
        real, imaginary = pairs.unbind(-1)
        cosine, sine = table.unbind(-1)
        rotated = torch.stack((real * cosine - imaginary * sine, real * sine + imaginary * cosine), dim=-1)
    else:
        numbers, turns = torch.view_as_complex(pairs), torch.view_as_complex(table)
        rotated = torch.view_as_real(numbers.mul_(turns) if overwrite and is_plain else numbers * turns)
    return rotated.flatten(-2).to(dtype)
