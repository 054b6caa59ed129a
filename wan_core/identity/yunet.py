"""OpenCV's YuNet, a detector whose weights may be used commercially, from a file of the user's."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingDependencyError
from .insight import FaceFinder
from .views import SeenFace

_LEAST_SCORE = 0.6
_SAME_FACE_OVERLAP = 0.3
_MOST_FACES = 5000
_LONG_SIDE = 640


def has_opencv() -> bool:
    """Whether OpenCV is installed; which of its packages does not matter."""
    return find_spec("cv2") is not None


def open_yunet(file: Path) -> FaceFinder:
    """Load a YuNet model.

    Args:
        file: `face_detection_yunet_*.onnx` of OpenCV's model zoo (MIT).
    Returns:
        The detector; pictures are scaled to at most 640 pixels a side, as it was trained on that size.
    Raises:
        MissingDependencyError: OpenCV is missing.
        InputError: no file, or another model.
    Source: opencv/opencv 5.0 modules/objdetect FaceDetectorYN (rows: box, right eye, left eye, nose, right and left
        corner of the mouth, score; right is the person's own, so left as seen).
    """
    if not has_opencv():
        raise MissingDependencyError(
            "YuNet: expected OpenCV, got none installed. Run: pip install opencv-python-headless"
        )
    if not file.is_file():
        raise InputError(
            f"YuNet: expected its model face_detection_yunet_2023mar.onnx, got no file at {file}. Get it from OpenCV's "
            "model zoo and name it."
        )
    opencv: Any = import_module("cv2")
    try:
        detector = opencv.FaceDetectorYN.create(
            str(file), "", (_LONG_SIDE, _LONG_SIDE), _LEAST_SCORE, _SAME_FACE_OVERLAP, _MOST_FACES
        )
    except opencv.error as error:
        raise _not_yunet(file, error) from error

    def find(image: NDArray[np.uint8]) -> list[SeenFace]:
        height, width = image.shape[:2]
        scale = min(1.0, _LONG_SIDE / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        bgr = np.ascontiguousarray(image[:, :, ::-1])
        try:
            detector.setInputSize(size)
            _, rows = detector.detect(opencv.resize(bgr, size, interpolation=opencv.INTER_AREA))
        except opencv.error as error:
            raise _not_yunet(file, error) from error
        back = np.array([width / size[0], height / size[1]])
        faces: list[SeenFace] = []
        for row in np.zeros((0, 15)) if rows is None else np.asarray(rows, dtype=np.float64):
            left, top, wide, high = (row[:4].reshape(2, 2) * back).reshape(4).tolist()
            points = (row[4:14].reshape(5, 2) * back).astype(np.float32)
            faces.append(SeenFace(points, left, top, wide, high, float(row[14])))
        return sorted(faces, key=lambda face: face.width * face.height, reverse=True)

    return find


def _not_yunet(file: Path, error: Exception) -> InputError:
    return InputError(
        f"YuNet: expected face_detection_yunet_*.onnx, got a model that OpenCV can not use "
        f"({' '.join(str(error).split())}) in {file}. Get the file from OpenCV's model zoo."
    )
