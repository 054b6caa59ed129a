from __future__ import annotations

import torch

from training.world.scenes import (
    LIGHT_SIZE,
    STYLE_SIZE,
    lay_out_scene,
    paint_scene,
    sample_lights,
    sample_styles,
)
from wan_core.text.vocabulary import SCENES

CAMERA = torch.tensor([[1.0, 0.0, 0.0]])


def draw(scene: torch.Tensor, style: torch.Tensor, size: int = 32) -> torch.Tensor:
    planes = paint_scene(lay_out_scene(scene, style), CAMERA.expand(len(scene), 3), size)
    return torch.stack([plane.expand(len(scene), size, size) for plane in planes], dim=1)


def test_styles_and_lights_are_in_range():
    generator = torch.Generator().manual_seed(0)
    for values, width in (
        (sample_styles(50, generator), STYLE_SIZE),
        (sample_lights(50, generator), LIGHT_SIZE),
    ):
        assert values.shape == (50, width)
        assert -1 <= values.min() < -0.9 and 0.9 < values.max() <= 1


def test_a_picture_is_nearest_to_the_mean_of_its_own_scene():
    generator = torch.Generator().manual_seed(1)
    scene = torch.arange(len(SCENES)).repeat(12)
    pictures = draw(scene, sample_styles(len(scene), generator)).flatten(1)
    means = torch.stack([pictures[scene == index].mean(dim=0) for index in range(len(SCENES))])
    assert (torch.cdist(pictures, means).argmin(dim=1) == scene).float().mean() > 0.97


def test_each_style_number_changes_some_scene():
    scene = torch.arange(len(SCENES))
    plain = draw(scene, torch.zeros(len(SCENES), STYLE_SIZE))
    for column in range(STYLE_SIZE):
        style = torch.zeros(len(SCENES), STYLE_SIZE)
        style[:, column] = 1.0
        assert (draw(scene, style) - plain).abs().amax() > 0.04


def test_scenes_are_smooth_enough_for_a_small_codec():
    pictures = draw(torch.arange(len(SCENES)), torch.zeros(len(SCENES), STYLE_SIZE), size=64)
    rough = (pictures.diff(dim=-1).abs() > 0.25).float().mean(dim=(1, 2, 3))
    assert rough.max() < 0.06
