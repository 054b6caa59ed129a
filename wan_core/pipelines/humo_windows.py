"""Clips longer than a model was trained on: overlapping windows whose velocities are cross-faded at every step.

The official code has nothing for long clips; it makes 97 frames, and its quality falls beyond. Here all windows are
denoised together: at each step every window is evaluated as a clip of its own, with its own part of the speech and the
same references behind its last frame, and where windows overlap the velocities fade from one into the next. As each
window is moved by the same solver, the latents themselves are cross-faded, and a person looks the same in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import ConfigError
from ..sampling.denoiser import AVTimesteps, Denoiser
from ..types import AVLatents
from .wan_conditions import WanCondition


class Window(NamedTuple):
    """Latent frames start to stop (not included) of a clip."""

    start: int
    stop: int


def plan_windows(frames: int, window: int, overlap: int) -> tuple[Window, ...]:
    """Divide a clip.

    Args:
        frames: latent frames of the clip.   window: of a window.   overlap: that neighbours share, at least; the last
            window ends with the clip and shares more.
    Raises: ConfigError: an overlap that leaves no step forward.
    """
    if not 0 <= overlap < window:
        raise ConfigError(f"overlap: expected 0 to {window - 1}, got {overlap}. Use less than the window.")
    if frames <= window:
        return (Window(0, frames),)
    starts = list(range(0, frames - window, window - overlap))
    return tuple(Window(start, start + window) for start in (*starts, frames - window))


def window_weights(windows: Sequence[Window]) -> list[Tensor]:
    """Share of each window in each of its frames; at every frame of the clip they add up to 1.

    Returns: (stop - start,) float32 for each window; constant where it is alone, a ramp where two meet.
    """
    total = torch.zeros(windows[-1].stop)
    ramps: list[Tensor] = []
    for number, own in enumerate(windows):
        size = own.stop - own.start
        places = torch.arange(size, dtype=torch.float32)
        ramp = torch.ones(size)
        if number > 0:
            ramp = torch.minimum(ramp, (places + 1) / (windows[number - 1].stop - own.start + 1))
        if number + 1 < len(windows):
            ramp = torch.minimum(ramp, (size - places) / (own.stop - windows[number + 1].start + 1))
        ramps.append(ramp)
        total[own.start : own.stop] += ramp
    return [ramp / total[own.start : own.stop] for own, ramp in zip(windows, ramps, strict=True)]


def window_name(references: str, number: int) -> str:
    """Name of a set of references for one window."""
    return f"{references}@{number}"


@dataclass(frozen=True, slots=True, eq=False)
class WindowedDenoiser:
    """Evaluates a condition window by window.

    Attributes:
        inner: evaluates one window; it knows the sets of references by `window_name`.   windows: of the clip.
        slots: noisy frames after the clip that belong to every window (HuMo-17B's references); their velocity is the
            mean over the windows.
    """

    inner: Denoiser[WanCondition]
    windows: tuple[Window, ...]
    slots: int

    def __call__(self, latents: AVLatents, timesteps: AVTimesteps, condition: WanCondition) -> AVLatents:
        """Velocity of the clip; see `wan_core.sampling.Denoiser`."""
        video, total = latents.video, self.windows[-1].stop
        tail = video[:, :, total:]
        result = torch.zeros_like(video)
        for number, (own, weights) in enumerate(zip(self.windows, window_weights(self.windows), strict=True)):
            piece = torch.cat((video[:, :, own.start : own.stop], tail), dim=2)
            told = replace(condition, references=window_name(condition.references, number))
            velocity = self.inner(AVLatents(piece), timesteps, told).video
            size = own.stop - own.start
            share = weights.to(velocity).view(1, 1, -1, 1, 1)
            result[:, :, own.start : own.stop] += velocity[:, :, :size] * share
            result[:, :, total:] += velocity[:, :, size:] / len(self.windows)
        return AVLatents(result)
