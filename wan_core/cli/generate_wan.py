"""`wan-r2v generate --model`: a clip with a published Wan model; `wan-r2v decode`: latents that were saved."""

from __future__ import annotations

import argparse
import time

from torch import Tensor

from ..media import read_photo
from ..pipelines.generate import Progress
from ..pipelines.wan_best_of import best_of_wan
from ..pipelines.wan_generate import decode_latents, sample_wan
from ..pipelines.wan_latents import LatentsInfo, read_latents
from ..pipelines.wan_plan import WanPlan, plan_wan
from ..pipelines.wan_request import WanRequest
from ..provenance import SyntheticTag, check_consent
from .arguments import parse_size
from .clip import keep_latents, keeping, show_clip, write_clip
from .console import Console
from .drafts import check_drafts
from .faces import showing_faces
from .output import package_version, plan_clip
from .wan_drafts import sample_best
from .wan_options import parse_device, parse_guidance, parse_interval, read_execution, read_files
from .wan_references import describe_references, read_characters, read_strength
from .wan_report import open_wan_judge, write_wan_report


def run_generate_wan(options: argparse.Namespace, console: Console) -> None:
    """Make the clip that the options describe, and say what was made.

    Args:
        options: of `parser.build_parser`, with a model.
        console: where to say it.
    Raises:
        InputError: something given can't be used, or it does not fit into the memory.
        CheckpointError: a file is missing, damaged or of another model.
        OutputError: the clip can't be written; the latents are kept, and the text says where.
    """
    consent = check_consent(options.consent, bool(options.reference))
    output = plan_clip(options.output, "clip.mp4", overwrite=options.overwrite)
    check_drafts(options, output)
    with showing_faces(output):
        request, notes = _read_request(options)
    plan = plan_wan(request, read_files(options), read_execution(options))
    with showing_faces(output):
        judge = open_wan_judge(options, plan, output)
    for line in _announce(plan):
        console.note(line)
    started = time.monotonic()
    bar = console.bar()

    def show(progress: Progress) -> None:
        bar.update(progress.stage, progress.done, progress.total)

    with showing_faces(output):
        plan, latents, drafts, more = sample_best(
            options,
            (plan, plan),
            judge,
            output,
            console,
            sample=lambda own: sample_wan(own, show),
            best_of=best_of_wan,
        )
    notes += more
    family = plan.model.family
    seed = plan.request.seed
    info = LatentsInfo(family=family.name, seed=seed)
    frames = decode_latents(
        latents,
        plan.model.vae,
        family,
        device=plan.options.device,
        tiling=plan.memory.tiling,
        progress=show,
    )
    tag = SyntheticTag(model=family.name, consent=consent, seed=seed, version=package_version())
    with keeping(lambda: keep_latents(latents, info, output, plan.model.vae), console):
        path, content = write_clip(
            frames, output, family.fps, tag, overwrite=options.overwrite, has_mark=options.watermark
        )
    more_content: dict[str, object] = {
        "method": family.method,
        "references": [own.name for own in request.characters] if plan.has_references else [],
        "consent": consent,
    }
    if drafts is not None:
        more_content["best_of"] = drafts.to_content()
    report, measured = write_wan_report(options, judge, path, drafts)
    show_clip(console, content | more_content | measured, started, notes, report)


def run_decode(options: argparse.Namespace, console: Console) -> None:
    """Decode latents that `generate` saved when a clip could not be written.

    Args:
        options: of `parser.build_parser`.
        console: where to say it.
    Raises:
        InputError: the file holds something else.   CheckpointError: the VAE is missing or another.
        OutputError: the clip can't be written.
    """
    output = plan_clip(options.output, "clip.mp4", overwrite=options.overwrite)
    latents, info = read_latents(options.latents)
    started = time.monotonic()
    bar = console.bar()

    def show(progress: Progress) -> None:
        bar.update(progress.stage, progress.done, progress.total)

    family = info.known_family
    frames = decode_latents(latents, options.vae, family, device=parse_device(options.device), progress=show)
    tag = SyntheticTag(model=info.family, consent=None, seed=info.seed, version=package_version())
    _, content = write_clip(
        frames, output, family.fps, tag, overwrite=options.overwrite, has_mark=options.watermark
    )
    show_clip(console, content, started, [])


def _read_request(options: argparse.Namespace) -> tuple[WanRequest, list[str]]:
    characters, notes = read_characters(options)
    pictures: list[Tensor | None] = []
    for path in (options.first_frame, options.last_frame):
        picture = None if path is None else read_photo(path)
        pictures.append(None if picture is None else picture.pixels)
        notes += () if picture is None else picture.notes
    request = WanRequest(
        prompt=options.prompt,
        negative_prompt=options.negative_prompt,
        first_frame=pictures[0],
        last_frame=pictures[1],
        size=None if options.size is None else parse_size(options.size),
        frames=options.frames,
        duration=options.duration,
        seed=options.seed,
        steps=options.steps,
        shift=options.shift,
        solver=options.solver,
        guidance=parse_guidance(options.guidance),
        preset=options.preset,
        rule=options.guidance_rule or "plain",
        interval=parse_interval(options.guidance_interval),
        characters=characters,
        strength=read_strength(options),
        reference_guidance=options.reference_guidance,
    )
    return request, notes


def _announce(plan: WanPlan) -> list[str]:
    """What is about to be done, before the first weight is read."""
    settings, family = plan.settings, plan.model.family
    low, high = settings.guidance
    guidance = f"{low:g} and {high:g} (low and high noise)" if family.has_experts else f"{low:g}"
    names = [f"{lora.path.name}:{lora.strength:g}" for t in plan.model.transformers for lora in t.loras]
    return [
        f"{family.name}: {settings.frames} frames of {plan.size[0]}x{plan.size[1]} at {family.fps} a second, "
        f"{len(settings.schedule().shown)} steps of {settings.solver}, shift {settings.shift:g}, guidance {guidance}",
        *([f"LoRA: {', '.join(dict.fromkeys(names))}"] if names else []),
        *describe_references(plan),
        *plan.memory.lines(),
    ]
