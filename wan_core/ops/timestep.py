"""Sinusoidal embedding of diffusion timesteps."""

from __future__ import annotations

import torch
from torch import Tensor

from .rope import position_dtype


def timestep_embedding(timestep: Tensor, dim: int, max_period: float = 10000.0) -> Tensor:
    """Embed timesteps as cosines followed by sines.

    Args: timestep: any shape, range [0, 1000].   dim: even.
    Returns: (*timestep.shape, dim), float32; angles are computed in float64 as upstream.
    Source: Wan-Video/Wan2.1@9737cba wan/modules/model.py sinusoidal_embedding_1d.
    """
    half = dim // 2
    dtype = position_dtype(timestep.device)
    exponent = torch.arange(half, device=timestep.device, dtype=dtype) / half
    angle = timestep.to(dtype).unsqueeze(-1) * max_period**-exponent
    return torch.cat((angle.cos(), angle.sin()), dim=-1).float()
