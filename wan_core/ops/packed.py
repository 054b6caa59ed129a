"""Linear layers with the weight laid out for a CPU's matrix products: the same numbers sooner, for inference only."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Tokens that a feed-forward layer takes at a time at most, so that its wide inner tensor stays small.
CHUNK, CHUNK_FLOAT32 = 512, 256
#: Numbers that go through the passes of `TanhGELU` together, so that they stay in the cache.
TILE = 2**16


def can_pack(layer: nn.Module) -> bool:
    """Whether a layer is a plain torch.nn.Linear on the CPU, of a dtype that this CPU multiplies natively."""
    if type(layer) is not nn.Linear or layer.weight.device.type != "cpu":
        return False
    if layer.weight.dtype == torch.bfloat16:
        return torch.backends.mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return layer.weight.dtype == torch.float32 and torch.backends.mkl.is_available()


def pack_linear(layer: nn.Linear) -> nn.Module:
    """Return a stand-in for a layer that `can_pack` accepts; it has no parameters, and the layer stays as it is."""
    return PackedBfloat16(layer) if layer.weight.dtype == torch.bfloat16 else PackedFloat32(layer)


def pack_feed_forward(first: nn.Linear, second: nn.Linear) -> nn.Module:
    """Return a stand-in for first, tanh-GELU, second; see `pack_linear`."""
    if first.weight.dtype == torch.bfloat16:
        return PackedFeedForward(PackedBfloat16(first, gelu=True), PackedBfloat16(second), CHUNK)
    wide = nn.Sequential(PackedFloat32(first), TanhGELU())
    return PackedFeedForward(wide, PackedFloat32(second), CHUNK_FLOAT32)


class PackedBfloat16(nn.Module):
    """A linear layer whose weight is a copy in oneDNN's layout; the original is no longer needed.

    Args: gelu: apply the tanh-GELU in the same pass.
    """

    def __init__(self, layer: nn.Linear, *, gelu: bool = False) -> None:
        super().__init__()
        self.bias = _bias(layer)
        self.post = ("gelu", "tanh") if gelu else ("none", "")
        with torch.no_grad():
            self.weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), CHUNK)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to x (..., in), bfloat16; returns (..., out)."""
        name, kind = self.post
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, name, [], kind)


class PackedFloat32(nn.Module):
    """A linear layer with a second copy of its weight in MKL's layout, which fits one number of rows.

    The copy is made when the same number of rows comes a second time; other numbers are multiplied as usual.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.bias = _bias(layer)
        self.weight = layer.weight.detach()
        self.packed: Tensor | None = None
        self.packed_rows, self.last_rows = 0, 0

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to x (..., in), float32; returns (..., out)."""
        rows = x.numel() // x.shape[-1]
        if rows != self.packed_rows:
            is_new, self.last_rows = rows != self.last_rows, rows
            if is_new:
                return F.linear(x, self.weight, self.bias)
            self.packed_rows = rows
            self.packed = torch.ops.mkl._mkl_reorder_linear_weight(self.weight, rows)
        return torch.ops.mkl._mkl_linear(x, self.packed, self.weight, self.bias, rows)


class TanhGELU(nn.Module):
    """The tanh form of GELU, in the place of its input.

    As (1 + tanh(u)) / 2 is sigmoid(2 u), it is x * sigmoid(x * (a + b * x^2)): torch's sigmoid takes less time than
    what its GELU does, and far below zero it keeps the digits that 1 + tanh(u) loses.
    """

    def __init__(self) -> None:
        super().__init__()
        slope = 2 * math.sqrt(2 / math.pi)
        self.slope, self.bend = torch.tensor(slope, device="cpu"), 0.044715 * slope

    def forward(self, x: Tensor) -> Tensor:
        """Return gelu(x), overwriting x, which is contiguous."""
        flat = x.view(-1)
        for start in range(0, len(flat), TILE):
            # Not from `split`: what that returns can not be overwritten while gradients are recorded.
            part = flat[start : start + TILE]
            inner = torch.addcmul(self.slope, part, part, value=self.bend)
            part.mul_(inner.mul_(part).sigmoid_())
        return x


class PackedFeedForward(nn.Module):
    """Two layers with an activation between, in equal parts of `chunk` tokens at most."""

    def __init__(self, first: nn.Module, second: nn.Module, chunk: int) -> None:
        super().__init__()
        self.first, self.second, self.chunk = first, second, chunk

    def forward(self, x: Tensor) -> Tensor:
        """Apply both to x (B, L, in); returns (B, L, out)."""
        length = x.shape[1]
        parts = -(-length // self.chunk)
        if parts == 1:
            return self.second(self.first(x))
        results = [self.second(self.first(tokens)) for tokens in x.split(-(-length // parts), dim=1)]
        return torch.cat(results, dim=1)


def _bias(layer: nn.Linear) -> Tensor | None:
    bias = dict(layer.named_parameters()).get("bias")
    return None if bias is None else bias.detach()
