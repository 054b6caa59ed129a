"""Where a head looks, from five landmarks of its face."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ShapeError

#: Eyes, tip of the nose and corners of the mouth of a usual face that looks at the camera: right, down and towards the
#: camera, in distances between the eyes. Right and down are those of the template that ArcFace's crops are aligned to.
FACE_POINTS = (
    (-0.50, 0.00, 0.00),
    (0.50, 0.00, 0.00),
    (0.00, 0.57, 0.50),
    (-0.41, 1.16, 0.12),
    (0.41, 1.16, 0.12),
)
_ROUNDS = 20


class HeadPose(NamedTuple):
    """Degrees: `yaw` > 0 looks to the right of the picture, `pitch` > 0 up, `roll` > 0 leans clockwise."""

    yaw: float
    pitch: float
    roll: float


class PoseRange(NamedTuple):
    """Smallest and largest of each angle over a clip, degrees."""

    yaw: tuple[float, float]
    pitch: tuple[float, float]
    roll: tuple[float, float]


def head_pose(landmarks: NDArray[np.floating]) -> HeadPose:
    """Fit a usual face to five landmarks, under parallel projection with one scale.

    The fit is exact for a face of `FACE_POINTS`' shape. People's noses and chins differ: the angles of one face are
    comparable with one another within about a degree, but may be off by some degrees as a whole, pitch most of all.

    Args:
        landmarks: (5, 2), eyes, tip of the nose, corners of the mouth (left and right as seen), pixels.
    Returns:
        The angles; beyond about 60 degrees of yaw or 40 of pitch landmarks are guesses, and so are the angles.
    Raises:
        ShapeError: not five finite points, or all in one place.
    """
    if landmarks.shape != (5, 2) or not np.isfinite(landmarks).all() or float(np.ptp(landmarks)) < 1e-6:
        raise ShapeError(
            f"landmarks: expected 5 different finite points (x, y), got {landmarks.tolist()}. Detect the face again."
        )
    model = np.array(FACE_POINTS, dtype=np.float64)
    model = model - model.mean(axis=0)
    seen = landmarks.astype(np.float64) - landmarks.astype(np.float64).mean(axis=0)
    turn = _nearest_rotation(np.linalg.lstsq(model, seen, rcond=None)[0].T)
    # The two rows of a linear fit are not those of a rotation; what its nearest one leaves over is fitted turn by turn.
    for _ in range(_ROUNDS):
        turned = model @ turn.T
        flat = turned[:, :2]
        scale = float((flat * seen).sum() / (flat * flat).sum())
        left = (seen - scale * flat).ravel()
        slopes = np.stack(
            [
                scale * np.stack((np.zeros(5), -turned[:, 2]), axis=1).ravel(),
                scale * np.stack((turned[:, 2], np.zeros(5)), axis=1).ravel(),
                scale * np.stack((-turned[:, 1], turned[:, 0]), axis=1).ravel(),
                flat.ravel(),
            ],
            axis=1,
        )
        change = np.linalg.lstsq(slopes, left, rcond=None)[0]
        turn = _rotation(change[:3]) @ turn
        if float(np.abs(change[:3]).max()) < 1e-9:
            break
    return _angles(turn)


def pose_range(poses: Sequence[HeadPose]) -> PoseRange | None:
    """Smallest and largest angles, None where there is no pose."""
    if not poses:
        return None
    yaw, pitch, roll = ((min(values), max(values)) for values in zip(*poses, strict=True))
    return PoseRange(yaw, pitch, roll)


def _rotation(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation by a vector of angles about the three axes (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def _nearest_rotation(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation whose first two rows are nearest to two given ones, but for scale; (2, 3) -> (3, 3)."""
    left, _, right = np.linalg.svd(rows, full_matrices=False)
    first, second = left @ right
    return np.stack((first, second, np.cross(first, second)))


def _angles(turn: NDArray[np.float64]) -> HeadPose:
    across, down, near = turn[:, 2].tolist()
    yaw, pitch = math.atan2(across, near), math.asin(min(1.0, max(-1.0, -down)))
    about_up = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    about_right = np.array(
        [[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]]
    )
    rest = (about_up @ about_right).T @ turn
    roll = math.atan2(float(rest[1, 0]), float(rest[0, 0]))
    return HeadPose(*(math.degrees(angle) for angle in (yaw, pitch, roll)))
