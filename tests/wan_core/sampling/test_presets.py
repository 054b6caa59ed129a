"""Few-step presets: what they come to, by the formulas of their sources."""

from __future__ import annotations

import pytest
import torch

from wan_core.sampling import DISTIL_PRESETS, ExpertRule


@pytest.mark.parametrize("name", list(DISTIL_PRESETS))
def test_four_evaluations_down_to_the_clean_sample(name: str) -> None:
    preset = DISTIL_PRESETS[name]
    schedule = preset.schedule()
    assert len(schedule.shown) == preset.steps == 4 and schedule.sigmas[-1] == 0.0
    assert schedule.shown == pytest.approx([1000.0, 937.5, 2500 / 3, 625.0])
    assert preset.guidance == (1.0, 1.0)
    latents = torch.ones(1)
    run = schedule.solver.start(schedule.sigmas)
    for index in range(4):
        latents = run.step(torch.full((1,), 3.0), latents, index)
    assert latents.item() == pytest.approx(1.0 - 3.0)


@pytest.mark.parametrize("name", [n for n, p in DISTIL_PRESETS.items() if p.boundary is not None])
def test_two_steps_each_as_upstreams_boundary_step_index(name: str) -> None:
    preset = DISTIL_PRESETS[name]
    assert preset.boundary is not None
    rule = ExpertRule(boundary=preset.boundary)
    assert [rule.expert_at(t) for t in preset.schedule().shown] == ["high", "high", "low", "low"]


@pytest.mark.parametrize("name", [n for n, p in DISTIL_PRESETS.items() if p.timesteps])
def test_listed_timesteps_are_picked_from_a_shifted_thousand(name: str) -> None:
    """LightX2V shifts an even grid of 1000 values from 1 and takes the ones at 1000 - t."""
    preset = DISTIL_PRESETS[name]
    grid = torch.linspace(1.0, 0.0, 1001)[:-1]
    grid = preset.shift * grid / (1 + (preset.shift - 1) * grid)
    picked = grid[[1000 - int(t) for t in preset.timesteps]]
    torch.testing.assert_close(preset.schedule().sigmas[:-1], picked, rtol=0, atol=1e-6)
