"""The learned half of nano's decoder: removes block seams and sharpens what the linear half left soft."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .config import PatchVAEConfig


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a residual connection; (N, C, H, W) to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus its correction, (N, C, H, W)."""
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class Refiner(nn.Module):
    """A two-level convolutional network over one group of frames.

    It sees the frames of a latent together (a moving edge that the linear codec blurs is sharp in none of them, but its
    place in all of them is known) and returns a correction to add to them. `phase` tells it where in a patch a pixel
    lies, since seams stand at the patches' borders alone.
    """

    def __init__(self, config: PatchVAEConfig) -> None:
        super().__init__()
        channels, width = config.group_channels * 4, config.refiner_width
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        self.phase = nn.Parameter(torch.zeros(1, width, config.patch // 2, config.patch // 2))
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.inner = nn.ModuleList(ResidualBlock(2 * width) for _ in range(config.refiner_blocks))
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        self.outer = nn.ModuleList(ResidualBlock(width) for _ in range(config.refiner_blocks))
        self.leave = nn.Conv2d(width, channels, 3, padding=1)
        # Nothing is corrected at first: training then starts from the linear codec, and stays there at a high rate.
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, frames: Tensor) -> Tensor:
        """Refine groups of frames.

        Args:
            frames: (N, 3 * frames_per_latent, H, W) in about [-1, 1], H and W multiples of the patch.
        Returns: the refined frames, same shape.
        """
        x = self.enter(F.pixel_unshuffle(frames, 2))
        side = self.phase.shape[-1]
        x = x + self.phase.repeat(1, 1, x.shape[2] // side, x.shape[3] // side)
        y = self.down(x)
        for block in self.inner:
            y = block(y)
        x = x + F.pixel_shuffle(self.up(y), 2)
        for block in self.outer:
            x = block(x)
        return frames + F.pixel_shuffle(self.leave(x), 2)
