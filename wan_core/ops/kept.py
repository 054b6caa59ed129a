"""Tables that depend on shapes alone, kept by the model that uses them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import torch

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


class Kept(Generic[Key, Result]):
    """A function of one key (a tuple of plain numbers) that remembers its latest results.

    The results are ordinary tensors even when first asked for in inference mode, so that training can use them later.
    A graph that is being compiled contains the computation instead.
    Args: make: the function.   size: results that are kept.
    """

    def __init__(self, make: Callable[[Key], Result], size: int) -> None:
        self.make = make
        self._remembered = functools.lru_cache(maxsize=size)(make)

    def __call__(self, key: Key) -> Result:
        """Return make(key), computed once."""
        if torch.compiler.is_compiling():
            return self.make(key)
        with torch.inference_mode(False), torch.no_grad():
            return self._remembered(key)
