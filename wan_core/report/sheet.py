"""A report as a picture (frames, plots and figures on one sheet) and as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from .measure import FaceScale, Measurements
from .plot import BLUE, GREY, GROUND, INK, ORANGE, Line, draw_plot, load_font

_WIDTH, _MARGIN, _FACE, _FRAME = 960, 14, 168, 80
_PLOT_HEIGHT = 170
_SHOWN = 16
_LINE_HEIGHT = 19


def to_json(measurements: Measurements, scale: FaceScale, notes: Sequence[str] = ()) -> str:
    """Write a report as JSON.

    Args:
        measurements: from `measure_clip`.
        scale: what compared the faces, and how to read its cosines.
        notes: sentences for the user.
    Returns:
        JSON text, ending with a line feed.
    """
    content = asdict(measurements)
    content["face_scale"] = scale._asdict() if measurements.face_similarity else None
    content["pitch_difference_semitones"] = measurements.pitch_difference
    content["notes"] = list(notes)
    return json.dumps(content, indent=2) + "\n"


def describe(measurements: Measurements, scale: FaceScale) -> list[str]:
    """Say what was measured, a sentence a figure.

    Args:
        measurements: from `measure_clip`.
        scale: what compared the faces, and how to read its cosines.
    Returns:
        Sentences.
    """
    lines = [
        f"{measurements.frames} frames at {measurements.fps:g} a second: {measurements.picture_seconds:.3f} s"
    ]
    if measurements.sound_seconds is not None:
        lines[0] += f"; sound {measurements.sound_seconds:.3f} s"
    similarity = measurements.face_similarity
    if similarity:
        mean = sum(similarity) / len(similarity)
        lines.append(
            f"face: mean cosine {mean:.2f}, lowest {min(similarity):.2f}; true pictures of one person give about "
            f"{scale.same:.2f}, of strangers {scale.strangers:.2f}"
        )
        lines.append(f"face compared by {scale.encoder}")
    for name, match in (measurements.colours or {}).items():
        lines.append(
            f"{name}: reference rgb {match.reference}, clip rgb {match.clip}, "
            f"difference {match.difference:.0f} (CIELAB)"
        )
    lips = measurements.lips
    if lips is not None:
        lines.append(
            f"lips: correlation of mouth and loudness {lips.by_lag[0]:.2f}; highest {lips.by_lag[lips.best_lag]:.2f} "
            f"with the mouth {lips.best_lag:+d} frames from the sound"
        )
    reference, clip, difference = (
        measurements.pitch_reference,
        measurements.pitch_clip,
        measurements.pitch_difference,
    )
    if reference is not None and clip is not None and difference is not None:
        lines.append(
            f"voice: median F0 {clip:.0f} Hz, reference {reference:.0f} Hz: {difference:+.1f} semitones"
        )
    elif clip is not None:
        lines.append(f"voice: median F0 {clip:.0f} Hz")
    return lines


def draw_sheet(
    video: Tensor, measurements: Measurements, scale: FaceScale, face: Tensor | None = None, title: str = ""
) -> bytes:
    """Draw a report.

    Args:
        video: (3, F, H, W) in [-1, 1].
        measurements: from `measure_clip`.
        scale: what compared the faces, and how to read its cosines.
        face: reference crop, (3, S, S) in [-1, 1].
        title: first line.
    Returns:
        A PNG file.
    """
    rows = [_draw_pictures(video, face), *_draw_plots(measurements, scale)]
    lines = ([title] if title else []) + describe(measurements, scale)
    height = sum(row.height + _MARGIN for row in rows) + _MARGIN + _LINE_HEIGHT * len(lines) + _MARGIN
    sheet = Image.new("RGB", (_WIDTH, height), GROUND)
    draw = ImageDraw.Draw(sheet)
    y = _MARGIN
    for line in lines:
        draw.text((_MARGIN, y), line, fill=INK, font=load_font())
        y += _LINE_HEIGHT
    y += _MARGIN
    for row in rows:
        sheet.paste(row, (_MARGIN, y))
        y += row.height + _MARGIN
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _draw_pictures(video: Tensor, face: Tensor | None) -> Image.Image:
    """Draw the reference and up to 16 frames, evenly spaced, in two rows."""
    count = video.shape[1]
    shown = sorted({round(index * (count - 1) / (_SHOWN - 1)) for index in range(_SHOWN)})
    row = Image.new("RGB", (_WIDTH - 2 * _MARGIN, _FACE), GROUND)
    left = 0
    if face is not None:
        row.paste(_to_image(face).resize((_FACE, _FACE), Image.Resampling.BICUBIC), (0, 0))
        left = _FACE + _MARGIN
    for place, number in enumerate(shown):
        frame = _to_image(video[:, number])
        frame.thumbnail((_FRAME, _FRAME))
        scaled = (
            frame if max(frame.size) == _FRAME else frame.resize((_FRAME, _FRAME), Image.Resampling.BICUBIC)
        )
        row.paste(scaled, (left + (place % 8) * (_FRAME + 8), (place // 8) * (_FRAME + 8)))
    return row


def _draw_plots(measurements: Measurements, scale: FaceScale) -> list[Image.Image]:
    plots: list[Image.Image] = []
    size, step = (_WIDTH - 2 * _MARGIN, _PLOT_HEIGHT), 1 / measurements.fps
    similarity, lips = measurements.face_similarity, measurements.lips
    if similarity and len(similarity) > 1:
        low = min(scale.strangers - 0.2, *similarity)
        count = len(similarity)
        curves = [
            Line([scale.strangers] * count, GREY, "strangers"),
            Line([scale.same] * count, ORANGE, "one person"),
            Line(similarity, BLUE, "cosine with the reference"),
        ]
        plots.append(draw_plot("face", curves, (low, 1.0), size, step))
    if lips is not None:
        curves = [Line(lips.opening, BLUE, "mouth"), Line(lips.loudness, ORANGE, "loudness")]
        plots.append(draw_plot("lips", curves, (0.0, 1.0), size, step))
    return plots


def _to_image(picture: Tensor) -> Image.Image:
    pixels = ((picture.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round()
    return Image.fromarray(pixels.permute(1, 2, 0).numpy().astype(np.uint8))
