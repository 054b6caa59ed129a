"""Frontal faces by scikit-image's bundled LBP cascade: no download, no landmarks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..errors import MissingDependencyError
from .boxes import FaceBox, as_channels_first, overlap

_WORK_SIDES = (240, 320, 420, 560, 720)
_SCORE_NEEDED = 0.8
_SMALLEST_SHARE = 1 / 24
_WINDOW = 24  # side of the cascade's own window, pixels
_SURE_WIDTH = 30  # a face at least this wide at a work size should be found there
_SAME_FACE_OVERLAP = 0.35
#: The second looks: degrees, and widths of the face in pixels, every other one mirrored. Each shows the face and
#: as much around it; they are cut from a picture a little larger, so that no corner is empty.
_LOOK_TURNS, _LOOK_WIDTHS = (-10.0, -6.0, -3.0, 3.0, 6.0, 10.0), (44, 62)
_LOOK_FACTOR, _LOOK_SPARE, _LOOK_SIDE = 2.0, 1.2, 180
_LOOKS_NEEDED = 0.55
_OFF_CENTRE = 0.3  # of its width a face may seem to have moved


def find_faces(image: Tensor | NDArray[np.uint8]) -> list[FaceBox]:
    """Find frontal faces with scikit-image's bundled LBP cascade.

    The cascade runs at five work sizes; a face counts when it is found at four fifths of the sizes at which it is
    large enough (three at least). Every second size shows the mirrored picture: faces are nearly symmetric, the
    cascade's false alarms on textures are not. What is left is looked at again, turned a little either way; false
    alarms mostly vanish then (of the pictures that this was tried on: 0.5 and less of the looks, faces 0.58 and more).

    Args:
        image: (H, W, 3) uint8 RGB.
    Returns:
        The faces, largest first, scored by the share of looks; empty where there is none. Faces
        narrower than about a twentieth of the picture's longer side are not looked for.
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
            "Run: pip install scikit-image, or use another --detector or --face whole."
        ) from error
    pixels = as_channels_first(image)
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
    likely = [face for cluster in clusters if (face := _merge(cluster, longest)).score >= _SCORE_NEEDED]
    seen = [replace(face, score=_share_of_looks(cascade, pixels, face)) for face in likely]
    return sorted(
        (face for face in seen if face.score >= _LOOKS_NEEDED), key=lambda face: face.area, reverse=True
    )


def _resize(pixels: Tensor, shape: tuple[int, int]) -> Tensor:
    scaled = functional.interpolate(pixels[None].float(), size=shape, mode="bilinear", antialias=True)[0]
    return scaled.round().clamp(0, 255).to(torch.uint8)


def _share_of_looks(cascade: Any, pixels: Tensor, face: FaceBox) -> float:
    """Share of the second looks at a face in which it is found where it should be."""
    from PIL import Image, ImageOps

    reach = max(face.width, face.height) * _LOOK_FACTOR / 2
    margin = reach * _LOOK_SPARE
    x, y = face.left + face.width / 2, face.top + face.height / 2
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    around = picture.crop((round(x - margin), round(y - margin), round(x + margin), round(y + margin)))
    whole, cut = round(_LOOK_SIDE * _LOOK_SPARE), round(_LOOK_SIDE * (_LOOK_SPARE - 1) / 2)
    is_small = 2 * margin < whole
    around = around.resize((whole, whole), Image.Resampling.BICUBIC if is_small else Image.Resampling.LANCZOS)
    found = 0
    for row, turn in enumerate(_LOOK_TURNS):
        turned = around.rotate(turn, resample=Image.Resampling.BICUBIC).crop(
            (cut, cut, whole - cut, whole - cut)
        )
        for column, width in enumerate(_LOOK_WIDTHS):
            side = round(width * _LOOK_FACTOR)
            look = turned.resize((side, side), Image.Resampling.LANCZOS)
            hits = cascade.detect_multi_scale(
                img=np.asarray(look if (row + column) % 2 else ImageOps.mirror(look)),
                scale_factor=1.2,
                step_ratio=1,
                min_size=(round(0.6 * width),) * 2,
                max_size=(round(1.6 * width),) * 2,
            )
            found += any(
                abs(hit["c"] + hit["width"] / 2 - side / 2) < _OFF_CENTRE * width
                and abs(hit["r"] + hit["height"] / 2 - side / 2) < _OFF_CENTRE * width
                for hit in hits
            )
    return found / (len(_LOOK_TURNS) * len(_LOOK_WIDTHS))


def _add_to_cluster(clusters: list[dict[int, FaceBox]], side: int, box: FaceBox, longest: int) -> None:
    """Put a hit with the hits on the same face at other work sizes; one hit a size."""
    for cluster in clusters:
        if overlap(_merge(cluster, longest), box) >= _SAME_FACE_OVERLAP:
            cluster.setdefault(side, box)
            return
    clusters.append({side: box})


def _merge(cluster: dict[int, FaceBox], longest: int) -> FaceBox:
    """Return the median box of the hits on one face, scored against the sizes at which it should be found."""
    rows = np.array([(box.left, box.top, box.width, box.height) for box in cluster.values()])
    left, top, width, height = (float(value) for value in np.median(rows, axis=0))
    sure = sum(width * side / longest >= _SURE_WIDTH for side in _WORK_SIDES)
    return FaceBox(left, top, width, height, score=min(1.0, len(cluster) / max(3, sure)))
