"""Scaled dot-product attention with the layout used throughout wan_core."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Turn (B, L, heads * head_dim) into a view of (B, heads, L, head_dim)."""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Turn (B, heads, L, head_dim) into (B, L, heads * head_dim)."""
    return x.transpose(1, 2).flatten(2)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention, scaled by 1 / sqrt(head_dim).

    Args:
        query: (B, heads, L, head_dim).
        key, value: (B or 1, heads, N, head_dim); a batch of 1 serves every query. In another dtype they are brought to
            that of the query: prepared ones stay in theirs when a step is done again in float32.
        mask: broadcastable to (B, heads, L, N): (L, N), or (N,) for all queries alike; bool (True = may be seen) or of
            the dtype of `query` (added to the scores). A row without anything to see gives NaN.
    Returns: (B, heads, L, head_dim) in the dtype of `query`.
    """
    if key.shape[0] != query.shape[0]:
        key = key.expand(query.shape[0], -1, -1, -1)
        value = value.expand(query.shape[0], -1, -1, -1)
    key, value = key.to(query.dtype), value.to(query.dtype)
    if mask is not None and mask.ndim == 1:
        mask = mask.view(1, 1, 1, -1)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
