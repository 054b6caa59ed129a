"""Seams and grain are found where they were put, and not where they were not."""

from __future__ import annotations

import torch
from torch import Tensor

from training.artefacts import grain, seam_ratio
from training.clips import random_clips

PATCH = 16


def drawn() -> Tensor:
    return random_clips(8, torch.Generator().manual_seed(4)).video


def test_drawn_clips_have_no_seams() -> None:
    assert 0.8 < seam_ratio(drawn(), PATCH) < 1.1


def test_a_shift_of_each_patch_is_a_seam() -> None:
    video = drawn()
    shift = 0.1 * torch.randn(1, 1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    shifted = video + shift.repeat_interleave(PATCH, 3).repeat_interleave(PATCH, 4)
    assert seam_ratio(shifted, PATCH) > 1.3
    assert seam_ratio(shifted.roll(PATCH // 2, dims=4), PATCH) < seam_ratio(shifted, PATCH)


def test_seams_of_rows_count_as_those_of_columns() -> None:
    stripes = torch.zeros(1, 3, 1, 64, 64)
    stripes[:, :, :, 16:32] = 0.5
    stripes = stripes + 0.01 * torch.randn(stripes.shape, generator=torch.Generator().manual_seed(1))
    assert abs(seam_ratio(stripes, PATCH) - seam_ratio(stripes.transpose(3, 4), PATCH)) < 1e-3


def test_grain_rises_with_noise_and_ignores_edges() -> None:
    video = drawn()
    noisy = video + 0.05 * torch.randn(video.shape, generator=torch.Generator().manual_seed(2))
    assert grain(noisy) > 2 * grain(video)
    assert grain(torch.where(torch.arange(64) < 20, -1.0, 1.0).expand(1, 3, 1, 64, 64)) == 0.0
