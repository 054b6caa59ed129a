"""Speech that begins later: a clip's words start at any moment that leaves room for them.

Were they always said at once, any sound would fit any mouth fairly well, and a model had little reason to look.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .nano_config import AUDIO_LATENT_SECONDS, FPS

LATEST = 5
"""Largest delay in video frames."""
OPEN = 0.05
"""Mouth opening from which on somebody speaks."""


def draw_delays(mouth: Tensor, generator: torch.Generator) -> Tensor:
    """Draw delays that keep the whole phrase inside the clip.

    Args:
        mouth: opening at each frame, (B, F) in [0, 1].   generator: source of randomness.
    Returns: video frames, (B,) long in 0..LATEST.
    """
    last = torch.where(mouth > OPEN, torch.arange(mouth.shape[1]), 0).amax(dim=1)
    room = (mouth.shape[1] - 1 - last).clamp(0, LATEST)
    return (torch.rand(len(mouth), generator=generator) * (room + 1)).long().clamp(max=LATEST)


def delay(mouth: Tensor, late: Tensor) -> Tensor:
    """Mouth openings (B, F) that begin `late` (B,) frames later; closed before."""
    source = torch.arange(mouth.shape[1]) - late[:, None]
    return torch.where(source >= 0, mouth.gather(1, source.clamp_min(0)), 0.0)


def delay_sound(latents: Tensor, late: Tensor, silence: Tensor) -> Tensor:
    """Audio latents that begin later by the same time, to the nearest latent.

    Args:
        latents: (B, C, T).   late: video frames, (B,).   silence: latents of silence, (C, T).
    """
    shift = torch.round(late / (FPS * AUDIO_LATENT_SECONDS)).long()
    source = (torch.arange(latents.shape[2]) - shift[:, None])[:, None].expand_as(latents)
    return torch.where(source >= 0, latents.gather(2, source.clamp_min(0)), silence)
