from __future__ import annotations

import torch

from training.world.identity import sample_identities
from training.world.photo import blur, degrade, render_photo, sample_photo_pose
from training.world.picture import mouth_box


def test_photographs_differ_with_the_seed_and_repeat_with_it():
    people = sample_identities(3, torch.Generator().manual_seed(0))
    for augment in (False, True):
        first, again, other = (
            render_photo(people, torch.Generator().manual_seed(seed), augment=augment) for seed in (1, 1, 2)
        )
        assert first.shape == (3, 3, 64, 64) and first.abs().max() <= 1
        assert torch.equal(first, again)
        assert (first - other).abs().mean() > 0.05


def test_the_head_is_centred_and_scaled_as_a_real_crop():
    people = sample_identities(200, torch.Generator().manual_seed(3))
    pose = sample_photo_pose(200, torch.Generator().manual_seed(4))
    box = mouth_box(people, pose, 64)
    middle = (box[:, 0] + box[:, 2]) / 2
    assert (middle - 32).abs().mean() < 3.5
    assert ((box[:, 1] + box[:, 3]) / 2 > 34).all()
    loose = sample_photo_pose(200, torch.Generator().manual_seed(4), spread=1.0)
    assert loose.zoom.std() > 3 * pose.zoom.std()
    assert (pose.mouth <= 0.35).all() and (pose.hand == 0).all()


def test_augmented_photographs_are_rougher_than_clean_ones_but_still_the_person():
    people = sample_identities(48, torch.Generator().manual_seed(5))
    light, dark = people.replace("skin_depth", -1.0), people.replace("skin_depth", 1.0)
    bright, dim = (
        render_photo(group.replace("beard", -1.0), torch.Generator().manual_seed(6))[..., 32:40, 24:40].mean()
        for group in (light, dark)
    )
    assert bright - dim > 0.4


def test_blur_by_nothing_is_nothing_and_keeps_the_mean():
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(7))
    softened = blur(pictures, torch.tensor([0.0, 2.0]))
    assert torch.allclose(softened[0], pictures[0], atol=1e-6)
    assert softened[1].std() < 0.4 * pictures[1].std()
    assert torch.allclose(softened[1].mean(), pictures[1].mean(), atol=0.02)


def test_degrade_without_strength_is_the_picture():
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(8)) * 1.8 - 0.9
    assert torch.allclose(
        degrade(pictures, torch.Generator().manual_seed(9), strength=0.0), pictures, atol=1e-3
    )
    assert (degrade(pictures, torch.Generator().manual_seed(9)) - pictures).abs().mean() > 0.02
