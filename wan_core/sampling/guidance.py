"""The guidance chain: how several conditions make one velocity.

A chain is a base condition and an ordered list of terms: v = v_0 + sum of s_k * (v_k - v_(k-1)), with the scales of
video and audio apart. Plain classifier-free guidance is a chain of one term; Lynx adds identity before text; HuMo
changes scales and conditions on the way; DreamID-Omni measures its last terms from conditions of their own. All of it
comes down to one weight a condition, modality and step, and conditions that weigh nothing are never evaluated.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor

from ..errors import ConfigError

C = TypeVar("C")

Scale = float | Sequence[float] | Callable[[float], float]
"""A number; one number a step; or a function of the modality's sigma at the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceTerm(Generic[C]):
    """One term s * (v(condition) - v(baseline)).

    Attributes:
        condition: what the denoiser is given, any object.
        video: scale for the picture.   audio: scale for the sound.
        baseline: condition that the difference is measured from; None for that of the term before (of the base for
            the first term).
    """

    condition: C
    video: Scale = 1.0
    audio: Scale = 1.0
    baseline: C | None = None


@dataclass(frozen=True, slots=True)
class WeightedCondition(Generic[C]):
    """A condition and its share of the velocity of each modality."""

    condition: C
    video: float
    audio: float


class GuidanceChain(Generic[C]):
    """Base condition and terms, with equal conditions merged.

    Two conditions are equal if they are one object, or dataclasses, tuples, lists or tensors of equal content.
    """

    def __init__(self, base: C, terms: Sequence[GuidanceTerm[C]] = ()) -> None:
        """Merge equal conditions.

        Args:
            base: condition of v_0.   terms: in order; none means v = v_0.
        """
        self._conditions: list[C] = []
        self._base = self._place(base)
        self._terms: list[tuple[int, int, GuidanceTerm[C]]] = []
        previous = self._base
        for term in terms:
            place = self._place(term.condition)
            baseline = previous if term.baseline is None else self._place(term.baseline)
            self._terms.append((place, baseline, term))
            previous = place

    def weights(self, index: int, video_sigma: float, audio_sigma: float) -> list[WeightedCondition[C]]:
        """Weights of a step; they add up to 1 in each modality.

        Args:
            index: number of the step.   video_sigma, audio_sigma: sigma of each modality at its start.
        Returns:
            One entry a distinct condition, in order of the chain, weight 0 included.
        Raises:
            ConfigError: a list of scales is shorter than the run, or a scale is not finite.
        """
        video, audio = [0.0] * len(self._conditions), [0.0] * len(self._conditions)
        video[self._base] = audio[self._base] = 1.0
        for place, baseline, term in self._terms:
            for weights, scale in (
                (video, scale_at(term.video, index, video_sigma)),
                (audio, scale_at(term.audio, index, audio_sigma)),
            ):
                weights[place] += scale
                weights[baseline] -= scale
        return [WeightedCondition(c, v, a) for c, v, a in zip(self._conditions, video, audio, strict=True)]

    def _place(self, condition: C) -> int:
        for place, known in enumerate(self._conditions):
            if is_same_condition(known, condition):
                return place
        self._conditions.append(condition)
        return len(self._conditions) - 1


def scale_at(scale: Scale, index: int, sigma: float) -> float:
    """Value of a scale at a step.

    Args:
        scale: see `Scale`.   index: number of the step.   sigma: sigma at its start, [0, 1].
    Raises:
        ConfigError: the list of scales is too short, or the value is not finite.
    """
    if callable(scale):
        value = scale(sigma)
    elif isinstance(scale, Sequence):
        if index >= len(scale):
            raise ConfigError(
                f"scale: expected one value a step, got {len(scale)} for step {index + 1}. Add values."
            )
        value = scale[index]
    else:
        value = scale
    if not abs(value) < float("inf"):
        raise ConfigError(
            f"scale: expected a finite number, got {value} at step {index + 1}. Use for example 1.0."
        )
    return float(value)


def blend(parts: Sequence[tuple[float, Tensor]]) -> Tensor | None:
    """Sum of weight * tensor over the parts that weigh something.

    Args:
        parts: weights and tensors of one shape.
    Returns:
        The sum; the tensor itself, bit for bit, if one part of weight 1 is left; None if nothing is left.
    """
    used = [(weight, tensor) for weight, tensor in parts if weight != 0.0]
    if not used:
        return None
    total: Tensor | None = None
    for weight, tensor in used:
        share = tensor if weight == 1.0 else weight * tensor
        total = share if total is None else total + share
    return total


def is_same_condition(first: object, second: object) -> bool:
    """Whether two conditions are one object or equal in content (dataclasses, tuples, lists, tensors, plain values)."""
    if first is second:
        return True
    if type(first) is not type(second):
        return False
    if isinstance(first, Tensor):
        other = cast(Tensor, second)
        same_kind = (first.shape, first.dtype, first.device) == (other.shape, other.dtype, other.device)
        return same_kind and torch.equal(first, other)
    if isinstance(first, (tuple, list)):
        items, others = cast("Sequence[object]", first), cast("Sequence[object]", second)
        return len(items) == len(others) and all(map(is_same_condition, items, others))
    if dataclasses.is_dataclass(first):
        names = [item.name for item in dataclasses.fields(first) if item.compare]
        return all(is_same_condition(getattr(first, name), getattr(second, name)) for name in names)
    return isinstance(first, (str, bytes, int, float, bool)) and first == second
