"""A report as a picture: references, frames, curves and figures on one sheet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from .likeness import Likeness
from .measure import Measurements
from .plot import BLUE, GREEN, GREY, GROUND, INK, ORANGE, RED, Line, draw_plot, load_font
from .text import describe

_WIDTH, _MARGIN, _FACE, _FRAME = 960, 14, 168, 80
_PLOT_HEIGHT = 170
_SHOWN = 16
_LINE_HEIGHT = 19


def draw_sheet(
    frames: Tensor, measurements: Measurements, faces: Mapping[str, Tensor] | None = None, title: str = ""
) -> bytes:
    """Draw a report.

    Args:
        frames: (F, H, W, 3) uint8 RGB.
        measurements: of this clip.
        faces: reference crops by character, (3, S, S) in [-1, 1].
        title: first line.
    Returns:
        A PNG file.
    """
    buffer = io.BytesIO()
    sheet = Image.fromarray(draw_report(frames, measurements, faces, title))
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def draw_report(
    frames: Tensor, measurements: Measurements, faces: Mapping[str, Tensor] | None = None, title: str = ""
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Draw a report as pixels; as `draw_sheet`.

    Returns:
        (height, 960, 3) uint8 RGB.
    """
    rows = [_draw_pictures(frames, list((faces or {}).values())), *_draw_plots(measurements)]
    lines = [line for text in describe(measurements) for line in _wrap(text)]
    lines = ([title] if title else []) + lines
    height = sum(row.height + _MARGIN for row in rows) + _MARGIN + _LINE_HEIGHT * len(lines) + _MARGIN
    sheet = Image.new("RGB", (_WIDTH, height), GROUND)
    draw = ImageDraw.Draw(sheet)
    y = _MARGIN
    for line in lines:
        draw.text((_MARGIN, y), line, fill=RED if "ALARM" in line else INK, font=load_font())
        y += _LINE_HEIGHT
    y += _MARGIN
    for row in rows:
        sheet.paste(row, (_MARGIN, y))
        y += row.height + _MARGIN
    return np.asarray(sheet).copy()


def _wrap(text: str) -> list[str]:
    """Break a sentence where the sheet ends."""
    font = load_font()
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if lines[-1] and font.getlength(longer) > _WIDTH - 2 * _MARGIN:
            lines.append(f"    {word}")
        else:
            lines[-1] = longer
    return lines


def _draw_pictures(frames: Tensor, faces: Sequence[Tensor]) -> Image.Image:
    """Draw the references and up to 16 frames, evenly spaced, in two rows."""
    count = frames.shape[0]
    shown = sorted({round(index * (count - 1) / (_SHOWN - 1)) for index in range(_SHOWN)})
    row = Image.new("RGB", (_WIDTH - 2 * _MARGIN, _FACE), GROUND)
    left = 0
    # Several people share the place of one, one beside the other.
    side = _FACE if len(faces) < 2 else _FACE // 2 - 4
    for number, face in enumerate(faces[:4]):
        at = (0, 0) if len(faces) < 2 else (number % 2 * (side + 8), number // 2 * (side + 8))
        row.paste(_to_image(face).resize((side, side), Image.Resampling.BICUBIC), at)
        left = _FACE + _MARGIN
    for place, number in enumerate(shown):
        frame = Image.fromarray(frames[number].cpu().numpy())
        frame.thumbnail((_FRAME, _FRAME))
        scaled = (
            frame if max(frame.size) == _FRAME else frame.resize((_FRAME, _FRAME), Image.Resampling.BICUBIC)
        )
        row.paste(scaled, (left + (place % 8) * (_FRAME + 8), (place // 8) * (_FRAME + 8)))
    return row


def _draw_plots(measurements: Measurements) -> list[Image.Image]:
    plots: list[Image.Image] = []
    size, step = (_WIDTH - 2 * _MARGIN, _PLOT_HEIGHT), 1 / measurements.fps
    if measurements.frames < 2:
        return plots
    for name, likeness in measurements.likeness.items():
        if likeness is not None:
            plots += _likeness_plots(name, likeness, size, step)
    for name, lips in measurements.lips.items():
        curves = [Line(lips.opening, BLUE, "mouth"), Line(lips.loudness, ORANGE, "loudness")]
        plots.append(draw_plot(f"{name}: lips", curves, (0.0, 1.0), size, step))
        lags = list(lips.by_lag)
        curve = [Line(list(lips.by_lag.values()), BLUE, "correlation of mouth and loudness")]
        plots.append(draw_plot(f"{name}: lag of the mouth", curve, (-1.0, 1.0), size, step, start=lags[0]))
    return plots


def _likeness_plots(name: str, likeness: Likeness, size: tuple[int, int], step: float) -> list[Image.Image]:
    scale, track = likeness.scale, likeness.track
    count = len(track.similarity)
    low = min(scale.strangers - 0.2, likeness.lowest, *(own for own in track.sameness if own is not None))
    curves = [
        Line([scale.strangers] * count, GREY, "strangers"),
        Line([scale.same] * count, ORANGE, "one person"),
        Line(track.similarity, BLUE, "cosine with the reference"),
        Line(track.sameness, GREEN, "same picture as the reference"),
    ]
    plots = [draw_plot(f"{name}: face", curves, (low, 1.0), size, step)]
    if track.poses is not None and likeness.pose is not None:
        edge = max(30.0, *(abs(angle) for both in likeness.pose for angle in both))
        angles = [
            Line([None if pose is None else pose[place] for pose in track.poses], colour, text)
            for place, (colour, text) in enumerate(((BLUE, "yaw"), (ORANGE, "pitch"), (GREEN, "roll")))
        ]
        plots.append(draw_plot(f"{name}: head, degrees", angles, (-edge, edge), size, step))
    return plots


def _to_image(picture: Tensor) -> Image.Image:
    pixels = ((picture.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round()
    return Image.fromarray(pixels.permute(1, 2, 0).numpy().astype(np.uint8))
