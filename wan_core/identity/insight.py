"""insightface's SCRFD, where the user has installed it: a detector that also sees turned faces and gives landmarks.

Nothing is downloaded: it is used only where the packages and one of its detection models are already there.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, MissingDependencyError
from .views import SeenFace

FaceFinder = Callable[[NDArray[np.uint8]], list[SeenFace]]
"""(H, W, 3) uint8 RGB to the faces with their landmarks, largest first."""

_PACKAGES = ("insightface", "onnxruntime")
_MODELS = "det_*.onnx"
_LEAST_SCORE = 0.5
_WORK_SIZE = (640, 640)


def installed_detector(home: Path | None = None) -> Path | None:
    """Find a detection model of insightface that can be used here.

    Args:
        home: the user's folder; None for the one of this process.
    Returns:
        The file, or None where the packages insightface and onnxruntime or a model are missing.
    """
    if missing_packages():
        return None
    return find_model((home or Path.home()) / ".insightface" / "models")


def find_model(place: Path) -> Path | None:
    """A detection model: the file itself, or the first `det_*.onnx` of a folder and those below it; None for none.

    Args:
        place: a file or a folder.
    """
    if place.is_file():
        return place
    models = sorted(place.rglob(_MODELS)) if place.is_dir() else []
    return models[0] if models else None


def missing_packages() -> tuple[str, ...]:
    """Packages that SCRFD needs and that are not installed."""
    return tuple(name for name in _PACKAGES if find_spec(name) is None)


def open_scrfd(place: Path | None = None, *, is_lynx: bool = False) -> FaceFinder:
    """Load an SCRFD model.

    Args:
        place: a model with landmarks (`det_10g.onnx` of buffalo_l), or a folder with one; None for the user's
            `.insightface/models`.
        is_lynx: as Lynx's code does it, which hands red and blue to the detector the other way round than the detector
            is made for; its landmarks, and so the crops, then are the ones that Lynx was trained with.
    Returns:
        The detector.
    Raises:
        MissingDependencyError: insightface, onnxruntime or a model is missing.
        InputError: no model in the place given, or one without landmarks (when it is used).
    Source: bytedance/lynx@3a6a91a modules/common/face_encoder.py (640 x 640, largest box).
    """
    missing = missing_packages()
    file = None if missing else installed_detector() if place is None else find_model(place)
    if file is None and place is not None and not missing:
        raise InputError(
            f"face detector: expected an SCRFD model such as det_10g.onnx, got none at {place}. Name the file or its "
            "folder."
        )
    if file is None:
        lacking = f"no {' and '.join(missing)}" if missing else "no model"
        raise MissingDependencyError(
            "face landmarks: expected insightface, onnxruntime and a detection model (.insightface/models/*/det_*.onnx "
            f"in your home folder), got {lacking}. Run: pip install insightface onnxruntime, then get buffalo_l."
        )
    # by name: the package is optional, and type checkers look for the imports that they see
    zoo: Any = import_module("insightface.model_zoo")
    detector = zoo.get_model(str(file), providers=["CPUExecutionProvider"])
    detector.prepare(ctx_id=-1, input_size=_WORK_SIZE, det_thresh=_LEAST_SCORE)
    name = file.name

    def find(image: NDArray[np.uint8]) -> list[SeenFace]:
        boxes, points = detector.detect(np.ascontiguousarray(image if is_lynx else image[:, :, ::-1]))
        if points is None:
            raise InputError(
                f"face detector: expected landmarks, got boxes alone of {name}. Use det_10g.onnx."
            )
        rows = np.asarray(boxes)[:, :5].tolist()
        faces = [
            SeenFace(np.asarray(own, dtype=np.float32), left, top, right - left, bottom - top, score)
            for (left, top, right, bottom, score), own in zip(rows, points, strict=True)
        ]
        return sorted(faces, key=lambda face: face.width * face.height, reverse=True)

    return find
