"""Attention that another node has put into our Wan transformer, called the way ComfyUI's own blocks call theirs.

Source: Comfy-Org/ComfyUI v0.33.0 comfy/ldm/wan/model.py WanAttentionBlock.forward (the call).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...wan_core.dit.block import WanBlock
from ...wan_core.dit.context import BlockContext
from ...wan_core.errors import InputError
from ...wan_core.protocols import Injection
from .attention import adding


class ForeignAttention:
    """Stands around a cross-attention that is written for ComfyUI's own Wan blocks, for one forward of ours."""

    def __init__(self, inner: Callable[..., Tensor], module: nn.Module, options: dict[str, Any]) -> None:
        self.inner, self.module, self.options = inner, module, options

    def __call__(
        self,
        x: Tensor,
        context: Tensor | BlockContext,
        image_context: Tensor | None,
        other: Any,
        injections: Sequence[Injection],
        block_index: int,
    ) -> Tensor:
        """Attend as the other node wants, and to the references; arguments are those of our own cross-attention.

        Raises: InputError: keys and values of the prompt in place of its tokens.
        """
        if isinstance(context, BlockContext):
            raise InputError(
                f"cross_attn of block {block_index}: expected the prompt's tokens, as the node that has replaced this "
                "attention reads them, got prepared keys. Remove that node."
            )
        parts = [context] if image_context is None else [image_context, context]
        images = 0 if image_context is None else image_context.shape[1]
        with ExitStack() as stack:
            if injections:
                stack.enter_context(adding(self.module, block_index, "cross_attn", injections))
            return self.inner(
                x, torch.cat(parts, dim=1), context_img_len=images, transformer_options=self.options
            )


def is_foreign(blocks: Sequence[WanBlock]) -> bool:
    """Whether another node has replaced an attention of the blocks.

    Raises: InputError: a self-attention, whose positions are not those of ComfyUI's own blocks.
    """
    count = sum(_replaced(block.self_attn) is not None for block in blocks)
    if count:
        raise InputError(
            f"self_attn: expected our own, got that of another node in {count} blocks. It works with core's Load "
            "Diffusion Model: use that instead of Load Wan Model."
        )
    return any(_replaced(block.cross_attn) is not None for block in blocks)


@contextmanager
def translated(blocks: Sequence[WanBlock], options: dict[str, Any]) -> Generator[None]:
    """For one forward, hand replaced cross-attentions what ComfyUI's own blocks would hand them.

    Args: options: `transformer_options` of the forward.
    """
    modules = [block.cross_attn for block in blocks]
    found = [(module, inner) for module in modules if (inner := _replaced(module)) is not None]
    try:
        for module, inner in found:
            module.forward = ForeignAttention(inner, module, options)
        yield
    finally:
        for module, inner in found:
            module.forward = inner


def _replaced(module: nn.Module) -> Callable[..., Tensor] | None:
    """What another node has put in place of a module's `forward`, or None. ComfyUI puts the module's own back there."""
    own = vars(module).get("forward")
    return None if getattr(own, "__func__", None) is type(module).forward else own
