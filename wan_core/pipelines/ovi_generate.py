"""Clips with sound from Ovi and DreamID-Omni: prompt and references, sampling, frames and samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..checkpoints.load import load_text_encoder
from ..checkpoints.mmaudio import load_audio_codec
from ..errors import CheckpointMismatchError, ShapeError
from ..sampling.guard import NumberGuard
from ..sampling.loop import StepInfo, sample
from ..sampling.noise import av_noise
from ..sampling.sigmas import AVSigmas
from ..text.umt5_encoder import UMT5TextEncoder
from ..types import AudioClip, AVLatents, TokenStream
from .generate import Progress, ProgressCallback
from .memory_phases import MemoryPlan
from .ovi_family import AUDIO_CHANNELS, FPS, LATENT_CHANNELS, STRIDE
from .ovi_files import FoundOvi, OviFiles, find_ovi
from .ovi_memory import plan_ovi_memory
from .ovi_prompt import prepare_prompt
from .ovi_references import encode_voice, face_picture, face_stream, voice_second, voice_stream
from .ovi_request import OviRequest, OviSettings, resolve_ovi
from .ovi_transformer import OviConditioning, OviTransformer, ovi_chain
from .wan_codec import load_codec
from .wan_family import TI2V
from .wan_generate import decode_latents
from .wan_pictures import stretch, to_video
from .wan_plan import WanOptions

#: The text encoder works in it, as in the official code.
TEXT_DTYPE = torch.bfloat16


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OviPlan:
    """Everything that is decided before the first weight is read.

    Attributes:
        request, options: as given.   model: the files.   settings: what the request comes to.
        memory: what goes where.   prompt: as the text encoder reads it.
    """

    request: OviRequest
    options: WanOptions
    model: FoundOvi
    settings: OviSettings
    memory: MemoryPlan
    prompt: str

    @property
    def latent_shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of the video's and of the sound's latents."""
        width, height = self.settings.size
        video = (1, LATENT_CHANNELS, self.settings.latent_frames, height // STRIDE, width // STRIDE)
        return video, (1, AUDIO_CHANNELS, self.settings.audio_length)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OviResult:
    """A finished clip: video (1, 3, F, H, W) float32 in [-1, 1] on the CPU, its sound, frames a second, notes."""

    video: Tensor
    audio: AudioClip
    fps: int
    notes: tuple[str, ...] = ()


def plan_ovi(request: OviRequest, files: OviFiles, options: WanOptions | None = None) -> OviPlan:
    """Recognise the model, check the request against it, and plan the memory; only headers are read.

    Raises:
        InputError: a part is missing, the request asks for what the model can not make, or it does not fit into the
        memory.   CheckpointError: a file is missing, damaged or belongs to another model.
    """
    options = options or WanOptions()
    model = find_ovi(files, has_references=bool(request.characters))
    settings = resolve_ovi(request, model.family)
    names = [character.name for character in request.characters]
    prompt = prepare_prompt(request.prompt, model.family, names, settings.slots)
    memory = plan_ovi_memory(
        model,
        settings,
        device=options.device,
        dtype=options.work_dtype,
        encodes=bool(names) or request.first_frame is not None,
        limit=options.limit,
    )
    return OviPlan(
        request=request, options=options, model=model, settings=settings, memory=memory, prompt=prompt
    )


def generate_ovi(
    request: OviRequest,
    files: OviFiles,
    options: WanOptions | None = None,
    progress: ProgressCallback | None = None,
) -> OviResult:
    """Make a clip with sound and keep it in memory: `plan_ovi`, `sample_ovi`, `decode_sound`, `decode_frames`.

    Args:
        request: what to make.   files: the model's parts.   options: how.   progress: called on the way; an exception
            that it raises ends the work and rises.
    Raises: as these.
    """
    plan = plan_ovi(request, files, options)
    latents, notes = sample_ovi(plan, progress)
    audio = decode_sound(plan, latents)
    frames = [chunk.cpu() for chunk in decode_frames(plan, latents, progress)]
    return OviResult(video=torch.cat(frames, dim=2), audio=audio, fps=FPS, notes=notes)


def sample_ovi(plan: OviPlan, progress: ProgressCallback | None = None) -> tuple[AVLatents, tuple[str, ...]]:
    """Encode, then sample. Each part is loaded when it is needed and freed before the next.

    Returns: clean latents, video (1, 48, F, H, W) and sound (1, 20, T), float32 on the CPU, and notes for the user.
    Raises: CheckpointError: a part can not be loaded.   InputError: no face in a photo, no voice in a recording.
        WanCoreError: values that are not finite.
    """
    report = progress or _ignore
    report(Progress(stage="encode", done=0, total=1))
    notes = [*plan.model.notes, *plan.settings.notes]
    # What may be refused comes first: reading photos and recordings is quick.
    pictures = _face_pictures(plan, notes)
    seconds = _voice_seconds(plan, notes)
    contexts = _encode_prompts(plan, notes)
    conditioning = OviConditioning(
        contexts=contexts,
        first_frame=_encode_first_frame(plan),
        faces=_encode_faces(plan, pictures),
        voices=_encode_voices(plan, seconds),
    )
    report(Progress(stage="encode", done=1, total=1))
    options, schedule = plan.options, plan.settings.schedule()
    transformer = OviTransformer(
        plan.model,
        device=options.device,
        dtype=options.work_dtype,
        resident=plan.memory.resident,
        safe=options.safe,
    )
    transformer.free()
    noise = av_noise(*plan.latent_shapes, plan.request.seed)
    placed = AVLatents(*(None if part is None else part.to(options.device) for part in noise))  # type: ignore[arg-type]

    def on_step(info: StepInfo) -> None:
        report(Progress(stage="sample", done=info.index + 1, total=info.total, denoised=info.denoised))

    result = sample(
        transformer.load(conditioning),
        placed,
        AVSigmas(schedule.sigmas, schedule.sigmas),
        ovi_chain(plan.settings),
        solver=schedule.solver,
        model_timesteps=AVSigmas(schedule.timesteps, schedule.timesteps),
        first_frame=conditioning.first_frame,
        callback=on_step,
        guard=NumberGuard(model=transformer.network, safe=options.safe),
    )
    transformer.free()
    if result.audio is None:
        raise ShapeError("audio latents: expected some from a joint model, got none. Sample both modalities.")
    return AVLatents(result.video.float().cpu(), result.audio.float().cpu()), tuple(notes)


def decode_sound(plan: OviPlan, latents: AVLatents) -> AudioClip:
    """Sound of a clip, exactly as long as its frames: at most one latent is cut off, or filled with silence.

    Raises: CheckpointError: the codec can not be loaded.   ShapeError: latents without sound.
    """
    if latents.audio is None:
        raise ShapeError("audio latents: expected some, got none. Decode the frames alone.")
    codec = load_audio_codec(plan.model.audio_vae, plan.model.vocoder, plan.options.device)
    waveform = codec.decode(latents.audio.to(plan.options.device)).cpu()
    return fit_sound(AudioClip(waveform, codec.sample_rate), plan.settings.frames)


def fit_sound(clip: AudioClip, frames: int) -> AudioClip:
    """Sound cut, or filled with silence, to the length of a number of frames."""
    length = round(frames / FPS * clip.sample_rate)
    waveform = clip.waveform[:, :length]
    return AudioClip(functional.pad(waveform, (0, length - waveform.shape[1])), clip.sample_rate)


def decode_frames(
    plan: OviPlan, latents: AVLatents, progress: ProgressCallback | None = None
) -> Iterator[Tensor]:
    """Frames of a clip, a few at a time; see `wan_generate.decode_latents`."""
    return decode_latents(
        latents.video,
        plan.model.vae,
        TI2V,
        device=plan.options.device,
        tiling=plan.memory.tiling,
        progress=progress,
    )


@torch.no_grad()
def _encode_prompts(plan: OviPlan, notes: list[str]) -> tuple[Tensor, Tensor, Tensor]:
    prompts = [plan.prompt, plan.settings.negative_prompt, plan.settings.negative_sound]
    encoder = load_text_encoder(
        plan.model.text_encoder, plan.memory.text_device, TEXT_DTYPE, tokenizer=plan.model.tokenizer
    )
    if not isinstance(encoder, UMT5TextEncoder):
        raise CheckpointMismatchError(
            f"text encoder: expected umT5-xxl, got {type(encoder).__name__} in {plan.model.text_encoder}. "
            "Name the umT5 file of Wan."
        )
    with encoder:
        notes += encoder.notes(prompts[:1])
        text, video, audio = encoder.encode(prompts).float().cpu().split(1)
    return text, video, audio


@torch.no_grad()
def _encode_first_frame(plan: OviPlan) -> Tensor | None:
    picture = plan.request.first_frame
    if picture is None:
        return None
    return _encode_picture(plan, [stretch(to_video(picture), plan.settings.size)])[0]


def _encode_faces(plan: OviPlan, pictures: list[Tensor]) -> tuple[TokenStream, ...]:
    latents = _encode_picture(plan, pictures) if pictures else []
    return tuple(face_stream(own, slot) for own, slot in zip(latents, plan.settings.slots, strict=False))


def _encode_voices(plan: OviPlan, seconds: list[Tensor]) -> tuple[TokenStream, ...]:
    if not seconds:
        return ()
    device = plan.options.device
    codec = load_audio_codec(plan.model.audio_vae, plan.model.vocoder, device)
    latents = [encode_voice(codec, second, device).cpu() for second in seconds]
    slots = plan.settings.slots
    return tuple(voice_stream(own, slot, plan.model.family) for own, slot in zip(latents, slots, strict=True))


@torch.no_grad()
def _encode_picture(plan: OviPlan, pictures: list[Tensor]) -> list[Tensor]:
    """Latents (1, C, 1, h, w) of pictures (3, H, W) of the clip's size."""
    vae = load_codec(plan.model.vae, TI2V, plan.options.device)
    tiling = plan.memory.tiling
    return [vae.encode(picture[None, :, None], tiling=tiling).float() for picture in pictures]


def _face_pictures(plan: OviPlan, notes: list[str]) -> list[Tensor]:
    found: list[Tensor] = []
    for person in plan.request.characters:
        picture, own = face_picture(person.photos[0], person.face, plan.settings.size, person.detector)
        found.append(picture)
        notes += [f"{person.name}: {note}" for note in own]
        if len(person.photos) > 1:
            notes.append(f"{person.name}: {len(person.photos)} photos given; the model takes one, the first.")
    return found


def _voice_seconds(plan: OviPlan, notes: list[str]) -> list[Tensor]:
    found: list[Tensor] = []
    for person in plan.request.characters:
        if person.voice is not None:
            second, begin = voice_second(person.voice, plan.request.voice_span)
            found.append(second)
            notes.append(
                f"{person.name}: the voice is taken from {begin:.2f} to {begin + 1:.2f} s of the recording."
            )
    return found


def _ignore(progress: Progress) -> None:
    """Progress that nobody watches."""
