"""Solvers of the flow ODE dx/dsigma = v: Euler, DPM++ 2M, and UniPC of order 1 or 2.

A solver is a frozen description; `start(sigmas)` gives the state of one run over one grid, whose `step` is called once
a grid step in order. All arithmetic is in the dtype of the latents, coefficients in double precision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol

from torch import Tensor

from ..errors import ConfigError


class SolverRun(Protocol):
    """State of one run."""

    def step(self, velocity: Tensor, latents: Tensor, index: int) -> Tensor:
        """Go from `sigmas[index]` to `sigmas[index + 1]`.

        Args:
            velocity: v at `latents`, any shape.   latents: x at `sigmas[index]`, shape of `velocity`.
            index: number of the step, from 0, each once and in order.
        Returns:
            x at `sigmas[index + 1]`, shape and dtype of `latents`.
        """
        ...


class Solver(Protocol):
    """Description of a solver."""

    def start(self, sigmas: Tensor) -> SolverRun:
        """Begin a run.

        Args:
            sigmas: (steps + 1,) strictly falling grid in [0, 1].
        Raises:
            ConfigError: the grid does not fall.
        """
        ...


@dataclass(frozen=True, slots=True)
class Euler:
    """x + (sigma_next - sigma) * v.

    Source: huggingface/diffusers 0.42.1 schedulers/scheduling_flow_match_euler_discrete.py (equal to it).
    """

    def start(self, sigmas: Tensor) -> SolverRun:
        """Begin a run over a strictly falling grid (steps + 1,); ConfigError where it does not fall."""
        return _EulerRun(_grid(sigmas))


@dataclass(frozen=True, slots=True)
class UniPC:
    """UniPC with data prediction (x0 = x - sigma * v), B(h) of the second kind (bh2) and corrector.

    The first step and the last step have order 1. A grid that begins at exactly 1 is allowed: the log signal-to-noise
    ratio is then minus infinity and the limits of the formulas are used (diffusers moves such a start to 1 - 1e-6).

    Attributes:
        order: 1 or 2.
    Source: Zhao et al., UniPC, 2023; same steps as huggingface/diffusers 0.42.1
        schedulers/scheduling_unipc_multistep.py and Wan-Video/Wan2.1@9737cba wan/utils/fm_solvers_unipc.py.
    """

    order: Literal[1, 2] = 2

    def __post_init__(self) -> None:
        if self.order not in (1, 2):
            raise ConfigError(f"order: expected 1 or 2, got {self.order}. Wan uses 2.")

    def start(self, sigmas: Tensor) -> SolverRun:
        """Begin a run over a strictly falling grid (steps + 1,); ConfigError where it does not fall."""
        return _MultistepRun(_grid(sigmas), self.order, corrects=True)


@dataclass(frozen=True, slots=True)
class DPMPlusPlus2M:
    """DPM-Solver++(2M) with data prediction (x0 = x - sigma * v) and the midpoint form.

    It is the predictor of `UniPC` of order 2 without its corrector. The first and the last step have order 1, the last
    one whatever the number of steps, as upstream does it wherever the grid ends at 0.

    Source: Lu et al., DPM-Solver++, 2022; same steps as huggingface/diffusers 0.42.1
        schedulers/scheduling_dpmsolver_multistep.py and Wan-Video/Wan2.1@9737cba wan/utils/fm_solvers.py (`dpm++`).
    """

    def start(self, sigmas: Tensor) -> SolverRun:
        """Begin a run over a strictly falling grid (steps + 1,); ConfigError where it does not fall."""
        return _MultistepRun(_grid(sigmas), 2, corrects=False)


@dataclass(slots=True)
class _EulerRun:
    sigmas: tuple[float, ...]

    def step(self, velocity: Tensor, latents: Tensor, index: int) -> Tensor:
        return latents + (self.sigmas[index + 1] - self.sigmas[index]) * velocity.to(latents.dtype)


@dataclass(slots=True)
class _MultistepRun:
    sigmas: tuple[float, ...]
    max_order: int
    corrects: bool
    denoised: list[Tensor] = field(default_factory=list[Tensor])
    start_latents: Tensor | None = None
    order: int = 1

    def step(self, velocity: Tensor, latents: Tensor, index: int) -> Tensor:
        denoised = latents - self.sigmas[index] * velocity.to(latents.dtype)
        if self.corrects and self.start_latents is not None:
            latents = self._correct(self.start_latents, denoised, index)
        self.denoised = [denoised, *self.denoised[: self.max_order - 1]]
        self.order = min(self.max_order, index + 1, len(self.sigmas) - 1 - index)
        self.start_latents = latents
        return self._predict(latents, index)

    def _predict(self, latents: Tensor, index: int) -> Tensor:
        """UniP: from `sigmas[index]` to the next, with the data predictions so far."""
        newest = self.denoised[0]
        base, factor = self._first_order(latents, newest, index)
        if self.order == 1:
            return base
        return base - factor * 0.5 * (self.denoised[1] - newest) / self._ratio(index)

    def _correct(self, latents: Tensor, denoised: Tensor, index: int) -> Tensor:
        """UniC: redo the step that led to `sigmas[index]`, now that the data prediction there is known."""
        before = self.denoised[0]
        base, factor = self._first_order(latents, before, index - 1)
        change = denoised - before
        if self.order == 1:
            return base - factor * 0.5 * change
        ratio = self._ratio(index - 1)
        h = _log_snr(self.sigmas[index]) - _log_snr(self.sigmas[index - 1])
        phi = math.expm1(-h)
        first = (-phi / h - 1.0) / phi
        second = 2.0 * (-(-phi / h - 1.0) / h - 0.5) / phi
        weight = (first - second) / (1.0 - ratio)
        return base - factor * (weight * (self.denoised[1] - before) / ratio + (first - weight) * change)

    def _first_order(self, latents: Tensor, denoised: Tensor, index: int) -> tuple[Tensor, float]:
        """First-order step from `sigmas[index]`, and the factor alpha * B(h) of its higher-order terms."""
        sigma, target = self.sigmas[index], self.sigmas[index + 1]
        factor = (1.0 - target) * math.expm1(_log_snr(sigma) - _log_snr(target))
        return (target / sigma) * latents - factor * denoised, factor

    def _ratio(self, index: int) -> float:
        """Step before `sigmas[index]` over the step after it, in log signal-to-noise ratio; negative."""
        here = _log_snr(self.sigmas[index])
        return (_log_snr(self.sigmas[index - 1]) - here) / (_log_snr(self.sigmas[index + 1]) - here)


def _log_snr(sigma: float) -> float:
    """log((1 - sigma) / sigma), infinite at the ends."""
    if sigma <= 0.0:
        return math.inf
    return math.log1p(-sigma) - math.log(sigma) if sigma < 1.0 else -math.inf


def _grid(sigmas: Tensor) -> tuple[float, ...]:
    values = tuple(float(value) for value in sigmas)
    if len(values) < 2 or any(
        not later < earlier for earlier, later in zip(values, values[1:], strict=False)
    ):
        raise ConfigError(
            f"sigmas: expected at least 2 falling values, got {list(values)[:8]}. Use flow_sigmas."
        )
    return values
