from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from training.judge_picture import JUDGE_PATH, PictureJudge, load_picture_judge, save_picture_judge
from training.train_judge_picture import FRAMES, draw_lesson, draw_mouths
from training.world.identity import FACTOR_NAMES, face_factors, sample_identities
from training.world.motion import sample_motion
from training.world.picture import paint, render_clip
from training.world.scenes import sample_lights, sample_styles
from training.world.softness import soften
from wan_core.errors import CheckpointMismatchError, ShapeError
from wan_core.text.vocabulary import ACTIONS, SCENES

needs_weights = pytest.mark.skipif(not JUDGE_PATH.exists(), reason="the judge has not been trained")


def correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([first, second]))[0, 1].item()


@needs_weights
@pytest.mark.parametrize("softened", [False, True])
def test_the_shipped_judge_reads_fresh_drawings(softened: bool):
    judge = load_picture_judge()
    generator = torch.Generator().manual_seed(424_242)
    lesson = draw_lesson(512, generator, paint)
    readings = judge.read(soften(lesson.frames, generator) if softened else lesson.frames)
    slack = 0.05 if softened else 0.0
    assert (readings.scene_logits.argmax(dim=1) == lesson.scene).float().mean() > 0.98 - slack
    true = lesson.identity
    for name in ("skin_depth", "hair_red", "glasses", "beard"):
        column = FACTOR_NAMES.index(name)
        assert correlation(readings.factors[:, column], true.column(name)) > 0.97 - slack, name
    assert correlation(readings.pose_of("mouth"), lesson.pose[:, 5]) > 0.97 - slack
    for names, least in ((FACTOR_NAMES, 0.98), (face_factors(), 0.96)):
        hits = [
            judge.identity_distance(read, known, names).argmin(dim=1) == torch.arange(16)
            for read, known in zip(readings.factors.split(16), true.factors.split(16), strict=True)
        ]
        assert torch.cat(hits).float().mean() > least - 2 * slack


@needs_weights
def test_the_shipped_judge_names_the_action():
    generator = torch.Generator().manual_seed(31)
    action = torch.arange(10) % len(ACTIONS)
    clips = render_clip(
        sample_identities(10, generator),
        sample_motion(action, draw_mouths(10, FRAMES, generator), generator),
        torch.arange(10) % len(SCENES),
        sample_styles(10, generator),
        sample_lights(10, generator),
    )
    assert (load_picture_judge().read_action(clips).argmax(dim=1) == action).float().mean() >= 0.9


@needs_weights
def test_the_file_is_small():
    assert JUDGE_PATH.stat().st_size < 2_000_000


def test_reading_depends_on_each_frame_alone():
    torch.manual_seed(0)
    judge = PictureJudge().train(False)
    frames = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    together, alone = judge.read(frames), judge.read(frames[3:4])
    assert torch.allclose(together.factors[3:4], alone.factors, atol=1e-5)
    assert together.scene_logits.shape == (5, len(SCENES)) and together.pose_of("yaw").shape == (5,)


def test_saving_and_loading_keeps_the_readings(tmp_path: Path):
    torch.manual_seed(0)
    judge = PictureJudge().train(False)
    save_picture_judge(judge, tmp_path / "judge.safetensors")
    frames = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    loaded = load_picture_judge(tmp_path / "judge.safetensors")
    assert torch.allclose(loaded.read(frames).factors, judge.read(frames).factors, atol=5e-3)


def test_distance_ignores_the_factors_that_are_left_out():
    judge = PictureJudge()
    people = sample_identities(4, torch.Generator().manual_seed(3))
    other_clothes = people.replace("cloth_red", 1.0).replace("stripes", -1.0)
    distance = judge.identity_distance(other_clothes.factors, people.factors, face_factors())
    assert torch.allclose(distance.diagonal(), torch.zeros(4), atol=1e-3)
    assert (distance.argmin(dim=1) == torch.arange(4)).all()
    assert judge.identity_distance(other_clothes.factors, people.factors).diagonal().max() > 0.1


def test_a_file_made_for_another_world_is_refused(tmp_path: Path):
    save_file({"x": torch.zeros(1)}, tmp_path / "old.safetensors", metadata={"picture_judge": "{}"})
    with pytest.raises(CheckpointMismatchError, match=r"expected .*got \{\} in old.safetensors"):
        load_picture_judge(tmp_path / "old.safetensors")


def test_wrong_shapes_are_refused():
    judge = PictureJudge().train(False)
    with pytest.raises(ShapeError, match=r"expected \(N, 3, 64, 64\), got \(1, 3, 32, 32\)"):
        judge.read(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ShapeError, match=r"clips: expected .* got \(1, 3, 64, 64\)"):
        judge.read_action(torch.zeros(1, 3, 64, 64))
