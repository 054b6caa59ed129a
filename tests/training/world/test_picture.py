from __future__ import annotations

import pytest
import torch

from training.world.identity import FACTOR_NAMES, IdentityBatch, sample_identities
from training.world.motion import POSE_NAMES, Motion, rest_pose, sample_motion
from training.world.picture import mouth_box, render, render_clip
from training.world.scenes import LIGHT_SIZE, STYLE_SIZE
from wan_core.text.vocabulary import ACTIONS

CPU = torch.device("cpu")


def plain_person(**changes: float) -> IdentityBatch:
    person = IdentityBatch(torch.zeros(1, len(FACTOR_NAMES)))
    for name in FACTOR_NAMES:
        if name.startswith("style_") or name in ("glasses", "beard", "stripes"):
            person = person.replace(name, -1.0)
    person = person.replace("style_crop", 1.0)
    for name, value in changes.items():
        person = person.replace(name, value)
    return person


def draw(person: IdentityBatch, pose: Motion | None = None, size: int = 64) -> torch.Tensor:
    count = len(person)
    return render(
        person,
        pose or rest_pose(count, CPU),
        torch.zeros(count, dtype=torch.long),
        torch.zeros(count, STYLE_SIZE),
        torch.zeros(count, LIGHT_SIZE),
        size=size,
    )


def posed(**changes: float) -> Motion:
    values = rest_pose(1, CPU).as_tensor()
    for name, value in changes.items():
        values[:, POSE_NAMES.index(name)] = value
    return Motion.from_tensor(values)


@pytest.mark.parametrize("size", [32, 64, 128])
def test_shape_range_and_determinism(size: int):
    people = sample_identities(3, torch.Generator().manual_seed(0))
    pictures = draw(people, size=size)
    assert pictures.shape == (3, 3, size, size)
    assert torch.isfinite(pictures).all() and pictures.abs().max() <= 1
    assert pictures.std() > 0.2
    assert torch.equal(pictures, draw(people, size=size))


def test_double_size_is_the_same_picture():
    people = sample_identities(2, torch.Generator().manual_seed(1))
    small = torch.nn.functional.avg_pool2d(draw(people, size=128), 2)
    assert (small - draw(people, size=64)).abs().mean() < 0.03


@pytest.mark.parametrize("name", FACTOR_NAMES)
def test_every_factor_changes_pixels(name: str):
    worn = {"glasses_shape": {"glasses": 1.0}, "beard_amount": {"beard": 1.0}}.get(name, {})
    low, high = (draw(plain_person(**worn, **{name: value})) for value in (-1.0, 1.0))
    changed = ((low - high).abs().amax(dim=1) > 0.1).sum()
    assert changed >= (60 if name in ("glasses", "beard", "stripes", "hair_length") else 8)


def test_a_person_is_drawn_alike_alone_and_in_a_batch():
    people = sample_identities(4, torch.Generator().manual_seed(2))
    assert torch.allclose(draw(people)[2:3], draw(people.select(torch.tensor([2]))), atol=1e-5)


def test_the_mouth_opens_inside_its_box_and_gets_dark():
    person = plain_person()
    left, top, right, bottom = mouth_box(person, posed(mouth=1.0), 64)[0].round().long().tolist()
    assert right - left >= 12 and bottom - top >= 10
    shut, wide = draw(person, posed()), draw(person, posed(mouth=1.0))
    inside = (shut - wide)[..., top:bottom, left:right].abs().mean()
    outside = (shut - wide).abs()
    outside[..., top - 3 : bottom + 4, left - 4 : right + 4] = 0
    assert inside > 0.15 and inside > 20 * outside.mean()
    dark = [
        (draw(person, posed(mouth=m))[0, 1, top:bottom, left:right] < -0.7).sum() for m in (0.0, 0.5, 1.0)
    ]
    assert dark[0] < dark[1] < dark[2]


@pytest.mark.parametrize("name", [name for name in POSE_NAMES if name != "hand_x"])
def test_every_pose_field_changes_pixels(name: str):
    other = {"zoom": 1.1, "pan_x": 0.05, "pan_y": 0.05, "head_x": 0.05, "head_y": 0.05, "roll": 0.2}.get(
        name, 0.8
    )
    assert (draw(plain_person(), posed(**{name: other})) - draw(plain_person())).abs().amax(dim=1).gt(
        0.1
    ).sum() > 10


def test_clips_show_their_action():
    people = plain_person().select(torch.zeros(len(ACTIONS), dtype=torch.long))
    motion = sample_motion(
        torch.arange(len(ACTIONS)), torch.zeros(len(ACTIONS), 17), torch.Generator().manual_seed(5)
    )
    zeros = torch.zeros(len(ACTIONS), dtype=torch.long)
    style, light = torch.zeros(len(ACTIONS), STYLE_SIZE), torch.zeros(len(ACTIONS), LIGHT_SIZE)
    clips = render_clip(people, motion, zeros, style, light)
    assert clips.shape == (len(ACTIONS), 3, 17, 64, 64)
    moved = clips.std(dim=2).mean(dim=(1, 2, 3))
    still = moved[ACTIONS.index("stands")]
    assert all(moved[index] > 1.5 * still for index, name in enumerate(ACTIONS) if name != "stands")
    hand_side = (clips[:, :, :, 25:50, 50:62] - clips[:1, :, :, 25:50, 50:62]).abs().mean(dim=(1, 2, 3, 4))
    assert hand_side.argmax() == ACTIONS.index("waves")


def test_a_clip_is_its_frames():
    people = sample_identities(2, torch.Generator().manual_seed(6))
    motion = sample_motion(torch.tensor([1, 2]), torch.rand(2, 5), torch.Generator().manual_seed(7))
    scene, style, light = torch.tensor([3, 4]), torch.zeros(2, STYLE_SIZE), torch.zeros(2, LIGHT_SIZE)
    clip = render_clip(people, motion, scene, style, light, size=32)
    frame = render(people, motion.map(lambda value: value[:, 3]), scene, style, light, size=32)
    assert torch.allclose(clip[:, :, 3], frame, atol=1e-5)
