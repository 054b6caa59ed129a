"""`wan-r2v generate --model` with HuMo: a clip whose people speak a recording, which is its sound."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import OutputError, WanCoreError
from ..media import open_video, write_bytes
from ..pipelines.generate import Progress
from ..pipelines.humo_generate import sample_humo
from ..pipelines.humo_request import HumoPlan, plan_humo
from ..pipelines.wan_generate import decode_latents
from ..pipelines.wan_latents import LatentsInfo, latents_to_bytes
from ..provenance import SyntheticTag, check_consent, to_metadata
from .console import Console
from .humo_options import read_humo_request, read_whisper, refuse_other_options
from .output import describe_marks, marked, package_version, plan_clip
from .wan_options import read_execution, read_files

LATENTS_SUFFIX = ".latents.safetensors"


def run_generate_humo(options: argparse.Namespace, console: Console) -> None:
    """Make the clip that the options describe, and say what was made.

    Args:
        options: of `parser.build_parser`, with a HuMo model.   console: where to say it.
    Raises:
        InputError: something given can't be used, or it does not fit into the memory.
        CheckpointError: a file is missing, damaged or of another model.
        OutputError: the clip can't be written; the latents are kept, and the text says where.
    """
    refuse_other_options(options)
    consent = check_consent(options.consent, True)
    output = plan_clip(options.output, "clip.mp4", overwrite=options.overwrite)
    whisper = read_whisper(options)
    bar = console.bar()
    started = time.monotonic()
    request, sound, notes = read_humo_request(options, lambda done, total: bar.update("speak", done, total))
    plan = plan_humo(request, read_files(options), whisper, read_execution(options))
    for line in _announce(plan):
        console.note(line)

    def show(progress: Progress) -> None:
        bar.update(progress.stage, progress.done, progress.total)

    latents, more = sample_humo(plan, show)
    wan, family = plan.wan, plan.wan.model.family
    tag = SyntheticTag(model=family.name, consent=consent, seed=wan.request.seed, version=package_version())
    audio = None if options.audio is False else sound
    try:
        frames = decode_latents(
            latents,
            wan.model.vae,
            family,
            device=wan.options.device,
            tiling=wan.memory.tiling,
            progress=show,
        )
        with open_video(
            output, family.fps, audio=audio, metadata=to_metadata(tag), overwrite=options.overwrite
        ) as writer:
            for chunk in frames:
                writer.add(marked(chunk, options.watermark))
    except BaseException as error:
        kept = _keep(latents, LatentsInfo(family=family.name, seed=wan.request.seed), output)
        remedy = f"The sampled latents are in {kept}: decode them with `wan-r2v decode {kept} --vae {wan.model.vae}`."
        if isinstance(error, WanCoreError):
            raise type(error)(f"{error} {remedy}") from error
        if isinstance(error, Exception):
            raise OutputError(
                f"clip: expected to decode and write it, got {type(error).__name__}: {error}. {remedy}"
            ) from error
        console.note(remedy)
        raise
    height, width = writer.size or (0, 0)
    content: dict[str, Any] = {
        "output": str(writer.path),
        "frames": writer.frames,
        "width": width,
        "height": height,
        "fps": family.fps,
        "has_audio": audio is not None,
        "model": family.name,
        "seed": wan.request.seed,
        "references": len(request.pictures),
        "windows": len(plan.windows),
        "consent": consent,
        "seconds": round(time.monotonic() - started, 3),
        "notes": [*notes, *more],
    }
    lines = [
        f"made {writer.path}: {writer.frames} frames of {width}x{height} at {family.fps} a second with {family.name}, "
        f"with{'out' if audio is None else ''} sound, in {content['seconds']:.1f} s",
        describe_marks(options.watermark, height, width),
        *(f"note: {note}" for note in content["notes"]),
    ]
    console.show(lines, content)


def _announce(plan: HumoPlan) -> list[str]:
    """What is about to be done, before the first weight is read."""
    wan = plan.wan
    settings, family = wan.settings, wan.model.family
    count, pictures = len(plan.windows), len(plan.request.pictures)
    windows = "" if count == 1 else f", in {count} windows that overlap"
    names = [f"{lora.path.name}:{lora.strength:g}" for t in wan.model.transformers for lora in t.loras]
    return [
        f"{family.name}: {settings.frames} frames of {wan.size[0]}x{wan.size[1]} at {family.fps} a second{windows}, "
        f"{len(settings.schedule().shown)} steps of {settings.solver}, shift {settings.shift:g}, "
        f"{pictures} reference{'' if pictures == 1 else 's'}",
        *([f"LoRA: {', '.join(names)}"] if names else []),
        *wan.memory.lines(),
    ]


def _keep(latents: Tensor, info: LatentsInfo, output: Path) -> Path:
    """Save latents beside the clip, or where that can not be, in the system's folder for temporary files."""
    data = latents_to_bytes(latents, info)
    name = f"{output.stem}{LATENTS_SUFFIX}"
    try:
        return write_bytes(output.with_name(name), data)
    except OutputError:
        return write_bytes(Path(tempfile.gettempdir()) / name, data)
