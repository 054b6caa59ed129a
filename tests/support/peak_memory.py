"""Most bytes that tensors hold at once while something runs."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Count(TorchDispatchMode):
    """Follows every storage that an operation returns from its birth to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._known: set[int] = set()

    def ignore(self, tensor: Tensor) -> None:
        """Do not count a tensor that was there before."""
        self._known.add(tensor.untyped_storage()._cdata)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and not tensor.is_mkldnn:
                storage = tensor.untyped_storage()
                key, size = storage._cdata, storage.nbytes()
                if key not in self._known:
                    self._known.add(key)
                    self.held += size
                    self.peak = max(self.peak, self.held)
                    weakref.finalize(storage, self._end, key, size)
        return result

    def _end(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.held -= size


def peak_bytes(work: Callable[[], object], before: list[Tensor]) -> int:
    """Peak of what `work` adds to the tensors in `before`."""
    count = _Count()
    for tensor in before:
        count.ignore(tensor)
    with torch.no_grad(), count:
        work()
    return count.peak
