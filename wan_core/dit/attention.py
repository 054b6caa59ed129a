"""Self-attention and cross-attention of a block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..ops.attention import add_attention, attend, merge_heads, split_heads
from ..ops.key_value import add_injections
from ..ops.norm import NoNorm, RMSNorm
from ..ops.rope import apply_rope
from ..protocols import Injection, Operations
from .config import WanConfig
from .context import BlockContext, KeyValue


class OtherTower(NamedTuple):
    """What a tower reads of the other one.

    tokens: (B, L_other, D_other).   query_table, key_table: RoPE of the own and of the other tokens, at the head width
    of the reading tower.   mask: (L, L_other), bool, or None.
    """

    tokens: Tensor
    query_table: Tensor
    key_table: Tensor
    mask: Tensor | None


class Attention(nn.Module):
    """Projections q, k, v, o and the norms of q and k; base of both kinds of attention."""

    def __init__(
        self,
        config: WanConfig,
        *,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        dim = config.dim
        self.num_heads = config.num_heads
        self.q = operations.Linear(dim, dim, device=device, dtype=dtype)
        self.k = operations.Linear(dim, dim, device=device, dtype=dtype)
        self.v = operations.Linear(dim, dim, device=device, dtype=dtype)
        self.o = operations.Linear(dim, dim, device=device, dtype=dtype)
        self.norm_q = make_norm(config, device, dtype)
        self.norm_k = make_norm(config, device, dtype)

    def heads(self, x: Tensor) -> Tensor:
        """Split (B, L, dim) into (B, heads, L, head_dim)."""
        return split_heads(x, self.num_heads)


class SelfAttention(Attention):
    """Attention among the tokens of one tower, with RoPE on q and k, plus injections where there are any.

    Source: bytedance/lynx@3a6a91a modules/full/attention_processor.py WanRefAttnProcessor (the sum before `o`).
    """

    def forward(
        self,
        x: Tensor,
        table: Tensor,
        injections: Sequence[Injection] = (),
        block_index: int = 0,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Attend.

        Args:
            x: (B, L, dim).   table: RoPE of the tokens.
            injections: references; each is given the query before RoPE, and what it returns is added before `o`.
            block_index: number of the block, for the injections.
            bias: (L,), added to the scores of the keys, or None.
        Returns: (B, L, dim).
        """
        query, key = self.norm_q(self.q(x), torch.float32), self.norm_k(self.k(x), torch.float32)
        query = self.heads(query)
        plain = query if injections else None
        query = apply_rope(query, table, x.dtype, overwrite=plain is None)
        key = apply_rope(self.heads(key), table, x.dtype, overwrite=True)
        result = attend(query, key, self.heads(self.v(x)), bias)
        if plain is not None:
            result = add_injections(result, injections, block_index, plain)
        return self.o(merge_heads(result))


class CrossAttention(Attention):
    """Attention to the text, plus image embeddings, injections and the other tower where there are any.

    All parts share the query and are summed before the output layer. With `image_dim` set in the configuration it has
    `k_img`, `v_img`, `norm_k_img`; with `other_dim` (width of the other tower) `k_fusion`, `v_fusion`,
    `pre_attn_norm_fusion`, `norm_k_fusion`.
    Source: Wan-Video/Wan2.1@9737cba wan/modules/model.py, character-ai/Ovi@5b69b25 ovi/modules/fusion.py,
    bytedance/lynx@3a6a91a modules/full/attention_processor.py.
    """

    def __init__(
        self,
        config: WanConfig,
        other_dim: int | None,
        *,
        operations: Operations,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__(config, operations=operations, device=device, dtype=dtype)
        dim = config.dim
        if config.image_dim is not None:
            self.k_img = operations.Linear(dim, dim, device=device, dtype=dtype)
            self.v_img = operations.Linear(dim, dim, device=device, dtype=dtype)
            self.norm_k_img = make_norm(config, device, dtype)
        if other_dim is not None:
            self.k_fusion = operations.Linear(other_dim, dim, device=device, dtype=dtype)
            self.v_fusion = operations.Linear(other_dim, dim, device=device, dtype=dtype)
            self.pre_attn_norm_fusion = operations.LayerNorm(other_dim, eps=1e-6, device=device, dtype=dtype)
            self.norm_k_fusion = make_norm(config, device, dtype)

    def forward(
        self,
        x: Tensor,
        context: Tensor | BlockContext,
        image_context: Tensor | None,
        other: OtherTower | None,
        injections: Sequence[Injection],
        block_index: int,
    ) -> Tensor:
        """Attend to everything that conditions the tower.

        Args:
            x: (B, L, dim), already normalised.
            context, image_context: (B or 1, N, dim); or `read` of both as the context, and None.
        Returns: (B, L, dim).
        """
        query = self.heads(self.norm_q(self.q(x)))
        known = context if isinstance(context, BlockContext) else self.read(context, image_context)
        result = attend(query, *known.text)
        if known.image is not None:
            result = add_attention(result, query, known.image.key, known.image.value)
        if other is not None:
            result = result + self.attend_other(query, other)
        result = add_injections(result, injections, block_index, query)
        return self.o(merge_heads(result))

    def read(self, context: Tensor, image_context: Tensor | None, bias: Tensor | None = None) -> BlockContext:
        """Keys and values of embedded text and image tokens, (B or 1, N, dim); bias: (N,) of the text's scores."""
        text = KeyValue(self.heads(self.norm_k(self.k(context))), self.heads(self.v(context)), bias)
        if image_context is None:
            return BlockContext(text)
        key = self.heads(self.norm_k_img(self.k_img(image_context)))
        return BlockContext(text, KeyValue(key, self.heads(self.v_img(image_context))))

    def attend_other(self, query: Tensor, other: OtherTower) -> Tensor:
        """Attend to the other tower's tokens, each side rotated by its own positions; (B, heads, L, head_dim)."""
        tokens = self.pre_attn_norm_fusion(other.tokens.to(query.dtype))
        key = self.heads(self.norm_k_fusion(self.k_fusion(tokens), torch.float32))
        key = apply_rope(key, other.key_table, query.dtype, overwrite=True)
        value = self.heads(self.v_fusion(tokens))
        return attend(apply_rope(query, other.query_table), key, value, other.mask)


def make_norm(config: WanConfig, device: torch.device | str | None, dtype: torch.dtype | None) -> nn.Module:
    """Norm of queries or keys, or nothing where the configuration has none."""
    return RMSNorm(config.dim, config.eps, device=device, dtype=dtype) if config.qk_norm else NoNorm()
