"""The one place that chooses in which form a causal video VAE is computed."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .stream import ChannelNorm, FastStream, Stream, norm_factor, position_kernels
from .winograd import STEP, Goal, Rows, Winograd, padded_size, plain_rows

#: Input times output channels, and tiles of a picture, from which Winograd's form saves more time than it takes.
LEAST_CHANNELS = 64 * 64
LEAST_TILES = 48


class ProcessorStream(FastStream):
    """`FastStream` for float32 on a CPU, where oneDNN's convolutions are already as fast as its multiplications.

    Wide layers use Winograd's form. They and narrow last layers remember no frames but sums: what past frames
    contribute to the next two, so that each frame is brought into Winograd's form (or read) once.
    """

    def __init__(self, winograd: Winograd | None = None) -> None:
        super().__init__()
        self._winograd = winograd or Winograd()

    def twin(self) -> ProcessorStream:
        """As in `Stream`; working memory is shared."""
        twin = ProcessorStream(self._winograd)
        twin._kernels = self._kernels
        return twin

    def pieces(self, x: Tensor, *, is_large: bool) -> tuple[Tensor, ...]:
        """One frame at a time."""
        return x.split(1, dim=2)

    def norm_conv(self, norm: ChannelNorm, conv: nn.Conv3d, x: Tensor, *, is_spare: bool = False) -> Tensor:
        """As in `Stream`."""
        if _is_narrow(conv):
            return self._narrow_conv(conv, self.norm_silu(norm, x, is_spare=is_spare))
        if not (_is_cube(conv) and _suits_winograd(conv, x)):
            return super().norm_conv(norm, conv, x, is_spare=is_spare)
        gamma, made = norm.gamma.flatten(), list[Tensor]()
        height, width = _size(x)
        for index in range(x.shape[2]):
            frame = x[:, :, index].permute(0, 2, 3, 1)
            goals = self._next_goals(
                conv, x, index, padded_size((height, width)), frame if is_spare else None
            )
            taps = conv.weight.permute(2, 0, 1, 3, 4)[-len(goals) :]
            for sample, picture in enumerate(frame):
                self._winograd.convolve(
                    _normed_rows(picture, gamma),
                    (height, width, conv.in_channels),
                    lambda some, taps=taps: taps[:, some],
                    [Goal(sums[sample], bias) for sums, bias in goals],
                )
            made.append(goals[-1].picture[:, :height, :width].permute(0, 3, 1, 2))
        return torch.stack(made, dim=2) if len(made) > 1 else made[0].unsqueeze(2)

    def upsample_conv(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """As in `Stream`; the four positions are four kernels."""
        if not _suits_winograd(conv, x):
            return super().upsample_conv(conv, x)
        height, width = _size(x)
        high, wide = padded_size((height, width))
        result = x.new_empty((x.shape[0], 2 * high, 2 * wide, conv.out_channels))
        for picture, large in zip(x.permute(0, 2, 3, 1), result, strict=True):
            self._winograd.convolve(
                plain_rows(picture),
                (height, width, conv.in_channels),
                lambda some: _centred_kernels(conv.weight[some]),
                [Goal(large[down::2, right::2], _bias(conv)) for down in (0, 1) for right in (0, 1)],
            )
        return result[:, : 2 * height, : 2 * width].permute(0, 3, 1, 2)

    def direct(self, conv: nn.Conv3d, x: Tensor, kernel: Tensor) -> Tensor:
        """As in `FastStream`, by oneDNN."""
        padding = cast(tuple[int, ...], conv.padding)
        return torch.mkldnn_convolution(
            x, kernel, conv.bias, padding, conv.stride, conv.dilation, conv.groups
        )

    def _narrow_conv(self, conv: nn.Conv3d, x: Tensor) -> Tensor:
        """`causal_conv` with all taps in time as channels of one convolution."""
        made = list[Tensor]()
        for index in range(x.shape[2]):
            goals = self._next_goals(conv, x, index, _size(x))
            kernels = conv.weight.permute(2, 0, 1, 3, 4)[-len(goals) :]
            seen = F.conv2d(x[:, :, index], kernels.flatten(0, 1), padding=conv.padding[1:])
            for (sums, bias), part in zip(goals, seen.permute(0, 2, 3, 1).chunk(len(goals), -1), strict=True):
                if bias is None:
                    sums += part
                else:
                    torch.add(part, bias, out=sums)
            made.append(goals[-1].picture.permute(0, 3, 1, 2))
        return torch.stack(made, dim=2)

    def _next_goals(
        self, conv: nn.Conv3d, x: Tensor, index: int, size: tuple[int, int], spare: Tensor | None = None
    ) -> list[Goal]:
        """Sums that a frame of x contributes to: the latest first, its own last. spare: free for the next sums."""
        after = 2 if self.following is None else min(2, self.following + x.shape[2] - 1 - index)
        goals = [Goal(sums, None) for sums in self._past.get(conv, ())]
        shape = (x.shape[0], *size, conv.out_channels)
        while len(goals) <= after:
            fits = spare is not None and spare.shape == shape and spare.is_contiguous()
            goals.append(Goal(spare if spare is not None and fits else x.new_empty(shape), _bias(conv)))
            spare = None
        self._past[conv] = tuple(goal.picture for goal in goals[1:])
        return goals[::-1]


def _normed_rows(picture: Tensor, gamma: Tensor) -> Rows:
    """Rows of a picture (H, W, C) after norm and SiLU."""

    def write(low: int, high: int, out: Tensor) -> None:
        rows = picture[low:high]
        torch.mul(rows, norm_factor(rows, -1), out=out)
        F.silu(out.mul_(gamma), inplace=True)

    return write


def _centred_kernels(weight: Tensor) -> Tensor:
    """(C', C, 3, 3) to `position_kernels`, each at its place among the 3 x 3 neighbours: (4, C', C, 3, 3)."""
    kernels = weight.new_zeros((4, *weight.shape))
    for position, kernel in enumerate(position_kernels(weight)):
        down, right = divmod(position, 2)
        kernels[position, :, :, down : down + 2, right : right + 2] = kernel
    return kernels


def _bias(conv: nn.Conv2d | nn.Conv3d) -> Tensor:
    return conv.weight.new_zeros(conv.out_channels) if conv.bias is None else conv.bias


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]


def _is_cube(conv: nn.Conv3d) -> bool:
    return conv.kernel_size == (3, 3, 3) and conv.stride == (1, 1, 1)


def _is_narrow(conv: nn.Conv3d) -> bool:
    """Whether three times the output channels are far fewer than the input's."""
    return _is_cube(conv) and 4 * conv.out_channels <= conv.in_channels


def _suits_winograd(conv: nn.Conv2d | nn.Conv3d, x: Tensor) -> bool:
    high, wide = padded_size(_size(x))
    tiles = high * wide // STEP**2
    return conv.in_channels * conv.out_channels >= LEAST_CHANNELS and tiles >= LEAST_TILES


def open_stream(model: nn.Module) -> Stream:
    """Start a pass in the form that suits a model: plain for gradients or layers that are not torch's own, else fast.

    Layers of a host may keep their weights elsewhere or packed, and are called as they are.
    """
    own = all(type(m) in (nn.Conv2d, nn.Conv3d) for m in model.modules() if hasattr(m, "kernel_size"))
    if not own or torch.is_grad_enabled():
        return Stream()
    weight = next(model.parameters())
    is_plain = weight.device.type == "cpu" and weight.dtype == torch.float32
    return ProcessorStream() if is_plain and torch.backends.mkldnn.is_available() else FastStream()
