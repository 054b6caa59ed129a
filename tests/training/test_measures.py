"""The arithmetic of the measures, on numbers whose answer is known."""

from __future__ import annotations

import math

import torch

from training.evaluate import chance_bound, targets
from training.measures import lip_correlations, pearson, permuted_top_one, spearman, top_one


def test_top_one_counts_rows_within_blocks_of_sixteen() -> None:
    right = 1 - torch.eye(32)
    assert top_one(right) == 1.0
    wrong = right.clone()
    wrong[3] = wrong[3].roll(1)
    assert math.isclose(top_one(wrong), 31 / 32, rel_tol=1e-6)


def test_permuted_top_one_is_chance() -> None:
    assert abs(permuted_top_one(1 - torch.eye(64), seed=0, times=200) - 1 / 16) < 0.02


def test_correlations() -> None:
    x = torch.linspace(-1, 1, 50)
    assert math.isclose(pearson(x, 3 * x + 1), 1.0, rel_tol=1e-5)
    assert math.isclose(spearman(x, -x.exp()), -1.0, rel_tol=1e-5)
    assert pearson(x, torch.ones(50)) == 0.0
    with_gap = x.exp().clone()
    with_gap[7] = torch.nan
    assert math.isclose(spearman(x, with_gap), 1.0, rel_tol=1e-5)


def test_lip_curve_peaks_at_the_true_lag() -> None:
    loudness = torch.rand(40, 17, generator=torch.Generator().manual_seed(0))
    late = torch.roll(loudness, 2, dims=1)
    lags = range(-3, 4)
    curve = lip_correlations(late, loudness, lags)
    assert lags[int(curve.argmax())] == 2
    assert curve.max() > 0.99
    assert lip_correlations(loudness, loudness.roll(1, 0), (0,)).abs() < 0.2


def test_targets_have_a_bound_on_one_side() -> None:
    for target in targets(64).values():
        assert (target.at_least is None) != (target.at_most is None)
        assert not target.is_met(math.nan)
    assert chance_bound(1 / 16, 64).is_met(1 / 16)
    assert not chance_bound(1 / 16, 64).is_met(0.3)
