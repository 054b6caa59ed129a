"""Layers of the causal video VAE. Names of parameters are those of the published checkpoints."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..protocols import Operations
from .stream import ChannelNorm, Stream


class Span(NamedTuple):
    """Rows or columns of a picture, from `start` up to and without `stop`."""

    start: int
    stop: int

    def grow(self, by: int) -> Span:
        """The span with `by` more at each end."""
        return Span(self.start - by, self.stop + by)

    def clamp(self, size: int) -> Span:
        """What of the span lies within a picture."""
        return Span(max(self.start, 0), min(self.stop, size))

    def times(self, numerator: int, denominator: int = 1) -> Span:
        """The span of the same place in a picture of another scale."""
        return Span(self.start * numerator // denominator, self.stop * numerator // denominator)


class LocalLayer(nn.Module):
    """A layer whose output at a place depends on its neighbourhood alone, so that pictures can be cut into tiles.

    up, down: the output is `up` times as high and wide as the input, or a `down`-th.
    changes_time: makes more or fewer frames than it got.
    """

    up = 1
    down = 1
    changes_time = False

    def needs(self, span: Span) -> Span:
        """What of the input decides this span of the output; may reach over the borders of the picture."""
        raise NotImplementedError

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """Process one piece of a clip, (B, C, T, H, W)."""
        raise NotImplementedError


class CausalConv(LocalLayer):
    """A 3 x 3 x 3 convolution that sees no future. The module itself belongs to whoever made it."""

    def __init__(self, conv: nn.Conv3d) -> None:
        super().__init__()
        self.conv = conv

    def needs(self, span: Span) -> Span:
        """One more at each end."""
        return span.grow(1)

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """Convolve, (B, C, T, H, W) to (B, C', T, H, W)."""
        return stream.causal_conv(self.conv, x)


class ResidualBlock(LocalLayer):
    """Two rounds of norm, SiLU and causal convolution beside a shortcut.

    Source: Wan-Video/Wan2.1@9737cba wan/modules/vae.py ResidualBlock.
    """

    def __init__(self, width_in: int, width_out: int, operations: Operations) -> None:
        super().__init__()
        conv = operations.Conv3d
        self.residual = nn.ModuleDict(
            {
                "0": ChannelNorm(width_in),
                "2": conv(width_in, width_out, 3, padding=(0, 1, 1)),
                "3": ChannelNorm(width_out),
                "6": conv(width_out, width_out, 3, padding=(0, 1, 1)),
            }
        )
        self.shortcut = conv(width_in, width_out, 1) if width_in != width_out else nn.Identity()

    def needs(self, span: Span) -> Span:
        """Two more at each end."""
        return span.grow(2)

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """(B, width_in, T, H, W) to (B, width_out, T, H, W)."""
        norm1, conv1, norm2, conv2 = self.residual.values()
        h = stream.norm_conv(cast(ChannelNorm, norm1), cast(nn.Conv3d, conv1), x)
        h = stream.norm_conv(cast(ChannelNorm, norm2), cast(nn.Conv3d, conv2), h, is_spare=True)
        return stream.add(h, self.shortcut(x))


class Head(LocalLayer):
    """Norm, SiLU and the last convolution."""

    def __init__(self, width: int, channels: int, operations: Operations) -> None:
        super().__init__()
        self.add_module("0", ChannelNorm(width))
        self.add_module("2", operations.Conv3d(width, channels, 3, padding=(0, 1, 1)))

    def needs(self, span: Span) -> Span:
        """One more at each end."""
        return span.grow(1)

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """(B, width, T, H, W) to (B, channels, T, H, W)."""
        norm, conv = self.children()
        return stream.norm_conv(cast(ChannelNorm, norm), cast(nn.Conv3d, conv), x, is_spare=True)


class Attention(nn.Module):
    """Self-attention with one head among the pixels of each frame.

    Source: Wan-Video/Wan2.1@9737cba wan/modules/vae.py AttentionBlock.
    """

    def __init__(self, width: int, operations: Operations) -> None:
        super().__init__()
        self.norm = ChannelNorm(width, axes=2)
        self.to_qkv = operations.Conv2d(width, 3 * width, 1)
        self.proj = operations.Conv2d(width, width, 1)
        nn.init.zeros_(self.proj.weight)

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """(B, width, T, H, W) to the same."""
        frames = fold_time(x)
        # (N, 3C, H, W) -> three of (N, 1, H W, C)
        q, k, v = (
            self.to_qkv(stream.norm(self.norm, frames)).flatten(2).transpose(1, 2).unsqueeze(1).chunk(3, -1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v)
        mixed = self.proj(mixed.squeeze(1).transpose(1, 2).unflatten(2, frames.shape[2:]))
        return stream.add(unfold_time(mixed, x), x)


class Downsample(LocalLayer):
    """Halve height and width, and time where asked: the first frame stands alone, then every two become one.

    Source: Wan-Video/Wan2.1@9737cba wan/modules/vae.py Resample.
    """

    down = 2

    def __init__(self, width: int, halves_time: bool, operations: Operations) -> None:
        super().__init__()
        self.changes_time = halves_time
        self.resample = nn.ModuleDict({"1": operations.Conv2d(width, width, 3, stride=2)})
        self.time_conv = operations.Conv3d(width, width, (3, 1, 1), stride=(2, 1, 1)) if halves_time else None

    def needs(self, span: Span) -> Span:
        """An even span, with one pair more at the end."""
        return Span(2 * span.start, 2 * span.stop + 2)

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """(B, C, T, H, W) to (B, C, T or T / 2, H / 2, W / 2); a first frame stays one frame."""
        x = unfold_time(self.resample["1"](F.pad(fold_time(x), (0, 1, 0, 1))), x)
        if self.time_conv is None:
            return x
        past = stream.remember(self.time_conv, x[:, :, -1:].clone(), 1)
        return x if stream.is_first else self.time_conv(torch.cat([*past, x], dim=2))


class Upsample(LocalLayer):
    """Double height and width, and time where asked: the first frame stays one, every later one becomes two.

    Source: Wan-Video/Wan2.1@9737cba wan/modules/vae.py Resample.
    """

    up = 2

    def __init__(self, width: int, width_out: int, doubles_time: bool, operations: Operations) -> None:
        super().__init__()
        self.changes_time = doubles_time
        self.resample = nn.ModuleDict({"1": operations.Conv2d(width, width_out, 3, padding=1)})
        self.time_conv = operations.Conv3d(width, 2 * width, (3, 1, 1)) if doubles_time else None

    def needs(self, span: Span) -> Span:
        """Half the span with one more at each end."""
        return Span((span.start - 1) // 2, (span.stop + 2) // 2)

    def forward(self, x: Tensor, stream: Stream) -> Tensor:
        """(B, C, T, H, W) to (B, width_out, T or 2T, 2H, 2W); a first frame stays one frame."""
        if self.time_conv is not None and not stream.is_first:
            x = stream.interleave(stream.causal_conv(self.time_conv, x))
        return unfold_time(stream.upsample_conv(cast(nn.Conv2d, self.resample["1"]), fold_time(x)), x)


def fold_time(x: Tensor) -> Tensor:
    """Frames as separate pictures: (B, C, T, H, W) to (B T, C, H, W)."""
    return x.transpose(1, 2).flatten(0, 1)


def unfold_time(pictures: Tensor, like: Tensor) -> Tensor:
    """Pictures as frames again: (B T, C, H, W) to (B, C, T, H, W), with the batch of `like`."""
    return pictures.unflatten(0, (like.shape[0], -1)).transpose(1, 2)
