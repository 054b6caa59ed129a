"""The learned half of nano's decoder: what it starts as, and what it sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from wan_core.vae.config import PatchVAEConfig
from wan_core.vae.refiner import Refiner

CONFIG = PatchVAEConfig(image_channels=8, motion_channels=4, patch=8, refiner_widths=(8, 12, 16))


def refiner(seed: int = 0) -> Refiner:
    """One whose corrections are not zero."""
    torch.manual_seed(seed)
    made = Refiner(CONFIG)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return made


def groups(side: int = 16) -> Tensor:
    return torch.randn(2, 3, 12, side, 16, generator=torch.Generator().manual_seed(1))


def test_untrained_it_changes_nothing() -> None:
    assert torch.equal(Refiner(CONFIG)(groups()), groups())


def test_it_sees_the_latents_before_and_after() -> None:
    frames, other = groups(), groups()
    other[:, 2] += 1
    before, after = refiner()(frames), refiner()(other)
    assert not torch.equal(before[:, 1], after[:, 1])
    assert torch.equal(before[:, 0], after[:, 0])


def test_first_latent_is_the_same_picture_whatever_follows() -> None:
    frames, other = groups(), groups()
    other[:, 1:] += 1
    made = refiner()
    assert torch.equal(made(frames)[:, 0], made(other)[:, 0])
    torch.testing.assert_close(made(frames[:, :1])[:, 0], made(frames)[:, 0], rtol=0, atol=1e-5)


def test_clips_of_a_batch_do_not_meet() -> None:
    frames = groups()
    alone = refiner()(frames[:1])
    torch.testing.assert_close(refiner()(frames)[:1], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [8, 24])
def test_any_number_of_patches(side: int) -> None:
    assert refiner()(groups(side)).shape == (2, 3, 12, side, 16)


def test_it_knows_where_in_a_patch_a_pixel_lies() -> None:
    flat = refiner()(torch.zeros(1, 1, 12, 32, 32))[0, 0]
    inner = flat[:, 8:24, 8:24]
    assert torch.allclose(inner[:, :8], inner[:, 8:], atol=0.2)
    assert not torch.allclose(inner[:, 1:9], inner[:, :8], atol=1e-3)
