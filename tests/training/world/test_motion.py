from __future__ import annotations

import pytest
import torch

from training.world.motion import POSE_NAMES, Motion, rest_pose, sample_motion
from wan_core.errors import ShapeError
from wan_core.text.vocabulary import ACTIONS

CLIPS, FRAMES = 24, 17


def motion_of(action: str, seed: int = 0) -> Motion:
    index = torch.full((CLIPS,), ACTIONS.index(action))
    return sample_motion(index, torch.zeros(CLIPS, FRAMES), torch.Generator().manual_seed(seed))


def swing(values: torch.Tensor) -> float:
    """Smallest range of movement among the clips."""
    return (values.amax(dim=1) - values.amin(dim=1)).min().item()


def test_mouth_is_what_was_asked_for_and_fields_are_bounded():
    generator = torch.Generator().manual_seed(3)
    mouth = torch.rand(10, FRAMES, generator=generator)
    motion = sample_motion(torch.arange(10) % len(ACTIONS), mouth, generator)
    assert torch.equal(motion.mouth, mouth)
    for name in POSE_NAMES:
        assert getattr(motion, name).shape == (10, FRAMES)
    for name in ("blink", "hand", "mouth"):
        assert getattr(motion, name).min() >= 0 and getattr(motion, name).max() <= 1
    assert motion.yaw.abs().max() < 1.2 and motion.zoom.min() > 0.9


@pytest.mark.parametrize(
    ("action", "field", "least"),
    [("nods", "pitch", 1.3), ("shakes", "yaw", 1.3), ("sways", "sway", 1.0), ("waves", "hand_x", 1.0)],
)
def test_each_action_moves_its_own_part_and_no_other_does(action: str, field: str, least: float):
    assert swing(getattr(motion_of(action), field)) > least
    for other in ACTIONS:
        if other != action:
            assert swing(getattr(motion_of(other), field)) < 0.5 * least


def test_a_hand_is_up_for_most_of_a_wave_and_never_otherwise():
    for action in ACTIONS:
        up = (motion_of(action).hand > 0.9).float().mean(dim=1)
        assert (up > 0.7).all() if action == "waves" else (up == 0).all()


def test_a_named_movement_begins_with_the_clip_and_always_the_same_way():
    assert bool((motion_of("nods").head_y[:, 1] > 0).all())
    assert bool((motion_of("shakes").yaw[:, 1] > 0).all())
    assert bool((motion_of("sways").sway[:, 1] > 0).all())


def test_clips_differ_in_speed_and_extent_and_repeat_with_the_seed():
    first, again, other = (motion_of("nods", seed).as_tensor() for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert not torch.allclose(first[0], first[1])


def test_tensor_round_trip_and_flatten():
    motion = motion_of("waves")
    assert torch.equal(Motion.from_tensor(motion.as_tensor()).zoom, motion.zoom)
    assert torch.equal(motion.flatten().yaw[FRAMES : 2 * FRAMES], motion.yaw[1])
    assert rest_pose(2, torch.device("cpu")).zoom.tolist() == [1.0, 1.0]


def test_wrong_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"expected \(2, F\).*got \(3, 4\)"):
        sample_motion(torch.zeros(2, dtype=torch.long), torch.zeros(3, 4), torch.Generator())
    with pytest.raises(ShapeError, match="expected a last axis of 14"):
        Motion.from_tensor(torch.zeros(2, 3))
