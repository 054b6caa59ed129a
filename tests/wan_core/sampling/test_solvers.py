"""Euler, DPM++ 2M and UniPC against diffusers on recorded model outputs, and against a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from wan_core.errors import ConfigError
from wan_core.sampling import DPMPlusPlus2M, Euler, Solver, UniPC, flow_sigmas, wan_sigmas

SHAPE = (2, 3, 2, 4, 4)


def run(
    solver: Solver, sigmas: torch.Tensor, outputs: torch.Tensor, latents: torch.Tensor
) -> list[torch.Tensor]:
    state = solver.start(sigmas)
    path: list[torch.Tensor] = []
    for index in range(len(sigmas) - 1):
        latents = state.step(outputs[index], latents, index)
        path.append(latents)
    return path


def recorded(steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(steps)
    return torch.randn(steps, *SHAPE, generator=generator), torch.randn(SHAPE, generator=generator)


@pytest.mark.parametrize(("steps", "shift"), [(1, 1.0), (5, 1.5), (20, 5.0)])
def test_euler_equals_diffusers(steps: int, shift: float) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    outputs, latents = recorded(steps)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1, 0, steps + 1)[:-1].tolist())
    ours = run(Euler(), flow_sigmas(steps, shift), outputs, latents)
    for index, timestep in enumerate(scheduler.timesteps):
        latents = scheduler.step(outputs[index], timestep, latents).prev_sample
        torch.testing.assert_close(ours[index], latents, rtol=1e-5, atol=1e-5)


def test_euler_equals_diffusers_on_its_own_grid() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    outputs, latents = recorded(6)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(6)
    ours = run(Euler(), scheduler.sigmas, outputs, latents)
    for index, timestep in enumerate(scheduler.timesteps):
        latents = scheduler.step(outputs[index], timestep, latents).prev_sample
        torch.testing.assert_close(ours[index], latents, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("steps", "shift"), [(1, 3.0), (2, 3.0), (3, 5.0), (8, 1.0), (20, 5.0), (50, 8.0)])
def test_unipc_equals_diffusers_on_its_own_grid(order: int, steps: int, shift: float) -> None:
    from diffusers import UniPCMultistepScheduler

    outputs, latents = recorded(steps)
    scheduler = UniPCMultistepScheduler(
        solver_order=order, prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    )
    scheduler.set_timesteps(steps)
    ours = run(UniPC(order), scheduler.sigmas, outputs, latents)  # type: ignore[arg-type]
    for index, timestep in enumerate(scheduler.timesteps):
        latents = scheduler.step(outputs[index], timestep, latents).prev_sample
        torch.testing.assert_close(ours[index], latents, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("steps", "shift"), [(1, 3.0), (2, 3.0), (3, 5.0), (8, 1.0), (20, 5.0), (50, 8.0)])
def test_dpm_equals_diffusers_on_its_own_grid(steps: int, shift: float) -> None:
    from diffusers import DPMSolverMultistepScheduler

    outputs, latents = recorded(steps)
    scheduler = DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    )
    scheduler.set_timesteps(steps)
    ours = run(DPMPlusPlus2M(), scheduler.sigmas, outputs, latents)
    for index, timestep in enumerate(scheduler.timesteps):
        latents = scheduler.step(outputs[index], timestep, latents).prev_sample
        torch.testing.assert_close(ours[index], latents, rtol=1e-5, atol=1e-5)


def test_unipc_equals_diffusers_on_wans_grid() -> None:
    """Diffusers is handed Wan's even grid, which it shifts; its own default grid is another one."""
    from diffusers import UniPCMultistepScheduler

    outputs, latents = recorded(12)
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    )
    scheduler.set_timesteps(sigmas=np.linspace(np.float32(0.999), 0, 13)[:-1])
    torch.testing.assert_close(wan_sigmas(12, 5.0), scheduler.sigmas, rtol=0, atol=1e-7)
    ours = run(UniPC(), wan_sigmas(12, 5.0), outputs, latents)
    for index, timestep in enumerate(scheduler.timesteps):
        latents = scheduler.step(outputs[index], timestep, latents).prev_sample
        torch.testing.assert_close(ours[index], latents, rtol=1e-5, atol=1e-5)
    scheduler.set_timesteps(12)
    assert (wan_sigmas(12, 5.0) - scheduler.sigmas).abs().max() > 1e-4


@pytest.mark.parametrize("solver", [Euler(), DPMPlusPlus2M(), UniPC(1), UniPC(2)])
def test_a_fixed_clean_sample_is_reached_exactly(solver: Solver) -> None:
    """With v = (x - x0) / sigma, the field of a single data point, every solver ends at x0, from sigma 1 too."""
    target, latents = torch.full(SHAPE, 0.3), torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    sigmas = flow_sigmas(6, 3.0)
    state = solver.start(sigmas)
    for index in range(6):
        latents = state.step((latents - target) / sigmas[index], latents, index)
        assert torch.isfinite(latents).all()
    torch.testing.assert_close(latents, target, rtol=0, atol=1e-5)


def gaussian_error(solver: Solver, steps: int) -> float:
    """Error on data N(0, s^2), whose path is x(sigma) ~ sqrt((1 - sigma)^2 s^2 + sigma^2), from sigma .95 to .05."""
    spread, begin, stop = 0.5, 0.95, 0.05
    sigmas = torch.linspace(begin, stop, steps + 1, dtype=torch.float64)
    latents = torch.ones(1, dtype=torch.float64) * math.hypot((1 - begin) * spread, begin)
    state = solver.start(sigmas)
    for index in range(steps):
        sigma = float(sigmas[index])
        variance = ((1 - sigma) * spread) ** 2 + sigma**2
        latents = state.step((sigma - (1 - sigma) * spread**2) / variance * latents, latents, index)
    return abs(float(latents) - math.hypot((1 - stop) * spread, stop))


def test_orders_on_a_linear_field() -> None:
    """Halving the step halves the error of Euler and quarters that of DPM++ 2M and of UniPC of order 2."""
    assert gaussian_error(Euler(), 40) / gaussian_error(Euler(), 80) == pytest.approx(2.0, abs=0.2)
    assert gaussian_error(DPMPlusPlus2M(), 320) / gaussian_error(DPMPlusPlus2M(), 640) == pytest.approx(
        4.0, abs=0.3
    )
    assert gaussian_error(UniPC(), 320) / gaussian_error(UniPC(), 640) == pytest.approx(4.0, abs=0.3)
    assert gaussian_error(UniPC(), 40) < 0.1 * gaussian_error(Euler(), 40)


def test_errors() -> None:
    with pytest.raises(ConfigError, match=r"expected at least 2 falling values, got \[1.0, 1.0, 0.0\]"):
        Euler().start(torch.tensor([1.0, 1.0, 0.0]))
    with pytest.raises(ConfigError, match="order: expected 1 or 2, got 3"):
        UniPC(3)  # type: ignore[arg-type]
