"""Pictures of what was seen: photos beside each other, and the frames that were chosen of a video."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ROW_HEIGHT = 320
_GAP = 8
_GROUND, _INK = (24, 26, 38), (235, 235, 235)
_LABEL_HEIGHT, _FONT = 44, 14


def draw_row(
    pictures: Sequence[NDArray[np.uint8]], labels: Sequence[str] | None = None, height: int = ROW_HEIGHT
) -> NDArray[np.uint8]:
    """Put pictures beside each other.

    Args:
        pictures: (H, W, 3) uint8 RGB each, any sizes, at least one; one alone without a label is kept as it is.
        labels: a text below each, with line breaks, or None.   height: that they are scaled to, pixels.
    Returns:
        (height or more, W, 3) uint8 RGB.
    """
    from PIL import Image, ImageDraw

    if len(pictures) == 1 and labels is None:
        return pictures[0]
    widths = [max(1, round(own.shape[1] * height / own.shape[0])) for own in pictures]
    total = (sum(widths) + _GAP * (len(widths) - 1), height + (0 if labels is None else _LABEL_HEIGHT))
    sheet = Image.new("RGB", total, _GROUND)
    draw = ImageDraw.Draw(sheet)
    left = 0
    for number, (own, width) in enumerate(zip(pictures, widths, strict=True)):
        sheet.paste(Image.fromarray(own).resize((width, height), Image.Resampling.LANCZOS), (left, 0))
        if labels is not None:
            draw.text((left + 4, height + 4), labels[number], fill=_INK, font_size=_FONT)
        left += width + _GAP
    return np.asarray(sheet).copy()


def to_png(picture: NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 3) uint8 RGB as the content of a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()
