"""The clean sample is the better of what the tower says and what the noisy latents show."""

from __future__ import annotations

import math

import torch

from wan_core.dit.clean_sample import CleanSample

GENERATOR = torch.Generator().manual_seed(0)
CLEAN, NOISE, MISS = (torch.randn(64, 4, 3, 8, 8, generator=GENERATOR) for _ in range(3))
MISSED = 0.2


def levels(sigma: float) -> torch.Tensor:
    return torch.full((64, 1, 1, 1, 1), sigma)


def weighed(sigma: float, log_missed: float) -> torch.Tensor:
    module = CleanSample(4)
    torch.nn.init.constant_(module.missed, log_missed)
    noisy = (1 - sigma) * CLEAN + sigma * NOISE
    with torch.no_grad():
        return module(CLEAN + math.sqrt(MISSED) * MISS, noisy, levels(sigma))


def test_it_has_the_error_of_the_best_weights() -> None:
    for sigma in (0.1, 0.3, 0.6):
        rest = (sigma / (1 - sigma)) ** 2
        error = float((weighed(sigma, math.log(MISSED)) - CLEAN).square().mean())
        assert abs(error / (MISSED * rest / (MISSED + rest)) - 1) < 0.03
        for other in (0.3 * MISSED, 3 * MISSED):
            assert float((weighed(sigma, math.log(other)) - CLEAN).square().mean()) > error


def test_ends_are_the_latents_and_the_tower() -> None:
    assert torch.allclose(weighed(0.0, -3.0), CLEAN, atol=1e-6)
    assert torch.allclose(weighed(1.0, -3.0), CLEAN + math.sqrt(MISSED) * MISS)


def test_a_tower_that_misses_nothing_is_believed() -> None:
    assert torch.allclose(weighed(0.2, -40.0), CLEAN + math.sqrt(MISSED) * MISS, atol=1e-5)
