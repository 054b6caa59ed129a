"""Grids against diffusers' and Wan's own."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wan_core.errors import ConfigError
from wan_core.sampling import (
    flow_sigmas,
    flow_timesteps,
    lead_audio,
    listed_sigmas,
    wan_sigmas,
    wan_timesteps,
)


@pytest.mark.parametrize(("steps", "shift"), [(1, 1.0), (4, 1.0), (24, 1.5), (50, 5.0)])
def test_flow_sigmas_equal_diffusers_euler_with_the_same_even_grid(steps: int, shift: float) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1, 0, steps + 1)[:-1].tolist())
    sigmas = flow_sigmas(steps, shift)
    assert sigmas.dtype == torch.float32 and sigmas.shape == (steps + 1,)
    assert sigmas[0] == 1.0 and sigmas[-1] == 0.0 and (sigmas.diff() < 0).all()
    torch.testing.assert_close(sigmas, scheduler.sigmas, rtol=0, atol=1e-6)


def test_shift_of_one_step() -> None:
    assert flow_sigmas(2, 3.0).tolist() == [1.0, 0.75, 0.0]


def test_wan_grid_at_its_published_points() -> None:
    """HuMo's 't > 980' covers five of 50 steps at shift 5; Wan2.2's experts split 26/14 and 15/25 steps."""
    timesteps = wan_timesteps(50, 5.0)
    assert timesteps[:6].tolist() == [999.0, 995.0, 991.0, 987.0, 982.0, 978.0]
    assert timesteps[-1] == 0.0
    assert int((wan_timesteps(40, 12.0)[:-1] >= 875).sum()) == 26
    assert int((wan_timesteps(40, 5.0)[:-1] >= 900).sum()) == 15
    sigmas = wan_sigmas(50, 5.0)
    assert sigmas[0] == pytest.approx(5 * 0.999 / (1 + 4 * 0.999), abs=1e-7)
    assert ((sigmas * 1000 - timesteps >= -1e-4) & (sigmas * 1000 - timesteps < 1)).all()


def test_flow_timesteps_are_cut_down_from_1000() -> None:
    assert flow_timesteps(4, 5.0).tolist() == [1000.0, 937.0, 833.0, 625.0, 0.0]


def test_listed_sigmas_are_shifted_and_end_at_zero() -> None:
    """LightX2V's list of four at shift 5 is the even grid of four steps."""
    torch.testing.assert_close(
        listed_sigmas((1000, 750, 500, 250), 5.0), flow_sigmas(4, 5.0), rtol=0, atol=1e-7
    )
    assert listed_sigmas((1000, 500), 1.0).tolist() == [1.0, 0.5, 0.0]


def test_lead_audio_walks_ahead_and_waits() -> None:
    sigmas = lead_audio(flow_sigmas(3), flow_sigmas(3), 2)
    assert sigmas.audio is not None
    torch.testing.assert_close(sigmas.video, torch.tensor([1, 1, 1, 2 / 3, 1 / 3, 0]))
    torch.testing.assert_close(sigmas.audio, torch.tensor([1, 2 / 3, 1 / 3, 0, 0, 0]))


def test_lead_audio_with_a_longer_audio_grid_and_without_lead() -> None:
    sigmas = lead_audio(flow_sigmas(1), flow_sigmas(3), 1)
    assert sigmas.audio is not None
    assert sigmas.video.tolist() == [1.0, 1.0, 0.0, 0.0] and len(sigmas.audio) == 4
    plain = lead_audio(flow_sigmas(3), flow_sigmas(3), 0)
    assert plain.audio is not None
    assert torch.equal(plain.video, flow_sigmas(3)) and torch.equal(plain.audio, flow_sigmas(3))


def test_errors() -> None:
    with pytest.raises(ConfigError, match="steps: expected at least 1, got 0"):
        flow_sigmas(0)
    with pytest.raises(ConfigError, match=r"shift: expected a positive number, got -1\.0"):
        wan_sigmas(4, -1.0)
    with pytest.raises(ConfigError, match=r"falling numbers in \(0, 1000\], got \[500, 750\]"):
        listed_sigmas([500, 750], 5.0)
    with pytest.raises(ConfigError, match=r"falling numbers in \(0, 1000\], got \[\]"):
        listed_sigmas([], 5.0)
    with pytest.raises(ConfigError, match="lead: expected 0 or more steps, got -1"):
        lead_audio(flow_sigmas(2), flow_sigmas(2), -1)
