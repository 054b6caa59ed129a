"""A report in words and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from .likeness import Likeness
from .lips import LipSync
from .measure import Measurements
from .pose import PoseRange
from .voice import VoiceMatch

_ANGLES = ("yaw", "pitch", "roll")


def to_json(measurements: Measurements, more: Mapping[str, object] | None = None) -> str:
    """Write a report as JSON: every figure, what measured it, and the curves frame by frame.

    Args:
        measurements: of a clip.   more: plain data to stand after them, by name.
    Returns:
        JSON text, ending with a line feed.
    """
    return json.dumps({**to_content(measurements), **(more or {})}, indent=2, allow_nan=False) + "\n"


def to_content(measurements: Measurements) -> dict[str, Any]:
    """What `to_json` writes, as plain data."""
    names = dict.fromkeys((*measurements.likeness, *measurements.lips, *measurements.voices))
    return {
        "frames": measurements.frames,
        "fps": measurements.fps,
        "picture_seconds": measurements.picture_seconds,
        "sound_seconds": measurements.sound_seconds,
        "score": measurements.score,
        "faces": None if measurements.faces is None else list(measurements.faces),
        "characters": {
            name: {
                "likeness": _likeness(measurements.likeness.get(name)),
                "sync": _sync(measurements.lips.get(name), measurements.mouth),
                "voice": _voice(measurements.voices.get(name)),
            }
            for name in names
        },
        "colours": None
        if measurements.colours is None
        else {zone: asdict(match) for zone, match in measurements.colours.items()},
        "notes": list(measurements.notes),
    }


def describe(measurements: Measurements) -> list[str]:
    """Say what was measured, a sentence a figure.

    Args:
        measurements: of a clip.
    Returns:
        Sentences.
    """
    first = (
        f"{measurements.frames} frames at {measurements.fps:g} a second: {measurements.picture_seconds:.3f} s"
    )
    if measurements.sound_seconds is not None:
        first += f"; sound {measurements.sound_seconds:.3f} s"
    lines = [first]
    for name, likeness in measurements.likeness.items():
        lines += _describe_likeness(name, likeness)
    if measurements.faces is not None:
        counts = measurements.faces
        lines.append(f"faces: {min(counts)} to {max(counts)} a frame")
    for zone, match in (measurements.colours or {}).items():
        lines.append(
            f"{zone}: reference rgb {match.reference}, clip rgb {match.clip}, "
            f"difference {match.difference:.0f} (CIELAB)"
        )
    for name, lips in measurements.lips.items():
        lines.append(
            f"{name}, lips: correlation of mouth and loudness {lips.by_lag[0]:.2f}; highest {lips.best:.2f} with the "
            f"mouth {abs(lips.best_lag_ms)} ms {'after' if lips.best_lag_ms >= 0 else 'before'} the sound "
            f"({lips.best_lag:+d} frames); {measurements.mouth}"
        )
    for name, voice in measurements.voices.items():
        lines += _describe_voice(name, voice)
    if measurements.score is not None:
        lines.append(f"score {measurements.score:.2f}: mean of likeness and lips, each from 0 to 1")
    return lines


def _describe_likeness(name: str, likeness: Likeness | None) -> list[str]:
    if likeness is None:
        return [f"{name}, face: no frame shows it"]
    scale = likeness.scale
    drift = "" if likeness.drift is None else f", drift {likeness.drift:+.3f} a second"
    lines = [
        f"{name}, face: mean cosine {likeness.mean:.2f}, lowest {likeness.lowest:.2f}, p5 {likeness.p5:.2f}{drift}; "
        f"seen in {likeness.seen:.0%} of the frames",
        f"{name}, face compared by {scale.encoder}; one person gives about {scale.same:.2f}, strangers "
        f"{scale.strangers:.2f} ({scale.basis})",
    ]
    if likeness.width is not None:
        lines.append(f"{name}, size: the face is {likeness.width:.0%} of the picture's shorter side wide")
    if likeness.pose is not None:
        ranges = ", ".join(
            f"{what} {low:+.0f} to {high:+.0f}"
            for what, (low, high) in zip(_ANGLES, likeness.pose, strict=True)
        )
        lines.append(f"{name}, head in degrees: {ranges}")
    copy = likeness.copy_paste
    pose = "" if copy.same_pose is None else f", its pose in {copy.same_pose:.0%}"
    lines.append(
        f"{name}, copy-paste: {'ALARM' if copy.alarm else 'no'}; the reference's own picture in "
        f"{copy.same_picture:.0%} of the frames{pose}"
    )
    return [*lines, *(f"{name}, not measured: {sentence}" for sentence in likeness.not_measured)]


def _describe_voice(name: str, voice: VoiceMatch) -> list[str]:
    lines: list[str] = []
    if voice.similarity is not None and voice.scale is not None:
        lines += [
            f"{name}, voice: cosine {voice.similarity:.2f}; one person gives about {voice.scale.same:.2f}, strangers "
            f"{voice.scale.strangers:.2f} ({voice.scale.basis})",
            f"{name}, voice compared by {voice.scale.encoder}",
        ]
    reference, clip, difference = voice.reference, voice.clip, voice.difference
    if clip is not None:
        line = f"{name}, pitch: median {clip.median:.0f} Hz, range {clip.range:.1f} semitones"
        if reference is not None and difference is not None:
            line += (
                f"; reference {reference.median:.0f} Hz, {reference.range:.1f} semitones: "
                f"{difference:+.1f} semitones"
            )
        lines.append(line)
    else:
        lines.append(f"{name}, pitch: not measured, the clip has too little voiced speech")
    return lines


def _likeness(likeness: Likeness | None) -> dict[str, Any] | None:
    if likeness is None:
        return None
    track = likeness.track
    poses = track.poses or ()
    frames: dict[str, Any] = {
        "similarity": track.similarity,
        "width": track.width,
        "same_picture": track.sameness,
        **{
            angle: [None if pose is None else pose[place] for pose in poses] if track.poses else None
            for place, angle in enumerate(_ANGLES)
        },
    }
    return {
        "scale": likeness.scale._asdict(),
        "mean": likeness.mean,
        "min": likeness.lowest,
        "p5": likeness.p5,
        "drift_per_second": likeness.drift,
        "seen": likeness.seen,
        "width": likeness.width,
        "head_degrees": _pose(likeness.pose),
        "reference_head_degrees": None if track.reference_pose is None else track.reference_pose._asdict(),
        "copy_paste": asdict(likeness.copy_paste),
        "score": likeness.score,
        "not_measured": list(likeness.not_measured),
        "by_frame": frames,
    }


def _pose(found: PoseRange | None) -> dict[str, list[float]] | None:
    return None if found is None else {name: list(values) for name, values in found._asdict().items()}


def _voice(voice: VoiceMatch | None) -> dict[str, Any] | None:
    if voice is None:
        return None
    return {
        "similarity": voice.similarity,
        "scale": None if voice.scale is None else voice.scale._asdict(),
        "pitch_reference": None if voice.reference is None else asdict(voice.reference),
        "pitch_clip": None if voice.clip is None else asdict(voice.clip),
        "pitch_difference_semitones": voice.difference,
    }


def _sync(lips: LipSync | None, mouth: str) -> dict[str, Any] | None:
    if lips is None:
        return None
    return {
        "mouth": mouth,
        "correlation": lips.by_lag[0],
        "best_correlation": lips.best,
        "best_lag_ms": lips.best_lag_ms,
        "best_lag_frames": lips.best_lag,
        "by_lag": lips.by_lag,
        "by_frame": {"opening": lips.opening, "loudness": lips.loudness},
    }
