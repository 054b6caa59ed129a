"""Figures of a clip from what was seen in each frame, and the alarm for a picture that is only moved about."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from wan_core.report.likeness import FaceTrack, picture_sameness, summarise_track
from wan_core.report.pose import HeadPose
from wan_core.report.voice import SimilarityScale

SCALE = SimilarityScale("a test", same=0.9, strangers=0.1)


def track(
    similarity: list[float | None],
    sameness: float = 0.0,
    poses: list[HeadPose] | None = None,
    reference: HeadPose | None = None,
) -> FaceTrack:
    return FaceTrack(
        similarity=tuple(similarity),
        width=None,
        poses=None if poses is None else tuple(poses),
        reference_pose=reference,
        sameness=tuple(None if value is None else sameness for value in similarity),
    )


def test_figures_of_a_clip() -> None:
    found = summarise_track(track([0.9, 0.8, None, 0.6, 0.5]), SCALE, 2)
    assert found is not None
    assert (found.seen, found.lowest) == (0.8, 0.5)
    assert found.mean == pytest.approx(0.7)
    # it falls by 0.1 a frame of half a second, the frame without a face included
    assert found.drift == pytest.approx(-0.2)
    assert found.p5 == pytest.approx(0.515)
    assert found.score == pytest.approx(0.75)
    assert found.pose is None and found.width is None


def test_nobody_and_two_frames() -> None:
    assert summarise_track(track([None, None]), SCALE, 8) is None
    found = summarise_track(track([0.05, 0.05]), SCALE, 8)
    assert found is not None
    assert found.drift is None and found.score == 0.0


def test_alarm_needs_likeness_and_a_frozen_picture() -> None:
    alike, strange = [0.9] * 10, [0.2] * 10
    for similarity, sameness, expected in (
        (alike, 0.98, True),
        (alike, 0.9, False),
        (strange, 0.98, False),
    ):
        found = summarise_track(track(similarity, sameness), SCALE, 8)
        assert found is not None
        assert found.copy_paste.alarm is expected
        assert found.copy_paste.same_pose is None


def test_a_head_that_turns_is_no_copy() -> None:
    reference = HeadPose(5.0, 0.0, 0.0)
    still = [HeadPose(5.0 + 0.5 * number, 1.0, -1.0) for number in range(10)]
    turning = [HeadPose(5.0 + 4 * number, 1.0, -1.0) for number in range(10)]
    for poses, share, expected in ((still, 1.0, True), (turning, 0.2, False)):
        found = summarise_track(track([0.9] * 10, 0.98, poses, reference), SCALE, 8)
        assert found is not None
        assert found.copy_paste.alarm is expected
        assert found.copy_paste.same_pose == share
    assert found is not None and found.pose is not None
    assert found.pose.yaw == (5.0, 41.0) and found.pose.roll == (-1.0, -1.0)


def test_sameness_finds_the_piece_wherever_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    face = functional.interpolate(torch.rand(1, 3, 8, 8, generator=generator), size=(26, 22), mode="bicubic")[
        0
    ]
    pictures = torch.rand(4, 3, 48, 48, generator=generator) * 0.2
    pictures[0, :, 5:31, 9:31] = face
    pictures[1, :, 20:46, 3:25] = 0.5 * face + 0.3
    pictures[2, :, 5:31, 9:31] = face.flip(-1)
    found = picture_sameness(face, pictures)
    assert found[:2].tolist() == pytest.approx([1.0, 1.0], abs=1e-3)
    assert found[2] < 0.7 and found[3] < 0.6
