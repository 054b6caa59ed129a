"""Clips with a mouth and a sound that are known, for the tests of the report."""

from __future__ import annotations

import math

import numpy as np
import torch

from wan_core.types import AudioClip

RATE, FPS, FRAMES = 16000, 8, 17
LOUDNESS = (0, 0, 0.7, 1, 0.8, 0.2, 0, 0.4, 0.9, 1, 0.4, 0.1, 0.6, 0.9, 0.3, 0, 0)


def buzz(loudness: torch.Tensor, pitch: float = 150.0) -> AudioClip:
    """A voice whose loudness at frame k / 8 s is as given, (17,)."""
    t = torch.arange(34000) / RATE
    gain = torch.from_numpy(np.interp(t.numpy(), np.arange(FRAMES) / FPS, loudness.numpy())).float()
    harmonics = sum(torch.sin(2 * math.pi * pitch * k * t) / k for k in range(1, 12))
    return AudioClip((0.2 * gain * harmonics)[None], RATE)


def talking_face(opening: torch.Tensor, sway: float = 0.0) -> torch.Tensor:
    """Frames (F, 3, 64, 64): skin with a red mouth that opens, dark inside."""
    frames = torch.empty(len(opening), 3, 64, 64)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    for number, value in enumerate(opening.tolist()):
        centre = 32 + sway * math.sin(number)
        distance = ((columns - centre) / 6) ** 2 + ((rows - 36) / (1.5 + 3 * value)) ** 2
        inside = ((columns - centre) / 5) ** 2 + ((rows - 36) / (0.3 + 3 * value)) ** 2
        frames[number] = torch.tensor([0.6, 0.3, 0.1])[:, None, None]
        frames[number][:, distance < 1] = torch.tensor([0.4, -0.5, -0.4])[:, None]
        frames[number][:, inside < 1] = torch.tensor([-0.7, -0.9, -0.9])[:, None]
    return frames


def to_bytes(frames: torch.Tensor) -> torch.Tensor:
    """(F, 3, H, W) in [-1, 1] -> (F, H, W, 3) uint8."""
    return ((frames + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
