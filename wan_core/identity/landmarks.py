"""Faces with their five landmarks, by an SCRFD model of insightface that is installed, and a picture of them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingDependencyError
from .insight import installed_detector
from .views import SeenFace

_LEAST_SCORE = 0.5
_WORK_SIZE = (640, 640)
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
    file = model_file or installed_detector()
    if file is None:
        raise MissingDependencyError(
            "face landmarks: expected insightface, onnxruntime and a detection model (.insightface/models/*/det_*.onnx "
            "in your home folder), got not all of them. Run: pip install insightface onnxruntime, then get buffalo_l."
        )
    # by name: the package is optional, and type checkers look for the imports that they see
    zoo: Any = import_module("insightface.model_zoo")
    detector = zoo.get_model(str(file), providers=["CPUExecutionProvider"])
    detector.prepare(ctx_id=-1, input_size=_WORK_SIZE, det_thresh=_LEAST_SCORE)
    boxes, points = detector.detect(np.ascontiguousarray(image if is_lynx else image[:, :, ::-1]))
    if points is None:
        raise InputError(
            f"face detector: expected landmarks, got boxes alone of {file.name}. Use det_10g.onnx."
        )
    faces = [
        SeenFace(np.asarray(own, dtype=np.float32), left, top, right - left, bottom - top, score)
        for (left, top, right, bottom, score), own in zip(
            np.asarray(boxes)[:, :5].tolist(), points, strict=True
        )
    ]
    return sorted(faces, key=lambda face: face.width * face.height, reverse=True)


def draw_views(
    image: NDArray[np.uint8], faces: Sequence[SeenFace], chosen: SeenFace | None = None
) -> NDArray[np.uint8]:
    """Show what was seen: each face's box, number (1 is the largest) and landmarks; the chosen one in green.

    Args:
        image: (H, W, 3) uint8 RGB.   faces: of `find_views`.   chosen: of `choose_view`.
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
        draw.text((face.left + 2 * line, face.top + line), str(number), fill=colour, font_size=12 * line)
        for x, y in face.landmarks.tolist():
            draw.ellipse((x - line, y - line, x + line, y + line), fill=_POINT)
    return np.asarray(picture).copy()
