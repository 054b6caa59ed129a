"""The sampling loop over video and audio latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from ..errors import ConfigError, ShapeError, WanCoreError
from ..types import AVLatents
from .guidance import GuidanceChain, WeightedCondition, blend
from .sigmas import TIMESTEPS, AVSigmas
from .solvers import Euler, Solver, SolverRun

C_contra = TypeVar("C_contra", contravariant=True)
C = TypeVar("C")


class AVTimesteps(NamedTuple):
    """Timesteps for the model, [0, 1000], float32.

    video: (B,), or (B, F) per latent frame where a first frame is kept.   audio: (B,), or None without sound.
    """

    video: Tensor
    audio: Tensor | None = None


class Denoiser(Protocol[C_contra]):
    """The model as the loop sees it."""

    def __call__(self, latents: AVLatents, timesteps: AVTimesteps, condition: C_contra) -> AVLatents:
        """Velocity v = eps - x0.

        Args:
            latents: noisy latents.   timesteps: see `AVTimesteps`.   condition: one of the guidance chain's.
        Returns:
            Velocities, shapes of `latents`.
        """
        ...


@dataclass(frozen=True, slots=True)
class StepInfo:
    """What a callback is told after each step.

    Attributes:
        index: number of the finished step, from 0.   total: steps of the run.
        sigmas: video and audio sigma that the step began at; audio is None without sound.
        is_moving: whether video and audio changed in this step, or waited.
        latents: latents after the step.
        denoised: estimate of the clean latents made in this step; a modality that waits shows its latents.
    """

    index: int
    total: int
    sigmas: tuple[float, float | None]
    is_moving: tuple[bool, bool]
    latents: AVLatents
    denoised: AVLatents


class _Track:
    """One modality on its way down its grid: waits where two sigmas are equal, else lets its solver step."""

    def __init__(self, name: str, sigmas: Tensor, timesteps: Tensor | None, solver: Solver) -> None:
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
        self.run: SolverRun | None = (
            solver.start(torch.tensor(falling, dtype=torch.float64)) if len(falling) > 1 else None
        )
        self.done = 0

    def is_moving(self, index: int) -> bool:
        return self.sigmas[index + 1] < self.sigmas[index]

    def step(self, velocity: Tensor | None, latents: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """New latents and the estimate of the clean ones."""
        if self.run is None or velocity is None or not self.is_moving(index):
            return latents, latents
        denoised = latents - self.sigmas[index] * velocity.to(latents.dtype)
        latents = self.run.step(velocity, latents, self.done)
        self.done += 1
        return latents, denoised


@torch.no_grad()
def sample(
    denoiser: Denoiser[C],
    noise: AVLatents,
    sigmas: AVSigmas,
    chain: GuidanceChain[C],
    *,
    solver: Solver | None = None,
    model_timesteps: AVSigmas | None = None,
    first_frame: Tensor | None = None,
    callback: Callable[[StepInfo], None] | None = None,
) -> AVLatents:
    """Walk from noise to clean latents.

    Video and audio each walk down their own grid in the same loop; where neighbouring sigmas of a modality are equal
    it waits (see `lead_audio`). A modality that waits asks for no evaluation on its own.

    Args:
        denoiser: the model.
        noise: latents at the first sigmas (start noise; clean audio latents if audio sigmas are all 0).
        sigmas: grids of equal length (steps + 1,), audio None exactly where `noise.audio` is None.
        chain: conditions and guidance scales.
        solver: used for both modalities, each with a run of its own; default Euler.
        model_timesteps: what the model is shown instead of 1000 * sigma, e.g. `wan_timesteps`; shapes of `sigmas`.
        first_frame: clean latents (B, C, K, H, W) of the first K latent frames. They are written before every
            evaluation and at the end, and the model is shown timestep 0 for them.
        callback: called after each step for progress and previews; an exception it raises ends the run and rises.
    Returns:
        Latents at the last sigmas, shapes, dtype and device of `noise`.
    Raises:
        ConfigError: grids that rise, differ in length or do not fit `noise`.
        ShapeError: `first_frame` or a velocity does not fit `noise`.
        WanCoreError: a velocity is NaN or infinite.
    """
    _check_inputs(noise, sigmas, first_frame)
    solver = solver or Euler()
    shown = (None, None) if model_timesteps is None else model_timesteps
    video_track = _Track("video", sigmas.video, shown[0], solver)
    audio_track = None if sigmas.audio is None else _Track("audio", sigmas.audio, shown[1], solver)
    total = len(sigmas.video) - 1
    latents = AVLatents(_keep_first(noise.video, first_frame), noise.audio)
    for index in range(total):
        start = (video_track.sigmas[index], None if audio_track is None else audio_track.sigmas[index])
        timesteps = _timesteps(latents, video_track, audio_track, index, first_frame)
        weights = chain.weights(index, start[0], 0.0 if start[1] is None else start[1])
        moving = (video_track.is_moving(index), audio_track is not None and audio_track.is_moving(index))
        velocity = _guided_velocity(
            denoiser, latents, timesteps, weights, moving, f"step {index + 1} of {total}"
        )
        video, denoised_video = video_track.step(velocity[0], latents.video, index)
        audio, denoised_audio = latents.audio, latents.audio
        if audio_track is not None and latents.audio is not None:
            audio, denoised_audio = audio_track.step(velocity[1], latents.audio, index)
        latents = AVLatents(_keep_first(video, first_frame), audio)
        if callback is not None:
            denoised = AVLatents(_keep_first(denoised_video, first_frame), denoised_audio)
            callback(StepInfo(index, total, start, moving, latents, denoised))
    return latents


def _guided_velocity(
    denoiser: Denoiser[C],
    latents: AVLatents,
    timesteps: AVTimesteps,
    weights: list[WeightedCondition[C]],
    moving: tuple[bool, bool],
    where: str,
) -> tuple[Tensor | None, Tensor | None]:
    """Blended velocities of the modalities that move; None for one that waits."""
    video: list[tuple[float, Tensor]] = []
    audio: list[tuple[float, Tensor]] = []
    for share in weights:
        wants_video, wants_audio = moving[0] and share.video != 0.0, moving[1] and share.audio != 0.0
        if not (wants_video or wants_audio):
            continue
        velocity = denoiser(latents, timesteps, share.condition)
        if wants_video:
            video.append((share.video, _checked("video", velocity.video, latents.video, where)))
        if wants_audio:
            audio.append((share.audio, _checked("audio", velocity.audio, latents.audio, where)))
    return blend(video), blend(audio)


def _checked(name: str, velocity: Tensor | None, latents: Tensor | None, where: str) -> Tensor:
    if velocity is None or latents is None or velocity.shape != latents.shape:
        got = None if velocity is None else tuple(velocity.shape)
        want = None if latents is None else tuple(latents.shape)
        raise ShapeError(f"{name} velocity: expected {want} (as the latents), got {got}. Check the denoiser.")
    if not bool(torch.isfinite(velocity).all()):
        raise WanCoreError(
            f"{name} velocity: expected finite values, got NaN or infinity at {where}. "
            "Lower the guidance scales, load the model in float32 or bfloat16, or check the weights file."
        )
    return velocity


def _timesteps(
    latents: AVLatents, video: _Track, audio: _Track | None, index: int, first_frame: Tensor | None
) -> AVTimesteps:
    batch, _, frames = latents.video.shape[:3]
    device = latents.video.device
    shape = (batch,) if first_frame is None else (batch, frames)
    shown = torch.full(shape, video.timesteps[index], dtype=torch.float32, device=device)
    if first_frame is not None:
        shown[:, : first_frame.shape[2]] = 0.0
    if audio is None:
        return AVTimesteps(shown)
    return AVTimesteps(
        shown, torch.full((batch,), audio.timesteps[index], dtype=torch.float32, device=device)
    )


def _keep_first(video: Tensor, first_frame: Tensor | None) -> Tensor:
    """`video` with its first latent frames replaced."""
    if first_frame is None:
        return video
    return torch.cat([first_frame.to(video), video[:, :, first_frame.shape[2] :]], dim=2)


def _check_inputs(noise: AVLatents, sigmas: AVSigmas, first_frame: Tensor | None) -> None:
    if (noise.audio is None) != (sigmas.audio is None):
        got = "none" if sigmas.audio is None else "some"
        raise ConfigError(f"sigmas.audio: expected the same as noise.audio, got {got}. Give both or neither.")
    if sigmas.audio is not None and len(sigmas.audio) != len(sigmas.video):
        raise ConfigError(
            f"sigmas.audio: expected {len(sigmas.video)} values (as video), got {len(sigmas.audio)}. Use lead_audio."
        )
    if noise.video.ndim != 5 or (noise.audio is not None and noise.audio.shape[0] != noise.video.shape[0]):
        got = (tuple(noise.video.shape), None if noise.audio is None else tuple(noise.audio.shape))
        raise ShapeError(
            f"noise: expected video (B, C, F, H, W) and audio of equal B, got {got}. Use av_noise."
        )
    if first_frame is not None:
        b, c, f, h, w = noise.video.shape
        k = first_frame.shape[2] if first_frame.ndim == 5 else 0
        if first_frame.shape != (b, c, k, h, w) or not 0 < k < f:
            raise ShapeError(
                f"first_frame: expected ({b}, {c}, 1..{f - 1}, {h}, {w}) (as the noise), "
                f"got {tuple(first_frame.shape)}. Encode a picture of the same size."
            )
