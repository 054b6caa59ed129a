"""One transformer block, in the pieces that a joint model interleaves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..ops.norm import Layout, gated_residual, modulated_norm
from ..protocols import Injection, Operations
from .attention import CrossAttention, OtherTower, SelfAttention
from .config import WanConfig
from .context import BlockContext
from .speech import SpeechAttention, SpeechKeys


class WanBlock(nn.Module):
    """Self-attention, cross-attention and feed-forward with adaptive layer norm.

    The residual stream x is float32; layers run in the dtype `work`.
    Source: Wan-Video/Wan2.1@9737cba wan/modules/model.py WanAttentionBlock.
    """

    def __init__(
        self,
        config: WanConfig,
        other_dim: int | None = None,
        *,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.eps = config.eps
        self.self_attn = SelfAttention(config, operations=operations, device=device, dtype=dtype)
        self.norm3: nn.Module = nn.Identity()
        if config.cross_attn_norm:
            self.norm3 = operations.LayerNorm(config.dim, eps=config.eps, device=device, dtype=dtype)
        self.cross_attn = CrossAttention(config, other_dim, operations=operations, device=device, dtype=dtype)
        if config.speech is not None:
            self.audio_cross_attn_wrapper = SpeechAttention(
                config, config.speech, operations=operations, device=device, dtype=dtype
            )
        self.ffn = nn.Sequential(
            operations.Linear(config.dim, config.ffn_dim, device=device, dtype=dtype),
            nn.GELU(approximate="tanh"),
            operations.Linear(config.ffn_dim, config.dim, device=device, dtype=dtype),
        )
        self.modulation = nn.Parameter(torch.zeros(1, 6, config.dim, device=device, dtype=dtype))

    def modulate(self, projection: Tensor) -> tuple[Tensor, ...]:
        """Six float32 tensors (B, G, D): shift, scale and gate of the self-attention, then of the feed-forward.

        Args: projection: (B, G, 6, D), float32, of the timestep.
        """
        own = self.modulation.to(dtype=torch.float32, device=projection.device)
        return (own + projection).unbind(2)

    def attend_self(
        self,
        x: Tensor,
        modulation: tuple[Tensor, ...],
        table: Tensor,
        work: torch.dtype,
        layout: Layout | None,
        injections: Sequence[Injection] = (),
        block_index: int = 0,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Return x (B, L, D), which may be overwritten, after self-attention.

        Args: layout: as in `modulated_norm`.   injections, block_index, bias: as in `SelfAttention`.
        """
        normed = modulated_norm(x, modulation[0], modulation[1], self.eps, layout).to(work)
        attended = self.self_attn(normed, table, injections, block_index, bias)
        return gated_residual(x, attended, modulation[2], layout, overwrite=True)

    def attend_context(
        self,
        x: Tensor,
        context: Tensor | BlockContext,
        image_context: Tensor | None,
        other: OtherTower | None,
        injections: Sequence[Injection],
        block_index: int,
    ) -> Tensor:
        """Return x (B, L, D), which is kept, after cross-attention; not gated. `context` is in the working dtype."""
        normed = self.norm3(x.to(context.dtype))
        return x + self.cross_attn(normed, context, image_context, other, injections, block_index)

    def attend_speech(self, x: Tensor, keys: SpeechKeys, cells: int) -> Tensor:
        """Return x (B, L, D), which is kept, after attention to speech; `cells`: tokens of a latent frame."""
        return x + self.audio_cross_attn_wrapper(x.to(keys.key.dtype), keys, cells)

    def feed_forward(
        self, x: Tensor, modulation: tuple[Tensor, ...], work: torch.dtype, layout: Layout | None
    ) -> Tensor:
        """Return x (B, L, D), which may be overwritten, after the feed-forward; `layout` as in `modulated_norm`."""
        normed = modulated_norm(x, modulation[3], modulation[4], self.eps, layout).to(work)
        return gated_residual(x, self.ffn(normed), modulation[5], layout, overwrite=True)
