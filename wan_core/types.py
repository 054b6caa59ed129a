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


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenStream:
    """Extra tokens that a tower sees beside the noisy ones; what it predicts for them is dropped.

    latents: (B or 1, C, F, H, W) for the video tower, (B or 1, C, T) for the audio tower, as the codec gives them.
    offset: where the first token stands (time, height, width), in the tower's own units: latent frames and tokens.
    source: number of the stream for models that rotate whole streams by it (Bernini-R), 0: no such rotation.
    timestep: of these tokens, 0 for clean ones; None: the timestep of the noisy latents, which must be one per sample.
    weights: how much each token counts in the self-attention of each block, one number >= 0 a block: 1 as trained, 2 as
        if it were there twice, 0 as if it were not there for others; None for 1 everywhere.
    """

    latents: Tensor
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    source: int = 0
    timestep: float | None = 0.0
    weights: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class AudioClip:
    """Sound in memory.

    waveform: (channels, samples), float32, range [-1, 1].   sample_rate: Hz.
    """

    waveform: Tensor
    sample_rate: int
