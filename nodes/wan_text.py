"""umT5 on ComfyUI's CLIP connection."""

from __future__ import annotations

import logging
from typing import Any

from ..wan_core.errors import InputError
from . import host


class HostWanText:
    """CLIP: what core's encode nodes and LoRA loaders call; prompts are read as the official code reads them.

    patcher: ModelPatcher of a `UMT5TextEncoder`.
    """

    def __init__(self, patcher: Any) -> None:
        self.patcher = patcher
        self.cond_stage_model = patcher.model

    def clone(self) -> HostWanText:
        """Another one of the same weights, to put patches on."""
        return HostWanText(self.patcher.clone())

    def add_patches(
        self, patches: dict[str, Any], strength_patch: float = 1.0, strength_model: float = 1.0
    ) -> list[str]:
        """Names of the weights that a LoRA changes; those of other models are left out."""
        return self.patcher.add_patches(patches, strength_patch, strength_model)

    def tokenize(self, text: str, return_word_ids: bool = False, **options: Any) -> list[str]:
        """Keep the text as it is: words in brackets with weights are no part of Wan's prompts.

        Raises: InputError: not a text.
        """
        if not isinstance(text, str):
            raise InputError(f"prompt: expected a text, got {type(text).__name__}. Connect a text.")
        return [text]

    def encode_from_tokens(
        self, tokens: list[str], return_pooled: bool = False, return_dict: bool = False
    ) -> Any:
        """Context (1, 512, 4096), float32, zero after the prompt's tokens; with `return_pooled` and None beside it."""
        host.place_whole(self.patcher, 0)
        encoder = self.patcher.model
        for note in encoder.notes(tokens):
            logging.getLogger(__name__).warning("%s", note)
        context = host.intermediate(encoder.encode(tokens).float())
        if return_dict:
            return {"cond": context, "pooled_output": None}
        return (context, None) if return_pooled else context

    def encode_from_tokens_scheduled(self, tokens: list[str], **options: Any) -> list[Any]:
        """CONDITIONING of a prompt."""
        return [[self.encode_from_tokens(tokens), {}]]
