from __future__ import annotations

import pytest
import torch

from wan_core.errors import ConfigError
from wan_core.pipelines.humo_windows import Window, WindowedDenoiser, plan_windows, window_weights
from wan_core.pipelines.wan_conditions import WanCondition
from wan_core.sampling.denoiser import AVTimesteps
from wan_core.types import AVLatents


def test_windows_cover_the_clip_with_their_overlap() -> None:
    assert plan_windows(25, 25, 6) == (Window(0, 25),)
    assert plan_windows(26, 25, 6) == (Window(0, 25), Window(1, 26))
    found = plan_windows(100, 25, 6)
    assert found[0] == Window(0, 25) and found[-1] == Window(75, 100)
    assert all(a.stop - b.start >= 6 for a, b in zip(found, found[1:], strict=False))
    assert all(own.stop - own.start == 25 for own in found)
    with pytest.raises(ConfigError, match="overlap: expected 0 to 4, got 5"):
        plan_windows(9, 5, 5)


@pytest.mark.parametrize("frames", [5, 25, 26, 44, 100])
def test_shares_add_up_to_one_and_fade(frames: int) -> None:
    windows = plan_windows(frames, 25, 6)
    total = torch.zeros(frames)
    for own, weights in zip(windows, window_weights(windows), strict=True):
        total[own.start : own.stop] += weights
        assert bool((weights > 0).all())
    torch.testing.assert_close(total, torch.ones(frames))
    if frames == 44:
        first, second = window_weights(windows)
        assert bool((first[-6:].diff() < 0).all()) and bool((second[:6].diff() > 0).all())
        assert bool((first[:19] == 1).all()) and bool((second[6:] == 1).all())


def test_velocities_are_blended_and_slots_are_means() -> None:
    """Every window is told which it is, and sees its own frames with the slots of the whole clip behind them."""
    told: list[tuple[str, int]] = []

    def inner(latents: AVLatents, timesteps: AVTimesteps, condition: WanCondition) -> AVLatents:
        told.append((condition.references, latents.video.shape[2]))
        return AVLatents(latents.video * float(timesteps.video[0]))

    windows = plan_windows(9, 5, 2)
    video = torch.randn(1, 2, 11, 2, 2)
    denoiser = WindowedDenoiser(inner, windows, 2)
    found = denoiser(AVLatents(video), AVTimesteps(torch.tensor([3.0])), WanCondition(0, "both"))
    torch.testing.assert_close(found.video, 3 * video)
    assert told == [("both@0", 7), ("both@1", 7), ("both@2", 7)]
