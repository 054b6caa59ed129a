"""Linear layers that keep their weight in oneDNN's own layout: the same numbers faster on a CPU, for inference only."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Tokens that a feed-forward layer takes at a time, so that its wide inner tensor stays small.
CHUNK = 512


def can_pack(layer: nn.Module) -> bool:
    """Whether a layer is a plain torch.nn.Linear on the CPU, of a dtype that oneDNN multiplies natively here."""
    if type(layer) is not nn.Linear or layer.weight.device.type != "cpu":
        return False
    if not torch.backends.mkldnn.is_available():
        return False
    if layer.weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return layer.weight.dtype == torch.float32


class PackedLinear(nn.Module):
    """A linear layer with a copy of another one's weight, laid out for oneDNN; it has no parameters.

    Args: layer: one that `can_pack` accepts; it is left as it is.   activation: None or "gelu_tanh", done in the same
        pass.
    """

    def __init__(self, layer: nn.Linear, activation: str | None = None) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        with torch.no_grad():
            self.weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach(), CHUNK)
        bias = dict(layer.named_parameters()).get("bias")
        self.bias = None if bias is None else bias.detach()
        self.post = ("none", "") if activation is None else ("gelu", "tanh")

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer to x (..., in_features), in the dtype of the weight; returns (..., out_features)."""
        name, kind = self.post
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, name, [], kind)


class PackedFeedForward(nn.Module):
    """Linear, tanh-GELU, linear, `CHUNK` tokens at a time.

    Args: first, second: layers that `can_pack` accepts.
    """

    def __init__(self, first: nn.Linear, second: nn.Linear) -> None:
        super().__init__()
        self.first = PackedLinear(first, "gelu_tanh")
        self.second = PackedLinear(second)

    def forward(self, x: Tensor) -> Tensor:
        """Apply both layers to x (B, L, in_features); returns (B, L, out_features)."""
        result = x.new_empty(*x.shape[:-1], self.second.out_features)
        for tokens, place in zip(x.split(CHUNK, dim=1), result.split(CHUNK, dim=1), strict=True):
            place.copy_(self.second(self.first(tokens)))
        return result
