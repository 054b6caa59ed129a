"""Prompts to the context of an open Wan transformer: cleaning, tokens, umT5, zero padding."""

from __future__ import annotations

from types import TracebackType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..errors import InputError
from .cleaning import clean_prompt
from .tokenizer import Tokenizer
from .umt5 import UMT5Encoder

#: Rows of the context that every open Wan transformer was trained with.
TEXT_LEN = 512


class Tokens(NamedTuple):
    """Token ids of a prompt, end token included, and how many did not fit."""

    ids: tuple[int, ...]
    left_out: int


class UMT5TextEncoder(nn.Module):
    """umT5 with its tokenizer.

    Needed for a second and as large as a transformer, so it is meant to be dropped after encoding:

        with load_text_encoder(path) as encoder:
            context, negative = encoder.encode([prompt, negative_prompt]).chunk(2)

    `free()` does the same without a `with`. Both drop this object's only references to the weights and to the
    tokenizer; memory of the CPU goes back at once, that of a GPU to torch's allocator, for the transformer to use.

    Args:
        model: the weights.   tokenizer: that belongs to them.
        text_len: rows of the context, and with it the largest number of tokens of a prompt.
    """

    def __init__(self, model: UMT5Encoder, tokenizer: Tokenizer, text_len: int = TEXT_LEN) -> None:
        super().__init__()
        self.config = model.config
        self.text_len = text_len
        self.model: UMT5Encoder | None = model
        self.tokenizer: Tokenizer | None = tokenizer

    @torch.no_grad()
    def encode(self, prompts: list[str]) -> Tensor:
        """Encode prompts, all in one go and each at its true length; equal prompts are encoded once.

        A prompt of more than `text_len` tokens is cut to `text_len - 1` and the end token, as the official code does;
        `notes` says so. An empty prompt is the end token alone, not zeros.

        Args: prompts: B texts, cleaned here.
        Returns: context (B, text_len, dim) in the weights' dtype, on their device; rows after the tokens are zero.
        Raises: InputError: not a list of texts, or the weights were freed.
        """
        model, _ = self._loaded()
        tokens = [self.tokenize(prompt).ids for prompt in checked_prompts(prompts)]
        different = list(dict.fromkeys(tokens))
        encoded = dict(zip(different, model(different), strict=True))
        context = model.norm.weight.new_zeros(len(tokens), self.text_len, self.config.dim)
        for row, ids in zip(context, tokens, strict=True):
            row[: len(ids)] = encoded[ids]
        return context

    def tokenize(self, prompt: str) -> Tokens:
        """Clean a prompt and turn it into the ids that `encode` gives to the model.

        Raises: InputError: not a text, or the encoder was freed.
        """
        _, tokenizer = self._loaded()
        ids = tokenizer.token_ids(clean_prompt(prompt))
        kept = tuple(ids[: self.text_len - 1])
        return Tokens((*kept, tokenizer.end_id), len(ids) - len(kept))

    def notes(self, prompts: list[str]) -> tuple[str, ...]:
        """Sentences for the user about prompts that are too long; empty where all fit.

        Raises: InputError: as `encode`.
        """
        left_out = {prompt: self.tokenize(prompt).left_out for prompt in checked_prompts(prompts)}
        return tuple(
            f"the prompt {prompt[:40]!r}... is too long: its last {count} tokens are left out, the transformer reads "
            f"{self.text_len}"
            for prompt, count in left_out.items()
            if count
        )

    def free(self) -> None:
        """Drop weights and tokenizer; the object can't encode afterwards. A second call does nothing."""
        self.model = None
        self.tokenizer = None

    def __enter__(self) -> UMT5TextEncoder:
        self._loaded()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.free()

    def _loaded(self) -> tuple[UMT5Encoder, Tokenizer]:
        if self.model is None or self.tokenizer is None:
            raise InputError(
                "text encoder: expected its weights, got none: they were freed. Load it again with load_text_encoder."
            )
        return self.model, self.tokenizer


def checked_prompts(prompts: list[str]) -> list[str]:
    """Return the prompts.

    Raises: InputError: a single text (its letters would be encoded one by one), or no prompt at all.
    """
    if isinstance(prompts, str) or not prompts:
        got = "a single text" if isinstance(prompts, str) else "none"
        raise InputError(f"prompts: expected a list of texts, got {got}. Write [prompt].")
    return prompts
