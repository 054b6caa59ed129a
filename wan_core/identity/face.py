"""Find the faces of a picture, choose one and cut it out for the face encoder."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..errors import FaceError, InputError
from .boxes import FaceBox, as_array, as_channels_first
from .cascade import find_faces
from .detectors import Detector, find_boxes
from .landmarks import draw_views
from .views import SeenFace, check_view

__all__ = [
    "FaceBox",
    "FaceChoice",
    "FaceCrop",
    "choose_face",
    "crop_face",
    "find_faces",
    "read_face",
    "whole_face",
]

FaceChoice = int | Literal["auto", "whole"]
"""Which face to use: its number (1 is the largest), "auto" (the largest), or "whole" (the picture is the face)."""

#: Least side of a face that has no landmarks, pixels from brows to chin: about nine between the eyes.
LEAST_SIDE = 20.0


class FaceCrop(NamedTuple):
    """A face cut out.

    pixels: (3, size, size) in [-1, 1].   box: where it was.   notes: for the user.
    seen: (H, W, 3) uint8 RGB, the photo with all faces marked, the chosen one in green.
    """

    pixels: Tensor
    box: FaceBox
    notes: tuple[str, ...]
    seen: NDArray[np.uint8]


def whole_face(image: Tensor | NDArray[np.uint8]) -> FaceBox:
    """Return the box that makes `crop_face` take the largest centred square of the picture.

    Args:
        image: (H, W, 3) uint8 RGB.
    Returns:
        The box, marked `is_whole`.
    Raises:
        ShapeError: not (H, W, 3) uint8.
    """
    height, width = as_channels_first(image).shape[1:]
    side = min(height, width)
    return FaceBox((width - side) / 2, (height - side) / 2, side, side, is_whole=True)


def choose_face(boxes: list[FaceBox], index: int | None = None) -> tuple[FaceBox, str]:
    """Choose one face.

    Args:
        boxes: faces, largest first (`find_faces`).
        index: number of the face, 1 is the largest; None takes the largest.
    Returns:
        The face, and a note for the user; the note is empty where there was nothing to choose.
    Raises:
        InputError: no face, or no face of that number.
    """
    if not boxes:
        raise InputError(
            "photo: expected a frontal face, got none found. Use a photo that shows the face from the front and in "
            "good light, or, for a drawing or a close-up, treat the whole picture as the face with --face whole."
        )
    if index is None:
        if len(boxes) == 1:
            return boxes[0], ""
        return boxes[
            0
        ], f"{len(boxes)} faces found; the largest is used. Choose another with --face 2 and so on."
    if not 1 <= index <= len(boxes):
        raise InputError(
            f"face: expected a number from 1 to {len(boxes)} (1 is the largest), got {index}. "
            f"The photo has {len(boxes)} face{'s' if len(boxes) > 1 else ''}."
        )
    return boxes[index - 1], f"face {index} of {len(boxes)} is used (1 is the largest)."


def crop_face(image: Tensor | NDArray[np.uint8], box: FaceBox, size: int = 64, factor: float = 2.3) -> Tensor:
    """Cut a square around a face and scale it for the encoder.

    The square is `factor` times as wide as the face, so that hair, ears and chin are in it. Beyond the picture's edge
    the edge pixels are repeated. A box marked `is_whole` is taken as it is, without the factor.

    Args:
        image: (H, W, 3) uint8 RGB.
        box: the face.
        size: side of the result, pixels.
        factor: side of the square in widths of the face.
    Returns:
        (3, size, size) float32 in [-1, 1].
    Raises:
        ShapeError: not (H, W, 3) uint8.
        InputError: the square has less than one pixel inside the picture, or size or factor is not positive.
    """
    pixels = as_channels_first(image)
    if size < 1 or factor <= 0:
        raise InputError(
            f"crop: expected size >= 1 and factor > 0, got {size} and {factor}. Correct the numbers."
        )
    height, width = pixels.shape[1:]
    side = max(1, round(max(box.width, box.height) * (1.0 if box.is_whole else factor)))
    left = round(box.left + box.width / 2 - side / 2)
    top = round(box.top + box.height / 2 - side / 2)
    right, bottom = left + side, top + side
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        raise InputError(
            f"face box: expected inside the picture of {width}x{height}, got left {box.left:.0f}, top {box.top:.0f}. "
            "Find the face in this same picture."
        )
    inside = pixels[:, max(0, top) : min(height, bottom), max(0, left) : min(width, right)].float()
    padding = (max(0, -left), max(0, right - width), max(0, -top), max(0, bottom - height))
    # Scale down first where the crop is large, so that the padding of a huge picture costs no memory.
    shrink = min(1.0, 4 * size / side)
    if shrink < 1.0:
        padding = tuple(round(pad * shrink) for pad in padding)
        shape = [max(1, round(length * shrink)) for length in inside.shape[1:]]
        inside = functional.interpolate(inside[None], size=shape, mode="bilinear", antialias=True)[0]
    padded = functional.pad(inside[None], padding, mode="replicate") if any(padding) else inside[None]
    scaled = functional.interpolate(padded, size=(size, size), mode="bilinear", antialias=True)[0]
    return (scaled / 127.5 - 1.0).clamp(-1.0, 1.0)


def read_face(
    image: Tensor | NDArray[np.uint8],
    choice: FaceChoice = "auto",
    size: int = 64,
    detector: Detector | None = None,
) -> FaceCrop:
    """Find, choose and cut out the face of a picture: the path that every reference photo of nano takes.

    Args:
        image: (H, W, 3) uint8 RGB.
        choice: "auto" for the largest face, its number from 1, or "whole" for the whole picture (drawn portraits, on
            which a detector made for photographs often finds nothing). "auto" never falls back to "whole" by itself.
        size: side of the crop, pixels.
        detector: which one finds the faces; None for `Detector()`, see `find_boxes`.
    Returns:
        The crop, its box, notes for the user, and what was seen.
    Raises:
        FaceError: no face, no face of that number, one that is too small, or a profile; with what was seen.
        InputError, MissingDependencyError: the detector can not be used.
    """
    pixels = as_array(image)
    if choice == "whole":
        box = whole_face(image)
        note = "the whole picture is used as the face."
        return FaceCrop(crop_face(image, box, size), box, (note,), draw_views(pixels, [box], box))
    found = find_boxes(image, detector or Detector())
    try:
        box, note = choose_face(found.boxes, None if choice == "auto" else choice)
        _check_seen(box)
    except InputError as error:
        raise FaceError(str(error), draw_views(pixels, found.boxes)) from error
    notes = (*found.notes, note) if note else found.notes
    return FaceCrop(crop_face(image, box, size), box, notes, draw_views(pixels, found.boxes, box))


def _check_seen(box: FaceBox) -> None:
    """Refuse a face that is too small or turned away."""
    if box.landmarks is None:
        if box.width < LEAST_SIDE:
            raise InputError(
                f"photo: expected a face of at least {LEAST_SIDE:.0f} pixels from brows to chin, got {box.width:.0f}. "
                "Use a larger picture or one that is closer to the face."
            )
        return
    check_view(SeenFace(box.landmarks, box.left, box.top, box.width, box.height, box.score), where="photo")
