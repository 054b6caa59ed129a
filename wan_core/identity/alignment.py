"""Five landmarks of a face to the crops that recognisers and Lynx's reference pass were trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

#: Where ArcFace crops of 112 pixels have eyes, tip of the nose and corners of the mouth (left and right as seen).
TEMPLATE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
#: Lynx's reference picture shows more around the face: the template is moved down and shrunk around its middle.
EXTENDED_SHIFT, EXTENDED_RATIO = 10, 0.8
_FRACTION_BITS, _STEP_BITS, _WEIGHT_BITS = 5, 10, 15


def face_template(size: int, *, is_extended: bool = False) -> NDArray[np.float32]:
    """Places of the landmarks in a crop.

    Args:
        size: side of the crop, pixels; a multiple of 112 or 128.
        is_extended: Lynx's reference picture.
    Returns:
        (5, 2) float32, x and y.
    Raises:
        InputError: another size.
    Source: bytedance/lynx@3a6a91a modules/common/face_utils.py (estimate_norm, get_arcface_dst), after insightface.
    """
    points = np.array(TEMPLATE, dtype=np.float32)
    if is_extended:
        points[:, 1] += EXTENDED_SHIFT
        points = (points - np.float32(56)) * np.float32(EXTENDED_RATIO) + np.float32(56)
    if size > 0 and size % 112 == 0:
        return points * np.float32(size / 112)
    if size > 0 and size % 128 == 0:
        points = points * np.float32(size / 128)
        points[:, 0] += np.float32(8.0 * size / 128)
        return points
    raise InputError(
        f"face crop: expected a side that is a multiple of 112 or 128, got {size}. Use 112 or 256."
    )


def alignment_matrix(landmarks: NDArray[np.floating], template: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rotation, uniform scale and shift that bring landmarks closest to a template (least squares).

    Args:
        landmarks: (5, 2) in the picture, pixels.   template: (5, 2) of `face_template`.
    Returns:
        (2, 3) float64: picture -> crop.
    Raises:
        InputError: another shape, numbers that are not finite, or all landmarks in one place.
    Source: the transform that scikit-image's SimilarityTransform estimates (Umeyama, 1991), in closed form.
    """
    if landmarks.shape != (5, 2) or not np.isfinite(landmarks).all():
        raise InputError(
            f"landmarks: expected 5 finite points (x, y), got {landmarks.tolist()}. Detect the face again."
        )
    given = landmarks.astype(np.float64) @ np.array([1.0, 1.0j])
    wanted = template.astype(np.float64) @ np.array([1.0, 1.0j])
    centred = given - given.mean()
    spread = float((abs(centred) ** 2).sum())
    if spread < 1e-6:
        raise InputError("landmarks: expected 5 different points, got one. Detect the face again.")
    turn = complex((centred.conj() * (wanted - wanted.mean())).sum() / spread)
    shift = complex(wanted.mean() - turn * given.mean())
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def align_face(
    image: NDArray[np.uint8],
    landmarks: NDArray[np.floating],
    size: int = 112,
    *,
    is_extended: bool = False,
) -> NDArray[np.uint8]:
    """Cut a face out so that its landmarks lie where the template has them; black beyond the picture.

    Args:
        image: (H, W, 3) uint8 RGB.   landmarks: (5, 2) in it, pixels.
        size, is_extended: 112 for recognisers; 256, extended, for Lynx's reference picture.
    Returns:
        (size, size, 3) uint8 RGB.
    Raises:
        InputError: no picture, or landmarks that can not be used.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise InputError(
            f"photo: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}. Read it with read_photo."
        )
    matrix = alignment_matrix(landmarks, face_template(size, is_extended=is_extended))
    return warp_affine(image, matrix, size)


def warp_affine(image: NDArray[np.uint8], matrix: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """Bilinear warp in the fixed-point arithmetic of OpenCV's warpAffine: places to 1/32 pixel, weights to 1/1024.

    Args:
        image: (H, W, C).   matrix: (2, 3), picture -> result.   size: side of the result.
    Returns:
        (size, size, C) uint8, black where there is no picture.
    Source: opencv/opencv 4.10 modules/imgproc/src/imgwarp.cpp (what is rounded where).
    """
    inverse = _inverse(matrix)
    places = np.arange(size, dtype=np.float64)
    scale = float(1 << _STEP_BITS)
    half = 1 << (_STEP_BITS - _FRACTION_BITS - 1)
    across = np.rint(inverse[:, 0, None] * places * scale).astype(np.int64)
    down = np.rint((inverse[:, 1, None] * places + inverse[:, 2, None]) * scale).astype(np.int64) + half
    fine = (down[:, :, None] + across[:, None, :]) >> (_STEP_BITS - _FRACTION_BITS)
    whole, rest = fine >> _FRACTION_BITS, fine & ((1 << _FRACTION_BITS) - 1)
    one = 1 << _FRACTION_BITS
    unit = 1 << (_WEIGHT_BITS - 2 * _FRACTION_BITS)
    total = np.zeros((size, size, image.shape[2]), dtype=np.int64)
    for row in (0, 1):
        for column in (0, 1):
            weight = (rest[0] if column else one - rest[0]) * (rest[1] if row else one - rest[1]) * unit
            total += weight[..., None] * _pixels(image, whole[0] + column, whole[1] + row)
    return ((total + (1 << (_WEIGHT_BITS - 1))) >> _WEIGHT_BITS).clip(0, 255).astype(np.uint8)


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    (a, b, x), (c, d, y) = matrix.tolist()
    unit = 1.0 / (a * d - b * c)
    p, q, r, s = d * unit, -b * unit, -c * unit, a * unit
    return np.array([[p, q, -p * x - q * y], [r, s, -r * x - s * y]])


def _pixels(
    image: NDArray[np.uint8], columns: NDArray[np.int64], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    height, width = image.shape[:2]
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    found = image[rows.clip(0, height - 1), columns.clip(0, width - 1)].astype(np.int64)
    return found * inside[..., None]
