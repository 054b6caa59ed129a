"""Numbers that are not finite, in real small transformers: where they begin, float32 for the step, nothing lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tiny_dit import normal, randomise, tiny_config, tiny_joint_config
from torch import Tensor

from wan_core.dit.execution import for_inference
from wan_core.dit.joint import JointModel
from wan_core.dit.model import WanModel
from wan_core.errors import InputError
from wan_core.ops.quantized import PackedWeight, QuantizedLinear
from wan_core.sampling import (
    AVSigmas,
    AVTimesteps,
    Denoiser,
    DPMPlusPlus2M,
    Euler,
    Expert,
    ExpertRule,
    ExpertSwitch,
    GuidanceChain,
    GuidanceTerm,
    NonFiniteError,
    NumberGuard,
    Projected,
    Solver,
    StepInfo,
    UniPC,
    flow_sigmas,
    sample,
)
from wan_core.types import AVLatents

NOISE = AVLatents(normal(1, 4, 2, 4, 4))
SIGMAS = AVSigmas(flow_sigmas(4))
TEXT, NEGATIVE = normal(1, 3, 12, seed=5), normal(1, 3, 12, seed=6)
CHAIN = GuidanceChain(NEGATIVE, [GuidanceTerm(condition=TEXT, video=3.0)])


def tiny_model(dtype: torch.dtype = torch.float32) -> WanModel:
    model = randomise(WanModel(tiny_config()))
    assert isinstance(model, WanModel)
    return model.to(dtype)


def overflowing_model() -> WanModel:
    """Finite weights in float16; the inner activations of the second block's feed-forward pass 65504."""
    model = tiny_model(torch.float16)
    with torch.no_grad():
        model.get_parameter("blocks.1.ffn.0.weight").mul_(3e5 / 8)
        model.get_parameter("blocks.1.ffn.2.weight").mul_(1e-5)
    assert all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())
    return model


def denoiser_of(model: WanModel) -> Denoiser[Tensor]:
    def denoiser(latents: AVLatents, timesteps: AVTimesteps, condition: Tensor) -> AVLatents:
        return AVLatents(model(latents.video, timesteps.video, condition))

    return denoiser


def fails(denoiser: Denoiser[Tensor], guard: NumberGuard | None, **changes: object) -> NonFiniteError:
    with pytest.raises(NonFiniteError) as caught:
        sample(denoiser, NOISE, SIGMAS, changes.get("chain", CHAIN), guard=guard)  # type: ignore[arg-type]
    return caught.value


def test_overflow_names_step_block_and_remedy() -> None:
    model = overflowing_model()
    error = fails(denoiser_of(model), NumberGuard(model=model))
    assert str(error) == (
        "video velocity: expected finite values, got NaN or infinity at step 1 of 4 in block blocks.1 "
        "(linear in blocks.1.ffn.0, float16). Load the model in bfloat16 or float32, or allow float32 for such steps "
        "(safe, --safe)."
    )
    assert error.culprit is not None and error.culprit.cause == "overflow"
    assert torch.equal(error.latents.video, NOISE.video) and error.denoised is None


def test_without_a_guard_the_step_is_named() -> None:
    error = fails(denoiser_of(overflowing_model()), None)
    assert error.culprit is None and "at step 1 of 4. Lower the guidance scales" in str(error)


@pytest.mark.parametrize("solver", [Euler(), UniPC(), DPMPlusPlus2M()])
def test_safe_gives_what_the_model_gives_in_float32(solver: Solver) -> None:
    """Every step overflows and is repeated, so the whole run is the float32 one; the weights stay as they were."""
    model, seen = overflowing_model(), list[StepInfo]()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = sample(
        denoiser_of(model),
        NOISE,
        SIGMAS,
        CHAIN,
        solver=solver,
        guard=NumberGuard(model=model, safe=True),
        callback=seen.append,
    )
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float16 and torch.equal(value, before[name])
    expected = sample(denoiser_of(model.float()), NOISE, SIGMAS, CHAIN, solver=solver)
    assert torch.equal(found.video, expected.video) and bool(torch.isfinite(found.video).all())
    assert [info.repaired for info in seen] == ["block blocks.1 (linear in blocks.1.ffn.0, float16)"] * 4


def test_the_state_of_solver_and_guidance_is_that_of_one_step() -> None:
    """A step that is repeated counts once in the histories of UniPC and of the momentum."""
    model, calls = tiny_model(), list[int]()
    rule = Projected(momentum=-0.5)
    chain = GuidanceChain(NEGATIVE, [GuidanceTerm(condition=TEXT, video=3.0)], rule=rule)

    def failing_once(latents: AVLatents, timesteps: AVTimesteps, condition: Tensor) -> AVLatents:
        calls.append(1)
        velocity = denoiser_of(model)(latents, timesteps, condition)
        return AVLatents(velocity.video * (float("nan") if len(calls) == 6 else 1.0))

    guard = NumberGuard(model=model, safe=True)
    found = sample(failing_once, NOISE, SIGMAS, chain, solver=UniPC(), guard=guard)
    expected = sample(denoiser_of(model), NOISE, SIGMAS, chain, solver=UniPC())
    assert torch.equal(found.video, expected.video)
    assert len(calls) == 2 * 4 + 2 + 1, "the failed step again, and one evaluation to look for the block"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_latents_keep_their_dtype_after_a_repaired_step(dtype: torch.dtype) -> None:
    model, calls = tiny_model(dtype), list[torch.dtype]()

    def failing_once(latents: AVLatents, timesteps: AVTimesteps, condition: Tensor) -> AVLatents:
        calls.append(latents.video.dtype)
        velocity = denoiser_of(model)(latents, timesteps, condition)
        return AVLatents(velocity.video * (float("nan") if len(calls) == 2 else 1.0))

    noise = AVLatents(NOISE.video.to(dtype))
    guard = NumberGuard(model=model, safe=True)
    found = sample(failing_once, noise, SIGMAS, GuidanceChain(TEXT), solver=UniPC(), guard=guard)
    assert found.video.dtype == dtype and bool(torch.isfinite(found.video).all())
    assert calls == [dtype, dtype, dtype, torch.float32, dtype, dtype]


def test_autocast_is_off_while_a_step_is_repeated() -> None:
    model = overflowing_model().float()
    expected = sample(denoiser_of(model), NOISE, SIGMAS, CHAIN)
    with torch.autocast("cpu", torch.float16):
        error = fails(denoiser_of(model), NumberGuard(model=model))
        found = sample(denoiser_of(model), NOISE, SIGMAS, CHAIN, guard=NumberGuard(model=model, safe=True))
    assert error.culprit is not None and error.culprit.block == "blocks.1"
    assert torch.equal(found.video, expected.video)


def test_of_two_experts_the_one_in_use_is_watched_and_what_was_made_is_kept() -> None:
    models = {"high": tiny_model(torch.float16), "low": overflowing_model()}

    def load(expert: Expert) -> Denoiser[Tensor]:
        return denoiser_of(models[expert])

    switch, seen = ExpertSwitch(ExpertRule(boundary=0.6), load, lambda expert: None), list[StepInfo]()
    guard = NumberGuard(model=lambda: None if switch.current is None else models[switch.current])
    with pytest.raises(NonFiniteError, match=r"step 3 of 4 in block blocks\.1") as caught:
        sample(switch, NOISE, SIGMAS, CHAIN, guard=guard, callback=seen.append)
    error = caught.value
    assert (error.index, error.total) == (2, 4)
    assert torch.equal(error.latents.video, seen[1].latents.video)
    assert error.denoised is not None and torch.equal(error.denoised.video, seen[1].denoised.video)


def damage(model: WanModel) -> WanModel:
    with torch.no_grad():
        model.get_parameter("blocks.0.cross_attn.o.weight")[0, 0] = float("nan")
    return model


def pack(model: WanModel) -> WanModel:
    """A NaN in an fp8 layer that stays packed."""
    layer = model.blocks[0].cross_attn.o  # type: ignore[union-attr]
    data = layer.weight.detach().to(torch.float8_e4m3fn).view(torch.uint8).flatten()
    data[0] = 0x7F
    packed = PackedWeight("F8_E4M3", tuple(layer.weight.shape), data)
    model.blocks[0].cross_attn.o = QuantizedLinear(packed, layer.bias.detach())  # type: ignore[union-attr]
    return model


@pytest.mark.parametrize(
    "change",
    [damage, lambda model: for_inference(damage(model)), pack],
    ids=["plain", "for_inference", "packed fp8"],
)
def test_weights_that_are_not_finite_are_told_from_overflow(change: Callable[[WanModel], WanModel]) -> None:
    model = change(tiny_model())
    for safe in (False, True):
        error = fails(denoiser_of(model), NumberGuard(model=model, safe=safe))
        assert error.culprit is not None and error.culprit.block == "blocks.0"
        assert error.culprit.layer == "blocks.0.cross_attn.o" and error.culprit.cause == "weights"
        assert "Its weights hold NaN or infinity: get the file again" in str(error)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bad_input_of_packed_layers_is_not_blamed_on_them(dtype: torch.dtype) -> None:
    """Also after the third call, when a layer has its copy for this number of rows."""
    model = for_inference(tiny_model(dtype))
    good = denoiser_of(model)
    for _ in range(3):
        good(NOISE, AVTimesteps(torch.tensor([500.0])), TEXT)
    layer = model.blocks[1].ffn  # type: ignore[union-attr]
    layer.register_forward_pre_hook(lambda _, given: (given[0] * float("nan"),))
    error = fails(good, NumberGuard(model=model))
    assert error.culprit is not None and error.culprit.cause == "input" and error.culprit.block == "blocks.1"


def test_a_prompt_that_is_not_finite_is_told_from_both() -> None:
    model = tiny_model()
    chain = GuidanceChain(torch.full_like(TEXT, float("nan")))
    error = fails(denoiser_of(model), NumberGuard(model=model), chain=chain)
    assert "in the model outside of its blocks (linear in text_embedding.0, float32). It was given" in str(
        error
    )


def test_joint_model_names_the_tower() -> None:
    model = randomise(JointModel(tiny_joint_config()))
    assert isinstance(model, JointModel)
    with torch.no_grad():
        model.get_parameter("audio_model.blocks.1.self_attn.v.weight").fill_(float("inf"))

    def denoiser(latents: AVLatents, timesteps: AVTimesteps, condition: Tensor) -> AVLatents:
        assert timesteps.audio is not None
        return model(latents, (timesteps.video, timesteps.audio), condition)

    noise = AVLatents(NOISE.video, normal(1, 3, 6))
    with pytest.raises(
        NonFiniteError, match=r"in block audio_model\.blocks\.1 \(linear in audio_model\.blocks"
    ) as caught:
        sample(
            denoiser,
            noise,
            AVSigmas(flow_sigmas(2), flow_sigmas(2)),
            GuidanceChain(TEXT),
            guard=NumberGuard(model=model),
        )
    assert caught.value.latents.audio is not None


def test_latents_that_overflow_after_finite_velocities() -> None:
    chain = GuidanceChain(NEGATIVE, [GuidanceTerm(condition=TEXT, video=1e39)])
    model = tiny_model()
    error = fails(denoiser_of(model), NumberGuard(model=model, safe=True), chain=chain)
    assert "video latents: expected finite" in str(error) and "lower the guidance scales" in str(error)


def test_no_room_for_float32_is_said() -> None:
    model = overflowing_model()

    def denoiser(latents: AVLatents, timesteps: AVTimesteps, condition: Tensor) -> AVLatents:
        if model.time_embedding[0].weight.dtype == torch.float32:  # type: ignore[union-attr]
            raise torch.OutOfMemoryError("CUDA out of memory")
        return denoiser_of(model)(latents, timesteps, condition)

    error = fails(denoiser, NumberGuard(model=model, safe=True))
    assert "not enough memory to repeat it in float32: load the model in bfloat16" in str(error)
    assert model.time_embedding[0].weight.dtype == torch.float16  # type: ignore[union-attr]


def test_layers_that_convert_by_themselves_are_left_alone() -> None:
    model = tiny_model(torch.float16)
    with NumberGuard(model=model, converts_weights=False).in_float32(torch.device("cpu")):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float16}
    with NumberGuard(model=model).in_float32(torch.device("cpu")):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_weights_that_wait_on_another_device_are_left_alone() -> None:
    model = tiny_model(torch.float16)
    model.blocks[1].to("meta")
    with NumberGuard(model=model).in_float32(torch.device("cpu")):
        assert {p.dtype for p in model.blocks[0].parameters()} == {torch.float32}
        assert {p.dtype for p in model.blocks[1].parameters()} == {torch.float16}
    assert {p.dtype for p in model.parameters()} == {torch.float16}


def test_what_a_run_begins_with_must_be_finite() -> None:
    bad = torch.full_like(NOISE.video, float("inf"))
    with pytest.raises(InputError, match=r"noise\.video: expected finite values"):
        sample(denoiser_of(tiny_model()), AVLatents(bad), SIGMAS, CHAIN)
    with pytest.raises(InputError, match="first_frame: expected finite values"):
        sample(denoiser_of(tiny_model()), NOISE, SIGMAS, CHAIN, first_frame=bad[:, :, :1])
