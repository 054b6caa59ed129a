"""Plain data that travels between the parts of wan_core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class AVLatents(NamedTuple):
    """Latents of a clip with sound.

    video: (B, C, F, H, W).   audio: (B, C_a, T_a), or None for a silent clip.
    """

    video: Tensor
    audio: Tensor | None = None


@dataclass(frozen=True, slots=True)
class AudioClip:
    """Sound in memory.

    waveform: (channels, samples), float32, range [-1, 1].   sample_rate: Hz.
    """

    waveform: Tensor
    sample_rate: int
