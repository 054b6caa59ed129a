"""HuMo: prompt, references and a recording to a clip whose people speak it."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn import functional

from ..checkpoints.whisper import load_whisper
from ..dit.model import WanModel
from ..identity.streams import letterbox
from ..sampling.guard import NumberGuard
from ..sampling.loop import StepInfo, sample
from ..sampling.noise import draw_noise, make_generator
from ..sampling.sigmas import AVSigmas
from ..types import AudioClip, AVLatents, TokenStream
from ..vae.wan_vae import WanVAE
from ..voice.speech_windows import speech_windows
from .generate import Progress, ProgressCallback
from .humo_request import HumoPlan
from .humo_windows import Window, WindowedDenoiser, window_name
from .wan_codec import load_codec
from .wan_conditions import NOBODY, ReferenceSet, WanConditioning
from .wan_generate import decode_latents, encode_prompts
from .wan_guidance import recipe_chain, wan_condition
from .wan_pictures import to_video
from .wan_request import guidance_rule, guidance_window
from .wan_transformer import WanTransformers

#: Latent frames after which the latents of a grey clip no longer change (129 frames, as the official file has).
_GREY_FRAMES = 33
#: Channels of the mask that tells references from the clip.
_MASK = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HumoInputs:
    """What was encoded for a clip.

    Attributes:
        speech: what each latent frame hears, (latent frames, 8, 5, width).
        pictures: latents (1, C, n, H, W) of the references; one of zeros where there are none.
        has_pictures: whether there are some.
        grey: latents (1, C, latent frames + n, H, W) of a grey clip, for 17B; None for 1.7B.
    """

    speech: Tensor
    pictures: Tensor
    has_pictures: bool
    grey: Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HumoEncoded:
    """What the transformer is given beside the noise: `HumoInputs`, contexts of both prompts, notes for the user."""

    inputs: HumoInputs
    contexts: tuple[Tensor, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HumoResult:
    """A finished clip.

    Attributes:
        video: (1, 3, F, H, W) float32 in [-1, 1] on the CPU.   audio: the recording, as long as the picture.
        fps: frames a second.   notes: sentences for the user.
    """

    video: Tensor
    audio: AudioClip
    fps: int
    notes: tuple[str, ...] = field(default=())


def generate_humo(plan: HumoPlan, progress: ProgressCallback | None = None) -> HumoResult:
    """Make a clip and keep it in memory: `sample_humo`, then decode.

    Args: plan: of `plan_humo`.   progress: called on the way; an exception that it raises ends the work and rises.
    Raises: as `sample_humo`.
    """
    latents, notes = sample_humo(plan, progress)
    wan = plan.wan
    chunks = decode_latents(
        latents,
        wan.model.vae,
        wan.model.family,
        device=wan.options.device,
        tiling=wan.memory.tiling,
        progress=progress,
    )
    video = torch.cat([chunk.cpu() for chunk in chunks], dim=2)
    audio = fit_sound(plan.request.speech, plan.seconds)
    return HumoResult(video=video, audio=audio, fps=wan.model.family.fps, notes=notes)


def fit_sound(clip: AudioClip, seconds: float) -> AudioClip:
    """A recording cut, or filled up with silence, to a length."""
    count = round(seconds * clip.sample_rate)
    waveform = clip.waveform[:, :count]
    return AudioClip(functional.pad(waveform, (0, count - waveform.shape[1])), clip.sample_rate)


def sample_humo(plan: HumoPlan, progress: ProgressCallback | None = None) -> tuple[Tensor, tuple[str, ...]]:
    """Encode speech, prompts and references, then sample; each part is freed before the next is loaded.

    Returns: clean latents (1, C, F, H, W) float32 on the CPU, and notes for the user.
    Raises: CheckpointError: a part can not be loaded.   WanCoreError: values that are not finite.
    """
    encoded = encode_humo(plan, progress)
    (latents,) = sample_humo_seeds(plan, encoded, [plan.wan.request.seed], progress)
    return latents, encoded.notes


def encode_humo(plan: HumoPlan, progress: ProgressCallback | None = None) -> HumoEncoded:
    """Encode everything that does not depend on the noise.

    Raises: CheckpointError: a part can not be loaded.
    """
    report = progress or _ignore
    report(Progress(stage="encode", done=0, total=3))
    windows = encode_speech(plan)
    report(Progress(stage="encode", done=1, total=3))
    contexts, notes = encode_prompts(plan.wan)
    report(Progress(stage="encode", done=2, total=3))
    inputs = encode_references(plan, windows)
    report(Progress(stage="encode", done=3, total=3))
    return HumoEncoded(inputs=inputs, contexts=contexts, notes=notes)


def sample_humo_seeds(
    plan: HumoPlan, encoded: HumoEncoded, seeds: Sequence[int], progress: ProgressCallback | None = None
) -> Iterator[Tensor]:
    """Sample one clip after another with a transformer that is loaded once.

    Args: encoded: of `encode_humo` for this plan.   seeds: of the noise; the one of the request is not looked at.
    Yields: clean latents (1, C, F, H, W) float32 on the CPU.
    Raises: CheckpointError: a part can not be loaded.   WanCoreError: values that are not finite.
    """
    report = progress or _ignore
    wan, inputs = plan.wan, encoded.inputs
    settings, options = wan.settings, wan.options

    def make_references(model: WanModel) -> dict[str, ReferenceSet]:
        return reference_sets(model, inputs, plan.windows, options.device, options.work_dtype)

    transformers = WanTransformers(
        wan.model.transformers,
        None,
        WanConditioning(contexts=encoded.contexts, make_references=make_references),
        device=options.device,
        dtype=options.work_dtype,
        resident=wan.memory.resident,
        safe=options.safe,
    )
    schedule = settings.schedule()
    chain = recipe_chain(
        plan.recipe,
        schedule.shown,
        wan_condition,
        window=guidance_window(wan.request),
        rule=guidance_rule(wan.request),
    )
    shape = wan.latent_shape
    # The places of references are drawn too, as in the official code; 1.7B has clean ones there at every step.
    slots = plan.slots if plan.has_channels else 0

    def on_step(info: StepInfo) -> None:
        clip = AVLatents(info.denoised.video[:, :, : shape[2]])
        report(Progress(stage="sample", done=info.index + 1, total=info.total, denoised=clip))

    denoiser = transformers.denoiser()
    for seed in seeds:
        noise = draw_noise((*shape[:2], shape[2] + plan.slots, *shape[3:]), make_generator(seed))
        result = sample(
            WindowedDenoiser(denoiser, plan.windows, slots),
            AVLatents(noise[:, :, : shape[2] + slots].to(options.device)),
            AVSigmas(schedule.sigmas),
            chain,
            solver=schedule.solver,
            model_timesteps=AVSigmas(schedule.timesteps),
            callback=on_step,
            guard=NumberGuard(model=transformers.network, safe=options.safe),
        )
        yield result.video[:, :, : shape[2]].float().cpu()
    del denoiser
    transformers.free("low")


@torch.no_grad()
def encode_speech(plan: HumoPlan) -> Tensor:
    """What each latent frame hears, (latent frames, 8, 5, width), on the CPU; Whisper is freed.

    Raises: CheckpointError: it can not be loaded.
    """
    whisper = load_whisper(plan.whisper, plan.whisper_device, torch.float32)
    features = whisper.encode(plan.request.speech).cpu()
    del whisper
    _release(plan.wan.options.device)
    return speech_windows(features, plan.wan.settings.frames)


@torch.no_grad()
def encode_references(plan: HumoPlan, speech: Tensor) -> HumoInputs:
    """Encode the references, fitted in and on white; and for 17B a grey clip, which tells it what is not known.

    The official zero_vae files hold the same grey clip for two sizes.

    Args: speech: of `encode_speech`, handed on.
    Raises: CheckpointError: the VAE can not be loaded, or is another family's.
    """
    wan, pictures = plan.wan, plan.request.pictures
    shape = wan.latent_shape
    blank = torch.zeros(*shape[:2], 1, *shape[3:])
    if not pictures and not plan.has_channels:
        return HumoInputs(speech=speech, pictures=blank, has_pictures=False, grey=None)
    codec = load_codec(wan.model.vae, wan.model.family, wan.options.device)
    latents: list[Tensor] = []
    for picture in pictures:
        fitted = torch.from_numpy(letterbox(picture.cpu().numpy(), *wan.size))
        pixels = to_video(fitted)[None, :, None].to(wan.options.device)
        latents.append(codec.encode(pixels, tiling=wan.memory.tiling).float().cpu())
    grey = _grey_clip(plan, codec) if plan.has_channels else None
    del codec
    _release(wan.options.device)
    return HumoInputs(
        speech=speech,
        pictures=torch.cat(latents or [blank], dim=2),
        has_pictures=bool(pictures),
        grey=grey,
    )


def reference_sets(
    model: WanModel,
    inputs: HumoInputs,
    windows: Sequence[Window],
    device: torch.device | str,
    dtype: torch.dtype,
) -> dict[str, ReferenceSet]:
    """The sets that HuMo's recipes name, for every window of the clip.

    Args: model: that will be sampled with, on its device and in its dtype.   windows: of the clip.
    Source: Phantom-video/HuMo@17094e9 humo/generate.py, humo/generate_1_7B.py (inference).
    """
    spoken = model.prepare_speech(inputs.speech[None].to(device, dtype))
    silent = model.prepare_speech(inputs.speech[None, :0].to(device, dtype))
    if len(windows) > 1:
        spoken = spoken.to("cpu")  # a window takes its part to the device
    sets: dict[str, ReferenceSet] = {}
    for number, own in enumerate(windows):
        absent, present = _picture_sets(inputs, own)
        heard = spoken.cut(own.start, own.stop)
        for name, found, speech in (
            (NOBODY, absent, silent),
            ("speech", absent, heard),
            ("picture", present, silent),
            ("both", present, heard),
        ):
            sets[window_name(name, number)] = replace(found, speech=speech)
    return sets


def _picture_sets(inputs: HumoInputs, own: Window) -> tuple[ReferenceSet, ReferenceSet]:
    """What a window sees without and with the references."""
    size, pictures = own.stop - own.start, inputs.pictures
    if inputs.grey is None:
        blank = torch.zeros_like(pictures)
        place = (float(size), 0.0, 0.0)
        absent, present = (
            ReferenceSet(streams=(TokenStream(latents=latents, offset=place, timestep=None),))
            for latents in (blank, pictures)
        )
        return absent, present
    unknown = inputs.grey[:, :, own.start : own.stop + pictures.shape[2]]
    seen = torch.cat((unknown[:, :, :size], pictures), dim=2) if inputs.has_pictures else unknown
    absent, present = (
        ReferenceSet(channels=torch.cat((_mask(latents, size), latents), dim=1))
        for latents in (unknown, seen)
    )
    return absent, present


def _mask(latents: Tensor, size: int) -> Tensor:
    """Mask channels (1, 4, F, H, W): 1 where references are."""
    mask = latents.new_ones(1, _MASK, *latents.shape[2:])
    mask[:, :, :size] = 0.0
    return mask


def _grey_clip(plan: HumoPlan, codec: WanVAE) -> Tensor:
    """Latents (1, C, F + slots, H, W) of mid-grey frames; from some frame on they no longer change."""
    frames = plan.wan.settings.latent_frames + plan.slots
    known = min(frames, _GREY_FRAMES)
    width, height = plan.wan.size
    pixels = torch.zeros(1, device=plan.wan.options.device).expand(1, 3, 4 * known - 3, height, width)
    latents = codec.encode(pixels, tiling=plan.wan.memory.tiling).float().cpu()
    return torch.cat((latents, latents[:, :, -1:].expand(-1, -1, frames - known, -1, -1)), dim=2)


def _release(device: str) -> None:
    """Give memory that nobody holds any more back."""
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()


def _ignore(progress: Progress) -> None:
    """Progress that nobody watches."""
