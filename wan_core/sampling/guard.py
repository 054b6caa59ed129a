"""Numbers that are no numbers: where they first appear, and the same step in float32.

A step whose result is not finite is evaluated once more under a watch over every layer's result. The watch follows the
parameters that each operation uses, so it names the block however the model calls its layers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import WanCoreError
from ..types import AVLatents

_WATCHED = re.compile(r"linear(?!_weight)|conv\d|norm$|attention|matmul|^(add|badd|b)?mm$|einsum|embedding")
"""Operations whose results are checked: a mask may hold infinity, the result of a layer may not."""

_LAYERS = re.compile(r"linear|conv\d|norm$|embedding")
"""Those of them whose first argument is what a layer was given, and the others its weights."""

_HALVES = (torch.float16, torch.bfloat16)
_BLOCK = re.compile(r"^(?:.*\.)?blocks\.\d+(?=\.|$)")

Cause = Literal["weights", "input", "overflow"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """Where the first value appeared that is not finite.

    Attributes:
        operation: as PyTorch calls it, e.g. "linear".
        layer: name of the layer whose parameters it used, or that ran before it; "" before the first one.
        block: name of the layer's block, e.g. "blocks.3"; None outside of the blocks.
        cause: the layer's weights are not finite; what it was given is not; or its result does not fit its dtype.
        dtype: of the result, e.g. "float16".
    """

    operation: str
    layer: str
    block: str | None
    cause: Cause
    dtype: str

    def __str__(self) -> str:
        """`block blocks.3 (linear in blocks.3.ffn.0, float16)`."""
        place = f"block {self.block}" if self.block is not None else "the model outside of its blocks"
        return f"{place} ({self.operation} in {self.layer or 'its input'}, {self.dtype})"


class NonFiniteError(WanCoreError):
    """A run was stopped since a step gave NaN or infinity.

    Attributes:
        index: number of the failed step, from 0.   total: steps of the run.
        culprit: where it began, if that was found.
        latents: latents before the failed step, all finite: what the run had made until then.
        denoised: estimate of the clean latents of the step before; None at the first step.
    """

    def __init__(
        self,
        message: str,
        *,
        index: int,
        total: int,
        culprit: Culprit | None,
        latents: AVLatents,
        denoised: AVLatents | None,
    ) -> None:
        super().__init__(message)
        self.index = index
        self.total = total
        self.culprit = culprit
        self.latents = latents
        self.denoised = denoised


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NumberGuard:
    """What the loop may do about a step that is not finite, beyond stopping.

    Attributes:
        model: the network to watch, or a function that returns the one in use (two experts), None if there is none.
        safe: repeat such a step in float32, with autocast off, and go on if it is finite then.
        converts_weights: while repeating, hold the model's float16 and bfloat16 weights in float32, which needs twice
            their memory. False for layers that convert their weights to the dtype of their input (ComfyUI's).
    """

    model: nn.Module | Callable[[], nn.Module | None]
    safe: bool = False
    converts_weights: bool = True

    def network(self) -> nn.Module | None:
        """The network in use."""
        return self.model if isinstance(self.model, nn.Module) else self.model()

    def find(self, evaluate: Callable[[], object]) -> Culprit | None:
        """Evaluate once more and say where the first value appears that is not finite; None if it does not again."""
        network = self.network()
        if network is None:
            return None
        watch = _Watch(network)
        try:
            with watch:
                evaluate()
        except _FoundError as found:
            return found.culprit
        return None

    @contextmanager
    def in_float32(self, device: torch.device) -> Generator[None, None, None]:
        """Within it, weights are float32 and autocast is off; afterwards the weights are as before, bit for bit.

        Weights that wait on another kind of device are left to whoever brings them, e.g. `pipelines.memory_stream`.
        """
        network = self.network() if self.converts_weights else None
        changed: list[tuple[Tensor, torch.dtype]] = []
        try:
            for tensor in [] if network is None else [*network.parameters(), *network.buffers()]:
                if tensor.dtype in _HALVES and tensor.device.type == device.type:
                    changed.append((tensor, tensor.dtype))
                    tensor.data = tensor.data.float()
            with torch.autocast(device.type, enabled=False):
                yield
        finally:
            for tensor, dtype in changed:
                tensor.data = tensor.data.to(dtype)


def remedy(culprit: Culprit | None, *, is_repeated: bool = False, is_out_of_memory: bool = False) -> str:
    """What the user can do.

    Args:
        culprit: see `NumberGuard.find`.   is_repeated: the step failed in float32 too.
        is_out_of_memory: there was no room to repeat it.
    """
    if culprit is not None and culprit.cause == "weights":
        return "Its weights hold NaN or infinity: get the file again, or leave the LoRA out."
    if culprit is not None and culprit.cause == "input":
        return "It was given values that are not finite: check the prompt, the references and their encoders."
    if is_out_of_memory:
        return "There is not enough memory to repeat it in float32: load the model in bfloat16."
    if is_repeated:
        return (
            "Float32 does not help: lower the guidance scales and LoRA strengths, or check the weights file."
        )
    if culprit is not None and culprit.dtype == "float16":
        return "Load the model in bfloat16 or float32, or allow float32 for such steps (safe, --safe)."
    return "Lower the guidance scales, load the model in float32 or bfloat16, or check the weights file."


class _FoundError(WanCoreError):
    """Ends the watched evaluation."""

    def __init__(self, culprit: Culprit) -> None:
        super().__init__(str(culprit))
        self.culprit = culprit


class _Watch(TorchFunctionMode):
    """Checks the results of layers and knows whose parameters were used last."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._layers = {id(tensor): name for name, layer in network.named_modules() for tensor in _own(layer)}
        self._last = ""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = list(_tensors((args, *(kwargs or {}).values())))
        weights = [tensor for tensor in given if id(tensor) in self._layers]
        if weights:
            self._last = self._layers[id(weights[0])]
        result = func(*args, **(kwargs or {}))
        operation = str(getattr(func, "__name__", func))
        if _WATCHED.search(operation) and isinstance(result, Tensor) and not _is_finite(result):
            if (
                operation == "_mkl_linear"
            ):  # its packed copy has room that nobody wrote to; the weight stands beside it
                given = [tensor for tensor in given if not tensor.is_mkldnn]
                weights = [tensor for tensor in weights if not tensor.is_mkldnn]
            cause: Cause = "overflow"
            if not all(map(_is_finite, [*weights, *given[1:]] if _LAYERS.search(operation) else weights)):
                cause = "weights"
            elif not all(_is_finite(tensor) for tensor in given):
                cause = "input"
            block = _BLOCK.match(self._last)
            raise _FoundError(
                Culprit(
                    operation=operation,
                    layer=self._last,
                    block=None if block is None else block.group(),
                    cause=cause,
                    dtype=str(result.dtype).removeprefix("torch."),
                )
            )
        return result


def _own(layer: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers of one layer, and packed weights that are plain attributes."""
    yield from layer.parameters(recurse=False)
    yield from layer.buffers(recurse=False)
    yield from (value for value in vars(layer).values() if isinstance(value, Tensor))


def _tensors(items: Iterable[object]) -> Iterator[Tensor]:
    for item in items:
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, (tuple, list)):
            yield from _tensors(cast("Iterable[object]", item))


def _is_finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point():
        return True
    if tensor.is_mkldnn:
        tensor = tensor.to_dense()
    return bool(torch.isfinite(tensor if tensor.element_size() > 1 else tensor.float()).all())
