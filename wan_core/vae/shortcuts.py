"""Levels of the 2.2 VAE: several layers beside a shortcut without parameters that changes the size."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..protocols import Operations
from .layers import Downsample, LocalLayer, ResidualBlock, Span, Upsample
from .stream import Stream


def average_down(x: Tensor, channels: int, time: int, side: int) -> Tensor:
    """Lay blocks of time x side x side pixels into channels and average neighbouring ones.

    Args: x: (B, C, T, H, W).   channels: of the result; divides C * time * side^2.
    Returns: (B, channels, ceil(T / time), H / side, W / side); missing frames at the start count as zero.
    Source: Wan-Video/Wan2.2@42bf4cf wan/modules/vae2_2.py AvgDown3D.
    """
    x = F.pad(x, (0, 0, 0, 0, -x.shape[2] % time, 0))
    x = x.unflatten(4, (-1, side)).unflatten(3, (-1, side)).unflatten(2, (-1, time))
    blocks = x.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 4)  # (B, C time side side, T', H', W')
    return blocks.unflatten(1, (channels, -1)).mean(dim=2)


def duplicate_up(x: Tensor, channels: int, time: int, side: int) -> Tensor:
    """Repeat channels and lay them out as blocks of time x side x side pixels.

    Args: x: (B, C, T, H, W).   channels: of the result; C divides channels * time * side^2.
    Returns: (B, channels, time * T, side * H, side * W).
    Source: Wan-Video/Wan2.2@42bf4cf wan/modules/vae2_2.py DupUp3D. Differs: channels are picked, not repeated.
    """
    size = channels * time * side * side
    source = torch.arange(size, device=x.device) * x.shape[1] // size
    blocks = x[:, source].unflatten(1, (channels, time, side, side))  # (B, C', t, s, s, T, H, W)
    return blocks.permute(0, 1, 5, 2, 6, 3, 7, 4).flatten(6, 7).flatten(4, 5).flatten(2, 3)


class DownLevel(LocalLayer):
    """One level of the encoder: residual blocks, downsampling (but in the last level), and the shortcut around them."""

    def __init__(
        self, widths: tuple[int, int], blocks: int, halves_time: bool | None, operations: Operations
    ) -> None:
        super().__init__()
        width_in, self.width = widths
        layers: list[LocalLayer] = [
            ResidualBlock(width_in if i == 0 else self.width, self.width, operations) for i in range(blocks)
        ]
        if halves_time is not None:
            layers.append(Downsample(self.width, halves_time, operations))
            self.down = 2
        self.changes_time = bool(halves_time)
        self.downsamples = nn.ModuleList(layers)

    def needs(self, span: Span) -> Span:
        """What the chain of layers needs."""
        for layer in reversed(self.downsamples):
            span = cast(LocalLayer, layer).needs(span)
        return span

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """(B, widths[0], T, H, W) to (B, widths[1], T', H', W')."""
        h = x
        for layer in self.downsamples:
            h = layer(h, stream)
        return stream.add(h, average_down(x, self.width, 2 if self.changes_time else 1, self.down))


class UpLevel(LocalLayer):
    """One level of the decoder: residual blocks and, but in the last level, upsampling and the shortcut around them."""

    def __init__(
        self, widths: tuple[int, int], blocks: int, doubles_time: bool | None, operations: Operations
    ) -> None:
        super().__init__()
        width_in, self.width = widths
        layers: list[LocalLayer] = [
            ResidualBlock(width_in if i == 0 else self.width, self.width, operations) for i in range(blocks)
        ]
        if doubles_time is not None:
            layers.append(Upsample(self.width, self.width, doubles_time, operations))
            self.up = 2
        self.changes_time = bool(doubles_time)
        self.upsamples = nn.ModuleList(layers)

    def needs(self, span: Span) -> Span:
        """What the chain of layers needs."""
        for layer in reversed(self.upsamples):
            span = cast(LocalLayer, layer).needs(span)
        return span

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """(B, widths[0], T, H, W) to (B, widths[1], T', H', W')."""
        h = x
        for layer in self.upsamples:
            h = layer(h, stream)
        if self.up == 1:
            return h
        time = 2 if self.changes_time else 1
        shortcut = duplicate_up(x, self.width, time, self.up)
        return stream.add(h, shortcut[:, :, time - 1 :] if stream.is_first else shortcut)
