"""Text-, image- and reference-to-video with nano: one function, by what the request holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import ShapeError
from ..identity.regions import region_weights
from ..identity.strength import Strength, StrengthTable, resolve_strength
from ..sampling.guard import NumberGuard
from ..sampling.guidance import GuidanceChain
from ..sampling.loop import StepInfo, sample
from ..sampling.noise import av_noise
from ..sampling.sigmas import flow_sigmas, lead_audio
from ..text.encoder import pad_token_ids
from ..text.prompt import parse_prompt
from ..types import AudioClip, AVLatents
from .bundle import NanoBundle
from .conditions import FaceShape, NanoCondition, NanoDenoiser, make_conditions
from .defaults import NanoDefaults
from .identity_file import check_identity
from .references import encode_first_frame, encode_identity, encode_voice
from .request import GenerateRequest, check_names
from .voice_file import check_encoder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Progress:
    """What a progress callback is told.

    Attributes:
        stage: "encode", "sample" or "decode".
        done, total: steps of the stage finished so far, and in all.
        denoised: while sampling, the estimate of the clean latents, for a preview; None before the picture moves.
    """

    stage: Literal["encode", "sample", "decode"]
    done: int
    total: int
    denoised: AVLatents | None = None


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """A finished clip.

    Attributes:
        video: (1, 3, F, H, W) float32 RGB in [-1, 1] on the CPU.   fps: frames per second.
        audio: mono sound of exactly the video's length, or None where none was asked for.
        notes: sentences for the user: how prompt and photos were read.
    """

    video: Tensor
    fps: int
    audio: AudioClip | None
    notes: tuple[str, ...]


def generate(
    request: GenerateRequest,
    bundle: NanoBundle,
    progress: ProgressCallback | None = None,
    *,
    defaults: NanoDefaults | None = None,
) -> Result:
    """Make a clip.

    Args:
        request: what to make.   bundle: nano's parts.
        progress: called on the way; an exception it raises ends the work and rises.
        defaults: limits and settings; None for nano's own.
    Returns:
        The `Result`.
    Raises:
        InputError: the request asks for what nano can not make, or a reference can not be used.
        WanCoreError: the model gave values that are not finite.
    """
    report = progress or _ignore
    settings = defaults or NanoDefaults()
    settings.check(request)
    prompt = parse_prompt(request.prompt)
    negative = parse_prompt(request.negative_prompt, "negative prompt")
    check_names(request.characters, prompt.characters)
    notes = list(prompt.notes) + [f"negative prompt: {note}" for note in negative.notes]
    report(Progress(stage="encode", done=0, total=1))
    identity_tokens, voice_tokens, weights = None, None, None
    for character in request.characters:
        if character.photos:
            identity_tokens, face_notes = encode_identity(
                bundle.identity, character.photos, character.face, character.detector
            )
            notes += [f"{character.name}: {note}" for note in face_notes]
        if character.identity is not None:
            check_identity(character.identity, "nano", bundle.identity, character.name)
            identity_tokens = character.identity.features.to(bundle.device)
        if character.regions:
            weights = region_weights(character.regions, _token_grid(bundle, settings), settings.seconds)
        if character.voice is not None:
            voice_tokens = encode_voice(bundle.voice, character.voice)
        if character.voice_tokens is not None:
            check_encoder(character.voice_tokens[1], bundle.voice, f" for {character.name}")
            voice_tokens = character.voice_tokens[0].to(bundle.device)
    first_frame = None
    if request.first_frame is not None:
        first_frame = encode_first_frame(bundle.vae, request.first_frame, settings.native_size)
    max_tokens = bundle.text.config.max_tokens
    chain = make_conditions(
        bundle,
        pad_token_ids([prompt.token_ids], max_tokens),
        pad_token_ids([negative.token_ids], max_tokens),
        identity_tokens,
        voice_tokens,
        request.scales or settings.scales,
        FaceShape(table=_strengths(request, bundle, settings), weights=weights),
    )
    report(Progress(stage="encode", done=1, total=1))
    latents = sample_clip(
        bundle, chain, request.seed, settings, steps=request.steps, first_frame=first_frame, progress=report
    )
    report(Progress(stage="decode", done=0, total=1))
    video, waveform = decode_clip(bundle, latents, settings, request.size)
    report(Progress(stage="decode", done=1, total=1))
    audio = AudioClip(waveform, bundle.audio.sample_rate) if request.has_audio else None
    return Result(video=video, fps=settings.fps, audio=audio, notes=tuple(notes))


def sample_clip(
    bundle: NanoBundle,
    chain: GuidanceChain[NanoCondition],
    seed: int,
    settings: NanoDefaults,
    *,
    batch: int = 1,
    steps: int | None = None,
    first_frame: Tensor | None = None,
    fuse: bool = True,
    progress: ProgressCallback | None = None,
) -> AVLatents:
    """Sample the latents of clips.

    Args:
        chain: from `make_conditions`.   seed: of the start noise; clips of a batch have different noise.
        settings: length, size, steps and schedule.   batch: number of clips B.   steps: None for the settings' own.
        first_frame: clean latents (B, C, 1, h, w) to begin with, or None.
        fuse: False keeps picture and sound from reading each other.   progress: see `generate`.
    Returns:
        Clean latents of picture and sound, on the bundle's device.
    """
    side = settings.native_size // bundle.vae.config.patch
    frames = (settings.frames - 1) // bundle.vae.config.frames_per_latent + 1
    sounds = math.ceil(_samples(bundle, settings) / bundle.audio.latent_samples)
    noise = av_noise(
        (batch, bundle.vae.config.latent_channels, frames, side, side),
        (batch, bundle.audio.config.latent_dim, sounds),
        seed,
    )
    if noise.audio is not None:
        noise = AVLatents(noise.video.to(bundle.device), noise.audio.to(bundle.device))
    grid = flow_sigmas(steps or settings.steps, settings.shift)
    report = progress or _ignore

    def on_step(info: StepInfo) -> None:
        denoised = info.denoised if info.is_moving[0] else None
        report(Progress(stage="sample", done=info.index + 1, total=info.total, denoised=denoised))

    return sample(
        NanoDenoiser(bundle.dit, fuse),
        noise,
        lead_audio(grid, grid, settings.audio_lead),
        chain,
        first_frame=first_frame,
        guard=NumberGuard(model=bundle.dit),
        callback=on_step,
    )


@torch.no_grad()
def decode_clip(
    bundle: NanoBundle, latents: AVLatents, settings: NanoDefaults, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Decode latents to picture and sound of the same length.

    Args:
        latents: picture and sound, as `sample_clip` gives them.
        size: width and height; above the native size the frames are enlarged (bicubic, antialiased), nothing is added.
    Returns:
        Video (B, 3, F, H, W) float32 in [-1, 1] and waveform (B, samples) in [-1, 1], both on the CPU.
    Raises:
        ShapeError: latents without sound.
    """
    if latents.audio is None:
        raise ShapeError(
            "latents: expected picture and sound, got no sound. Decode the picture with the codec alone."
        )
    video = bundle.vae.decode(latents.video).float().cpu()
    width, height = size
    if video.shape[3:] != (height, width):
        frames = video.transpose(1, 2).flatten(0, 1)
        frames = functional.interpolate(frames, size=(height, width), mode="bicubic", antialias=True)
        video = frames.unflatten(0, (video.shape[0], -1)).transpose(1, 2).clamp(-1.0, 1.0)
    waveform = bundle.audio.decode(latents.audio)
    return video, waveform.float().cpu()[:, : _samples(bundle, settings)]


def _token_grid(bundle: NanoBundle, settings: NanoDefaults) -> tuple[int, int, int]:
    """Latent frames, rows and columns of the picture's tokens."""
    side = settings.native_size // bundle.vae.config.patch
    frames = (settings.frames - 1) // bundle.vae.config.frames_per_latent + 1
    patch = bundle.dit.config.video.patch_size
    return frames // patch[0], side // patch[1], side // patch[2]


def _strengths(request: GenerateRequest, bundle: NanoBundle, settings: NanoDefaults) -> StrengthTable | None:
    """Strength of the face at every step and block of the picture; None where it is the same at all of them."""
    if request.strength == Strength():
        return None
    sigmas = flow_sigmas(request.steps or settings.steps, settings.shift)[:-1].tolist()
    subject = request.characters[0].name if request.characters else None
    return resolve_strength(request.strength, sigmas, bundle.dit.config.video.num_layers, subject=subject)


def _samples(bundle: NanoBundle, settings: NanoDefaults) -> int:
    """Samples of sound that last as long as the video."""
    return round(settings.seconds * bundle.audio.sample_rate)


def _ignore(progress: Progress) -> None:
    """Progress that nobody watches."""
