"""Line plots drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

INK, PALE, GROUND = (40, 40, 46), (214, 216, 222), (255, 255, 255)
BLUE, ORANGE, GREY = (31, 105, 190), (224, 122, 24), (150, 152, 160)
GREEN, RED = (40, 140, 90), (190, 30, 30)
TEXT_SIZE = 13

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 24, 22


class Line(NamedTuple):
    """A curve: one value a frame (None leaves a gap), its colour, and its name in the legend."""

    values: Sequence[float | None]
    colour: tuple[int, int, int]
    name: str


def load_font(size: int = TEXT_SIZE) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, `size` pixels high."""
    return ImageFont.load_default(size)


def draw_plot(
    title: str,
    lines: Sequence[Line],
    bounds: tuple[float, float],
    size: tuple[int, int],
    seconds_per_value: float,
    start: int = 0,
) -> Image.Image:
    """Draw curves over time.

    Args:
        title: stands above the plot.
        lines: at least one; all of the same length, two values or more.
        bounds: lowest and highest value of the vertical axis; curves are cut off there.
        size: width and height in pixels.
        seconds_per_value: step of the horizontal axis.
        start: number of the first value, where the axis does not begin at 0 s.
    Returns:
        The picture.
    """
    picture = Image.new("RGB", size, GROUND)
    draw = ImageDraw.Draw(picture)
    font = load_font()
    width, height = size[0] - _LEFT - _RIGHT, size[1] - _TOP - _BOTTOM
    low, high = bounds

    def place(index: float, value: float, count: int) -> tuple[float, float]:
        share = (min(max(value, low), high) - low) / (high - low)
        return _LEFT + width * index / (count - 1), _TOP + height * (1 - share)

    draw.text((_LEFT, 3), title, fill=INK, font=font)
    for step in range(5):
        value = low + (high - low) * step / 4
        y = _TOP + height * (1 - step / 4)
        draw.line((_LEFT, y, _LEFT + width, y), fill=PALE)
        label = f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
        draw.text((4, y - TEXT_SIZE / 2 - 1), label, fill=INK, font=font)
    count = len(lines[0].values)
    for step in range(5):
        x = _LEFT + width * step / 4
        seconds = (start + (count - 1) * step / 4) * seconds_per_value
        draw.text((x - (34 if step == 4 else 0), size[1] - _BOTTOM + 3), f"{seconds:.2f} s", INK, font)
    x = _LEFT + draw.textlength(title, font) + 18
    for line in lines:
        for piece in _pieces(line.values):
            points = [place(index, value, count) for index, value in piece]
            draw.line(points, fill=line.colour, width=2, joint="curve")
            for point in points:
                draw.ellipse((point[0] - 2, point[1] - 2, point[0] + 2, point[1] + 2), fill=line.colour)
        draw.line((x, 11, x + 16, 11), fill=line.colour, width=3)
        draw.text((x + 20, 3), line.name, fill=INK, font=font)
        x += 34 + draw.textlength(line.name, font)
    return picture


def _pieces(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Stretches of numbers between the gaps, each with its place."""
    pieces: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is not None:
            pieces[-1].append((index, value))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]
