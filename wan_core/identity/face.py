"""Find the faces of a picture, choose one and cut it out for the face encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..errors import InputError, MissingDependencyError, ShapeError
from .insight import detect, installed_detector

FaceChoice = int | Literal["auto", "whole"]
"""Which face to use: its number (1 is the largest), "auto" (the largest), or "whole" (the picture is the face)."""

_WORK_SIDES = (240, 320, 420, 560, 720)
_SCORE_NEEDED = 0.8
_SMALLEST_SHARE = 1 / 24
_WINDOW = 24  # side of the cascade's own window, pixels
_SURE_WIDTH = 30  # a face at least this wide at a work size should be found there
_SAME_FACE_OVERLAP = 0.35


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A face in a picture.

    Attributes:
        left, top, width, height: the box from brows to chin, in pixels of the picture.
        score: share of the work sizes at which the face should be found and was, in (0, 1].
        is_whole: the box is the whole picture by the user's choice, not a detection.
    """

    left: float
    top: float
    width: float
    height: float
    score: float = 1.0
    is_whole: bool = False

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height


class FaceCrop(NamedTuple):
    """A face cut out: `pixels` (3, size, size) in [-1, 1], the `box` it came from, `notes` for the user."""

    pixels: Tensor
    box: FaceBox
    notes: tuple[str, ...]


def find_faces(image: Tensor | NDArray[np.uint8]) -> list[FaceBox]:
    """Find frontal faces with scikit-image's bundled LBP cascade.

    The cascade runs at five work sizes; a face counts when it is found at four fifths of the sizes at which it is
    large enough (three at least). Every second size shows the mirrored picture: faces are nearly symmetric, the
    cascade's false alarms on textures are not.

    Args:
        image: (H, W, 3) uint8 RGB.
    Returns:
        The faces, largest first; empty where there is none. Faces narrower than about a twentieth of the picture's
        longer side are not looked for.
    Raises:
        ShapeError: not (H, W, 3) uint8.
        MissingDependencyError: scikit-image is not installed.
    """
    try:
        from skimage.data import lbp_frontal_face_cascade_filename
        from skimage.feature import Cascade
    except ImportError as error:
        raise MissingDependencyError(
            "scikit-image: expected to be installed for finding faces, got an import error. "
            "Run: pip install scikit-image, or use the whole picture as the face (--face whole)."
        ) from error
    pixels = _as_channels_first(image)
    longest = max(pixels.shape[1:])
    cascade = Cascade(lbp_frontal_face_cascade_filename())
    clusters: list[dict[int, FaceBox]] = []
    for number, side in enumerate(_WORK_SIDES):
        scale = side / longest
        shape = [max(1, round(length * scale)) for length in pixels.shape[1:]]
        if min(shape) < _WINDOW:
            continue
        work = _resize(pixels, (shape[0], shape[1]))
        is_mirrored = number % 2 == 1
        if is_mirrored:
            work = work.flip(-1)
        smallest = max(_WINDOW, round(side * _SMALLEST_SHARE))
        hits = cascade.detect_multi_scale(
            img=work.permute(1, 2, 0).contiguous().numpy(),
            scale_factor=1.2,
            step_ratio=1,
            min_size=(smallest, smallest),
            max_size=(side, side),
        )
        for hit in hits:
            left = shape[1] - hit["c"] - hit["width"] if is_mirrored else hit["c"]
            box = FaceBox(left / scale, hit["r"] / scale, hit["width"] / scale, hit["height"] / scale)
            _add_to_cluster(clusters, side, box, longest)
    faces = [face for cluster in clusters if (face := _merge(cluster, longest)).score >= _SCORE_NEEDED]
    return sorted(faces, key=lambda face: face.area, reverse=True)


def whole_face(image: Tensor | NDArray[np.uint8]) -> FaceBox:
    """Return the box that makes `crop_face` take the largest centred square of the picture.

    Args:
        image: (H, W, 3) uint8 RGB.
    Returns:
        The box, marked `is_whole`.
    Raises:
        ShapeError: not (H, W, 3) uint8.
    """
    height, width = _as_channels_first(image).shape[1:]
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
    pixels = _as_channels_first(image)
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


def read_face(image: Tensor | NDArray[np.uint8], choice: FaceChoice = "auto", size: int = 64) -> FaceCrop:
    """Find, choose and cut out the face of a picture: the path that every reference photo takes.

    Where the cascade finds nothing and insightface is installed with a model, that is asked too, with a note.

    Args:
        image: (H, W, 3) uint8 RGB.
        choice: "auto" for the largest face, its number from 1, or "whole" for the whole picture (drawn portraits, on
            which a detector made for photographs often finds nothing). "auto" never falls back to "whole" by itself.
        size: side of the crop, pixels.
    Returns:
        The crop, its box and notes for the user.
    Raises:
        InputError: no face found, or no face of that number.
    """
    if choice == "whole":
        box = whole_face(image)
        return FaceCrop(crop_face(image, box, size), box, ("the whole picture is used as the face.",))
    faces, notes = find_faces(image), []
    model_file = None if faces else installed_detector()
    if model_file is not None:
        pixels = _as_channels_first(image).permute(1, 2, 0).contiguous().numpy()
        faces = [FaceBox(*values) for values in detect(pixels, model_file)]
        notes.append(f"the face was found by insightface ({model_file.parent.name}), not by the cascade.")
    box, note = choose_face(faces, None if choice == "auto" else choice)
    if note:
        notes.append(note)
    return FaceCrop(crop_face(image, box, size), box, tuple(notes))


def _as_channels_first(image: Tensor | NDArray[np.uint8]) -> Tensor:
    pixels = image.cpu() if isinstance(image, Tensor) else torch.from_numpy(np.array(image))
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != torch.uint8 or 0 in pixels.shape:
        raise ShapeError(
            f"image: expected (H, W, 3) uint8 RGB, got {tuple(pixels.shape)} {pixels.dtype}. "
            "Read photos with wan_core.media.photos.read_photo."
        )
    return pixels.permute(2, 0, 1)


def _resize(pixels: Tensor, shape: tuple[int, int]) -> Tensor:
    scaled = functional.interpolate(pixels[None].float(), size=shape, mode="bilinear", antialias=True)[0]
    return scaled.round().clamp(0, 255).to(torch.uint8)


def _overlap(first: FaceBox, second: FaceBox) -> float:
    """Return intersection over union of two boxes."""
    width = min(first.left + first.width, second.left + second.width) - max(first.left, second.left)
    height = min(first.top + first.height, second.top + second.height) - max(first.top, second.top)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (first.area + second.area - width * height)


def _add_to_cluster(clusters: list[dict[int, FaceBox]], side: int, box: FaceBox, longest: int) -> None:
    """Put a hit with the hits on the same face at other work sizes; one hit a size."""
    for cluster in clusters:
        if _overlap(_merge(cluster, longest), box) >= _SAME_FACE_OVERLAP:
            cluster.setdefault(side, box)
            return
    clusters.append({side: box})


def _merge(cluster: dict[int, FaceBox], longest: int) -> FaceBox:
    """Return the median box of the hits on one face, scored against the sizes at which it should be found."""
    rows = np.array([(box.left, box.top, box.width, box.height) for box in cluster.values()])
    left, top, width, height = (float(value) for value in np.median(rows, axis=0))
    sure = sum(width * side / longest >= _SURE_WIDTH for side in _WORK_SIDES)
    return FaceBox(left, top, width, height, score=min(1.0, len(cluster) / max(3, sure)))
