"""The sampling loop over video and audio latents."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from ..errors import ConfigError, InputError, ShapeError
from ..types import AVLatents
from .denoiser import AVTimesteps, Denoiser
from .guard import Culprit, NonFiniteError, NumberGuard, remedy
from .guidance import GuidanceChain
from .sigmas import AVSigmas
from .solvers import Euler, Solver
from .track import Track
from .walk import BadNumberError, Walk, check_latents, keep_first

__all__ = ["AVTimesteps", "Denoiser", "StepInfo", "sample", "step_through"]

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class StepInfo:
    """What a callback is told after each step.

    Attributes:
        index: number of the finished step, from 0.   total: steps of the run.
        sigmas: video and audio sigma that the step began at; audio is None without sound.
        is_moving: whether video and audio changed in this step, or waited.
        latents: latents after the step.
        denoised: estimate of the clean latents made in this step; a modality that waits shows its latents.
        repaired: where a value was not finite, if the step had to be repeated in float32; None for an ordinary step.
    """

    index: int
    total: int
    sigmas: tuple[float, float | None]
    is_moving: tuple[bool, bool]
    latents: AVLatents
    denoised: AVLatents
    repaired: str | None = None


def sample(
    denoiser: Denoiser[C],
    noise: AVLatents,
    sigmas: AVSigmas,
    chain: GuidanceChain[C],
    *,
    solver: Solver | None = None,
    model_timesteps: AVSigmas | None = None,
    first_frame: Tensor | None = None,
    guard: NumberGuard | None = None,
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
        guard: names the block where a value is not finite, and repeats such a step in float32 if it is `safe`.
        callback: called after each step for progress and previews; an exception it raises ends the run and rises.
    Returns:
        Latents at the last sigmas, shapes, dtype and device of `noise`.
    Raises:
        ConfigError: grids that rise, differ in length or do not fit `noise`.
        InputError: `noise` or `first_frame` is not finite.
        ShapeError: `first_frame` or a velocity does not fit `noise`.
        NonFiniteError: a step gave NaN or infinity, in float32 too where that was tried; it carries what was made until
            then.
    """
    run = step_through(
        denoiser,
        noise,
        sigmas,
        chain,
        solver=solver,
        model_timesteps=model_timesteps,
        first_frame=first_frame,
        guard=guard,
        callback=callback,
    )
    return deque(run, maxlen=1).pop()


@torch.no_grad()
def step_through(
    denoiser: Denoiser[C],
    noise: AVLatents,
    sigmas: AVSigmas,
    chain: GuidanceChain[C],
    *,
    solver: Solver | None = None,
    model_timesteps: AVSigmas | None = None,
    first_frame: Tensor | None = None,
    guard: NumberGuard | None = None,
    callback: Callable[[StepInfo], None] | None = None,
) -> Iterator[AVLatents]:
    """As `sample`, a step each time that it is asked, so that several runs can take turns with one model.

    Args: as `sample`.
    Yields: latents before the first step, then after each.
    Raises: as `sample`, when it is first asked or at the step.
    """
    _check_inputs(noise, sigmas, first_frame)
    solver = solver or Euler()
    shown = (None, None) if model_timesteps is None else model_timesteps
    video = Track("video", sigmas.video, shown[0], solver)
    audio = None if sigmas.audio is None else Track("audio", sigmas.audio, shown[1], solver)
    walk = Walk(denoiser, chain.start(), video, audio, first_frame)
    total = len(sigmas.video) - 1
    latents = AVLatents(keep_first(noise.video, first_frame), noise.audio)
    denoised: AVLatents | None = None
    yield latents
    for index in range(total):
        before, repaired = latents, None
        backup = walk.copy()
        try:
            latents, denoised = walk.step(before, index)
        except BadNumberError as bad:
            culprit = None if guard is None or bad.evaluate is None else guard.find(bad.evaluate)
            stopped = partial(
                _stopped, index=index, total=total, culprit=culprit, latents=before, denoised=denoised
            )
            if guard is None or not guard.safe:
                raise stopped(bad.what, remedy(culprit)) from None
            walk = backup
            try:
                latents, denoised = _step_in_float32(walk, before, index, guard)
            except BadNumberError as again:
                raise stopped(again.what, remedy(culprit, is_repeated=True)) from None
            except torch.OutOfMemoryError as full:
                raise stopped(bad.what, remedy(culprit, is_out_of_memory=True)) from full
            repaired = str(culprit or bad)
        if callback is not None:
            callback(
                StepInfo(index, total, walk.sigmas(index), walk.moving(index), latents, denoised, repaired)
            )
        yield latents


def _step_in_float32(
    walk: Walk[C], latents: AVLatents, index: int, guard: NumberGuard
) -> tuple[AVLatents, AVLatents]:
    """As `Walk.step`; the results have the dtypes of `latents` again."""
    wide = AVLatents(latents.video.float(), None if latents.audio is None else latents.audio.float())
    with guard.in_float32(latents.video.device):
        after, denoised = walk.step(wide, index)
    after = _cast_as(after, latents)
    check_latents(after)
    return after, _cast_as(denoised, latents)


def _stopped(
    what: str,
    advice: str,
    *,
    index: int,
    total: int,
    culprit: Culprit | None,
    latents: AVLatents,
    denoised: AVLatents | None,
) -> NonFiniteError:
    where = f"step {index + 1} of {total}" + ("" if culprit is None else f" in {culprit}")
    return NonFiniteError(
        f"{what}: expected finite values, got NaN or infinity at {where}. {advice}",
        index=index,
        total=total,
        culprit=culprit,
        latents=latents,
        denoised=denoised,
    )


def _cast_as(latents: AVLatents, model: AVLatents) -> AVLatents:
    audio = latents.audio
    if audio is not None and model.audio is not None:
        audio = audio.to(model.audio.dtype)
    return AVLatents(latents.video.to(model.video.dtype), audio)


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
    for what, tensor in (
        ("noise.video", noise.video),
        ("noise.audio", noise.audio),
        ("first_frame", first_frame),
    ):
        if tensor is not None and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{what}: expected finite values, got NaN or infinity. Check where it was made.")
    if first_frame is not None:
        b, c, f, h, w = noise.video.shape
        k = first_frame.shape[2] if first_frame.ndim == 5 else 0
        if first_frame.shape != (b, c, k, h, w) or not 0 < k < f:
            raise ShapeError(
                f"first_frame: expected ({b}, {c}, 1..{f - 1}, {h}, {w}) (as the noise), "
                f"got {tuple(first_frame.shape)}. Encode a picture of the same size."
            )
