"""Two experts: which transformer a step needs, when to change it, and the guidance scale of each.

Wan2.2's A14B models are a transformer for the noisy steps and one for the rest. No weights are handled here: a pipeline
says how one is loaded and how the other is freed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from ..errors import ConfigError
from ..types import AVLatents
from .denoiser import AVTimesteps, Denoiser
from .sigmas import TIMESTEPS

C = TypeVar("C")

Expert = Literal["high", "low"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertRule:
    """The high-noise expert works where timestep >= 1000 * boundary, the low-noise one elsewhere.

    The timestep is the one that the model is shown, so Wan's whole numbers where its own samplers are used.

    Attributes:
        boundary: in (0, 1).
    Raises:
        ConfigError: another value.
    Source: Wan-Video/Wan2.2@42bf4cf wan/text2video.py.
    """

    boundary: float

    def __post_init__(self) -> None:
        if not 0.0 < self.boundary < 1.0:
            raise ConfigError(
                f"boundary: expected a value between 0 and 1, got {self.boundary}. "
                "Wan2.2 uses 0.875 for text- and 0.9 for image-to-video."
            )

    def expert_at(self, timestep: float) -> Expert:
        """Expert of a timestep in [0, 1000]."""
        return "high" if timestep >= self.boundary * TIMESTEPS else "low"

    def scales(self, timesteps: Iterable[float], *, low: float, high: float) -> list[float]:
        """Guidance scale of each step, as a `GuidanceTerm` takes it.

        Args:
            timesteps: of the steps, see `Schedule.shown`.   low, high: scale of each expert.
        """
        return [high if self.expert_at(timestep) == "high" else low for timestep in timesteps]


class ExpertSwitch(Generic[C]):
    """A denoiser that asks for the expert of the step, and lets go of the other one first.

    Args:
        rule: who works when.
        load: gives the denoiser of an expert; called when a step first needs it.
        free: called before `load` when another expert was in use, after this object has dropped its own reference.
    """

    def __init__(
        self, rule: ExpertRule, load: Callable[[Expert], Denoiser[C]], free: Callable[[Expert], None]
    ) -> None:
        self._rule = rule
        self._load = load
        self._free = free
        self._denoiser: Denoiser[C] | None = None
        self.current: Expert | None = None

    def __call__(self, latents: AVLatents, timesteps: AVTimesteps, condition: C) -> AVLatents:
        """Velocity by the expert of the noisiest latent frame; see `Denoiser`."""
        needed = self._rule.expert_at(float(timesteps.video.max()))
        if self._denoiser is None or needed != self.current:
            self.release()
            self._denoiser = self._load(needed)
            self.current = needed
        return self._denoiser(latents, timesteps, condition)

    def release(self) -> None:
        """Let go of the expert in use, if there is one."""
        previous, self._denoiser, self.current = self.current, None, None
        if previous is not None:
            self._free(previous)
