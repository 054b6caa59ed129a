"""The samplers against tensors that Wan's own classes made (tests/golden/make_wan_solvers.py)."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from wan_core.sampling import (
    AVSigmas,
    AVTimesteps,
    DPMPlusPlus2M,
    GuidanceChain,
    GuidanceTerm,
    Solver,
    UniPC,
    flow_sigmas,
    flow_timesteps,
    sample,
    wan_sigmas,
    wan_timesteps,
)
from wan_core.types import AVLatents

GOLDEN = load_file(Path(__file__).parents[2] / "golden" / "wan_solvers.safetensors")
SOLVERS: dict[str, Solver] = {"unipc": UniPC(), "dpm": DPMPlusPlus2M()}
SIGMAS = {"unipc": wan_sigmas, "dpm": flow_sigmas}
TIMESTEPS = {"unipc": wan_timesteps, "dpm": flow_timesteps}


@pytest.mark.parametrize("name", ["unipc", "dpm"])
@pytest.mark.parametrize(("steps", "shift"), [(4, 5.0), (16, 12.0)])
def test_every_step_equals_upstream(name: str, steps: int, shift: float) -> None:
    sigmas = SIGMAS[name](steps, shift)
    torch.testing.assert_close(sigmas, GOLDEN[f"{name}.{steps}.sigmas"], rtol=0, atol=1e-7)
    run, latents = SOLVERS[name].start(sigmas), GOLDEN["noise"]
    for index in range(steps):
        latents = run.step(GOLDEN["outputs"][index], latents, index)
        torch.testing.assert_close(latents, GOLDEN[f"{name}.{steps}.path"][index], rtol=1e-5, atol=1e-5)


def test_timesteps_equal_upstream_to_the_last_one() -> None:
    """Many of 1000 * sigma lie at a whole number, where a last bit decides which one the model is shown."""
    cases = [key.split(".", 2) for key in GOLDEN if ".timesteps." in key]
    assert len(cases) == 14
    for name, _, rest in cases:
        steps, shift = rest.split(".", 1)
        shown = TIMESTEPS[name](int(steps), float(shift))
        assert shown[:-1].tolist() == GOLDEN[f"{name}.timesteps.{rest}"].tolist() and shown[-1] == 0.0


def velocity(latents: torch.Tensor, time: torch.Tensor, prompt: float) -> torch.Tensor:
    """The stand-in for the transformer of the golden script, for one sample and one time a latent frame."""
    mixed = latents.mean(dim=(1, 2), keepdim=True)
    return torch.sin(latents * prompt + mixed) + time.view(1, 1, -1, 1, 1) / 1000.0 - 0.3 * latents


@pytest.mark.parametrize("name", ["unipc", "dpm"])
def test_a_clean_first_frame_is_kept_as_by_upstreams_ti2v(name: str) -> None:
    """Its tokens have timestep 0, it stands in the latents before every evaluation and at the end; CFG 5."""

    def denoiser(latents: AVLatents, timesteps: AVTimesteps, condition: float) -> AVLatents:
        assert timesteps.video.shape == (1, 3) and timesteps.video[0, 0] == 0.0
        return AVLatents(velocity(latents.video, timesteps.video[0], condition))

    found = sample(
        denoiser,
        AVLatents(GOLDEN["noise"].unsqueeze(0)),
        AVSigmas(SIGMAS[name](6, 5.0)),
        GuidanceChain(-0.5, [GuidanceTerm(condition=1.5, video=5.0)]),
        solver=SOLVERS[name],
        model_timesteps=AVSigmas(TIMESTEPS[name](6, 5.0)),
        first_frame=GOLDEN["clean"].unsqueeze(0),
    )
    torch.testing.assert_close(found.video[0], GOLDEN[f"{name}.first_frame"], rtol=1e-5, atol=1e-5)
    assert torch.equal(found.video[0, :, :1], GOLDEN["clean"])
