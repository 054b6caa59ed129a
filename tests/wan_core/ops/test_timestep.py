from __future__ import annotations

import math

import pytest
import torch
from diffusers.models.embeddings import get_timestep_embedding

from wan_core.ops.timestep import timestep_embedding


def test_zero_is_ones_then_zeros() -> None:
    assert timestep_embedding(torch.zeros(1), 6).tolist() == [[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]


def test_cosines_come_first_and_periods_grow() -> None:
    embedding = timestep_embedding(torch.tensor([[7.5], [900.25]]), 8)
    assert embedding.shape == (2, 1, 8)
    for row, t in enumerate((7.5, 900.25)):
        angles = [t * 10000 ** (-i / 4) for i in range(4)]
        expected = [math.cos(a) for a in angles] + [math.sin(a) for a in angles]
        assert embedding[row, 0].tolist() == pytest.approx(expected, abs=1e-6)


def test_agrees_with_diffusers_to_its_own_float32_precision() -> None:
    t = torch.tensor([0.0, 37.25, 999.0])
    expected = get_timestep_embedding(t, 256, flip_sin_to_cos=True, downscale_freq_shift=0)
    assert torch.allclose(timestep_embedding(t, 256), expected, atol=2e-4)
