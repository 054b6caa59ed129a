"""Angles that were put into landmarks come out again, with the signs that the docstring names."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wan_core.errors import ShapeError
from wan_core.identity.alignment import face_template
from wan_core.report.pose import FACE_POINTS, HeadPose, head_pose, pose_range


def project(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Landmarks of the model face, rolled, then nodded, then turned; 40 pixels between the eyes."""
    points = np.array(FACE_POINTS)
    c, s = math.cos(math.radians(roll)), math.sin(math.radians(roll))
    points = points @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
    c, s = math.cos(math.radians(pitch)), math.sin(math.radians(pitch))
    points = points @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T
    c, s = math.cos(math.radians(yaw)), math.sin(math.radians(yaw))
    points = points @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
    return points[:, :2] * 40 + np.array([300, 200])


@pytest.mark.parametrize(
    "angles", [(0, 0, 0), (25, 0, 0), (-40, 10, 5), (0, -20, 0), (15, 12, -30), (50, -25, 90)]
)
def test_angles_come_back(angles: tuple[float, float, float]) -> None:
    assert head_pose(project(*angles)) == pytest.approx(angles, abs=0.01)


def test_signs_as_seen() -> None:
    front, right, up = project(0, 0, 0), project(20, 0, 0), project(0, 20, 0)
    assert right[2, 0] > front[2, 0], "the tip of the nose goes to the right"
    assert up[2, 1] - up[:2, 1].mean() < front[2, 1] - front[:2, 1].mean(), "and up towards the eyes"
    leaning = project(0, 0, 20)
    assert leaning[1, 1] > leaning[0, 1], "clockwise: the right eye is the lower one"


def test_arcface_template_looks_at_the_camera() -> None:
    assert head_pose(face_template(112)) == pytest.approx((0, 0, 0), abs=2.0)


def test_one_wrong_pixel_costs_some_degrees_only() -> None:
    generator = np.random.default_rng(0)
    errors = [
        np.abs(np.subtract(head_pose(project(20, 5, 0) + generator.normal(0, 0.7, (5, 2))), (20, 5, 0))).max()
        for _ in range(50)
    ]
    assert np.mean(errors) < 5


def test_range_and_useless_landmarks() -> None:
    poses = [HeadPose(-3.0, 1.0, 0.0), HeadPose(8.0, -2.0, 4.0)]
    assert pose_range(poses) == ((-3.0, 8.0), (-2.0, 1.0), (0.0, 4.0))
    assert pose_range([]) is None
    with pytest.raises(ShapeError, match="expected 5 different finite points"):
        head_pose(np.full((5, 2), 3.0))
