"""Face embeddings to identity tokens: learned queries read the embeddings in a few attention layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ShapeError
from ..ops.attention import attend, merge_heads, split_heads
from ..protocols import TORCH_OPERATIONS, Operations
from .config import ResamplerConfig


class _ReadAttention(nn.Module):
    """Queries attend to the inputs and to themselves; LayerNorm on both sides, no biases."""

    def __init__(
        self,
        config: ResamplerConfig,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        dim = config.dim
        self.heads = config.heads
        self.norm1 = operations.LayerNorm(dim, device=device, dtype=dtype)
        self.norm2 = operations.LayerNorm(dim, device=device, dtype=dtype)
        self.to_q = operations.Linear(dim, dim, bias=False, device=device, dtype=dtype)
        self.to_kv = operations.Linear(dim, 2 * dim, bias=False, device=device, dtype=dtype)
        self.to_out = operations.Linear(dim, dim, bias=False, device=device, dtype=dtype)

    def forward(self, inputs: Tensor, latents: Tensor) -> Tensor:
        """Return the update of `latents` (B, N, dim) from `inputs` (B, K, dim)."""
        latents = self.norm2(latents)
        key, value = self.to_kv(torch.cat((self.norm1(inputs), latents), dim=1)).chunk(2, dim=-1)
        query, key, value = (split_heads(part, self.heads) for part in (self.to_q(latents), key, value))
        return self.to_out(merge_heads(attend(query, key, value)))


class Resampler(nn.Module):
    """Turn K face embeddings into N identity tokens.

    Parameter names equal those of Lynx's `resampler.safetensors`: `latents`, `proj_in`, `layers.{i}.0.{norm1, norm2,
    to_q, to_kv, to_out}`, `layers.{i}.1.{0, 1, 3}`, `proj_out`, `norm_out`. The tokens of an absent face are
    `resampler(0 * embeds)`, not zeros.

    Args:
        config: sizes.
        operations: factory of the layers.
        device: where the parameters live.
        dtype: their type.

    Source: bytedance/lynx@3a6a91a modules/common/resampler.py (Apache-2.0). Differs: fused attention; the options that
    Lynx leaves off (position embedding, mean-pooled queries) are absent.
    """

    def __init__(
        self,
        config: ResamplerConfig,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        dim, inner = config.dim, config.ff_mult * config.dim
        self.latents = nn.Parameter(
            torch.randn(1, config.queries, dim, device=device, dtype=dtype) / dim**0.5
        )
        self.proj_in = operations.Linear(config.in_dim, dim, device=device, dtype=dtype)
        self.layers = nn.ModuleList()
        for _ in range(config.depth):
            feed_forward = nn.Sequential(
                operations.LayerNorm(dim, device=device, dtype=dtype),
                operations.Linear(dim, inner, bias=False, device=device, dtype=dtype),
                nn.GELU(),
                operations.Linear(inner, dim, bias=False, device=device, dtype=dtype),
            )
            self.layers.append(
                nn.ModuleList((_ReadAttention(config, operations, device, dtype), feed_forward))
            )
        self.proj_out = operations.Linear(dim, config.out_dim, device=device, dtype=dtype)
        self.norm_out = operations.LayerNorm(config.out_dim, device=device, dtype=dtype)

    def forward(self, embeds: Tensor) -> Tensor:
        """Read the embeddings of one person a batch row.

        Args:
            embeds: (B, K, in_dim), K >= 1 faces of the same person.
        Returns:
            identity_tokens, (B, queries, out_dim), layer-normalised.
        Raises:
            ShapeError: another shape.
        """
        if embeds.ndim != 3 or embeds.shape[1] < 1 or embeds.shape[2] != self.config.in_dim:
            raise ShapeError(
                f"embeds: expected (B, K >= 1, {self.config.in_dim}), got {tuple(embeds.shape)}. "
                "Stack the embeddings of one person along the second axis."
            )
        inputs = self.proj_in(embeds)
        latents = self.latents.to(inputs.dtype).expand(embeds.shape[0], -1, -1)
        for layer in self.layers:
            attention, feed_forward = layer.children()
            latents = attention(inputs, latents) + latents
            latents = feed_forward(latents) + latents
        return self.norm_out(self.proj_out(latents))
