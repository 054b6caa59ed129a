"""Pictures as numbers in [-1, 1] and as bytes."""

from __future__ import annotations

import torch
from torch import Tensor


def to_pixels(pictures: Tensor) -> Tensor:
    """Bytes, any shape, to float in [-1, 1]."""
    return pictures.float() / 127.5 - 1


def to_bytes(pictures: Tensor) -> Tensor:
    """Float in [-1, 1], any shape, to the nearest bytes; what lies outside is clipped."""
    return ((pictures + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
