"""`wan-r2v report`, and the report that `generate --report` writes."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ..errors import InputError
from ..identity.encoder import FaceEncoder
from ..identity.face import FaceChoice, read_face
from ..media import plan_output, read_photo, read_sound, read_video, read_voice, write_bytes
from ..pipelines import load_bundle
from ..report import FaceScale, describe, draw_sheet, measure_clip, to_json
from ..types import AudioClip
from .arguments import parse_face
from .console import Console

FACE_SCALE = FaceScale(
    encoder="nano's own face encoder, the one that made the tokens: a hint, no independent judge",
    same=0.97,
    strangers=0.74,
)
"""Measured on 48 people of nano's world, a portrait against a frame of a true clip."""


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What a clip is compared with: a photo (H, W, 3) uint8, which face of it, and a recording; each may be absent."""

    photo: Tensor | None = None
    face: FaceChoice = "auto"
    voice: AudioClip | None = None


def run_report(options: argparse.Namespace, console: Console) -> None:
    """Measure a clip and write the report.

    Args:
        options: of `parser.build_parser`.
        console: where to say what was found.
    Raises:
        InputError: the clip or a reference can't be read.
        OutputError: the report can't be written.
    """
    face = parse_face(options.face)
    stem: Path = options.clip if options.output is None else options.output
    plan_report(stem, overwrite=options.overwrite)
    references = References(
        photo=None if options.reference is None else read_photo(options.reference).pixels,
        face=face,
        voice=None if options.voice is None else read_voice(options.voice).clip,
    )
    encoder = None if references.photo is None else load_bundle(options.weights).identity.face_encoder
    lines, content = write_report(options.clip, references, encoder, stem, overwrite=options.overwrite)
    console.show(lines, content)


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


@torch.no_grad()
def write_report(
    clip: Path, references: References, encoder: FaceEncoder | None, stem: Path, *, overwrite: bool
) -> tuple[list[str], dict[str, Any]]:
    """Measure a clip file and write its report.

    Args:
        clip: the video.
        references: what it is compared with.
        encoder: compares the faces; None leaves that out.
        stem: see `report_paths`.
        overwrite: replace an earlier report.
    Returns:
        Sentences for people, and the same for machines.
    Raises:
        InputError: the clip can't be read, or the photo has no such face.
        OutputError: the report can't be written.
    """
    decoded = read_video(clip)
    if not decoded.fps > 0:
        raise InputError(
            f"video: expected a frame rate, got none in {clip}. Convert it to MP4 and use that file."
        )
    video = decoded.frames.permute(3, 0, 1, 2).float() / 127.5 - 1
    audio, notes = _sound_of(clip)
    face = embeds = frame_embeds = None
    if references.photo is not None and encoder is not None:
        side = encoder.config.image_size
        face = read_face(references.photo, references.face, side).pixels
        embeds = encoder(face[None])[0]
        frames = functional.interpolate(
            video.transpose(0, 1), size=(side, side), mode="bilinear", antialias=True
        )
        frame_embeds = encoder(frames)
    measurements = measure_clip(
        video,
        decoded.fps,
        audio,
        face=face,
        face_embeds=embeds,
        frame_embeds=frame_embeds,
        voice=references.voice,
    )
    png, text = report_paths(stem)
    sheet = draw_sheet(video, measurements, FACE_SCALE, face, f"Report on {clip.name}")
    written = [
        write_bytes(png, sheet, overwrite=overwrite),
        write_bytes(text, to_json(measurements, FACE_SCALE, notes).encode(), overwrite=overwrite),
    ]
    lines = [*describe(measurements, FACE_SCALE), *(f"note: {note}" for note in notes)]
    lines.append(f"report: {written[0]} and {written[1]}")
    lips = measurements.lips
    similarity = measurements.face_similarity
    content: dict[str, Any] = {
        "picture": str(written[0]),
        "json": str(written[1]),
        "face_similarity": None if similarity is None else sum(similarity) / len(similarity),
        "lips_correlation": None if lips is None else lips.by_lag[0],
        "lips_best_lag": None if lips is None else lips.best_lag,
        "pitch_clip": measurements.pitch_clip,
        "pitch_reference": measurements.pitch_reference,
        "notes": list(notes),
    }
    return lines, content


def _sound_of(clip: Path) -> tuple[AudioClip | None, tuple[str, ...]]:
    """Sound of a clip, or None and a note where it has none."""
    try:
        return read_sound(clip).clip, ()
    except InputError as error:
        return None, (f"lips and voice were not measured. {error}",)
