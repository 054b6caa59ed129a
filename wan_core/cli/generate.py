"""`wan-r2v generate` and `wan-r2v demo`."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..identity.detectors import Detector
from ..identity.face import FaceChoice
from ..identity.regions import Region
from ..media import read_photo, read_voice, write_video
from ..pipelines import (
    Character,
    GenerateRequest,
    NanoBundle,
    NanoDefaults,
    Progress,
    Scales,
    generate,
    load_bundle,
)
from ..pipelines.best_of import NANO_DRAFT_STEPS, BestOf, Draft, best_of_nano, nano_faces
from ..pipelines.humo_request import is_humo
from ..pipelines.likeness import NanoVoices, PersonReference
from ..pipelines.ovi_files import is_joint
from ..pipelines.voice_file import read_voice_tokens
from ..provenance import Consent, SyntheticTag, check_consent, to_metadata
from .arguments import parse_face, parse_named_files, parse_size
from .clip import keeping
from .console import Console
from .drafts import check_drafts, save_drafts, write_drafts
from .faces import check_regions, read_detector, read_person, read_regions, showing_faces
from .generate_humo import run_generate_humo
from .generate_ovi import run_generate_ovi
from .generate_wan import run_generate_wan
from .humo_options import refuse_speech_options
from .measure import Judges, plan_report, write_report
from .output import describe_marks, marked, package_version, plan_clip
from .ovi_options import refuse_joint_options
from .parser import DEMO_FILE
from .wan_options import check_options
from .wan_references import read_strength

DEMO_PROMPT = 'character1 waves at the beach and says "hello everyone"'
CLIP_FILE = "clip.mp4"
DEFAULT_SIZE, DEFAULT_SECONDS = "256*256", 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A clip to make and where it goes.

    Attributes:
        request: what to make.   consent: for its references.   notes: about how they were read.
        output: planned path.   overwrite: an existing file may be replaced.
        weights: nano's folder, None for the shipped one.   has_report: whether to write a report.
        has_mark: whether the picture gets the mark of synthetic media.
        best_of: seeds to try first, None to take the request's.   draft_steps: of a try, None for the usual ones.
    """

    request: GenerateRequest
    consent: Consent | None
    notes: tuple[str, ...]
    output: Path
    overwrite: bool
    weights: Path | None
    has_report: bool
    has_mark: bool = True
    best_of: int | None = None
    draft_steps: int | None = None


def run_generate(options: argparse.Namespace, console: Console) -> None:
    """Make the clip that the options describe, and say what was made.

    Args:
        options: of `parser.build_parser`.
        console: where to say it.
    Raises:
        InputError: something given can't be used.
        OutputError: the clip can't be written.
        CheckpointError: weights are missing or damaged.
    """
    if options.model is not None and is_joint(options.model):
        run_generate_ovi(options, console)
        return
    refuse_joint_options(options)
    if options.model is not None and is_humo(options.model):
        run_generate_humo(options, console)
        return
    refuse_speech_options(options)
    check_options(options)
    if options.model is not None:
        run_generate_wan(options, console)
        return
    consent = check_consent(options.consent, bool(options.reference or options.voice))
    size, face = parse_size(options.size or DEFAULT_SIZE), parse_face(options.face or "auto")
    photos = parse_named_files("--reference", options.reference)
    voices = parse_named_files("--voice", options.voice)
    output = plan_clip(options.output, CLIP_FILE, overwrite=options.overwrite)
    check_drafts(options, output)
    regions = read_regions(options.region)
    with showing_faces(output):
        characters, notes = _read_characters(photos, voices, face, read_detector(options), regions)
    strength = read_strength(options)
    first_frame = None
    if options.first_frame is not None:
        picture = read_photo(options.first_frame)
        first_frame, notes = picture.pixels, [*notes, *picture.notes]
    request = GenerateRequest(
        prompt=options.prompt,
        negative_prompt=options.negative_prompt or "",
        characters=characters,
        first_frame=first_frame,
        size=size,
        duration=DEFAULT_SECONDS if options.duration is None else options.duration,
        shot_type=options.shot_type or "single",
        seed=options.seed,
        has_audio=options.audio is not False,
        steps=options.steps,
        scales=_scales(options, strength.scale),
        strength=replace(strength, scale=1.0),
    )
    job = Job(
        request=request,
        consent=consent,
        notes=tuple(notes),
        output=output,
        overwrite=options.overwrite,
        weights=options.weights,
        has_report=options.report,
        has_mark=options.watermark,
        best_of=options.best_of,
        draft_steps=options.draft_steps,
    )
    with showing_faces(output):
        lines, content = make_clip(job, console)
    console.show(lines, content)


def run_demo(options: argparse.Namespace, console: Console) -> None:
    """Make a clip from the example portrait and voice, and say what was done.

    Args:
        options: of `parser.build_parser`.
        console: where to say it.
    Raises:
        OutputError: the clip can't be written.
        CheckpointError: nano's weights or the examples are missing or damaged.
    """
    examples = Path(__file__).parents[1] / "assets" / "examples"
    portrait, recording = examples / "portrait.png", examples / "voice.wav"
    for file in (portrait, recording):
        if not file.is_file():
            raise CheckpointError(
                f"example: expected the file, got none at {file}. Install the package again."
            )
    output = plan_clip(options.output, DEMO_FILE, overwrite=options.overwrite)
    character = Character(
        name="character1",
        photos=(read_photo(portrait).pixels,),
        voice=read_voice(recording).clip,
        face="whole",
    )
    job = Job(
        request=GenerateRequest(
            prompt=DEMO_PROMPT, characters=(character,), seed=options.seed, steps=options.steps
        ),
        consent="fictional",
        notes=(),
        output=output,
        overwrite=options.overwrite,
        weights=options.weights,
        has_report=options.report,
        has_mark=options.watermark,
    )
    lines, content = make_clip(job, console)
    story = [
        f"portrait: {portrait}",
        f"voice: {recording}",
        f"prompt: {DEMO_PROMPT}",
    ]
    console.show(
        [*story, *lines],
        {"portrait": str(portrait), "voice": str(recording), "prompt": DEMO_PROMPT, **content},
    )


def make_clip(job: Job, console: Console) -> tuple[list[str], dict[str, Any]]:
    """Generate, write and, where asked, measure a clip.

    Args:
        job: what to do.
        console: shows the progress.
    Returns:
        Sentences for people, and the same for machines.
    Raises:
        WanCoreError: see `generate` and `write_video`.
    """
    defaults = NanoDefaults()
    defaults.check(job.request)
    if job.has_report:
        plan_report(job.output, overwrite=job.overwrite)
    started = time.monotonic()
    bundle = load_bundle(job.weights)
    bar = console.bar()

    def show(progress: Progress) -> None:
        bar.update(progress.stage, progress.done, progress.total)

    request, drafts = job.request, None
    if job.best_of is not None:
        scored: list[Draft] = []
        steps = NANO_DRAFT_STEPS if job.draft_steps is None else job.draft_steps
        with keeping(lambda: save_drafts(scored, steps, job.output), console):
            request, drafts = best_of_nano(
                job.request,
                bundle,
                job.best_of,
                steps=steps,
                defaults=defaults,
                done=lambda number, total: bar.update("drafts", number, total),
                keep=scored.append,
            )
        console.note(write_drafts(drafts, job.output, overwrite=job.overwrite))
    result = generate(request, bundle, show, defaults=defaults)
    tag = SyntheticTag(model="nano", consent=job.consent, seed=request.seed, version=package_version())
    path = write_video(
        job.output,
        marked(result.video, job.has_mark),
        result.fps,
        result.audio,
        metadata=to_metadata(tag),
        overwrite=job.overwrite,
    )
    seconds = time.monotonic() - started
    frames, height, width = result.video.shape[2:]
    notes = [*job.notes, *result.notes]
    sound = "with sound" if result.audio is not None else "without sound"
    lines = [
        f"made {path}: {frames} frames of {width}x{height} at {result.fps} a second, {sound}, in {seconds:.1f} s",
        describe_marks(job.has_mark, height, width),
        *(f"note: {note}" for note in notes),
    ]
    content: dict[str, Any] = {
        "output": str(path),
        "frames": frames,
        "width": width,
        "height": height,
        "fps": result.fps,
        "has_audio": result.audio is not None,
        "has_mark": job.has_mark,
        "seed": request.seed,
        "seconds": round(seconds, 3),
        "notes": notes,
    }
    if drafts is not None:
        content["best_of"] = drafts.to_content()
    if job.has_report:
        report = _report(job, bundle, path, drafts)
        lines += report[0]
        content["report"] = report[1]
    return lines, content


def _report(
    job: Job, bundle: NanoBundle, path: Path, drafts: BestOf | None
) -> tuple[list[str], dict[str, Any]]:
    """Measure the written file, not what was in memory."""
    people = {
        own.name: PersonReference(photos=own.photos, face=own.face, voice=own.voice)
        for own in job.request.characters
    }
    judges = Judges(faces=nano_faces(bundle, job.request), voices=NanoVoices(bundle.voice))
    return write_report(path, people, judges, path, best_of=drafts, overwrite=job.overwrite)


def _read_characters(
    photos: dict[str, list[Path]],
    voices: dict[str, list[Path]],
    face: FaceChoice,
    detector: Detector,
    regions: dict[str, tuple[Region, ...]],
) -> tuple[tuple[Character, ...], list[str]]:
    characters: list[Character] = []
    notes: list[str] = []
    for name in dict.fromkeys((*photos, *voices)):
        person = read_person(photos.get(name, []), detector, face)
        recordings = voices.get(name, [])
        # Several recordings of a person would need joining; nano reads one.
        if len(recordings) > 1:
            notes.append(f"{name}: {len(recordings)} recordings given; {recordings[0].name} is used.")
        is_encoded = bool(recordings) and recordings[0].suffix == ".safetensors"
        sound = read_voice(recordings[0]) if recordings and not is_encoded else None
        notes += [f"{name}: {note}" for note in person.notes]
        notes += [f"{name}: {note}" for note in (sound.notes if sound else ())]
        characters.append(
            Character(
                name=name,
                photos=person.photos,
                identity=person.identity,
                detector=detector,
                regions=regions.get(name, ()),
                voice=sound.clip if sound else None,
                voice_tokens=read_voice_tokens(recordings[0]) if is_encoded else None,
                face=face,
            )
        )
    check_regions(regions, [own.name for own in characters])
    return tuple(characters), notes


def _scales(options: argparse.Namespace, identity_scale: float) -> Scales | None:
    """The model's scales with what the options change; the prompt's scale changes picture and sound alike."""
    scales = NanoDefaults().scales
    if identity_scale != 1.0:
        scales = replace(scales, identity_strength=scales.identity_strength * identity_scale)
    if options.voice_scale is not None:
        scales = replace(scales, voice_strength=options.voice_scale)
    if options.text_scale is not None:
        ratio = scales.text_audio / scales.text_video
        scales = replace(scales, text_video=options.text_scale, text_audio=options.text_scale * ratio)
    return scales
