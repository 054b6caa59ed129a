"""`wan-r2v report`, and the report that `generate --report` writes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from ..checkpoints.lynx_face import load_arcface
from ..errors import InputError
from ..identity.detectors import Detector, open_landmarks
from ..media import plan_output, read_photo, read_sound, read_video, read_voice, write_bytes
from ..pipelines import load_bundle
from ..pipelines.best_of import BestOf
from ..pipelines.likeness import NanoVoices, PersonReference, SpeakerEncoder, report_on
from ..pipelines.recognisers import ArcFaceFaces, DrawnFaces, FoundFaces, Recogniser, box_finder
from ..report import Measurements, describe, draw_sheet, to_content, to_json
from ..types import AudioClip
from .arguments import parse_face, parse_named_files
from .console import Console

_FIRST = "character1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judges:
    """What compares faces and voices; None leaves that out."""

    faces: Recogniser | None = None
    voices: SpeakerEncoder | None = None


def run_report(options: argparse.Namespace, console: Console) -> None:
    """Measure a clip and write the report.

    Args:
        options: of `parser.build_parser`.
        console: where to say what was found.
    Raises:
        InputError: the clip or a reference can't be read.
        OutputError: the report can't be written.
    """
    stem: Path = options.clip if options.output is None else options.output
    plan_report(stem, overwrite=options.overwrite)
    people, notes = read_people(options)
    lines, content = write_report(
        options.clip, people, read_judges(options, people), stem, notes=notes, overwrite=options.overwrite
    )
    console.show(lines, content)


def read_people(options: argparse.Namespace) -> tuple[dict[str, PersonReference], list[str]]:
    """Read the references that options name, as character1=FILE or, of a single person, as FILE.

    Returns:
        References by character, and notes for the user.
    Raises:
        InputError: a file that can't be read or used.
    """
    face = parse_face(options.face)
    photos = parse_named_files("--reference", _named(options.reference))
    voices = parse_named_files("--voice", _named(options.voice))
    people: dict[str, PersonReference] = {}
    notes: list[str] = []
    for name in dict.fromkeys((*photos, *voices)):
        pictures = [read_photo(path) for path in photos.get(name, [])]
        recordings = voices.get(name, [])
        if len(recordings) > 1:
            notes.append(f"{name}: {len(recordings)} recordings given; {recordings[0].name} is used.")
        sound = read_voice(recordings[0]) if recordings else None
        notes += [f"{name}: {note}" for picture in pictures for note in picture.notes]
        notes += [f"{name}: {note}" for note in (sound.notes if sound else ())]
        people[name] = PersonReference(
            photos=tuple(picture.pixels for picture in pictures),
            face=face,
            voice=sound.clip if sound else None,
        )
    return people, notes


def read_judges(options: argparse.Namespace, people: Mapping[str, PersonReference]) -> Judges:
    """Load what compares faces and voices, as far as the references need it.

    Raises:
        InputError: an unknown detector, or one that can not be used.   CheckpointError: weights missing or damaged.
    """
    detector = None
    if options.detector is not None or options.detector_model is not None or options.recogniser is not None:
        detector = Detector(name=options.detector or "auto", model=options.detector_model)
    has_photo = any(own.photos for own in people.values())
    has_voice = any(own.voice is not None for own in people.values())
    needs_nano = options.recogniser is None and (has_photo or detector is not None)
    bundle = load_bundle(options.weights) if has_voice or needs_nano else None
    voices = NanoVoices(bundle.voice) if bundle is not None and has_voice else None
    faces: Recogniser | None = None
    if options.recogniser is not None and detector is not None:
        faces = ArcFaceFaces(load_arcface(options.recogniser), open_landmarks(detector))
    elif bundle is not None and needs_nano:
        encoder = bundle.identity.face_encoder
        faces = (
            DrawnFaces(encoder)
            if detector is None
            else FoundFaces(encoder, box_finder(detector), detector.name)
        )
    return Judges(faces=faces, voices=voices)


def report_paths(stem: Path) -> tuple[Path, Path]:
    """Return where the report on clip.mp4 goes: clip.report.png and clip.report.json."""
    base = stem.name.removesuffix(stem.suffix)
    return stem.with_name(f"{base}.report.png"), stem.with_name(f"{base}.report.json")


def plan_report(stem: Path, *, overwrite: bool) -> None:
    """Check that a report can be written.

    Raises: InputError, OutputError: see `plan_output`.
    """
    for path in report_paths(stem):
        plan_output(path, overwrite=overwrite)


def write_report(
    clip: Path,
    people: Mapping[str, PersonReference],
    judges: Judges,
    stem: Path,
    *,
    notes: Sequence[str] = (),
    best_of: BestOf | None = None,
    overwrite: bool,
) -> tuple[list[str], dict[str, Any]]:
    """Measure a clip file and write its report.

    Args:
        clip: the video.
        people: what it is compared with.
        judges: what compares.
        stem: see `report_paths`.
        notes: for the user, about the references.
        best_of: drafts of which the clip was chosen; they go into the JSON.
        overwrite: replace an earlier report.
    Returns:
        Sentences for people, and the same for machines.
    Raises:
        InputError: the clip can't be read, or a photo has no such face.
        OutputError: the report can't be written.
    """
    decoded = read_video(clip)
    if not decoded.fps > 0:
        raise InputError(
            f"video: expected a frame rate, got none in {clip}. Convert it to MP4 and use that file."
        )
    audio, sound_notes = _sound_of(clip)
    report = report_on(
        decoded.frames,
        decoded.fps,
        audio,
        people=people,
        recogniser=judges.faces,
        speakers=judges.voices,
        notes=(*notes, *sound_notes),
    )
    more = {} if best_of is None else {"best_of": best_of.to_content()}
    return _write(decoded.frames, report.measurements, report.faces, clip, (stem, more), overwrite=overwrite)


def _write(
    frames: Tensor,
    found: Measurements,
    faces: Mapping[str, Tensor],
    clip: Path,
    target: tuple[Path, Mapping[str, object]],
    *,
    overwrite: bool,
) -> tuple[list[str], dict[str, Any]]:
    """Write picture and JSON. target: see `report_paths`, and what else the JSON holds."""
    stem, more = target
    png, text = report_paths(stem)
    sheet = draw_sheet(frames, found, faces, f"Report on {clip.name}")
    written = [
        write_bytes(png, sheet, overwrite=overwrite),
        write_bytes(text, to_json(found, more).encode(), overwrite=overwrite),
    ]
    lines = [*describe(found), *(f"note: {note}" for note in found.notes)]
    lines.append(f"report: {written[0]} and {written[1]}")
    content: dict[str, Any] = {
        "picture": str(written[0]),
        "json": str(written[1]),
        **to_content(found),
        **more,
    }
    return lines, content


def _named(texts: Sequence[str]) -> list[str]:
    """Arguments with a name; the only one of a person alone may go without."""
    if len(texts) == 1 and "=" not in texts[0]:
        return [f"{_FIRST}={texts[0]}"]
    return list(texts)


def _sound_of(clip: Path) -> tuple[AudioClip | None, tuple[str, ...]]:
    """Sound of a clip, or None and a note where it has none."""
    try:
        return read_sound(clip).clip, ()
    except InputError as error:
        return None, (f"lips and voice were not measured. {error}",)
