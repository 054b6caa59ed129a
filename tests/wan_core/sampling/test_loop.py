"""The loop: closed form, waiting modalities, kept first frames, callbacks, guards."""

from __future__ import annotations

import pytest
import torch

from wan_core.errors import ConfigError, ShapeError, WanCoreError
from wan_core.sampling import (
    AVSigmas,
    AVTimesteps,
    Euler,
    GuidanceChain,
    GuidanceTerm,
    Solver,
    StepInfo,
    UniPC,
    av_noise,
    flow_sigmas,
    lead_audio,
    sample,
    wan_sigmas,
    wan_timesteps,
)
from wan_core.types import AVLatents

NOISE = av_noise((2, 3, 4, 2, 2), (2, 5, 6), seed=1)
SIGMAS = AVSigmas(flow_sigmas(4, 2.0), flow_sigmas(4, 2.0))


class PointDenoiser:
    """Exact velocity field of data that is one point: the condition's value. Notes what it was asked."""

    def __init__(self) -> None:
        self.timesteps: list[AVTimesteps] = []
        self.conditions: list[float] = []
        self.latents: list[AVLatents] = []

    def __call__(self, latents: AVLatents, timesteps: AVTimesteps, condition: float) -> AVLatents:
        self.timesteps.append(timesteps)
        self.conditions.append(condition)
        self.latents.append(latents)
        time = timesteps.video / 1000
        sigma = time.view(-1, 1, time.shape[1] if time.ndim == 2 else 1, 1, 1).clamp(min=1e-3)
        video = (latents.video - condition) / sigma
        if latents.audio is None or timesteps.audio is None:
            return AVLatents(video)
        audio_sigma = (timesteps.audio / 1000).view(-1, 1, 1).clamp(min=1e-3)
        return AVLatents(video, (latents.audio + condition) / audio_sigma)


@pytest.mark.parametrize("solver", [Euler(), UniPC()])
@pytest.mark.parametrize("lead", [0, 3])
def test_both_modalities_reach_the_data(solver: Solver, lead: int) -> None:
    denoiser = PointDenoiser()
    sigmas = lead_audio(flow_sigmas(5, 1.5), flow_sigmas(5, 1.5), lead)
    result = sample(denoiser, NOISE, sigmas, GuidanceChain(0.5), solver=solver)
    torch.testing.assert_close(result.video, torch.full_like(NOISE.video, 0.5), rtol=0, atol=1e-5)
    torch.testing.assert_close(result.audio, torch.full_like(NOISE.audio, -0.5), rtol=0, atol=1e-5)
    assert len(denoiser.conditions) == 5 + lead


def test_lead_waits_and_shows_the_model_each_modalitys_own_time() -> None:
    denoiser, seen = PointDenoiser(), list[StepInfo]()
    sigmas = lead_audio(flow_sigmas(2), flow_sigmas(2), 1)
    sample(denoiser, NOISE, sigmas, GuidanceChain(0.5), callback=seen.append)
    assert [float(t.video[0]) for t in denoiser.timesteps] == [1000.0, 1000.0, 500.0]
    assert [float(t.audio[0]) for t in denoiser.timesteps] == [1000.0, 500.0, 0.0]
    assert [info.is_moving for info in seen] == [(False, True), (True, True), (True, False)]
    assert torch.equal(seen[0].latents.video, NOISE.video)
    assert not torch.equal(seen[0].latents.audio, NOISE.audio)
    assert torch.equal(seen[1].latents.audio, seen[2].latents.audio)


def test_sound_held_clean_drives_the_picture() -> None:
    noise = AVLatents(NOISE.video, torch.full((2, 5, 6), 3.0))
    result = sample(PointDenoiser(), noise, AVSigmas(flow_sigmas(3), torch.zeros(4)), GuidanceChain(0.5))
    assert torch.equal(result.audio, noise.audio)


def test_video_only() -> None:
    result = sample(PointDenoiser(), AVLatents(NOISE.video), AVSigmas(flow_sigmas(3)), GuidanceChain(0.5))
    assert result.audio is None
    torch.testing.assert_close(result.video, torch.full_like(NOISE.video, 0.5), rtol=0, atol=1e-5)


@pytest.mark.parametrize("solver", [Euler(), UniPC()])
def test_first_frame_is_kept_and_shown_as_clean(solver: Solver) -> None:
    denoiser, first = PointDenoiser(), torch.full((2, 3, 1, 2, 2), 9.0)
    result = sample(denoiser, NOISE, SIGMAS, GuidanceChain(0.5), solver=solver, first_frame=first)
    assert torch.equal(result.video[:, :, :1], first)
    torch.testing.assert_close(result.video[:, :, 1:], torch.full((2, 3, 3, 2, 2), 0.5), rtol=0, atol=1e-5)
    for timesteps, latents in zip(denoiser.timesteps, denoiser.latents, strict=True):
        assert timesteps.video.shape == (2, 4)
        assert (timesteps.video[:, 0] == 0).all() and (timesteps.video[:, 1:] > 0).all()
        assert torch.equal(latents.video[:, :, :1], first)


def test_guidance_of_two_points_is_the_extrapolated_point() -> None:
    """For point data v is linear in the point, so a chain reaches base + 3 * (last - base), here 1 + 3 * (2 - 1)."""
    chain = GuidanceChain(1.0, [GuidanceTerm(condition=2.0, video=3.0, audio=1.0)])
    denoiser = PointDenoiser()
    result = sample(denoiser, NOISE, SIGMAS, chain)
    torch.testing.assert_close(result.video, torch.full_like(NOISE.video, 4.0), rtol=0, atol=1e-4)
    torch.testing.assert_close(result.audio, torch.full_like(NOISE.audio, -2.0), rtol=0, atol=1e-4)
    assert denoiser.conditions == [1.0, 2.0] * 4


def test_conditions_are_evaluated_once_and_only_where_they_count() -> None:
    same = PointDenoiser()
    sample(same, NOISE, SIGMAS, GuidanceChain(1.0, [GuidanceTerm(condition=1.0, video=5.0, audio=5.0)]))
    assert same.conditions == [1.0] * 4
    plain = PointDenoiser()
    result = sample(plain, NOISE, SIGMAS, GuidanceChain(1.0, [GuidanceTerm(condition=2.0)]))
    assert plain.conditions == [2.0] * 4
    alone = sample(PointDenoiser(), NOISE, SIGMAS, GuidanceChain(2.0))
    assert torch.equal(result.video, alone.video) and torch.equal(result.audio, alone.audio)
    waiting = PointDenoiser()
    chain = GuidanceChain(1.0, [GuidanceTerm(condition=2.0, video=3.0, audio=1.0)])
    sample(waiting, NOISE, lead_audio(flow_sigmas(2), flow_sigmas(2), 2), chain)
    assert waiting.conditions == [2.0, 2.0, 1.0, 2.0, 1.0, 2.0]


def test_model_is_shown_wans_whole_timesteps() -> None:
    denoiser = PointDenoiser()
    sigmas, shown = AVSigmas(wan_sigmas(3, 5.0)), AVSigmas(wan_timesteps(3, 5.0))
    sample(
        denoiser, AVLatents(NOISE.video), sigmas, GuidanceChain(0.5), solver=UniPC(), model_timesteps=shown
    )
    assert [float(t.video[0]) for t in denoiser.timesteps] == wan_timesteps(3, 5.0)[:-1].tolist()


def test_callback_reports_steps_and_an_estimate() -> None:
    seen: list[StepInfo] = []
    sample(PointDenoiser(), NOISE, SIGMAS, GuidanceChain(0.5), callback=seen.append)
    assert [(info.index, info.total) for info in seen] == [(0, 4), (1, 4), (2, 4), (3, 4)]
    assert seen[0].sigmas == (1.0, 1.0) and seen[0].is_moving == (True, True)
    for info in seen:
        torch.testing.assert_close(info.denoised.video, torch.full_like(NOISE.video, 0.5), rtol=0, atol=1e-4)
        torch.testing.assert_close(info.denoised.audio, torch.full_like(NOISE.audio, -0.5), rtol=0, atol=1e-4)


def test_callback_may_interrupt() -> None:
    denoiser = PointDenoiser()

    def stop(info: StepInfo) -> None:
        if info.index == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(denoiser, NOISE, SIGMAS, GuidanceChain(0.5), callback=stop)
    assert len(denoiser.conditions) == 2


@pytest.mark.parametrize(("bad", "modality"), [(float("nan"), "video"), (float("inf"), "audio")])
def test_not_finite_names_the_step_and_a_remedy(bad: float, modality: str) -> None:
    def denoiser(latents: AVLatents, timesteps: AVTimesteps, condition: float) -> AVLatents:
        velocity = PointDenoiser()(latents, timesteps, condition)
        if float(timesteps.video[0]) < 900 and velocity.audio is not None:
            (velocity.video if modality == "video" else velocity.audio).view(-1)[3] = bad
        return velocity

    with pytest.raises(WanCoreError, match=rf"{modality} velocity: expected finite .* step 2 of 4\. Lower"):
        sample(denoiser, NOISE, SIGMAS, GuidanceChain(0.5))


def test_no_gradients_are_kept() -> None:
    weight = torch.ones(1, requires_grad=True)

    def denoiser(latents: AVLatents, timesteps: AVTimesteps, condition: float) -> AVLatents:
        return AVLatents(latents.video * weight)

    assert not sample(
        denoiser, AVLatents(NOISE.video), AVSigmas(flow_sigmas(2)), GuidanceChain(0.0)
    ).video.requires_grad


def test_errors() -> None:
    chain = GuidanceChain(0.5)
    with pytest.raises(ConfigError, match="Give both or neither"):
        sample(PointDenoiser(), NOISE, AVSigmas(flow_sigmas(3)), chain)
    with pytest.raises(ConfigError, match=r"expected 4 values \(as video\), got 3"):
        sample(PointDenoiser(), NOISE, AVSigmas(flow_sigmas(3), flow_sigmas(2)), chain)
    with pytest.raises(ConfigError, match="sigmas.video: expected values that never rise"):
        sample(PointDenoiser(), AVLatents(NOISE.video), AVSigmas(torch.tensor([0.5, 0.6])), chain)
    with pytest.raises(ConfigError, match=r"sigmas.video: expected 2 or more values in \[0, 1\]"):
        sample(PointDenoiser(), AVLatents(NOISE.video), AVSigmas(torch.tensor([1.5, 0.6])), chain)
    with pytest.raises(ConfigError, match=r"timesteps.video: expected 4 values \(as sigmas\), got 3"):
        shown = AVSigmas(wan_timesteps(2, 1.0))
        sample(
            PointDenoiser(), AVLatents(NOISE.video), AVSigmas(flow_sigmas(3)), chain, model_timesteps=shown
        )
    with pytest.raises(
        ShapeError, match=r"first_frame: expected \(2, 3, 1\.\.3, 2, 2\).*got \(2, 3, 1, 2, 1\)"
    ):
        sample(PointDenoiser(), NOISE, SIGMAS, chain, first_frame=torch.zeros(2, 3, 1, 2, 1))
    with pytest.raises(ShapeError, match=r"noise: expected video .* equal B, got .*\(1, 5, 6\)"):
        sample(PointDenoiser(), AVLatents(NOISE.video, torch.zeros(1, 5, 6)), SIGMAS, chain)

    def silent(latents: AVLatents, timesteps: AVTimesteps, condition: float) -> AVLatents:
        return AVLatents(latents.video)

    with pytest.raises(ShapeError, match=r"audio velocity: expected \(2, 5, 6\) .* got None"):
        sample(silent, NOISE, SIGMAS, chain)
