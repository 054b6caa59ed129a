"""Nano's text encoder: token ids of a closed vocabulary to the context of the transformer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ConfigError, InputError, ShapeError
from ..ops.attention import attend, merge_heads
from ..protocols import TORCH_OPERATIONS, Operations
from .prompt import parse_prompt
from .vocabulary import PAD_ID, SPEECH_START, VOCAB_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class NanoTextConfig:
    """Shape of `NanoTextEncoder`.

    Attributes:
        dim: width of the context, a multiple of `num_heads`.
        num_layers: transformer layers.   num_heads: attention heads.
        max_tokens: length L of the context; shorter prompts are padded with zero rows.
        vocab_size: number of token ids, padding included.
        speech_start: first id that is a spoken word; only those have a position.
    """

    dim: int = 128
    num_layers: int = 2
    num_heads: int = 4
    max_tokens: int = 16
    vocab_size: int = VOCAB_SIZE
    speech_start: int = SPEECH_START

    def __post_init__(self) -> None:
        for name in ("dim", "num_layers", "num_heads", "max_tokens", "vocab_size", "speech_start"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"{name}: expected at least 1, got {getattr(self, name)}. Use a positive number."
                )
        if self.dim % self.num_heads:
            raise ConfigError(
                f"dim: expected a multiple of num_heads {self.num_heads}, got {self.dim}. Change one of the two."
            )
        if self.speech_start > self.vocab_size:
            raise ConfigError(
                f"speech_start: expected at most vocab_size {self.vocab_size}, got {self.speech_start}. Lower it."
            )


class NanoTextEncoder(nn.Module):
    """Embedding and a small pre-norm transformer over the tokens of a nano prompt.

    A spoken word has a position (first, second, ... spoken word); scene, action and silence have none, so their order
    in the prompt does not matter. Attention never looks at padding, and padded rows of the output are zero: the same
    prompt gives the same rows whatever else is in the batch, and an empty prompt gives zeros.
    """

    def __init__(
        self,
        config: NanoTextConfig,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = operations.Embedding(config.vocab_size, config.dim, device=device, dtype=dtype)
        self.position_embedding = operations.Embedding(
            config.max_tokens + 1, config.dim, device=device, dtype=dtype
        )
        self.layers = nn.ModuleList(
            TextLayer(config.dim, config.num_heads, operations=operations, device=device, dtype=dtype)
            for _ in range(config.num_layers)
        )
        self.norm = operations.LayerNorm(config.dim, device=device, dtype=dtype)

    def forward(self, token_ids: Tensor) -> Tensor:
        """Encode token ids.

        Args:
            token_ids: (B, L) int64 in [0, vocab_size), 0 = padding, at any place.
        Returns:
            Context (B, L, dim) in the dtype of the weights; rows of padding are exactly zero.
        Raises:
            ShapeError: `token_ids` is not (B, L) or longer than `max_tokens`.
        """
        if token_ids.ndim != 2 or token_ids.shape[1] > self.config.max_tokens:
            raise ShapeError(
                f"token_ids: expected (B, L) with L at most {self.config.max_tokens}, got {tuple(token_ids.shape)}. "
                "Shorten the prompt."
            )
        is_token = token_ids != PAD_ID
        is_speech = token_ids >= self.config.speech_start
        positions = torch.cumsum(is_speech, dim=1) * is_speech
        x = self.token_embedding(token_ids) + self.position_embedding(positions)
        # A row without any token would mask every key (softmax of nothing); it may look at all, its output is zeroed.
        may_attend = is_token | ~is_token.any(dim=1, keepdim=True)
        for layer in self.layers:
            x = layer(x, may_attend[:, None, None, :])
        return self.norm(x) * is_token[:, :, None].to(x.dtype)

    def encode(self, prompts: list[str]) -> Tensor:
        """Parse and encode prompts.

        Args:
            prompts: B texts; an empty one is the unconditional context.
        Returns:
            Context (B, max_tokens, dim) on the device of the weights.
        Raises:
            InputError: a prompt holds nothing that nano knows, or speech that it cannot say.
        """
        ids = [parse_prompt(prompt).token_ids for prompt in prompts]
        return self(pad_token_ids(ids, self.config.max_tokens).to(self.token_embedding.weight.device))


class TextLayer(nn.Module):
    """Pre-norm self-attention and feed-forward with residuals: x (B, L, dim) -> (B, L, dim)."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        *,
        operations: Operations = TORCH_OPERATIONS,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm1 = operations.LayerNorm(dim, device=device, dtype=dtype)
        self.qkv = operations.Linear(dim, 3 * dim, device=device, dtype=dtype)
        self.o = operations.Linear(dim, dim, device=device, dtype=dtype)
        self.norm2 = operations.LayerNorm(dim, device=device, dtype=dtype)
        self.ffn_in = operations.Linear(dim, 4 * dim, device=device, dtype=dtype)
        self.ffn_out = operations.Linear(4 * dim, dim, device=device, dtype=dtype)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """One layer.

        Args:
            x: (B, L, dim).   mask: bool, broadcastable to (B, heads, L, L), True where a key may be seen.
        Returns:
            (B, L, dim).
        """
        batch, length, dim = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.num_heads, dim // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        x = x + self.o(merge_heads(attend(query, key, value, mask)))
        return x + self.ffn_out(functional.gelu(self.ffn_in(self.norm2(x)), approximate="tanh"))


def pad_token_ids(token_ids: list[tuple[int, ...]], max_tokens: int) -> Tensor:
    """Stack token ids of several prompts, padded with zeros at the end.

    Args:
        token_ids: ids of each of B prompts.   max_tokens: length of the result.
    Returns:
        (B, max_tokens) int64 on the CPU.
    Raises:
        InputError: a prompt has more tokens than fit.
    """
    padded = torch.full((len(token_ids), max_tokens), PAD_ID, dtype=torch.int64)
    for row, ids in enumerate(token_ids):
        if len(ids) > max_tokens:
            raise InputError(
                f"prompt: expected at most {max_tokens} tokens, got {len(ids)}. Shorten the prompt."
            )
        padded[row, : len(ids)] = torch.tensor(ids, dtype=torch.int64)
    return padded
