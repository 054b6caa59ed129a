"""What codecs and small generators do to a picture: blur, lost detail inside blocks, grain."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .photo import blur

BLOCK = 16
"""Side of the blocks that lose detail, in pixels; the blocks of nano's video codec."""


def _cosine_basis(device: torch.device) -> Tensor:
    """Return the orthonormal cosine transform of BLOCK samples, (BLOCK, BLOCK)."""
    index = torch.arange(BLOCK, device=device, dtype=torch.float32)
    basis = torch.cos(math.pi / BLOCK * (index[None] + 0.5) * index[:, None]) * math.sqrt(2.0 / BLOCK)
    basis[0] /= math.sqrt(2.0)
    return basis


def drop_detail(pictures: Tensor, kept: Tensor) -> Tensor:
    """Remove fine detail block by block, as a transform codec with few coefficients does.

    Args:
        pictures: (N, C, H, W), H and W multiples of BLOCK.
        kept: (N,) highest kept frequency, in half waves per block (sum of both directions); 2 * BLOCK keeps all.

    Returns: (N, C, H, W).
    """
    count, channels, height, width = pictures.shape
    basis = _cosine_basis(pictures.device)
    blocks = pictures.reshape(count, channels, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(3, 4)
    spectrum = basis @ blocks @ basis.T
    index = torch.arange(BLOCK, device=pictures.device, dtype=torch.float32)
    keep = (kept[:, None, None] - (index[:, None] + index[None]) + 1.0).clamp(0.0, 1.0)
    blocks = basis.T @ (spectrum * keep[:, None, None, None]) @ basis
    return blocks.transpose(3, 4).reshape(count, channels, height, width)


def soften(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Degrade pictures by random amounts, from not at all to about 23 dB; colours stay as they are.

    Args:
        pictures: (N, 3, H, W) in [-1, 1], H and W multiples of BLOCK.
        generator: the only source of randomness.

    Returns: (N, 3, H, W) in [-1, 1].
    """
    count, device = pictures.shape[0], pictures.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator, device=device)

    softened = blur(pictures, uniform(-1.0, 1.2).clamp(min=0.0))
    coarse = drop_detail(softened, uniform(7.0, 20.0))
    is_coarse = (uniform(0.0, 1.0) < 0.5)[:, None, None, None]
    softened = torch.where(is_coarse, coarse, softened)
    grain = torch.randn(pictures.shape, generator=generator, device=device)
    return (softened + uniform(-0.06, 0.10).clamp(min=0.0)[:, None, None, None] * grain).clamp(-1.0, 1.0)
