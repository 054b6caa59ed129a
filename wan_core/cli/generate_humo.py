"""`wan-r2v generate --model` with HuMo: a clip whose people speak a recording, which is its sound."""

from __future__ import annotations

import argparse
import time

from ..pipelines.generate import Progress
from ..pipelines.humo_best_of import best_of_humo
from ..pipelines.humo_generate import sample_humo
from ..pipelines.humo_request import HumoPlan, plan_humo
from ..pipelines.wan_generate import decode_latents
from ..pipelines.wan_latents import LatentsInfo
from ..provenance import SyntheticTag, check_consent
from .clip import keep_latents, keeping, show_clip, write_clip
from .console import Console
from .drafts import check_drafts
from .humo_options import read_humo_request, read_whisper, refuse_other_options
from .output import package_version, plan_clip
from .wan_drafts import sample_best
from .wan_options import read_execution, read_files
from .wan_report import open_reference_judge, write_wan_report


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
    check_drafts(options, output)
    job = read_humo_request(options, lambda done, total: bar.update("speak", done, total))
    plan = plan_humo(job.request, read_files(options), whisper, read_execution(options))
    judge = open_reference_judge(options, job.characters, plan.wan.model.family.name, output)
    for line in _announce(plan):
        console.note(line)

    def show(progress: Progress) -> None:
        bar.update(progress.stage, progress.done, progress.total)

    plan, latents, drafts, more = sample_best(
        options,
        (plan, plan.wan),
        judge,
        output,
        console,
        sample=lambda own: sample_humo(own, show),
        best_of=best_of_humo,
    )
    wan, family = plan.wan, plan.wan.model.family
    tag = SyntheticTag(model=family.name, consent=consent, seed=wan.request.seed, version=package_version())
    audio = None if options.audio is False else job.sound
    info = LatentsInfo(family=family.name, seed=wan.request.seed)
    frames = decode_latents(
        latents,
        wan.model.vae,
        family,
        device=wan.options.device,
        tiling=wan.memory.tiling,
        progress=show,
    )
    with keeping(lambda: keep_latents(latents, info, output, wan.model.vae), console):
        path, content = write_clip(
            frames,
            output,
            family.fps,
            tag,
            audio=audio,
            overwrite=options.overwrite,
            has_mark=options.watermark,
        )
    content |= {"references": len(job.request.pictures), "windows": len(plan.windows), "consent": consent}
    if drafts is not None:
        content["best_of"] = drafts.to_content()
    report, measured = write_wan_report(options, judge, path, drafts)
    show_clip(console, content | measured, started, [*job.notes, *more], report)


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
