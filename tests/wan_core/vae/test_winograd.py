"""Winograd's form of a convolution against the direct one in float64."""

from __future__ import annotations

import pytest
import torch
from tiny_vae import relative_error
from torch import Tensor
from torch.nn import functional as F

from wan_core.vae.winograd import Goal, Winograd, padded_size, plain_rows


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def convolve(picture: Tensor, kernels: Tensor, goals: list[Goal]) -> None:
    height, width, channels = picture.shape
    Winograd().convolve(plain_rows(picture), (height, width, channels), lambda some: kernels[:, some], goals)


def expect(picture: Tensor, kernel: Tensor) -> Tensor:
    """(H, W, C) and (C', C, 3, 3) to (H, W, C'), in float64."""
    return F.conv2d(picture.movedim(2, 0)[None].double(), kernel.double(), padding=1)[0].movedim(0, 2)


def cut(picture: Tensor, like: Tensor) -> Tensor:
    return picture[: like.shape[0], : like.shape[1]]


@pytest.mark.parametrize("size", [(9, 14), (8, 8), (1, 2), (21, 6)])
@pytest.mark.parametrize(("tiles", "numbers"), [(128, 2**22), (1, 2**22), (5, 1)])
def test_equals_the_direct_form(
    size: tuple[int, int], tiles: int, numbers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one band or many, all output channels at once or in turns; kernels that overwrite, and one that adds."""
    monkeypatch.setattr("wan_core.vae.winograd.TILES", tiles)
    monkeypatch.setattr("wan_core.vae.winograd.KERNEL_NUMBERS", numbers)
    monkeypatch.setattr("wan_core.vae.winograd.LEAST_CHUNK", 3)
    picture, kernels, bias = random(*size, 5), random(3, 7, 5, 3, 3, seed=1), random(7, seed=2)
    before = random(*padded_size(size), 7, seed=3)
    goals = [
        Goal(torch.full_like(before, torch.nan), bias),
        Goal(before.clone(), None),
        Goal(torch.full_like(before, torch.nan), bias),
    ]
    convolve(picture, kernels, goals)
    sums = [bias, cut(before, picture), bias]
    for goal, kernel, start in zip(goals, kernels, sums, strict=True):
        expected = expect(picture, kernel) + start.double()
        assert relative_error(cut(goal.picture, expected), expected) < 3e-6


@pytest.mark.parametrize(("made", "numbers"), [(4, 2**22), (6, 1)])
def test_may_overwrite_what_it_reads(made: int, numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wan_core.vae.winograd.TILES", 2)
    monkeypatch.setattr("wan_core.vae.winograd.KERNEL_NUMBERS", numbers)
    monkeypatch.setattr("wan_core.vae.winograd.LEAST_CHUNK", 4)
    picture, kernels = random(16, 8, made), random(1, made, made, 3, 3, seed=1)
    expected = expect(picture, kernels[0])
    convolve(picture, kernels, [Goal(picture, torch.zeros(made))])
    assert relative_error(picture, expected) < 3e-6


def test_writes_into_every_second_pixel() -> None:
    picture, kernels, large = random(8, 4, 3), random(1, 5, 3, 3, 3, seed=1), torch.zeros(16, 8, 5)
    convolve(picture, kernels, [Goal(large[1::2, 0::2], torch.ones(5))])
    assert relative_error(large[1::2, 0::2], expect(picture, kernels[0]) + 1) < 3e-6
    assert not large[0::2].any() and not large[:, 1::2].any()
