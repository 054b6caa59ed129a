"""What enters a tower's self-attention, read out of a pass over a picture.

The transformer goes through its blocks by `walk`, which block streaming uses too. What is here stands between, for as
long as a block is in use. Outside of the context manager nothing is left on the model.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from torch import Tensor, nn

Walk = Callable[[Sequence[Any]], Iterable[Any]]


class WalkedTower(Protocol):
    """A transformer that goes through its blocks by `walk`, an attribute; `dit.WanModel` is one."""

    walk: Any


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
