"""Samplers by name, each with its own grid and timesteps."""

from __future__ import annotations

import pytest
import torch

from wan_core.errors import ConfigError
from wan_core.sampling import (
    DPMPlusPlus2M,
    Euler,
    UniPC,
    flow_sigmas,
    flow_timesteps,
    make_schedule,
    wan_sigmas,
    wan_timesteps,
)


def test_each_sampler_has_its_own_grid() -> None:
    unipc, dpm, euler = (make_schedule(name, 5, 3.0) for name in ("unipc", "dpm++", "euler"))  # type: ignore[arg-type]
    assert (unipc.solver, dpm.solver, euler.solver) == (UniPC(2), DPMPlusPlus2M(), Euler())
    assert torch.equal(unipc.sigmas, wan_sigmas(5, 3.0)) and torch.equal(
        unipc.timesteps, wan_timesteps(5, 3.0)
    )
    assert torch.equal(dpm.sigmas, flow_sigmas(5, 3.0)) and torch.equal(dpm.timesteps, flow_timesteps(5, 3.0))
    assert torch.equal(euler.sigmas, flow_sigmas(5, 3.0))
    torch.testing.assert_close(euler.timesteps, 1000 * flow_sigmas(5, 3.0))
    assert unipc.shown == wan_timesteps(5, 3.0)[:-1].tolist()


def test_unknown_sampler() -> None:
    with pytest.raises(ConfigError, match="expected unipc, dpm\\+\\+ or euler, got 'heun'"):
        make_schedule("heun", 5, 3.0)  # type: ignore[arg-type]
