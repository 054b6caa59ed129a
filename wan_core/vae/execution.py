"""The one place that chooses in which form a causal video VAE is computed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from .stream import FastStream, Stream
from .winograd import convolve, transform_kernel

#: Input times output channels from which Winograd's form saves more time than its transforms take.
LEAST_CHANNELS = 128 * 128
#: ... and pixels (times frames) for each of them that make the transformed kernel, four times as large as
#: the kernel, small beside what layers remember, and its making short beside its use.
LEAST_PIXELS = 1 / 16


class ProcessorStream(FastStream):
    """`FastStream` for float32 on a CPU, where PyTorch's own choice among its convolutions is often the slow one."""

    def convolve(self, conv: nn.Conv3d, frames: Sequence[Tensor], missing: int) -> Tensor:
        """As in `FastStream`: by Winograd where it pays, else by oneDNN."""
        made = missing + sum(part.shape[2] for part in frames) - 2
        if _suits_winograd(conv, made * frames[0].shape[3] * frames[0].shape[4]):
            kernel = self.prepared(conv, lambda: (transform_kernel(conv.weight),))[0]
            return convolve(frames, missing, kernel, conv.bias)
        return super().convolve(conv, frames, missing)

    def direct(self, conv: nn.Conv3d, x: Tensor, kernel: Tensor) -> Tensor:
        """As in `FastStream`, by oneDNN."""
        padding = cast(tuple[int, ...], conv.padding)
        return torch.mkldnn_convolution(
            x, kernel, conv.bias, padding, conv.stride, conv.dilation, conv.groups
        )


def _suits_winograd(conv: nn.Conv3d, pixels: int) -> bool:
    channels = conv.in_channels * conv.out_channels
    return (
        conv.kernel_size == (3, 3, 3)
        and conv.stride == (1, 1, 1)
        and channels >= LEAST_CHANNELS
        and pixels >= LEAST_PIXELS * channels
    )


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
