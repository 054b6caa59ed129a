"""Blocks of a transformer that stay in main memory and visit the device one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..errors import ConfigError

Block = TypeVar("Block", bound=nn.Module)


@dataclass(frozen=True, slots=True, eq=False)
class _Home:
    """One tensor of a block: where it is registered, and its copy in main memory."""

    module: nn.Module
    name: str
    tensor: Tensor

    def put(self, tensor: Tensor) -> None:
        """Let the module use another copy of the tensor."""
        held = getattr(self.module, self.name)
        if isinstance(held, nn.Parameter):
            held.data = tensor
        else:
            setattr(self.module, self.name, tensor)


class BlockStreamer:
    """Gives a model its blocks in order, on the device while they are used.

    The first `resident` blocks stay on the device. Of the others at most two are there at a time: the one that works
    and the next, whose copy runs beside the work (pinned memory and a stream of its own on CUDA). Any other device
    takes the same way, one copy after the other.

    Args:
        blocks: in the order of use; those that do not stay are left where they are now, in main memory.
        device: where they work.   resident: how many stay there.
        leader: a tensor of the model outside of the blocks, whose floating dtype the copies take (a step that is
            repeated in float32 changes it for a while); None keeps theirs.
    Raises: ConfigError: `resident` is negative or more than there are.
    """

    def __init__(
        self,
        blocks: Sequence[nn.Module],
        device: torch.device | str,
        resident: int,
        leader: Tensor | None = None,
    ) -> None:
        if not 0 <= resident <= len(blocks):
            raise ConfigError(
                f"resident blocks: expected 0 to {len(blocks)}, got {resident}. Use the number of the memory plan."
            )
        self.device = torch.device(device)
        self.resident = resident
        self._leader = leader
        self._is_cuda = self.device.type == "cuda"
        self._stream = torch.cuda.Stream(self.device) if self._is_cuda else None
        self._homes = [_homes(block, pin=self._is_cuda) for block in blocks[resident:]]
        self._ready: dict[int, list[Tensor]] = {}
        for block in blocks[:resident]:
            block.to(self.device)

    @property
    def visiting(self) -> int:
        """How many streamed blocks have a copy on the device now."""
        return len(self._ready)

    def __call__(self, blocks: Sequence[Block]) -> Iterator[Block]:
        """Give the blocks in order; each is on the device until the next one is asked for."""
        try:
            yield from blocks[: self.resident]
            for place, block in enumerate(blocks[self.resident :]):
                self._enter(place)
                if place + 1 < len(self._homes):
                    self._fetch(place + 1)
                yield block
                self._leave(place)
        finally:
            for place in tuple(self._ready):
                self._leave(place)

    def _fetch(self, place: int) -> None:
        """Begin the copy of a block."""
        if place in self._ready:
            return
        if self._stream is None:
            self._ready[place] = [home.tensor.to(self.device, copy=True) for home in self._homes[place]]
            return
        with torch.cuda.stream(self._stream):
            self._ready[place] = [
                home.tensor.to(self.device, non_blocking=True) for home in self._homes[place]
            ]

    def _enter(self, place: int) -> None:
        """Let a block use its copy on the device, once that is complete."""
        self._fetch(place)
        if self._stream is not None:
            torch.cuda.current_stream(self.device).wait_stream(self._stream)
        for home, copy in zip(self._homes[place], self._ready[place], strict=True):
            if self._is_cuda:
                # The copy was allocated on the other stream: its memory may be used again only after this one is done.
                copy.record_stream(torch.cuda.current_stream(self.device))
            is_other = self._leader is not None and copy.is_floating_point()
            home.put(copy.to(self._leader.dtype) if self._leader is not None and is_other else copy)

    def _leave(self, place: int) -> None:
        """Give a block its tensors in main memory back and drop the copy."""
        for home in self._homes[place]:
            home.put(home.tensor)
        del self._ready[place]


def _homes(block: nn.Module, *, pin: bool) -> list[_Home]:
    """Every tensor of a block; pinned so that it can be copied beside the work."""
    homes: list[_Home] = []
    for module in block.modules():
        own = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
        for name, tensor in own:
            kept = tensor.detach().pin_memory() if pin else tensor.detach()
            home = _Home(module, name, kept)
            home.put(kept)
            homes.append(home)
    return homes
