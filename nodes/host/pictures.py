"""Detectors of faces in ComfyUI's folders, and pictures that go with an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import folder_paths

from ...wan_core.errors import InputError
from ...wan_core.identity.detectors import Detector, DetectorName
from ...wan_core.identity.faces_picture import to_png
from ...wan_core.identity.insight import find_model, installed_detector
from ...wan_core.media import write_bytes

SCRFD_FOLDER, YUNET_FOLDER = "insightface", "face_detection"


def face_detector(name: DetectorName) -> Detector:
    """A detector with its model: SCRFD's from models/insightface or the user's own folder, YuNet's from
    models/face_detection.

    Raises: InputError: there is no model of YuNet.
    """
    if name == "scrfd":
        own = find_model(Path(folder_paths.models_dir) / SCRFD_FOLDER)
        return Detector(name=name, model=None if installed_detector() is not None else own)
    if name != "yunet":
        return Detector(name=name)
    folder = Path(folder_paths.models_dir) / YUNET_FOLDER
    files = sorted(folder.glob("*yunet*.onnx")) if folder.is_dir() else []
    if not files:
        raise InputError(
            f"face detector yunet: expected face_detection_yunet_2023mar.onnx in models/{YUNET_FOLDER}, got none. Put "
            "the file of OpenCV's model zoo there."
        )
    return Detector(name=name, model=files[-1])


def keep_picture(picture: Any) -> str:
    """Write a picture (H, W, 3) uint8 into ComfyUI's temporary folder, and return where it is."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return str(write_bytes(folder / "wan_r2v_faces.png", to_png(picture)))
