"""The learned half of nano's decoder: takes away block seams and grain and sharpens what the linear half left soft."""

from __future__ import annotations

from itertools import pairwise

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


class TimeBlock(nn.Module):
    """A convolution over the latent frames around a residual connection; (B, G, C, H, W) to the same.

    The first latent sees itself alone: it is a picture, and has to come out as the same picture whatever follows it.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0))
        nn.init.zeros_(self.conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return x plus what the latent frames before and after say, (B, G, C, H, W)."""
        seen = F.silu(x).transpose(1, 2)
        first, rest = self.conv(seen[:, :, :1]), self.conv(seen)[:, :, 1:]
        return x + torch.cat([first, rest], dim=2).transpose(1, 2)


class Refiner(nn.Module):
    """A U-Net over the frames of a latent, with a look at the latents before and after where it is coarsest.

    It sees the frames of a latent together (a moving edge that the linear codec blurs is sharp in none of them, but its
    place in all of them is known) and returns a correction to add to them. `phase` tells it where in a patch a pixel
    lies, since seams stand at the patches' borders alone; at the coarsest level it sees whole faces, since what a
    transformer left smeared can only be told from the rest of the face.
    """

    def __init__(self, config: PatchVAEConfig) -> None:
        super().__init__()
        channels, widths, depth = config.group_channels * 4, config.refiner_widths, config.refiner_blocks
        side = config.patch // 2
        self.enter = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.phase = nn.Parameter(torch.zeros(1, widths[0], side, side))
        self.before = nn.ModuleList(_blocks(width, 1) for width in widths[:-1])
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(widths))
        self.middle = _blocks(widths[-1], 1)
        self.over_time = TimeBlock(widths[-1])
        self.middle_after = _blocks(widths[-1], 1)
        self.up = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in pairwise(widths))
        self.after = nn.ModuleList(_blocks(width, depth) for width in widths[:-1])
        self.leave = nn.Conv2d(widths[0], channels, 3, padding=1)
        # Nothing is corrected at first: training then starts from the linear codec, and stays there at a high rate.
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, frames: Tensor) -> Tensor:
        """Refine groups of frames.

        Args:
            frames: (B, G, 3 * frames_per_latent, H, W) in about [-1, 1], H and W multiples of the patch.
        Returns: the refined frames, same shape.
        """
        batch = frames.shape[0]
        x = self.enter(F.pixel_unshuffle(frames.flatten(0, 1), 2))
        side = self.phase.shape[-1]
        x = x + self.phase.repeat(1, 1, x.shape[2] // side, x.shape[3] // side)
        kept: list[Tensor] = []
        for blocks, down in zip(self.before, self.down, strict=True):
            x = blocks(x)
            kept.append(x)
            x = down(x)
        x = self.over_time(self.middle(x).unflatten(0, (batch, -1))).flatten(0, 1)
        x = self.middle_after(x)
        for blocks, up in zip(reversed(self.after), reversed(self.up), strict=True):
            x = blocks(kept.pop() + F.pixel_shuffle(up(x), 2))
        return frames + F.pixel_shuffle(self.leave(x), 2).unflatten(0, (batch, -1))


def _blocks(width: int, number: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(width) for _ in range(number)))
