"""Layers at both ends of a tower: embeddings and head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ShapeError
from ..ops.norm import modulated_norm
from ..protocols import Operations
from .config import WanConfig


class ConvMLP(nn.Module):
    """Gated convolutions along a sequence, (B, dim, T) to (B, dim, T).

    Source: character-ai/Ovi@5b69b25 ovi/modules/model.py ConvMLP. Differs: channels first throughout.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        kernel: int,
        *,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()

        def conv(width_in: int, width_out: int) -> nn.Module:
            return operations.Conv1d(
                width_in, width_out, kernel, padding=kernel // 2, bias=False, device=device, dtype=dtype
            )

        self.w1 = conv(dim, hidden)
        self.w2 = conv(hidden, dim)
        self.w3 = conv(dim, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return w2(silu(w1 x) * w3 x)."""
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class ImageProjection(nn.Module):
    """CLIP embeddings (B, N, image_dim) to context tokens (B, N, dim); Wan2.1 image-to-video.

    Args: positions: N of a model with learned positions (embeddings of both frames one after the other), else None.
    """

    def __init__(
        self,
        image_dim: int,
        dim: int,
        positions: int | None,
        *,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            operations.LayerNorm(image_dim, device=device, dtype=dtype),
            operations.Linear(image_dim, image_dim, device=device, dtype=dtype),
            nn.GELU(),
            operations.Linear(image_dim, dim, device=device, dtype=dtype),
            operations.LayerNorm(dim, device=device, dtype=dtype),
        )
        self.emb_pos: nn.Parameter | None = None
        if positions is not None:
            self.emb_pos = nn.Parameter(torch.zeros(1, positions, image_dim, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Project; see the class.

        Raises: ShapeError: N is not the number of learned positions.
        """
        if self.emb_pos is None:
            return self.proj(x)
        if x.shape[1] != self.emb_pos.shape[1]:
            raise ShapeError(
                f"image_embeds: expected {self.emb_pos.shape[1]} tokens, got {x.shape[1]}. Join those of both frames."
            )
        return self.proj(x + self.emb_pos.to(x))


class Head(nn.Module):
    """Last norm and projection to patches, modulated by the timestep embedding itself."""

    def __init__(
        self,
        dim: int,
        out_features: int,
        eps: float,
        *,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.head = operations.Linear(dim, out_features, device=device, dtype=dtype)
        self.modulation = nn.Parameter(torch.zeros(1, 2, dim, device=device, dtype=dtype))

    def forward(self, x: Tensor, time: Tensor, work: torch.dtype) -> Tensor:
        """Project x (B, L, D) with the timestep embedding time (B, G, D), float32; returns (B, L, out_features)."""
        own = self.modulation.to(dtype=torch.float32, device=time.device)
        shift, scale = (own + time.unsqueeze(2)).unbind(2)
        return self.head(modulated_norm(x, shift, scale, self.eps).to(work))


def make_patch_embedding(
    config: WanConfig,
    *,
    operations: Operations,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> nn.Module:
    """First layer of a tower: latents (B, C, ...) to (B, dim, grid...)."""
    if config.ndim == 3:
        patch = config.patch_size
        return operations.Conv3d(
            config.in_channels, config.dim, patch, stride=patch, device=device, dtype=dtype
        )
    kernel = config.embedding_kernel
    return nn.Sequential(
        operations.Conv1d(
            config.in_channels, config.dim, kernel, padding=kernel // 2, device=device, dtype=dtype
        ),
        nn.SiLU(),
        ConvMLP(
            config.dim, config.sequence_hidden, kernel, operations=operations, device=device, dtype=dtype
        ),
    )
