"""One step of a run: evaluate, guide, solve, for each modality that moves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ..errors import ShapeError, WanCoreError
from ..types import AVLatents
from .denoiser import AVTimesteps, Denoiser
from .guidance import MODALITIES, GuidanceRun, Modality
from .track import Track

C = TypeVar("C")


class BadNumberError(WanCoreError):
    """A velocity or latents are not finite; `evaluate` repeats the evaluation that gave the velocity."""

    def __init__(self, what: str, evaluate: Callable[[], object] | None) -> None:
        super().__init__(what)
        self.what = what
        self.evaluate = evaluate


class Walk(Generic[C]):
    """The run as a whole; `step` moves it on by one step."""

    def __init__(
        self,
        denoiser: Denoiser[C],
        guidance: GuidanceRun[C],
        video: Track,
        audio: Track | None,
        first_frame: Tensor | None,
    ) -> None:
        self._denoiser = denoiser
        self._guidance = guidance
        self._video = video
        self._audio = audio
        self._first_frame = first_frame

    def copy(self) -> Walk[C]:
        """The run as it stands, to come back to."""
        audio = None if self._audio is None else self._audio.copy()
        return Walk(self._denoiser, self._guidance.copy(), self._video.copy(), audio, self._first_frame)

    def sigmas(self, index: int) -> tuple[float, float | None]:
        """Video and audio sigma at the start of a step."""
        return self._video.sigmas[index], None if self._audio is None else self._audio.sigmas[index]

    def moving(self, index: int) -> tuple[bool, bool]:
        """Whether video and audio change in a step."""
        return self._video.is_moving(index), self._audio is not None and self._audio.is_moving(index)

    def step(self, latents: AVLatents, index: int) -> tuple[AVLatents, AVLatents]:
        """New latents and the estimate of the clean ones.

        Raises:
            BadNumberError: something is not finite.
        """
        moving = self.moving(index)
        velocities = self._evaluate(latents, index, moving)
        steered: list[Tensor | None] = [None, None]
        for which, tensor in enumerate(latents):
            if moving[which] and tensor is not None:
                steered[which] = self._guidance.combine(MODALITIES[which], velocities[which], tensor)
        video, denoised_video = self._video.step(steered[0], latents.video, index)
        audio, denoised_audio = latents.audio, latents.audio
        if self._audio is not None and latents.audio is not None:
            audio, denoised_audio = self._audio.step(steered[1], latents.audio, index)
        after = AVLatents(keep_first(video, self._first_frame), audio)
        check_latents(after)
        return after, AVLatents(keep_first(denoised_video, self._first_frame), denoised_audio)

    def _evaluate(
        self, latents: AVLatents, index: int, moving: tuple[bool, bool]
    ) -> tuple[dict[int, Tensor], dict[int, Tensor]]:
        """Velocities of picture and sound by the number of the condition."""
        sigmas = self.sigmas(index)
        done = (self._video.done, 0 if self._audio is None else self._audio.done)
        plan = self._guidance.plan(index, (sigmas[0], sigmas[1] or 0.0), moving, done)
        timesteps = _timesteps(latents, self._video, self._audio, index, self._first_frame)
        found: tuple[dict[int, Tensor], dict[int, Tensor]] = ({}, {})
        for planned in plan:
            evaluate = partial(self._denoiser, latents, timesteps, planned.condition)
            velocity = evaluate()
            if planned.wants_video:
                found[0][planned.place] = _checked("video", velocity.video, latents.video, evaluate)
            if planned.wants_audio:
                found[1][planned.place] = _checked("audio", velocity.audio, latents.audio, evaluate)
        return found


def _checked(
    name: Modality, velocity: Tensor | None, latents: Tensor | None, evaluate: Callable[[], object]
) -> Tensor:
    if velocity is None or latents is None or velocity.shape != latents.shape:
        got = None if velocity is None else tuple(velocity.shape)
        want = None if latents is None else tuple(latents.shape)
        raise ShapeError(f"{name} velocity: expected {want} (as the latents), got {got}. Check the denoiser.")
    if not bool(torch.isfinite(velocity).all()):
        raise BadNumberError(f"{name} velocity", evaluate)
    return velocity


def check_latents(latents: AVLatents) -> None:
    """Let finite latents pass.

    Raises:
        BadNumberError: they hold NaN or infinity.
    """
    for name, tensor in zip(MODALITIES, latents, strict=True):
        if tensor is not None and not bool(torch.isfinite(tensor).all()):
            raise BadNumberError(f"{name} latents", None)


def _timesteps(
    latents: AVLatents, video: Track, audio: Track | None, index: int, first_frame: Tensor | None
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


def keep_first(video: Tensor, first_frame: Tensor | None) -> Tensor:
    """`video` with its first latent frames replaced."""
    if first_frame is None:
        return video
    return torch.cat([first_frame.to(video), video[:, :, first_frame.shape[2] :]], dim=2)
