"""Faces with their five landmarks, by an SCRFD model of insightface that is installed, and a picture of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .insight import open_scrfd
from .views import SeenFace

_BOX, _CHOSEN, _POINT = (255, 196, 0), (0, 220, 90), (255, 40, 40)


def find_views(
    image: NDArray[np.uint8], model_file: Path | None = None, *, is_lynx: bool = False
) -> list[SeenFace]:
    """Find faces and their landmarks.

    Args:
        image: (H, W, 3) uint8 RGB.
        model_file: an SCRFD model with landmarks (`det_10g.onnx` of buffalo_l); None for the one that is installed.
        is_lynx: as Lynx's code does it, which hands red and blue to the detector the other way round than the detector
            is made for; its landmarks, and so the crops, then are the ones that Lynx was trained with.
    Returns:
        The faces, largest first; empty where there is none.
    Raises:
        InputError: no picture, or a model without landmarks.
        MissingDependencyError: insightface, onnxruntime or a model is missing.
    Source: bytedance/lynx@3a6a91a modules/common/face_encoder.py (640 x 640, largest box).
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise InputError(
            f"photo: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}. Read it with read_photo."
        )
    return open_scrfd(model_file, is_lynx=is_lynx)(image)


class Marked(Protocol):
    """A face to draw: `views.SeenFace` or `boxes.FaceBox`."""

    @property
    def left(self) -> float:
        """Pixels."""
        ...

    @property
    def top(self) -> float:
        """Pixels."""
        ...

    @property
    def width(self) -> float:
        """Pixels."""
        ...

    @property
    def height(self) -> float:
        """Pixels."""
        ...

    @property
    def landmarks(self) -> NDArray[np.float32] | None:
        """(5, 2), or None."""
        ...


def draw_views(
    image: NDArray[np.uint8], faces: Sequence[Marked], chosen: Marked | None = None
) -> NDArray[np.uint8]:
    """Show what was seen: box, number (1 is the largest), size in pixels and landmarks of each face.

    Args:
        image: (H, W, 3) uint8 RGB.   faces: of a detector.   chosen: the one that is used, in green.
    Returns:
        A copy with the marks.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    line = max(1, round(max(image.shape[:2]) / 320))
    for number, face in enumerate(sorted(faces, key=lambda own: own.width * own.height, reverse=True), 1):
        colour = _CHOSEN if face is chosen else _BOX
        corners = (face.left, face.top, face.left + face.width, face.top + face.height)
        draw.rectangle(corners, outline=colour, width=line)
        label = f"{number}  {face.width:.0f}x{face.height:.0f}"
        place = (max(0.0, face.left) + 2 * line, max(0.0, face.top) + line)
        draw.text(place, label, fill=colour, font_size=12 * line, stroke_width=line, stroke_fill=(0, 0, 0))
        for x, y in () if face.landmarks is None else face.landmarks.tolist():
            draw.ellipse((x - line, y - line, x + line, y + line), fill=_POINT)
    return np.asarray(picture).copy()
