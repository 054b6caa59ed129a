"""The guidance chain: how several conditions make one velocity.

A chain is a base condition and an ordered list of terms: v = v_0 + sum of s_k * (v_k - v_(k-1)), with the scales of
video and audio apart. Plain classifier-free guidance is a chain of one term; Lynx adds identity before text; HuMo
changes scales and conditions on the way; DreamID-Omni measures its last terms from conditions of their own. All of it
comes down to one weight a condition, modality and step, and conditions that weigh nothing are never evaluated.
A window limits guidance to some noise levels or steps; a rule of `guidance_rules` replaces the plain sum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, cast

import torch
from torch import Tensor

from ..errors import ConfigError
from .guidance_rules import ActiveTerm, GuidanceRule, Memory, PlainSum, RuleStep, Window, blend

__all__ = [
    "GuidanceChain",
    "GuidanceRun",
    "GuidanceTerm",
    "MODALITIES",
    "Modality",
    "PlannedCondition",
    "Scale",
    "WeightedCondition",
    "blend",
    "is_same_condition",
    "scale_at",
]

C = TypeVar("C")

Modality = Literal["video", "audio"]

MODALITIES: tuple[Modality, Modality] = ("video", "audio")

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

    def __init__(
        self,
        base: C,
        terms: Sequence[GuidanceTerm[C]] = (),
        *,
        window: Window | None = None,
        rule: GuidanceRule | None = None,
    ) -> None:
        """Merge equal conditions.

        Args:
            base: condition of v_0.   terms: in order; none means v = v_0.
            window: where guidance acts; elsewhere v is that of the last term's condition alone. None: everywhere.
            rule: `ZeroStar`, `Projected` or one of your own; None for the plain sum.
        """
        self.conditions: list[C] = []
        self.window = window
        self.rule: GuidanceRule = rule or PlainSum()
        self._base = self._place(base)
        self._terms: list[tuple[int, int, GuidanceTerm[C]]] = []
        previous = self._base
        for term in terms:
            place = self._place(term.condition)
            baseline = previous if term.baseline is None else self._place(term.baseline)
            self._terms.append((place, baseline, term))
            previous = place
        self._last = previous

    def start(self) -> GuidanceRun[C]:
        """Begin a run; the chain itself never changes and may serve many."""
        return GuidanceRun(self)

    def weights(self, index: int, video_sigma: float, audio_sigma: float) -> list[WeightedCondition[C]]:
        """Weights of the plain sum at a step, window included; they add up to 1 in each modality.

        Args:
            index: number of the step.   video_sigma, audio_sigma: sigma of each modality at its start.
        Returns:
            One entry a distinct condition, in order of the chain, weight 0 included.
        Raises:
            ConfigError: a list of scales is shorter than the run, a scale is not finite, or the chain has a rule, whose
                result is no plain sum.
        """
        if not isinstance(self.rule, PlainSum):
            raise ConfigError(
                f"guidance: expected a chain without a rule, got {type(self.rule).__name__}. Use start()."
            )
        video = self.step_of("video", index, video_sigma).weights
        audio = self.step_of("audio", index, audio_sigma).weights
        return [WeightedCondition(c, v, a) for c, v, a in zip(self.conditions, video, audio, strict=True)]

    def step_of(self, modality: Modality, index: int, sigma: float, done: int = 0) -> RuleStep:
        """Weights and active terms of one modality at a step.

        Args:
            index: number of the step.   sigma: of the modality at its start.   done: steps it moved before.
        Raises:
            ConfigError: a list of scales is shorter than the run, or a scale is not finite.
        """
        weights = [0.0] * len(self.conditions)
        if self.window is not None and not self.window.holds(index, sigma):
            weights[self._last] = 1.0
            return RuleStep(weights=tuple(weights), base=self._last, terms=(), sigma=sigma, done=done)
        weights[self._base] = 1.0
        active: list[ActiveTerm] = []
        for number, (place, baseline, term) in enumerate(self._terms):
            scale = scale_at(term.video if modality == "video" else term.audio, index, sigma)
            weights[place] += scale
            weights[baseline] -= scale
            if scale != 0.0 and place != baseline:
                active.append(ActiveTerm(number=number, place=place, baseline=baseline, scale=scale))
        return RuleStep(weights=tuple(weights), base=self._base, terms=tuple(active), sigma=sigma, done=done)

    def _place(self, condition: C) -> int:
        for place, known in enumerate(self.conditions):
            if is_same_condition(known, condition):
                return place
        self.conditions.append(condition)
        return len(self.conditions) - 1


@dataclass(frozen=True, slots=True)
class PlannedCondition(Generic[C]):
    """A condition to evaluate: its number in the chain, and which modalities want its velocity."""

    place: int
    condition: C
    wants_video: bool
    wants_audio: bool


class GuidanceRun(Generic[C]):
    """A chain over one run; for each step `plan`, then `combine` for each modality that moves."""

    def __init__(self, chain: GuidanceChain[C]) -> None:
        """Begin; use `GuidanceChain.start`."""
        self._chain = chain
        self._steps: dict[Modality, RuleStep] = {}
        self._memory: dict[Modality, Memory] = {}

    def plan(
        self,
        index: int,
        sigmas: tuple[float, float],
        moving: tuple[bool, bool],
        done: tuple[int, int] = (0, 0),
    ) -> list[PlannedCondition[C]]:
        """What to evaluate at a step, in order of the chain.

        Args:
            index: number of the step.   sigmas: of video and audio at its start.
            moving: modalities that change in it.   done: steps that each moved before.
        Raises:
            ConfigError: as in `GuidanceChain.step_of`.
        """
        wanted: dict[Modality, frozenset[int]] = {}
        for modality, sigma, moves, moved in zip(MODALITIES, sigmas, moving, done, strict=True):
            self._steps[modality] = self._chain.step_of(modality, index, sigma, moved)
            wanted[modality] = self._chain.rule.needed(self._steps[modality]) if moves else frozenset()
        return [
            PlannedCondition(place, condition, place in wanted["video"], place in wanted["audio"])
            for place, condition in enumerate(self._chain.conditions)
            if place in wanted["video"] or place in wanted["audio"]
        ]

    def combine(self, modality: Modality, velocities: Mapping[int, Tensor], latents: Tensor) -> Tensor:
        """One velocity of a modality, and on to its next step.

        Args:
            velocities: of the planned conditions that this modality wants, by `place`.
            latents: of the modality at the start of the step.
        Returns:
            Velocity, shaped as `latents`.
        """
        memory = self._memory.get(modality, {})
        velocity, kept = self._chain.rule.combine(self._steps[modality], velocities, latents, memory)
        self._memory[modality] = kept
        return velocity

    def copy(self) -> GuidanceRun[C]:
        """The run as it stands, to come back to."""
        twin = GuidanceRun(self._chain)
        twin._steps, twin._memory = dict(self._steps), dict(self._memory)
        return twin


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
