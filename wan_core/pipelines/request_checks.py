"""Checks that requests to the published models share: of values that no model could use."""

from __future__ import annotations

import math

from torch import Tensor

from ..errors import InputError
from ..sampling.noise import MAX_SEED
from ..sampling.schedule import SOLVERS


def check_sampling(seed: int, steps: int | None, shift: float | None, solver: str | None) -> None:
    """Check what the sampler is asked for; None is a model's own value.

    Raises: InputError: out of range, or an unknown solver.
    """
    if not 0 <= seed <= MAX_SEED:
        raise InputError(f"seed: expected 0 to {MAX_SEED}, got {seed}. Use another seed.")
    if steps is not None and not 1 <= steps <= 1000:
        raise InputError(f"steps: expected 1 to 1000, got {steps}. Leave it out for the default.")
    if shift is not None and not 0.0 < shift < math.inf:
        raise InputError(f"shift: expected a positive number, got {shift}. Leave it out for the default.")
    if solver is not None and solver not in SOLVERS:
        raise InputError(
            f"solver: expected one of {', '.join(SOLVERS)}, got {solver!r}. The official code's is unipc."
        )


def check_length(frames: int | None, duration: float | None) -> None:
    """Raise InputError where a length is given twice, as frames and in seconds."""
    if frames is not None and duration is not None:
        raise InputError(
            f"length: expected frames or a duration, got both ({frames} and {duration:g} s). Leave one out."
        )


def check_picture(name: str, picture: Tensor | None) -> None:
    """Raise InputError where a picture is not (H, W, 3); None is no picture."""
    if picture is not None and (picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape):
        raise InputError(
            f"{name}: expected (H, W, 3) uint8 RGB, got {tuple(picture.shape)}. Read it with wan_core.media."
        )
