"""References in the attention of ComfyUI's own Wan blocks: object patches that stand around what is there."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import comfy.model_patcher
import torch
from torch import Tensor, nn

from ...wan_core.errors import InputError
from ...wan_core.ops.attention import merge_heads, split_heads
from ...wan_core.protocols import Injection

#: Key of `transformer_options` under which the references of a forward travel: a tuple of `Active`.
ACTIVE = "wan_r2v_active"
#: Key of `transformer_options` for how much tokens of references count, one number a block.
STREAM_WEIGHTS = "wan_r2v_stream_weights"

Kind = Literal["cross_attn", "self_attn"]
KINDS: tuple[Kind, ...] = ("cross_attn", "self_attn")


@dataclass(frozen=True, eq=False)
class Active:
    """What references add to the attention in one forward.

    cross, own: for the attention to the text, and for that among the tokens of the clip.
    seen: kinds of attention that have run with it, whether they had something to add or not.
    """

    cross: tuple[Injection, ...] = ()
    own: tuple[Injection, ...] = ()
    seen: set[Kind] = field(default_factory=set[Kind])

    def of(self, kind: Kind) -> tuple[Injection, ...]:
        """The references for a kind of attention."""
        return self.cross if kind == "cross_attn" else self.own


def collect(options: dict[str, Any], kind: Kind) -> tuple[Injection, ...]:
    """All references of a forward for a kind of attention, which from now on counts as seen."""
    found: list[Injection] = []
    for active in options.get(ACTIVE, ()):
        active.seen.add(kind)
        found.extend(active.of(kind))
    return tuple(found)


class AttentionPatch:
    """Stands in the place of an attention's `forward` and calls it; what it adds comes before the output layer.

    The query is read where the attention makes it, after `norm_q`, so that nothing is computed twice and weights of
    any kind (quantised, offloaded, patched) stay what they are.
    """

    def __init__(self, inner: Callable[..., Tensor], module: nn.Module, index: int, kind: Kind) -> None:
        self.inner, self.module, self.index = inner, module, index
        self.kind: Kind = kind

    def __call__(self, x: Tensor, *args: Any, transformer_options: Any = None, **options: Any) -> Tensor:
        """Attend as before, and to the references of this forward."""
        given = transformer_options or {}
        injections = collect(given, self.kind)
        if not injections:
            return self.inner(x, *args, transformer_options=given, **options)
        with adding(self.module, self.index, self.kind, injections):
            return self.inner(x, *args, transformer_options=given, **options)


def patch_attention(patcher: comfy.model_patcher.ModelPatcher) -> None:
    """Put an `AttentionPatch` around every attention of a MODEL's blocks that has none yet; chains with other nodes'.

    Raises: InputError: the MODEL has no blocks with Wan's attention.
    """
    found = attentions(patcher.get_model_object("diffusion_model"))
    for index, kind, module in found:
        name = f"diffusion_model.blocks.{index}.{kind}.forward"
        inner = patcher.get_model_object(name)
        if not isinstance(inner, AttentionPatch):
            patcher.add_object_patch(name, AttentionPatch(inner, module, index, kind))


def attentions(transformer: nn.Module) -> list[tuple[int, Kind, nn.Module]]:
    """Number of the block, kind and module of every attention of a Wan transformer, in order.

    Raises: InputError: there is none, or not all blocks have both.
    """
    blocks = list(getattr(transformer, "blocks", ()))
    found: list[tuple[int, Kind, nn.Module]] = []
    for index, block in enumerate(blocks):
        for kind in KINDS:
            module = getattr(block, kind, None)
            if isinstance(module, nn.Module) and _is_wan(module):
                found.append((index, kind, module))
    if not blocks or len(found) != len(KINDS) * len(blocks):
        raise InputError(
            f"model: expected a Wan transformer, whose blocks have self_attn and cross_attn, got "
            f"{type(transformer).__name__} with {len(found)} such attentions in {len(blocks)} blocks. Use Load Wan "
            "Model or core's Load Diffusion Model with Wan weights."
        )
    return found


def _is_wan(module: nn.Module) -> bool:
    return hasattr(module, "num_heads") and all(
        isinstance(getattr(module, name, None), nn.Module) for name in ("norm_q", "norm_k", "o")
    )


@contextmanager
def adding(module: nn.Module, index: int, kind: Kind, injections: Sequence[Injection]) -> Generator[None]:
    """Add to the input of the output layer what the references give for the query, while the context lasts.

    Args: module: an attention of Wan.   index: of its block.   injections: at least one.
    Raises: InputError: the attention did not run in a way that references can be added to.
    """
    heads = int(getattr(module, "num_heads", 0))
    queries: list[Tensor] = []
    runs: list[bool] = []

    def read(_module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        queries.append(split_heads(output.to(args[0].dtype), heads))

    def add(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        result: Tensor = args[0]
        query = _query_of(result, queries)
        queries.clear()
        runs.append(query is not None)
        if query is not None:
            extras = [injection.attend(index, query) for injection in injections]
            for extra in extras:
                result = result if extra is None else result + merge_heads(extra)
        return (result, *args[1:])

    handles = [
        module.get_submodule("norm_q").register_forward_hook(read),
        module.get_submodule("o").register_forward_pre_hook(add),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if not runs or not all(runs):
        raise InputError(
            f"{kind} of block {index}: expected o to run on what norm_q has made a query of, got {sum(runs)} such of "
            f"{len(runs)} runs. Another node has replaced this attention by one that can take no reference: remove "
            "that node."
        )


def _query_of(result: Tensor, queries: Sequence[Tensor]) -> Tensor | None:
    """The query (B, heads, L, width) behind what enters the output layer, (B, L, dim); None where there is none.

    It is the last one, or the last few if they are parts of the batch: NAG asks for prompt and negative prompt apart.
    """
    found: list[Tensor] = []
    for query in reversed(queries):
        found.insert(0, query)
        count = sum(part.shape[0] for part in found)
        if query.shape[2] != result.shape[1] or count > result.shape[0]:
            return None
        if count == result.shape[0]:
            return found[0] if len(found) == 1 else torch.cat(found)
    return None
