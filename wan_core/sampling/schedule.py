"""Wan's three samplers, each with the grid and the timesteps that go with it."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from torch import Tensor

from ..errors import ConfigError
from .sigmas import TIMESTEPS, flow_sigmas, flow_timesteps, wan_sigmas, wan_timesteps
from .solvers import DPMPlusPlus2M, Euler, Solver, UniPC

SolverName = Literal["unipc", "dpm++", "euler"]
SOLVERS: tuple[SolverName, ...] = get_args(SolverName)


class Schedule(NamedTuple):
    """What `sample` is given for a sampler.

    solver: see `Solver`.   sigmas: (steps + 1,), 1 to 0.   timesteps: what the model is shown, (steps + 1,), 1000 to 0.
    """

    solver: Solver
    sigmas: Tensor
    timesteps: Tensor

    @property
    def shown(self) -> list[float]:
        """Timestep of each step."""
        return self.timesteps[:-1].tolist()


def make_schedule(solver: SolverName, steps: int, shift: float) -> Schedule:
    """Sampler as Wan's own code sets it up.

    "unipc" (Wan's default) begins at 0.999 before the shift and shows whole timesteps; "dpm++" begins at 1 and shows
    whole timesteps; "euler", used with step-distilled models, begins at 1 and shows 1000 * sigma as it is.

    Args:
        solver: name of the sampler.   steps: at least 1.   shift: s > 0, see `flow_sigmas`.
    Raises:
        ConfigError: unknown name, steps or shift out of range.
    Source: Wan-Video/Wan2.2@42bf4cf wan/text2video.py; ModelTC/Wan2.2-Lightning@92efeb4 wan/utils/fm_solvers_euler.py.
    """
    if solver == "unipc":
        return Schedule(UniPC(), wan_sigmas(steps, shift), wan_timesteps(steps, shift))
    if solver == "dpm++":
        return Schedule(DPMPlusPlus2M(), flow_sigmas(steps, shift), flow_timesteps(steps, shift))
    if solver == "euler":
        sigmas = flow_sigmas(steps, shift)
        return Schedule(Euler(), sigmas, TIMESTEPS * sigmas)
    raise ConfigError(f"solver: expected unipc, dpm++ or euler, got {solver!r}. Wan's own is unipc.")
