"""Which expert works when, and how one makes room for the other."""

from __future__ import annotations

import pytest
import torch

from wan_core.errors import ConfigError
from wan_core.sampling import (
    AVSigmas,
    AVTimesteps,
    Denoiser,
    Expert,
    ExpertRule,
    ExpertSwitch,
    GuidanceChain,
    GuidanceTerm,
    make_schedule,
    sample,
)
from wan_core.types import AVLatents


@pytest.mark.parametrize(
    ("boundary", "shift", "high"), [(0.875, 12.0, 26), (0.9, 5.0, 15)], ids=["T2V-A14B", "I2V-A14B"]
)
def test_the_published_splits_of_forty_steps(boundary: float, shift: float, high: int) -> None:
    rule, shown = ExpertRule(boundary=boundary), make_schedule("unipc", 40, shift).shown
    assert [rule.expert_at(t) for t in shown] == ["high"] * high + ["low"] * (40 - high)
    assert rule.scales(shown, low=3.0, high=4.0) == [4.0] * high + [3.0] * (40 - high)


def test_the_boundary_itself_belongs_to_the_high_noise_expert() -> None:
    rule = ExpertRule(boundary=0.9)
    assert (rule.expert_at(900.0), rule.expert_at(899.0)) == ("high", "low")


def test_one_expert_at_a_time_each_with_its_own_scale() -> None:
    """Same result as both experts and scales by hand; the first is freed before the second is loaded."""
    log: list[str] = []
    gain = {"high": 0.5, "low": -0.25}

    def load(expert: Expert) -> Denoiser[float]:
        log.append(f"load {expert}")

        def denoiser(latents: AVLatents, timesteps: AVTimesteps, condition: float) -> AVLatents:
            log.append(f"{expert} {float(timesteps.video[0]):.0f} {condition}")
            return AVLatents(gain[expert] * latents.video + condition)

        return denoiser

    rule, schedule = ExpertRule(boundary=0.9), make_schedule("dpm++", 3, 5.0)
    switch = ExpertSwitch(rule, load, lambda expert: log.append(f"free {expert}"))
    chain = GuidanceChain(
        0.0, [GuidanceTerm(condition=1.0, video=rule.scales(schedule.shown, low=1.0, high=2.0))]
    )
    noise = torch.ones(1, 2, 3, 2, 2)
    found = sample(
        switch,
        AVLatents(noise),
        AVSigmas(schedule.sigmas),
        chain,
        solver=schedule.solver,
        model_timesteps=AVSigmas(schedule.timesteps),
    ).video
    switch.release()
    switch.release()
    assert log == [
        *("load high", "high 1000 0.0", "high 1000 1.0", "high 909 0.0", "high 909 1.0"),
        *("free high", "load low", "low 714 1.0", "free low"),
    ]
    run, expected = schedule.solver.start(schedule.sigmas), noise
    for index, (expert, scale) in enumerate([("high", 2.0), ("high", 2.0), ("low", 1.0)]):
        expected = run.step(gain[expert] * expected + scale, expected, index)
    torch.testing.assert_close(found, expected)
    assert switch.current is None


def test_a_clean_first_frame_does_not_choose_the_expert() -> None:
    log: list[str] = []

    def load(expert: Expert) -> Denoiser[float]:
        log.append(expert)
        return lambda latents, timesteps, condition: AVLatents(latents.video)

    switch = ExpertSwitch(ExpertRule(boundary=0.5), load, log.append)
    switch(AVLatents(torch.ones(1, 1, 2, 1, 1)), AVTimesteps(torch.tensor([[0.0, 900.0]])), 0.0)
    assert log == ["high"]


@pytest.mark.parametrize("boundary", [0.0, 1.0, 875.0])
def test_errors(boundary: float) -> None:
    with pytest.raises(ConfigError, match=f"boundary: expected a value between 0 and 1, got {boundary}"):
        ExpertRule(boundary=boundary)
