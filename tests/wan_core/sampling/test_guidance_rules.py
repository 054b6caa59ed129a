"""Windows, CFG-Zero-star and adaptive projection against diffusers' guiders and against their formulas."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wan_core.errors import ConfigError
from wan_core.sampling import (
    AVSigmas,
    AVTimesteps,
    GuidanceChain,
    GuidanceRun,
    GuidanceTerm,
    Projected,
    SigmaWindow,
    StepWindow,
    ZeroStar,
    av_noise,
    flow_sigmas,
    lead_audio,
    sample,
)
from wan_core.types import AVLatents

STEPS, SCALE = 6, 4.5
VIDEO, AUDIO = (2, 3, 4, 2, 2), (2, 5, 6)


def recorded(name: str, step: int, shape: tuple[int, ...]) -> Tensor:
    seed = sum(map(ord, name)) * 100 + step
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def steered(run: GuidanceRun[str], step: int, sigma: float = 0.7) -> tuple[Tensor, Tensor, list[str]]:
    """Velocities of both modalities at a step, and the conditions that were evaluated."""
    plan = run.plan(step, (sigma, sigma), (True, True), (step, step))
    video = {p.place: recorded(p.condition, step, VIDEO) for p in plan if p.wants_video}
    audio = {p.place: recorded(p.condition, step, AUDIO) for p in plan if p.wants_audio}
    found = (
        run.combine("video", video, recorded("x", step, VIDEO)),
        run.combine("audio", audio, recorded("x", step, AUDIO)),
    )
    return *found, [p.condition for p in plan]


def cfg(scale: float = SCALE) -> list[GuidanceTerm[str]]:
    return [GuidanceTerm(condition="pos", video=scale, audio=scale)]


def assert_equals_guider(chain: GuidanceChain[str], make: Callable[[], object], rtol: float = 1e-5) -> None:
    """All steps of both modalities against a diffusers guider, one object a modality."""
    run = chain.start()
    guiders = [make(), make()]
    for step in range(STEPS):
        *found, _ = steered(run, step)
        for guider, ours, shape in zip(guiders, found, (VIDEO, AUDIO), strict=True):
            guider.set_state(step, STEPS, torch.tensor(500.0))  # type: ignore[attr-defined]
            guider.prepare_inputs({"x": (torch.zeros(1), torch.zeros(1))})  # type: ignore[attr-defined]
            expected = guider.forward(recorded("pos", step, shape), recorded("neg", step, shape)).pred  # type: ignore[attr-defined]
            torch.testing.assert_close(ours, expected, rtol=rtol, atol=1e-5)


@pytest.mark.parametrize(
    ("start", "stop", "window"), [(0.0, 1.0, None), (0.34, 0.7, StepWindow(first=2, stop=4))]
)
def test_cfg_and_its_interval_equal_diffusers(start: float, stop: float, window: StepWindow | None) -> None:
    from diffusers.guiders import ClassifierFreeGuidance

    chain = GuidanceChain("neg", cfg(), window=window)
    assert_equals_guider(chain, lambda: ClassifierFreeGuidance(guidance_scale=SCALE, start=start, stop=stop))


@pytest.mark.parametrize("zero_steps", [0, 2])
def test_zero_star_equals_diffusers(zero_steps: int) -> None:
    from diffusers.guiders import ClassifierFreeZeroStarGuidance

    chain = GuidanceChain("neg", cfg(), rule=ZeroStar(zero_steps=zero_steps))
    assert_equals_guider(
        chain, lambda: ClassifierFreeZeroStarGuidance(guidance_scale=SCALE, zero_init_steps=zero_steps)
    )


@pytest.mark.parametrize("momentum", [0.0, -0.5])
@pytest.mark.parametrize(("eta", "threshold"), [(1.0, 0.0), (0.0, 0.0), (0.5, 3.0)])
@pytest.mark.parametrize("form", ["base", "condition"])
def test_projected_equals_diffusers(form: str, eta: float, threshold: float, momentum: float) -> None:
    """The paper's form is diffusers' `use_original_formulation` with a scale smaller by 1."""
    from diffusers.guiders import AdaptiveProjectedGuidance

    rule = Projected(eta=eta, norm_threshold=threshold, momentum=momentum, form=form)  # type: ignore[arg-type]
    is_paper = form == "condition"
    assert_equals_guider(
        GuidanceChain("neg", cfg(), rule=rule),
        lambda: AdaptiveProjectedGuidance(
            guidance_scale=SCALE - 1.0 if is_paper else SCALE,
            adaptive_projected_guidance_momentum=momentum or None,
            adaptive_projected_guidance_rescale=threshold,
            eta=eta,
            use_original_formulation=is_paper,
        ),
    )


def test_projected_per_frame_equals_diffusers() -> None:
    from diffusers.guiders.adaptive_projected_guidance import normalized_guidance

    rule = Projected(eta=0.25, norm_threshold=1.5, form="base", per_frame=True)
    video, audio, _ = steered(GuidanceChain("neg", cfg(), rule=rule).start(), 0)
    for ours, shape, axes in ((video, VIDEO, (1, 3, 4)), (audio, AUDIO, (1,))):
        pair = recorded("pos", 0, shape), recorded("neg", 0, shape)
        expected = normalized_guidance(*pair, SCALE, None, 0.25, 1.5, norm_dim=axes)
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


def test_projected_in_clean_space_over_a_chain_is_berninis_guidance() -> None:
    """x_u + 4.5 N(x_I - x_u | x_I) + 4 N(x_TI - x_I | x_TI) with norms of at most 50 and half the parallel part."""
    sigma, x = 0.7, recorded("x", 0, VIDEO).double()
    clean = {name: x - sigma * recorded(name, 0, VIDEO).double() for name in ("u", "refs", "both")}

    def shortened(difference: Tensor, along: Tensor) -> Tensor:
        result = torch.empty_like(difference)
        for sample_index in range(difference.shape[0]):
            for frame in range(difference.shape[2]):
                d, b = difference[sample_index, :, frame].flatten(), along[sample_index, :, frame].flatten()
                d = d * min(1.0, 2.0 / float(d.norm()))
                parallel = (d @ b) / (b @ b) * b
                result[sample_index, :, frame] = (d - parallel + 0.5 * parallel).view(
                    difference.shape[1], 2, 2
                )
        return result

    expected = clean["u"] + 4.5 * shortened(clean["refs"] - clean["u"], clean["refs"])
    expected = expected + 4.0 * shortened(clean["both"] - clean["refs"], clean["both"])
    terms = [GuidanceTerm(condition="refs", video=4.5), GuidanceTerm(condition="both", video=4.0)]
    rule = Projected(eta=0.5, norm_threshold=2.0, form="base", space="clean", per_frame=True)
    video, _, _ = steered(GuidanceChain("u", terms, rule=rule).start(), 0, sigma)
    torch.testing.assert_close(x - sigma * video.double(), expected, rtol=1e-5, atol=1e-5)


def test_scale_one_and_outside_the_window_are_the_last_condition_bit_for_bit() -> None:
    for rule in (None, ZeroStar(zero_steps=0), Projected(momentum=-0.5), Projected(form="base")):
        for chain in (
            GuidanceChain("neg", cfg(1.0), rule=rule),
            GuidanceChain("neg", cfg(), rule=rule, window=StepWindow(first=1, stop=2)),
            GuidanceChain("neg", cfg(), rule=rule, window=SigmaWindow(low=0.7)),
        ):
            video, audio, evaluated = steered(chain.start(), 0)
            assert evaluated == ["pos"]
            assert torch.equal(video, recorded("pos", 0, VIDEO))
            assert torch.equal(audio, recorded("pos", 0, AUDIO))


def test_a_window_of_sigmas_counts_for_each_modality_by_its_own() -> None:
    chain = GuidanceChain("neg", cfg(), window=SigmaWindow(low=0.3, high=0.8))
    assert [(w.video, w.audio) for w in chain.weights(0, 0.8, 0.3)] == [(-3.5, 0.0), (4.5, 1.0)]
    assert [(w.video, w.audio) for w in chain.weights(0, 0.81, 0.31)] == [(0.0, -3.5), (1.0, 4.5)]


def test_zero_star_scales_the_base_of_a_chain_to_its_last_term() -> None:
    """DreamID's chain: later terms are measured from conditions of their own; the text stays the guided one."""
    chain = GuidanceChain(
        "neg",
        [*cfg(3.0), GuidanceTerm(condition="pos", baseline="noimg", video=1.5)],
        rule=ZeroStar(zero_steps=0),
    )
    video, _, evaluated = steered(chain.start(), 1)
    neg, pos, other = (recorded(name, 1, VIDEO) for name in ("neg", "pos", "noimg"))
    alpha = (neg * pos).sum((1, 2, 3, 4), keepdim=True) / neg.square().sum((1, 2, 3, 4), keepdim=True)
    torch.testing.assert_close(
        video, alpha * neg + 3.0 * (pos - alpha * neg) + 1.5 * (pos - other), rtol=1e-5, atol=1e-5
    )
    assert evaluated == ["neg", "pos", "noimg"]


def test_zero_steps_evaluate_nothing_and_begin_where_the_modality_moves() -> None:
    asked: list[tuple[float, float]] = []

    def denoiser(latents: AVLatents, timesteps: AVTimesteps, condition: float) -> AVLatents:
        assert latents.audio is not None and timesteps.audio is not None
        asked.append((float(timesteps.video[0]), float(timesteps.audio[0])))
        return AVLatents(latents.video - condition, latents.audio - condition)

    chain = GuidanceChain(
        0.0, [GuidanceTerm(condition=1.0, video=2.0, audio=2.0)], rule=ZeroStar(zero_steps=1)
    )
    seen: list[AVLatents] = []
    noise = av_noise(VIDEO, AUDIO, 3)
    grid = flow_sigmas(4)
    sample(denoiser, noise, lead_audio(grid, grid, 1), chain, callback=lambda info: seen.append(info.latents))
    assert asked == [(1000.0, 750.0)] * 2 + [(750.0, 500.0)] * 2 + [(500.0, 250.0)] * 2 + [(250.0, 0.0)] * 2
    assert torch.equal(seen[1].video, noise.video) and not torch.equal(seen[2].video, noise.video)
    assert noise.audio is not None and seen[0].audio is not None and seen[1].audio is not None
    assert torch.equal(seen[0].audio, noise.audio) and not torch.equal(seen[1].audio, noise.audio)


def test_a_run_does_not_touch_the_next_one() -> None:
    """Momentum lives in the run: two runs of one chain give the same."""

    def denoiser(latents: AVLatents, timesteps: AVTimesteps, condition: float) -> AVLatents:
        return AVLatents(torch.sin(latents.video * condition))

    chain = GuidanceChain(0.5, [GuidanceTerm(condition=1.5, video=5.0)], rule=Projected(momentum=-0.75))
    noise = AVLatents(av_noise(VIDEO, None, 0).video)
    first, second = (sample(denoiser, noise, AVSigmas(flow_sigmas(5)), chain).video for _ in range(2))
    plain = sample(
        denoiser,
        noise,
        AVSigmas(flow_sigmas(5)),
        GuidanceChain(0.5, [GuidanceTerm(condition=1.5, video=5.0)]),
    )
    assert torch.equal(first, second) and not torch.allclose(first, plain.video)


def test_errors() -> None:
    with pytest.raises(ConfigError, match=r"expected 0 <= low < high <= 1, got 0\.8 to 0\.2"):
        SigmaWindow(low=0.8, high=0.2)
    with pytest.raises(ConfigError, match="expected 0 <= first < stop, got 3 to 3"):
        StepWindow(first=3, stop=3)
    with pytest.raises(ConfigError, match=r"expected a chain without a rule, got ZeroStar\. Use start"):
        GuidanceChain("neg", cfg(), rule=ZeroStar()).weights(0, 1.0, 1.0)
    with pytest.raises(ConfigError, match="zero_steps: expected 0 or more, got -1"):
        ZeroStar(zero_steps=-1)
    with pytest.raises(ConfigError, match="expected finite numbers and norm_threshold >= 0"):
        Projected(norm_threshold=-1.0)
    with pytest.raises(ConfigError, match="got condition and pixels"):
        Projected(space="pixels")  # type: ignore[arg-type]
