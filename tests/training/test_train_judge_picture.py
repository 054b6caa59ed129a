from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training.judge_picture import POSE_READINGS, PictureJudge
from training.train_judge_picture import draw_lesson, judge_loss, train_frames, true_readings
from training.world.motion import rest_pose
from training.world.picture import paint
from training.world.shapes import Planes


class StopsAfter:
    """A painter that is cut off after some batches, as a run is."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def __call__(self, person: torch.Tensor, scene: torch.Tensor, size: int) -> tuple[Planes, torch.Tensor]:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return paint(person, scene, size)


def trained(checkpoint: Path, painter: object = paint) -> PictureJudge:
    torch.manual_seed(0)
    judge = PictureJudge()
    train_frames(judge, 2, 5, checkpoint, painter, every=1, batch=16)  # type: ignore[arg-type]
    return judge


def test_a_run_that_was_cut_off_ends_with_the_same_weights(tmp_path: Path):
    whole = trained(tmp_path / "whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "cut.safetensors", StopsAfter(1))
    resumed = trained(tmp_path / "cut.safetensors")
    untrained = PictureJudge().state_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert not torch.equal(untrained["factors.weight"], whole.state_dict()["factors.weight"])


def test_the_loss_is_zero_for_the_truth_and_blind_to_what_cannot_be_seen():
    lesson = draw_lesson(16, torch.Generator().manual_seed(1), paint)
    sure = torch.nn.functional.one_hot(lesson.scene, 8).float() * 100
    rows = slice(0, 16)
    true = (lesson.identity.factors, sure, lesson.pose)
    assert judge_loss(true, lesson, rows) < 1e-5
    hidden = lesson.identity.replace("beard_amount", 0.7).factors
    hidden = torch.where(lesson.identity.column("beard")[:, None] < 0, hidden, lesson.identity.factors)
    swung = lesson.pose.clone()
    swung[lesson.pose[:, POSE_READINGS.index("hand")] == 0, POSE_READINGS.index("hand_x")] = 9.0
    assert judge_loss((hidden, sure, swung), lesson, rows) < 1e-5
    assert judge_loss((lesson.identity.replace("jaw", 2.0).factors, sure, lesson.pose), lesson, rows) > 1e-3


def test_true_readings_follow_the_camera():
    pose = rest_pose(1, torch.device("cpu"))
    assert torch.allclose(true_readings(pose), torch.zeros(1, len(POSE_READINGS)))
    moved = true_readings(pose.map(lambda value: value + 0.1))[0]
    assert moved[0] == pytest.approx(0.1 * 1.1 + 0.1)
