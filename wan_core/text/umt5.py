"""The encoder half of umT5, whose output is the context of every open Wan transformer.

An own module instead of `transformers.UMT5EncoderModel`, which casts activations to the dtype of `wo.weight` (packed
weights have none), needs prompts of one length, and looks up a relative position for every pair of tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import ConfigError, InputError, ShapeError
from ..ops.norm import RMSNorm
from ..protocols import TORCH_OPERATIONS, Operations


@dataclass(frozen=True, slots=True, kw_only=True)
class UMT5Config:
    """Shape of `UMT5Encoder`; the defaults are umT5-xxl's.

    Attributes:
        vocab_size: token ids, padding included.   dim: width of the context.
        attention_dim: width of queries, keys and values, a multiple of `num_heads`.   ffn_dim: of the feed-forward.
        num_buckets: distances that a relative position can have, half of them for each direction, even.
        max_distance: from this distance in tokens on, all share the last bucket.   eps: of the norms.

    Raises: ConfigError: a number from which no model can be built.
    """

    vocab_size: int = 256384
    dim: int = 4096
    attention_dim: int = 4096
    ffn_dim: int = 10240
    num_heads: int = 64
    num_layers: int = 24
    num_buckets: int = 32
    max_distance: int = 128
    eps: float = 1e-6

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) <= 0:
                raise ConfigError(
                    f"{field.name}: expected a positive number, got {getattr(self, field.name)}. Correct it."
                )
        if self.attention_dim % self.num_heads:
            raise ConfigError(
                f"attention_dim: expected a multiple of num_heads {self.num_heads}, got {self.attention_dim}. "
                "Change one of the two."
            )
        if self.num_buckets % 4 or self.max_distance <= self.num_buckets // 4:
            raise ConfigError(
                f"num_buckets, max_distance: expected a multiple of 4 and more than a quarter of it, got "
                f"{self.num_buckets} and {self.max_distance}. Change one of the two."
            )


class UMT5Encoder(nn.Module):
    """Token ids of several prompts to their context, each prompt at its true length.

    The prompts lie one after the other in one matrix of tokens, and attention keeps to each prompt's own rows: nothing
    is padded, nothing is masked, every weight is read once for all of them. Between layers the tokens are float32.
    Parameter names are those of the official release.

    Source: Wan-Video/Wan2.1@9737cba wan/modules/t5.py T5Encoder. Differs: no padding; relative positions are looked up
        once for each distance instead of once for each pair of tokens; residual in float32.
    """

    def __init__(
        self,
        config: UMT5Config,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = operations.Embedding(config.vocab_size, config.dim, device=device, dtype=dtype)
        self.blocks = nn.ModuleList(
            UMT5Block(config, operations=operations, device=device, dtype=dtype)
            for _ in range(config.num_layers)
        )
        self.norm = RMSNorm(config.dim, config.eps, device=device, dtype=dtype)

    @property
    def dtype(self) -> torch.dtype:
        """In which the layers compute: that of the norms. Embedding and packed weights may be stored in another."""
        return self.norm.weight.dtype

    def forward(self, token_ids: Sequence[Sequence[int]]) -> list[Tensor]:
        """Encode prompts.

        Args:
            token_ids: of each prompt, end token included, no padding; in [0, vocab_size). An empty one gives no rows.
        Returns: for each prompt (number of its tokens, dim), in `dtype`.
        Raises: InputError: an id outside the vocabulary.
        """
        lengths = [len(ids) for ids in token_ids]
        flat = torch.tensor([token for ids in token_ids for token in ids], dtype=torch.int64)
        if flat.numel() == 0:
            return [self.norm.weight.new_zeros(0, self.config.dim) for _ in token_ids]
        if int(flat.min()) < 0 or int(flat.max()) >= self.config.vocab_size:
            raise InputError(
                f"token ids: expected numbers from 0 to {self.config.vocab_size - 1}, got {int(flat.min())} to "
                f"{int(flat.max())}. Use the tokenizer that belongs to this text encoder."
            )
        device = self.norm.weight.device
        x: Tensor = self.token_embedding(flat.to(device)).float()
        buckets = {
            length: relative_buckets(length, self.config.num_buckets, self.config.max_distance).to(device)
            for length in set(lengths)
            if length
        }
        for block in self.blocks:
            x = block(x, [length for length in lengths if length], buckets, self.dtype)
        return list(self.norm(x).to(self.dtype).split(lengths))


class UMT5Block(nn.Module):
    """Pre-norm self-attention with its own relative positions, and a gated feed-forward, both with residuals."""

    def __init__(
        self,
        config: UMT5Config,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = RMSNorm(config.dim, config.eps, device=device, dtype=dtype)
        self.attn = UMT5Attention(config, operations=operations, device=device, dtype=dtype)
        self.norm2 = RMSNorm(config.dim, config.eps, device=device, dtype=dtype)
        self.ffn = UMT5FeedForward(config, operations=operations, device=device, dtype=dtype)
        self.pos_embedding = UMT5RelativeEmbedding(config, operations=operations, device=device, dtype=dtype)

    def forward(
        self, x: Tensor, lengths: list[int], buckets: dict[int, Tensor], dtype: torch.dtype
    ) -> Tensor:
        """One block.

        Args:
            x: (T, dim), float32.   lengths: of the prompts, adding up to T.
            buckets: length -> (2 * length - 1,) from `relative_buckets`.   dtype: in which the layers compute.
        Returns: (T, dim), float32.
        """
        biases = {length: self.pos_embedding(bucket, dtype) for length, bucket in buckets.items()}
        x = x + finite(self.attn(self.norm1(x).to(dtype), lengths, biases))
        return x + finite(self.ffn(self.norm2(x).to(dtype)))


class UMT5Attention(nn.Module):
    """Self-attention inside each prompt, without the usual scaling by the head's width."""

    def __init__(
        self,
        config: UMT5Config,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        dim, inner = config.dim, config.attention_dim
        self.q = operations.Linear(dim, inner, bias=False, device=device, dtype=dtype)
        self.k = operations.Linear(dim, inner, bias=False, device=device, dtype=dtype)
        self.v = operations.Linear(dim, inner, bias=False, device=device, dtype=dtype)
        self.o = operations.Linear(inner, dim, bias=False, device=device, dtype=dtype)

    def forward(self, x: Tensor, lengths: list[int], biases: dict[int, Tensor]) -> Tensor:
        """Attend; x (T, dim), biases: length -> (heads, length, length), added to the scores. Returns (T, dim)."""
        heads = (self.num_heads, -1)
        query, key, value = (layer(x).unflatten(-1, heads) for layer in (self.q, self.k, self.v))
        parts = [
            F.scaled_dot_product_attention(
                q.transpose(0, 1)[None],
                k.transpose(0, 1)[None],
                v.transpose(0, 1)[None],
                attn_mask=biases[len(q)][None],
                scale=1.0,
            )[0].transpose(0, 1)
            for q, k, v in zip(query.split(lengths), key.split(lengths), value.split(lengths), strict=True)
        ]
        return self.o(torch.cat(parts).flatten(1))


class UMT5FeedForward(nn.Module):
    """Gated feed-forward, fc2(fc1(x) * gelu(gate(x))) with the tanh form of GELU: (T, dim) -> (T, dim)."""

    def __init__(
        self,
        config: UMT5Config,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        # A list of one: the official release numbers the layer, `gate.0`.
        self.gate = nn.ModuleList(
            [operations.Linear(config.dim, config.ffn_dim, bias=False, device=device, dtype=dtype)]
        )
        self.fc1 = operations.Linear(config.dim, config.ffn_dim, bias=False, device=device, dtype=dtype)
        self.fc2 = operations.Linear(config.ffn_dim, config.dim, bias=False, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to x (T, dim)."""
        return self.fc2(F.gelu(self.gate[0](x), approximate="tanh") * self.fc1(x))


class UMT5RelativeEmbedding(nn.Module):
    """A number for each head and relative position, added to the attention scores."""

    def __init__(
        self,
        config: UMT5Config,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.embedding = operations.Embedding(
            config.num_buckets, config.num_heads, device=device, dtype=dtype
        )

    def forward(self, buckets: Tensor, dtype: torch.dtype) -> Tensor:
        """Bias (heads, L, L), entry [:, i, j] for a query at i and a key at j; buckets: (2L - 1,)."""
        length = (buckets.shape[0] + 1) // 2
        by_distance: Tensor = self.embedding(buckets).to(dtype).T
        return by_distance.unfold(1, length, 1).flip(1)


def relative_buckets(length: int, num_buckets: int, max_distance: int) -> Tensor:
    """Bucket of each distance that occurs among `length` tokens.

    Half of the buckets is for keys behind the query. In each half, the first half counts tokens, the rest grows
    logarithmically up to `max_distance`.

    Returns: (2 * length - 1,) int64, for key minus query = 1 - length .. length - 1.
    Raises: ShapeError: no tokens.
    Source: Wan-Video/Wan2.1@9737cba wan/modules/t5.py T5RelativeEmbedding.
    """
    if length < 1:
        raise ShapeError(f"length: expected at least 1 token, got {length}. Leave empty prompts out.")
    half, exact = num_buckets // 2, num_buckets // 4
    offset = torch.arange(1 - length, length)
    distance = offset.abs()
    # The order of operations in float32 decides at the edge of a bucket: it is the official one.
    growth = torch.log(distance.float() / exact) / math.log(max_distance / exact) * (half - exact)
    far = (exact + growth.clamp(min=0).long()).clamp(max=half - 1)
    return torch.where(distance < exact, distance, far) + half * (offset > 0)


def finite(update: Tensor) -> Tensor:
    """Float32 of what a layer gave; where float16 overflowed, 1000 below its largest number, as officially."""
    if update.dtype != torch.float16:
        return update.float()
    limit = torch.finfo(torch.float16).max - 1000
    return update.float().clamp(-limit, limit) if bool(update.isinf().any()) else update.float()
