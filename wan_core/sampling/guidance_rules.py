"""What a guidance chain may do besides the plain sum: act in a window only, CFG-Zero-star, adaptive projection.

A rule sees one modality of one step: the weights of the plain sum, the terms behind them, and the velocities of the
conditions it asked for. It returns one velocity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from ..errors import ConfigError

Memory = Mapping[int, Tensor]
"""What a rule carries from step to step: one tensor a term, by its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigmaWindow:
    """Guidance acts where low < sigma <= high, in each modality by its own sigma.

    Attributes:
        low, high: 0 <= low < high <= 1.
    Raises:
        ConfigError: other values.
    Source: Kynkäänniemi et al., Applying Guidance in a Limited Interval, 2024.
    """

    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.low < self.high <= 1.0:
            raise ConfigError(
                f"guidance window: expected 0 <= low < high <= 1, got {self.low} to {self.high}. Swap or widen it."
            )

    def holds(self, index: int, sigma: float) -> bool:
        """Whether guidance acts at step `index`, which starts at `sigma`."""
        return self.low < sigma <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWindow:
    """Guidance acts at the steps first <= index < stop.

    Attributes:
        first: number of the first guided step, from 0.   stop: number of the step after the last guided one.
    Raises:
        ConfigError: an empty window.
    """

    first: int = 0
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.stop:
            raise ConfigError(
                f"guidance window: expected 0 <= first < stop, got {self.first} to {self.stop}. Swap or widen it."
            )

    def holds(self, index: int, sigma: float) -> bool:
        """Whether guidance acts at step `index`, which starts at `sigma`."""
        return self.first <= index < self.stop


Window = SigmaWindow | StepWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveTerm:
    """A term of the chain at a step; its scale is not 0 and its two conditions differ.

    number: of the term in the chain.   place, baseline: numbers of its conditions.   scale: of this step and modality.
    """

    number: int
    place: int
    baseline: int
    scale: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleStep:
    """One modality at one step.

    Attributes:
        weights: of the plain sum, one a condition; they add up to 1.   base: number of the base condition.
        terms: in order.   sigma: at the start of the step, (0, 1].   done: steps that the modality moved before.
    """

    weights: tuple[float, ...]
    base: int
    terms: tuple[ActiveTerm, ...]
    sigma: float
    done: int

    @property
    def weighty(self) -> frozenset[int]:
        """Conditions that weigh something in the plain sum."""
        return frozenset(place for place, weight in enumerate(self.weights) if weight != 0.0)


class GuidanceRule(Protocol):
    """How velocities of conditions become one."""

    def needed(self, step: RuleStep) -> frozenset[int]:
        """Numbers of the conditions that must be evaluated; may be empty."""
        ...

    def combine(
        self, step: RuleStep, velocities: Mapping[int, Tensor], latents: Tensor, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """Blend.

        Args:
            velocities: of the conditions in `needed`, each shaped as `latents`.   latents: at the start of the step.
            memory: what this rule returned at the step before, empty at first.
        Returns:
            Velocity, shaped as `latents`, and the memory for the next step.
        """
        ...


@dataclass(frozen=True, slots=True)
class PlainSum:
    """v_0 + sum of s_k * (v_k - v_(k-1)): classifier-free guidance."""

    def needed(self, step: RuleStep) -> frozenset[int]:
        """What weighs something."""
        return step.weighty

    def combine(
        self, step: RuleStep, velocities: Mapping[int, Tensor], latents: Tensor, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """Weighted sum; one condition of weight 1 comes through bit for bit."""
        total = blend([(weight, velocities[p]) for p, weight in enumerate(step.weights) if weight != 0.0])
        return (torch.zeros_like(latents) if total is None else total), memory


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroStar:
    """CFG-Zero-star: the base's velocity v_0 is scaled to fit the guided one, and the first steps stand still.

    The scale is <v, v_0> / <v_0, v_0> for each sample, with v that of the last term's condition. The steps that
    stand still have velocity 0 and evaluate nothing.

    Attributes:
        zero_steps: number of first steps with velocity 0, counted in each modality from where it starts to move.
            About 4 % of the steps for text-to-video (2 of 50), 1 for image-to-video. (Upstream's own argument is one
            less.)
    Raises:
        ConfigError: zero_steps is negative.
    Source: WeichenFan/CFG-Zero-star@3162be1 models/wan/wan_pipeline.py; one term gives the result of
        huggingface/diffusers 0.42.1 guiders/classifier_free_zero_star_guidance.py.
    """

    zero_steps: int = 1

    def __post_init__(self) -> None:
        if self.zero_steps < 0:
            raise ConfigError(f"zero_steps: expected 0 or more, got {self.zero_steps}. 1 or 2 are usual.")

    def needed(self, step: RuleStep) -> frozenset[int]:
        """Nothing while standing still."""
        return frozenset() if step.done < self.zero_steps else step.weighty

    def combine(
        self, step: RuleStep, velocities: Mapping[int, Tensor], latents: Tensor, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """Weighted sum with the base's velocity scaled."""
        if step.done < self.zero_steps:
            return torch.zeros_like(latents), memory
        guided = [t.place for t in step.terms if t.place in velocities and t.place != step.base]
        if guided and step.base in velocities:
            base = velocities[step.base]
            velocities = {**velocities, step.base: _fit(velocities[guided[-1]], base) * base}
        return PlainSum().combine(step, velocities, latents, memory)


@dataclass(frozen=True, slots=True, kw_only=True)
class Projected:
    """Adaptive projected guidance: each difference of the chain is smoothed, shortened and split along its condition.

    With d_k = v_k - v_(k-1): d_k += momentum * (d_k of the step before); then its norm is cut to `norm_threshold`; then
    the part of it that is parallel to v_k is multiplied by `eta`. That gives n_k. Where all scales are 1, or outside
    the window, the last condition is used as it is.

    Attributes:
        eta: share of the parallel part that is kept; 1 keeps all of it, 0 is the paper's choice.
        norm_threshold: greatest norm of a difference; 0 for no limit.
        momentum: usually from -0.75 to 0; 0 for none.
        form: "condition" is the paper's v = v_0 + sum of (d_k + (s_k - 1) * n_k), for one term v_1 + (s - 1) * n_1;
            "base" is v = v_0 + sum of s_k * n_k, diffusers' default and Bernini-R's.
        space: "velocity", or "clean" to do all of it on clean estimates x - sigma * v (Bernini-R).
        per_frame: norms and projections for each latent frame instead of the whole clip.
    Raises:
        ConfigError: a value is not finite, or norm_threshold is negative.
    Source: Sadat et al., Eliminating Oversaturation and Artifacts of High Guidance Scales, 2024;
        huggingface/diffusers 0.42.1 guiders/adaptive_projected_guidance.py (equal to it for one term).
    """

    eta: float = 0.0
    norm_threshold: float = 0.0
    momentum: float = 0.0
    form: Literal["condition", "base"] = "condition"
    space: Literal["velocity", "clean"] = "velocity"
    per_frame: bool = False

    def __post_init__(self) -> None:
        values = (self.eta, self.norm_threshold, self.momentum)
        if not all(abs(value) < float("inf") for value in values) or self.norm_threshold < 0.0:
            raise ConfigError(
                f"adaptive projected guidance: expected finite numbers and norm_threshold >= 0, got {values}. "
                "Use for example eta 0, norm_threshold 15, momentum -0.5."
            )
        if self.form not in ("condition", "base") or self.space not in ("velocity", "clean"):
            raise ConfigError(
                f"adaptive projected guidance: expected form condition or base and space velocity or clean, "
                f"got {self.form} and {self.space}. Use one of these."
            )

    def needed(self, step: RuleStep) -> frozenset[int]:
        """Every condition of an active term, and the base; one alone where the plain sum needs one."""
        if len(step.weighty) < 2:
            return step.weighty
        return frozenset({step.base, *(t.place for t in step.terms), *(t.baseline for t in step.terms)})

    def combine(
        self, step: RuleStep, velocities: Mapping[int, Tensor], latents: Tensor, memory: Memory
    ) -> tuple[Tensor, Memory]:
        """Sum of the projected differences, in double precision."""
        if len(step.weighty) < 2:
            return PlainSum().combine(step, velocities, latents, memory)
        is_clean = self.space == "clean"
        unit = -step.sigma if is_clean else 1.0
        total, kept = velocities[step.base].double(), dict(memory)
        for term in step.terms:
            velocity = velocities[term.place].double()
            plain = velocity - velocities[term.baseline].double()
            smoothed = unit * plain
            if self.momentum != 0.0 and term.number in memory:
                smoothed = smoothed + self.momentum * memory[term.number].to(smoothed)
            if self.momentum != 0.0:
                kept[term.number] = smoothed
            along = latents.double() - step.sigma * velocity if is_clean else velocity
            change = self._project(smoothed, along) / unit
            if self.form == "base":
                total = total + term.scale * change
            else:
                total = total + plain + (term.scale - 1.0) * change
        return total.to(velocities[step.base].dtype), kept

    def _project(self, difference: Tensor, along: Tensor) -> Tensor:
        """Cut a difference (B, C, F, H, W) or (B, C, T) to the threshold and weaken its part along a tensor."""
        axes = tuple(a for a in range(1, difference.ndim) if not (self.per_frame and a == 2))
        if self.norm_threshold > 0.0:
            norm = torch.linalg.vector_norm(difference, dim=axes, keepdim=True)
            difference = difference * (self.norm_threshold / norm).clamp(max=1.0)
        direction = along / torch.linalg.vector_norm(along, dim=axes, keepdim=True).clamp(min=1e-12)
        parallel = (difference * direction).sum(dim=axes, keepdim=True) * direction
        return difference - parallel + self.eta * parallel


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


def _fit(guided: Tensor, base: Tensor) -> Tensor:
    """Scale of each sample that brings `base` closest to `guided`; (B, 1, ...) in the dtype of `base`."""
    axes = tuple(range(1, base.ndim))
    product = (guided.float() * base.float()).sum(dim=axes, keepdim=True)
    return (product / (base.float().square().sum(dim=axes, keepdim=True) + 1e-8)).to(base.dtype)
