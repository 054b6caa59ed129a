"""Noise levels: the grids that a run walks down, from 1 (noise) to 0 (clean).

A grid is a float32 CPU tensor of (steps + 1,) values; step i goes from `sigmas[i]` to `sigmas[i + 1]`. The clean
sample x0, the noise eps and the velocity v are tied by x = (1 - sigma) * x0 + sigma * eps and v = eps - x0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ConfigError

TIMESTEPS: int = 1000
"""Value of the model's timestep at sigma 1."""

_WAN_START = float(torch.tensor(1.0 - 1.0 / TIMESTEPS, dtype=torch.float32))


class AVSigmas(NamedTuple):
    """One value a loop point and modality: sigmas in [0, 1], or timesteps in [0, 1000].

    video: (steps + 1,).   audio: (steps + 1,), or None where the model makes no sound.
    Two equal neighbours hold the modality still for that step.
    """

    video: Tensor
    audio: Tensor | None = None


def flow_sigmas(steps: int, shift: float = 1.0) -> Tensor:
    """Evenly spaced grid from 1 to 0, then shifted: s * sigma / (1 + (s - 1) * sigma).

    Diffusers' FlowMatchEulerDiscreteScheduler makes this grid when it is handed `linspace(1, 0, steps + 1)[:-1]`; its
    own default ends the even grid at its smallest training sigma instead.

    Args:
        steps: number of steps, at least 1.   shift: s > 0; 1 leaves the grid even, more spends steps on noise.
    Returns:
        (steps + 1,) float32 on the CPU, strictly falling from exactly 1 to exactly 0.
    Raises:
        ConfigError: steps or shift out of range.
    """
    return _shifted(1.0, steps, shift).to(torch.float32)


def wan_sigmas(steps: int, shift: float) -> Tensor:
    """Grid of Wan's own UniPC sampler: even from 0.999 to 0, then shifted.

    Newer diffusers begins at 1 - 1e-6 and ends the even grid at 0.001, which moves every sigma a little.

    Args:
        steps: number of steps, at least 1.   shift: s > 0, see `flow_sigmas`.
    Returns:
        (steps + 1,) float32 on the CPU.
    Raises:
        ConfigError: steps or shift out of range.
    Source: Wan-Video/Wan2.1@9737cba wan/utils/fm_solvers_unipc.py (HuMo, Ovi and DreamID-Omni use the same grid).
    """
    return _shifted(_WAN_START, steps, shift).to(torch.float32)


def wan_timesteps(steps: int, shift: float) -> Tensor:
    """Timesteps that Wan's model is shown on the grid of `wan_sigmas`: 1000 * sigma cut down to whole numbers.

    The solver goes on with the exact sigmas. The cut is made in double precision as upstream does it.

    Returns:
        (steps + 1,) float32 on the CPU, whole numbers in [0, 999], the last one 0.
    Raises:
        ConfigError: steps or shift out of range.
    Source: Wan-Video/Wan2.1@9737cba wan/utils/fm_solvers_unipc.py.
    """
    return _whole_timesteps(_WAN_START, steps, shift)


def flow_timesteps(steps: int, shift: float) -> Tensor:
    """Timesteps that Wan's model is shown on the grid of `flow_sigmas` by Wan's own `dpm++` sampler.

    As `wan_timesteps`, from 1000 on. Wan's Euler sampler for distilled models shows 1000 * sigma uncut instead.

    Returns:
        (steps + 1,) float32 on the CPU, whole numbers in [0, 1000], the last one 0.
    Raises:
        ConfigError: steps or shift out of range.
    Source: Wan-Video/Wan2.1@9737cba wan/utils/fm_solvers.py.
    """
    return _whole_timesteps(1.0, steps, shift)


def listed_sigmas(timesteps: Sequence[float], shift: float) -> Tensor:
    """Grid of a step-distilled model that is trained at a few timesteps only.

    Args:
        timesteps: falling, in (0, 1000], before the shift.   shift: s > 0, see `flow_sigmas`.
    Returns:
        (len(timesteps) + 1,) float32 on the CPU: the shifted sigmas, then 0.
    Raises:
        ConfigError: timesteps or shift out of range.
    Source: ModelTC/LightX2V@f8aee98 lightx2v/models/schedulers/wan/step_distill/scheduler.py.
    """
    values = [*timesteps, 0.0]
    if (
        len(values) < 2
        or values[0] > TIMESTEPS
        or any(a <= b for a, b in zip(values, values[1:], strict=False))
    ):
        raise ConfigError(
            f"timesteps: expected falling numbers in (0, {TIMESTEPS}], got {list(timesteps)}. "
            "Use the list that the distilled model was published with."
        )
    _check(len(timesteps), shift)
    return torch.tensor([_shift(value / TIMESTEPS, shift) for value in values], dtype=torch.float32)


def lead_audio(video: Tensor, audio: Tensor, lead: int) -> AVSigmas:
    """Let the sound run `lead` steps ahead of the picture, so that the lips can follow finished speech.

    The video waits at its first value for `lead` steps; whoever ends first waits at its last value.

    Args:
        video: (V + 1,) grid.   audio: (A + 1,) grid.   lead: steps, at least 0.
    Returns:
        `AVSigmas` of max(lead + V, A) steps.
    Raises:
        ConfigError: lead is negative.
    """
    if lead < 0:
        raise ConfigError(
            f"lead: expected 0 or more steps, got {lead}. The sound can not run behind the picture."
        )
    video = torch.cat([video[:1].expand(lead), video])
    length = max(len(video), len(audio))
    return AVSigmas(_held_at_the_end(video, length), _held_at_the_end(audio, length))


def _shifted(start: float, steps: int, shift: float) -> Tensor:
    _check(steps, shift)
    sigmas = torch.linspace(start, 0.0, steps + 1, dtype=torch.float64)
    return shift * sigmas / (1.0 + (shift - 1.0) * sigmas)


def _whole_timesteps(start: float, steps: int, shift: float) -> Tensor:
    """1000 * sigma cut down, each product and sum rounded as in NumPy's linspace: many values lie at a whole number."""
    _check(steps, shift)
    width = -start / steps
    even = [start + index * width for index in range(steps)]
    return torch.tensor([*(float(int(TIMESTEPS * _shift(value, shift))) for value in even), 0.0])


def _shift(sigma: float, shift: float) -> float:
    return shift * sigma / (1.0 + (shift - 1.0) * sigma)


def _check(steps: int, shift: float) -> None:
    if steps < 1:
        raise ConfigError(f"steps: expected at least 1, got {steps}. Ask for more steps.")
    if not 0.0 < shift < float("inf"):
        raise ConfigError(f"shift: expected a positive number, got {shift}. 1 leaves the steps even.")


def _held_at_the_end(grid: Tensor, length: int) -> Tensor:
    return torch.cat([grid, grid[-1:].expand(length - len(grid))])
