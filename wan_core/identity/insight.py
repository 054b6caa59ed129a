"""A second face detector where the user has installed one: insightface's SCRFD, which also sees turned faces.

Nothing is downloaded: it is used only where the package and one of its detection models are already there.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST_SCORE = 0.5
_WORK_SIZE = (640, 640)
_HEIGHT_SHARE = 0.8
_CENTRE_SHARE = 0.55


def installed_detector(home: Path | None = None) -> Path | None:
    """Find a detection model of insightface that can be used here.

    Args:
        home: the user's folder; None for the one of this process.
    Returns:
        The file, or None where the packages insightface and onnxruntime or a model are missing.
    """
    if find_spec("insightface") is None or find_spec("onnxruntime") is None:
        return None
    models = sorted(((home or Path.home()) / ".insightface" / "models").glob("*/det_*.onnx"))
    return models[0] if models else None


def detect(image: NDArray[np.uint8], model_file: Path) -> list[tuple[float, float, float, float, float]]:
    """Find faces with an SCRFD model.

    SCRFD's boxes reach from the hairline to the chin; they are cut to squares from the brows to the chin, as the
    cascade's are, so that crops have the framing that the encoder knows.

    Args:
        image: (H, W, 3) uint8 RGB.
        model_file: from `installed_detector`.
    Returns:
        left, top, side, side in pixels and a score in (0, 1], largest first.
    """
    # by name: the package is optional, and type checkers look for the imports that they see
    zoo: Any = import_module("insightface.model_zoo")
    detector = zoo.get_model(str(model_file), providers=["CPUExecutionProvider"])
    detector.prepare(ctx_id=-1, input_size=_WORK_SIZE, det_thresh=_LEAST_SCORE)
    boxes, _ = detector.detect(np.ascontiguousarray(image[:, :, ::-1]))
    faces: list[tuple[float, float, float, float, float]] = []
    for left, top, right, bottom, score in np.asarray(boxes, dtype=np.float64)[:, :5].tolist():
        side = max(right - left, _HEIGHT_SHARE * (bottom - top))
        middle, centre = (left + right) / 2, top + _CENTRE_SHARE * (bottom - top)
        faces.append((middle - side / 2, centre - side / 2, side, side, score))
    return sorted(faces, key=lambda face: face[2], reverse=True)
