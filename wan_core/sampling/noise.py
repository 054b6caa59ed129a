"""Seeded start noise, one generator a modality, always drawn on the CPU so that a seed means the same everywhere."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from ..types import AVLatents

MAX_SEED: int = 2**64 - 1

_AUDIO_OFFSET = 0x9E3779B97F4A7C15


def make_generator(seed: int) -> torch.Generator:
    """CPU generator of a seed.

    Raises:
        InputError: seed outside [0, 2**64 - 1].
    """
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed: expected 0 to {MAX_SEED}, got {seed}. Use another seed.")
    return torch.Generator("cpu").manual_seed(seed)


def draw_noise(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normal noise, sample by sample: the first one is the same for every batch size.

    Args:
        shape: (B, ...).   generator: a CPU generator, moved on by the draw.
    Returns:
        `shape`, float32, on the CPU.
    """
    return torch.stack([torch.randn(shape[1:], generator=generator) for _ in range(shape[0])])


def av_noise(video_shape: tuple[int, ...], audio_shape: tuple[int, ...] | None, seed: int) -> AVLatents:
    """Start noise of a clip.

    Video and audio have generators of their own: a change of one shape leaves the noise of the other alone, and the
    two are independent although one seed names both.

    Args:
        video_shape: (B, C, F, H, W).   audio_shape: (B, C_a, T_a), or None for a silent clip.
        seed: 0 to 2**64 - 1.
    Returns:
        `AVLatents`, float32, on the CPU.
    Raises:
        InputError: seed out of range.
    """
    video = draw_noise(video_shape, make_generator(seed))
    if audio_shape is None:
        return AVLatents(video)
    return AVLatents(video, draw_noise(audio_shape, make_generator((seed + _AUDIO_OFFSET) % (MAX_SEED + 1))))
