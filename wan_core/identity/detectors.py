"""Which detector finds the faces: chosen by name, never exchanged for another without a word."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from .boxes import FaceBox, as_array
from .cascade import find_faces
from .insight import FaceFinder, installed_detector, missing_packages, open_scrfd
from .views import SeenFace
from .yunet import has_opencv, open_yunet

DetectorName = Literal["auto", "scrfd", "yunet", "cascade"]
"""`scrfd`: insightface's, weights for research only. `yunet`: OpenCV's, free for any use. `cascade`: scikit-image's, no
download, frontal faces, no landmarks. `auto`: what `find_boxes` and `open_landmarks` say."""

DETECTORS: tuple[DetectorName, ...] = get_args(DetectorName)
_HEIGHT_SHARE = 0.8
_CENTRE_SHARE = 0.55


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """A choice of detector.

    Attributes:
        name: see `DetectorName`.
        model: file of YuNet; file or folder of SCRFD, None for the user's `.insightface/models`.
    Raises:
        InputError: an unknown name, YuNet without a file, or a file for a detector that reads none.
    """

    name: DetectorName = "auto"
    model: Path | None = None

    def __post_init__(self) -> None:
        if self.name not in DETECTORS:
            raise InputError(
                f"face detector: expected one of {', '.join(DETECTORS)}, got {self.name!r}. Choose one of them."
            )
        if self.name == "yunet" and self.model is None:
            raise InputError(
                "face detector yunet: expected the file of its model, got none. Give "
                "face_detection_yunet_2023mar.onnx of OpenCV's model zoo (--detector-model FILE)."
            )
        if self.name in ("auto", "cascade") and self.model is not None:
            raise InputError(
                f"face detector {self.name}: expected no model, got {self.model}. Choose scrfd or yunet with it."
            )


class FoundBoxes(NamedTuple):
    """Faces as squares from brows to chin, largest first, and notes for the user."""

    boxes: list[FaceBox]
    notes: tuple[str, ...]


class DetectorState(NamedTuple):
    """A detector here: its name, whether it works without further ado, and what is missing or used."""

    name: DetectorName
    is_ready: bool
    detail: str


def open_landmarks(detector: Detector, *, is_lynx: bool = False) -> FaceFinder:
    """Load a detector that gives landmarks; `auto` is SCRFD.

    Args:
        detector: the choice.   is_lynx: see `insight.open_scrfd`; YuNet is not affected.
    Raises:
        InputError: the cascade, which gives none, or a file that can not be used.
        MissingDependencyError: what the detector needs is not installed.
    """
    if detector.name == "cascade":
        raise InputError(
            "face detector cascade: expected one that gives landmarks, as this model aligns faces by them, got the "
            "cascade. Use scrfd or yunet."
        )
    if detector.name == "yunet" and detector.model is not None:
        return open_yunet(detector.model)
    return open_scrfd(detector.model, is_lynx=is_lynx)


def find_boxes(image: Tensor | NDArray[np.uint8], detector: Detector) -> FoundBoxes:
    """Find faces for an encoder that needs no landmarks (nano's).

    `auto` is the cascade; where it sees nothing and SCRFD is installed, that is asked, with a note.

    Args:
        image: (H, W, 3) uint8 RGB.   detector: the choice.
    Raises:
        ShapeError: another picture.   InputError, MissingDependencyError: the detector can not be used.
    """
    pixels = as_array(image)
    if detector.name in ("auto", "cascade"):
        faces = find_faces(pixels)
        model = installed_detector() if not faces and detector.name == "auto" else None
        if model is None:
            return FoundBoxes(faces, ())
        found = [box_of(face) for face in open_scrfd(model)(pixels)]
        note = f"the face was found by insightface ({model.parent.name}), not by the cascade."
        return FoundBoxes(found, (note,) if found else ())
    found = [box_of(face) for face in open_landmarks(detector)(pixels)]
    return FoundBoxes(sorted(found, key=lambda box: box.area, reverse=True), ())


def box_of(face: SeenFace) -> FaceBox:
    """A square from the brows to the chin, as the cascade's, of a box from the hairline to the chin.

    Args:
        face: of SCRFD or YuNet; crops then have the framing that nano's encoder knows.
    """
    side = max(face.width, _HEIGHT_SHARE * face.height)
    middle, centre = face.left + face.width / 2, face.top + _CENTRE_SHARE * face.height
    return FaceBox(
        middle - side / 2, centre - side / 2, side, side, score=face.score, landmarks=face.landmarks
    )


def detectors_here(home: Path | None = None) -> tuple[DetectorState, ...]:
    """What each detector lacks on this machine.

    Args:
        home: the user's folder; None for the one of this process.
    """
    model, missing = installed_detector(home), missing_packages()
    scrfd = (
        f"uses {model}"
        if model is not None
        else f"missing: pip install {' '.join(missing)}, and a model in .insightface/models"
        if missing
        else "missing: a model, .insightface/models/*/det_*.onnx in your home folder, or --detector-model"
    )
    yunet = (
        "needs its file: --detector-model face_detection_yunet_2023mar.onnx"
        if has_opencv()
        else "missing: pip install opencv-python-headless, and its file with --detector-model"
    )
    return (
        DetectorState("cascade", True, "bundled with scikit-image; frontal faces, no landmarks"),
        DetectorState("scrfd", model is not None, scrfd),
        DetectorState("yunet", False, yunet),
    )
