"""`wan-r2v generate --model` with a joint model: a clip with sound from Ovi or DreamID-Omni."""

from __future__ import annotations

import argparse
import io
import time
import wave
from pathlib import Path

from ..pipelines.generate import Progress
from ..pipelines.ovi_family import FPS
from ..pipelines.ovi_generate import OviPlan, decode_frames, decode_sound, plan_ovi, sample_ovi
from ..pipelines.wan_family import TI2V
from ..pipelines.wan_latents import LatentsInfo
from ..provenance import SyntheticTag, check_consent
from ..types import AudioClip, AVLatents
from .clip import keep_latents, keeping, save_beside, show_clip, write_clip
from .console import Console
from .faces import showing_faces
from .output import package_version, plan_clip
from .ovi_options import read_ovi_files, read_ovi_request, refuse_other_options
from .wan_options import read_execution
from .wan_report import open_reference_judge, write_wan_report

SOUND_SUFFIX = ".sound.wav"


def run_generate_ovi(options: argparse.Namespace, console: Console) -> None:
    """Make the clip that the options describe, and say what was made.

    Args:
        options: of `parser.build_parser`, with a joint model.
        console: where to say it.
    Raises:
        InputError: something given can't be used, or it does not fit into the memory.
        CheckpointError: a file is missing, damaged or of another model.
        OutputError: the clip can't be written; latents and sound are kept, and the text says where.
    """
    refuse_other_options(options)
    consent = check_consent(options.consent, bool(options.reference or options.voice))
    output = plan_clip(options.output, "clip.mp4", overwrite=options.overwrite)
    with showing_faces(output):
        request, notes = read_ovi_request(options)
    plan = plan_ovi(request, read_ovi_files(options), read_execution(options))
    judge = open_reference_judge(options, request.characters, plan.model.family.name, output)
    for line in _announce(plan):
        console.note(line)
    started = time.monotonic()
    bar = console.bar()

    def show(progress: Progress) -> None:
        bar.update(progress.stage, progress.done, progress.total)

    with showing_faces(output):
        latents, more = sample_ovi(plan, show)
    family = plan.model.family
    tag = SyntheticTag(model=family.name, consent=consent, seed=request.seed, version=package_version())
    audio: AudioClip | None = None
    with keeping(lambda: _keep(plan, latents, audio, output), console):
        audio = decode_sound(plan, latents) if options.audio is not False else None
        path, content = write_clip(
            decode_frames(plan, latents, show),
            output,
            FPS,
            tag,
            audio=audio,
            overwrite=options.overwrite,
            has_mark=options.watermark,
        )
    content |= {"licences": list(plan.model.licences)}
    report, measured = write_wan_report(options, judge, path, None)
    show_clip(console, content | measured, started, [*notes, *more], report)


def _announce(plan: OviPlan) -> list[str]:
    """What is about to be done, before the first weight is read."""
    settings = plan.settings
    names = [f"{lora.path.name}:{lora.strength:g}" for lora in plan.model.loras]
    scales = f"guidance {settings.guidance[0]:g} (picture) and {settings.guidance[1]:g} (sound)"
    if settings.family.takes_references:
        faces, voices = settings.reference_guidance
        scales += f", of faces {faces:g}, of voices {voices:g}"
    return [
        f"{settings.family.name}: {settings.frames} frames of {settings.size[0]}x{settings.size[1]} at {FPS} a second "
        f"with sound, {settings.steps} steps of {settings.solver}, shift {settings.shift:g}, {scales}",
        *([f"LoRA: {', '.join(names)}"] if names else []),
        *(f"licence: {text}" for text in plan.model.licences),
        *plan.memory.lines(),
    ]


def _keep(plan: OviPlan, latents: AVLatents, audio: AudioClip | None, output: Path) -> str:
    """Save what was made beside the clip, or in the system's folder for temporary files; returns what to do with it."""
    info = LatentsInfo(family=TI2V.name, seed=plan.request.seed)
    text = keep_latents(latents.video, info, output, plan.model.vae)
    if audio is None:
        return text
    return f"{text} The sound is in {save_beside(output, SOUND_SUFFIX, _wave_bytes(audio))}."


def _wave_bytes(clip: AudioClip) -> bytes:
    """A mono WAV file of 16 bits."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(clip.sample_rate)
        file.writeframes((clip.waveform[0].clamp(-1, 1) * 32767).round().short().numpy().tobytes())
    return buffer.getvalue()
