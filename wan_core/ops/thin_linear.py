"""A linear layer that is fast for few rows on a CPU, where reading the weight takes longer than multiplying by it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..protocols import LayerFactory, Operations

#: From so many rows on, torch's own product is as fast.
MAX_ROWS = 256


class ThinLinear(nn.Linear):
    """As torch.nn.Linear; in float32 on a CPU, for inference with few rows, through oneDNN.

    MKL, which torch uses there, copies the weight into a layout of its own at every call; oneDNN reads it where it is:
    0.7 of the time for 30 rows of 4096 (`benchmarks/text_encode.py`). The same numbers but for rounding.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Apply it to input (..., in_features); returns (..., out_features)."""
        if not self._is_thin(input):
            return super().forward(input)
        return torch.ops.mkldnn._linear_pointwise(input, self.weight, self.bias, "none", [], "")

    def _is_thin(self, x: Tensor) -> bool:
        return (
            x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and 0 < x.numel() <= MAX_ROWS * self.in_features
            and not (torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad))
            and not torch.compiler.is_compiling()
            and torch.backends.mkldnn.is_available()
        )


class _ThinOperations:
    """torch.nn with `ThinLinear`."""

    Linear: LayerFactory = ThinLinear
    LayerNorm: LayerFactory = nn.LayerNorm
    Conv1d: LayerFactory = nn.Conv1d
    Conv2d: LayerFactory = nn.Conv2d
    Conv3d: LayerFactory = nn.Conv3d
    Embedding: LayerFactory = nn.Embedding


#: The layers of a model that mostly sees few rows.
THIN_OPERATIONS: Operations = _ThinOperations()
