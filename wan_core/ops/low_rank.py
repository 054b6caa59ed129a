"""A layer with a low-rank addition, for weights that can not be changed in place because they are packed."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ShapeError


class LowRankLinear(nn.Module):
    """base(x) + up (down x): what base would give with the weight W + up down.

    Args:
        base: any linear layer, (..., in) to (..., out).
        down: (rank, in).   up: (out, rank), any factor already multiplied in.   Both are used in the dtype of x.
    Raises: ShapeError: the two do not multiply.
    """

    def __init__(self, base: nn.Module, down: Tensor, up: Tensor) -> None:
        super().__init__()
        if down.ndim != 2 or up.ndim != 2 or up.shape[1] != down.shape[0]:
            raise ShapeError(
                f"low-rank addition: expected down (rank, in) and up (out, rank), got {tuple(down.shape)} and "
                f"{tuple(up.shape)}. Use both halves of one file."
            )
        self.base = base
        self.in_features, self.out_features = down.shape[1], up.shape[0]
        self.register_buffer("down", down)
        self.register_buffer("up", up)

    down: Tensor
    up: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out), in the dtype that the base gives."""
        base: Tensor = self.base(x)
        return base + F.linear(F.linear(x, self.down.to(x.dtype)), self.up.to(x.dtype))
