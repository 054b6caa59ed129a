"""One modality on its way down its grid of sigmas."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from ..errors import ConfigError
from .sigmas import TIMESTEPS
from .solvers import Solver, SolverRun


class Track:
    """Waits where two sigmas are equal, else lets its solver step.

    Attributes:
        sigmas, timesteps: of every point of the grid.   done: steps moved so far.
    """

    def __init__(self, name: str, sigmas: Tensor, timesteps: Tensor | None, solver: Solver) -> None:
        """Begin a run.

        Args:
            name: "video" or "audio", for messages.   sigmas: (steps + 1,), never rising, in [0, 1].
            timesteps: (steps + 1,) that the model is shown; None for 1000 * sigma.   solver: starts one run.
        Raises:
            ConfigError: the grid rises, leaves [0, 1] or has another length than the timesteps.
        """
        self.sigmas = [float(value) for value in sigmas]
        if any(later > earlier for earlier, later in zip(self.sigmas, self.sigmas[1:], strict=False)):
            raise ConfigError(
                f"sigmas.{name}: expected values that never rise, got {self.sigmas}. Use flow_sigmas."
            )
        if len(self.sigmas) < 2 or self.sigmas[-1] < 0.0 or self.sigmas[0] > 1.0:
            raise ConfigError(
                f"sigmas.{name}: expected 2 or more values in [0, 1], got {self.sigmas}. Use flow_sigmas."
            )
        if timesteps is not None and len(timesteps) != len(self.sigmas):
            raise ConfigError(
                f"timesteps.{name}: expected {len(self.sigmas)} values (as sigmas), got {len(timesteps)}. "
                "Make both for the same steps."
            )
        self.timesteps = (
            [TIMESTEPS * s for s in self.sigmas] if timesteps is None else [float(t) for t in timesteps]
        )
        falling = [s for i, s in enumerate(self.sigmas) if i == 0 or s < self.sigmas[i - 1]]
        self._run: SolverRun | None = (
            solver.start(torch.tensor(falling, dtype=torch.float64)) if len(falling) > 1 else None
        )
        self.done = 0

    def is_moving(self, index: int) -> bool:
        """Whether the modality changes in a step."""
        return self.sigmas[index + 1] < self.sigmas[index]

    def step(self, velocity: Tensor | None, latents: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """New latents and the estimate of the clean ones, both as `latents`, which come back where it waits."""
        if self._run is None or velocity is None or not self.is_moving(index):
            return latents, latents
        denoised = latents - self.sigmas[index] * velocity.to(latents.dtype)
        moved = self._run.step(velocity, latents, self.done)
        self.done += 1
        return moved.to(latents.dtype), denoised

    def copy(self) -> Track:
        """The run as it stands, to come back to."""
        twin = copy.copy(self)
        twin._run = copy.copy(self._run)
        return twin
