"""The joint model again, written from the maths alone: float64, explicit loops over heads, no code of `wan_core`."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

State = Mapping[str, Tensor]


def linear(state: State, name: str, x: Tensor) -> Tensor:
    """x W^T + b."""
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def layer_norm(x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Over the last axis, epsilon 1e-6."""
    x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    return x if weight is None or bias is None else x * weight + bias


def rms_norm(state: State, name: str, x: Tensor) -> Tensor:
    """Over the last axis, epsilon 1e-6."""
    return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * state[f"{name}.weight"]


def rotate(x: Tensor, places: list[tuple[float, float, float]]) -> Tensor:
    """RoPE of one head, x (L, head_dim)."""
    half = x.shape[1] // 2
    small = x.shape[1] // 6
    counts = (half - 2 * small, small, small)
    turns = [
        [place[axis] * 10000 ** (-i / n) for axis, n in enumerate(counts) for i in range(n)]
        for place in places
    ]
    z = torch.view_as_complex(x.reshape(len(places), half, 2).contiguous())
    z = z * torch.exp(1j * torch.tensor(turns, dtype=torch.float64))
    return torch.view_as_real(z).reshape(x.shape)


def attention(
    q: Tensor, k: Tensor, v: Tensor, heads: int, places=(None, None), seen: Tensor | None = None
) -> Tensor:
    """One head after the other; q (L, D), k and v (N, D); `places` rotate q and k."""
    width = q.shape[1] // heads
    out: list[Tensor] = []
    for h in range(heads):
        one_q, one_k, one_v = (x[:, h * width : (h + 1) * width] for x in (q, k, v))
        if places[0] is not None:
            one_q, one_k = rotate(one_q, places[0]), rotate(one_k, places[1])
        scores = one_q @ one_k.T / width**0.5
        if seen is not None:
            scores = scores.masked_fill(~seen, float("-inf"))
        out.append(scores.softmax(-1) @ one_v)
    return torch.cat(out, dim=1)


def modulation(state: State, times: list[float], block: int | None) -> list[Tensor]:
    """Per token: six tensors of a block, or the two of the head."""
    half = state["time_embedding.0.weight"].shape[1] // 2
    angles = torch.tensor(
        [[t * 10000 ** (-i / half) for i in range(half)] for t in times], dtype=torch.float64
    )
    time = linear(state, "time_embedding.0", torch.cat((angles.cos(), angles.sin()), dim=1))
    time = linear(state, "time_embedding.2", F.silu(time))
    if block is None:
        return [state["head.modulation"][0, i] + time for i in range(2)]
    rows = linear(state, "time_projection.1", F.silu(time)).chunk(6, dim=1)
    return [state[f"blocks.{block}.modulation"][0, i] + row for i, row in enumerate(rows)]


def self_attention(state: State, i: int, x: Tensor, m: list[Tensor], heads: int, places: list) -> Tensor:
    """Returns x after the gated self-attention."""
    name, y = f"blocks.{i}.self_attn", layer_norm(x) * (1 + m[1]) + m[0]
    q, k = (rms_norm(state, f"{name}.norm_{n}", linear(state, f"{name}.{n}", y)) for n in "qk")
    out = attention(q, k, linear(state, f"{name}.v", y), heads, (places, places))
    return x + linear(state, f"{name}.o", out) * m[2]


def rest_of_block(
    state: State,
    i: int,
    x: Tensor,
    m: list[Tensor],
    heads: int,
    context: Tensor,
    other: tuple[Tensor, list, list, Tensor | None],
) -> Tensor:
    """Cross-attention to text and the other tower (its tokens, own places, its places, what is seen), feed-forward."""
    name = f"blocks.{i}.cross_attn"
    norm3 = [state[f"blocks.{i}.norm3.{p}"] for p in ("weight", "bias")]
    q = rms_norm(state, f"{name}.norm_q", linear(state, f"{name}.q", layer_norm(x, *norm3)))
    k = rms_norm(state, f"{name}.norm_k", linear(state, f"{name}.k", context))
    out = attention(q, k, linear(state, f"{name}.v", context), heads)
    tokens, own_places, other_places, seen = other
    y = layer_norm(tokens, *(state[f"{name}.pre_attn_norm_fusion.{p}"] for p in ("weight", "bias")))
    k = rms_norm(state, f"{name}.norm_k_fusion", linear(state, f"{name}.k_fusion", y))
    out = out + attention(q, k, linear(state, f"{name}.v_fusion", y), heads, (own_places, other_places), seen)
    x = x + linear(state, f"{name}.o", out)
    y = F.gelu(linear(state, f"blocks.{i}.ffn.0", layer_norm(x) * (1 + m[4]) + m[3]), approximate="tanh")
    return x + linear(state, f"blocks.{i}.ffn.2", y) * m[5]


def text(state: State, context: Tensor) -> Tensor:
    """Embedded context."""
    return linear(
        state, "text_embedding.2", F.gelu(linear(state, "text_embedding.0", context), approximate="tanh")
    )


def head(state: State, x: Tensor, times: list[float]) -> Tensor:
    """Output of each token."""
    shift, scale = modulation(state, times, None)
    return linear(state, "head.head", layer_norm(x) * (1 + scale) + shift)
