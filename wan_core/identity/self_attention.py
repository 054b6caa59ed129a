"""References in a tower's self-attention: added while it runs, or read out of a pass over a picture.

The transformer goes through its blocks by `walk`, which block streaming uses too. What is here stands between: for as
long as a block is in use, its query is read after `norm_q` and the reference is added to what goes into `o`. Outside of
the context managers nothing is left on the model.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from torch import Tensor, nn

from ..errors import ConfigError
from ..ops.attention import merge_heads, split_heads
from ..protocols import Injection

Walk = Callable[[Sequence[Any]], Iterable[Any]]


class WalkedTower(Protocol):
    """A transformer that goes through its blocks by `walk`, an attribute; `dit.WanModel` is one."""

    walk: Any


@contextmanager
def attending_to(model: WalkedTower, injections: Sequence[Injection]) -> Generator[None]:
    """Add references to the self-attention of every block, for the forwards inside of the `with`.

    Each injection gets the block's query before RoPE, as `Injection` says, and its result is added before `o`. A block
    that every injection leaves alone is computed exactly as without, and with no injections the model is not touched.

    Args:
        model: the tower; nothing else may run it meanwhile.
        injections: e.g. `LynxBranch.reference`.
    Raises:
        ConfigError: a block's self-attention does not call its own `norm_q` and `o` once each.
    Source: bytedance/lynx@3a6a91a modules/full/attention_processor.py (WanRefAttnProcessor: the sum before to_out).
    """
    if not injections:
        yield
        return

    def around(index: int, block: nn.Module) -> AbstractContextManager[None]:
        return _adding(index, block, injections)

    with _walking(model, around):
        yield


@contextmanager
def recording(model: WalkedTower) -> Generator[list[Tensor]]:
    """Collect what goes into each block's self-attention, normed and modulated: (B, L, dim), block by block.

    Args:
        model: the tower; run one forward inside of the `with`.
    Source: bytedance/lynx@3a6a91a modules/full/transformer_wan.py (ref_mode "write").
    """
    found: list[Tensor] = []

    @contextmanager
    def around(_index: int, block: nn.Module) -> Generator[None]:
        def keep(_module: nn.Module, args: tuple[Any, ...]) -> None:
            found.append(args[0])

        handle = block.get_submodule("self_attn").register_forward_pre_hook(keep)
        try:
            yield
        finally:
            handle.remove()

    with _walking(model, around):
        yield found


@contextmanager
def _walking(
    model: WalkedTower, around: Callable[[int, nn.Module], AbstractContextManager[None]]
) -> Generator[None]:
    inner: Walk = model.walk

    def walk(blocks: Sequence[nn.Module]) -> Iterator[nn.Module]:
        for index, block in enumerate(inner(blocks)):
            with around(index, block):
                yield block

    model.walk = walk
    try:
        yield
    finally:
        model.walk = inner


@contextmanager
def _adding(index: int, block: nn.Module, injections: Sequence[Injection]) -> Generator[None]:
    attention = block.get_submodule("self_attn")
    heads = int(getattr(attention, "num_heads", 0))
    found: list[list[Tensor]] = []
    calls: list[int] = []

    def read(_module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        # now, as the block rotates its query in place afterwards
        query = split_heads(output.to(args[0].dtype), heads)
        extras = [injection.attend(index, query) for injection in injections]
        found.append([merge_heads(extra) for extra in extras if extra is not None])

    def add(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        result: Tensor = args[0]
        if found:
            calls.append(index)
            for extra in found.pop():
                result = result + extra
        return (result, *args[1:])

    handles = [
        attention.get_submodule("norm_q").register_forward_hook(read),
        attention.get_submodule("o").register_forward_pre_hook(add),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    if len(calls) != 1 or found:
        raise ConfigError(
            f"self-attention of block {index}: expected norm_q and o to run once each, got {len(calls)} such runs. "
            "Use the transformer of this project, without other patches to its self-attention."
        )
