"""Scaled dot-product attention with the layout used throughout wan_core."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

#: Tokens and heads that `add_attention` takes at a time at most on a CPU, so that what it makes stays in the cache.
TILE_TOKENS, TILE_HEADS = 1024, 10


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


def add_attention(total: Tensor, query: Tensor, key: Tensor, value: Tensor, scale: float = 1.0) -> Tensor:
    """total + scale * attend(query, key, value), meant for few keys.

    With few keys, passing over memory takes longer than multiplying. So where no gradients are recorded the sum takes
    the place of `total`, and on a CPU it is made tile by tile: neither what is attended to nor the query in another
    dtype is ever there as a whole.

    Args:
        total: (B, heads, L, head_dim); nothing else needs it.
        query: same shape; in another dtype it is brought to that of `total`.   key, value: as in `attend`.
    Returns: (B, heads, L, head_dim) in the dtype of `total`.
    """
    if torch.is_grad_enabled():
        extra = attend(query.to(total.dtype), key, value)
        return total + (extra if scale == 1.0 else extra * scale)
    for heads, tokens in _tiles(query):
        part = query[:, heads, tokens].to(total.dtype)
        total[:, heads, tokens].add_(attend(part, key[:, heads], value[:, heads]), alpha=scale)
    return total


def _tiles(query: Tensor) -> Iterator[tuple[slice, slice]]:
    """Heads and tokens that are attended for together: equal parts on a CPU, everything elsewhere."""
    _, heads, length, _ = query.shape
    if query.device.type != "cpu" or torch.compiler.is_compiling():
        yield slice(None), slice(None)
        return
    for tokens in _equal_parts(length, TILE_TOKENS):
        for some in _equal_parts(heads, TILE_HEADS):
            yield some, tokens


def _equal_parts(count: int, most: int) -> list[slice]:
    """Slices of at most so many, as many as are needed and about as large as one another."""
    size = -(-count // max(1, -(-count // most)))
    return [slice(start, start + size) for start in range(0, count, max(size, 1))]
