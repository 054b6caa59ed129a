from __future__ import annotations

import copy

import pytest
import torch
from tiny_dit import normal, randomise, relative_error, tiny_config, tiny_joint_config
from torch import nn

from wan_core.dit.execution import for_inference, is_held_twice
from wan_core.dit.joint import JointModel
from wan_core.dit.model import WanModel
from wan_core.ops.packed import PackedBfloat16, PackedFeedForward, PackedFloat32
from wan_core.types import AVLatents

LATENTS, TIME = normal(2, 4, 3, 4, 6), torch.tensor([977.3, 501.0])
CONTEXT = normal(2, 7, 12, seed=3)


def make(**changes: object) -> WanModel:
    model = WanModel(tiny_config(**changes))
    randomise(model)
    return model


@torch.inference_mode()
def test_the_copy_gives_the_same_and_leaves_the_model_alone() -> None:
    model = make(image_dim=20)
    image, before = normal(2, 9, 20, seed=5), copy.deepcopy(model.state_dict())
    expected = model(LATENTS, TIME, CONTEXT, image_embeds=image)
    fast = for_inference(model)
    low = [type(module) for module in for_inference(copy.deepcopy(model).bfloat16()).modules()]
    assert low.count(PackedFeedForward) == 2 and low.count(PackedBfloat16) == 2 * (4 + 2 + 2)
    kinds = [type(module) for module in fast.modules()]
    assert kinds.count(PackedFeedForward) == 2 and kinds.count(PackedFloat32) == 2 * (4 + 2 + 2)
    assert relative_error(fast(LATENTS, TIME, CONTEXT, image_embeds=image), expected) < 1e-5
    prepared = fast.prepare(CONTEXT, image)
    for _ in range(3):  # with the weights as they are, and then packed
        assert relative_error(fast(LATENTS, TIME, prepared), expected) < 1e-5
    assert not any(isinstance(module, PackedFloat32) for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert fast.head.head.weight is model.head.head.weight


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_is_consumed_gives_its_weights_up(dtype: torch.dtype) -> None:
    """Those that are replaced, which are those that are counted twice in float32, and no others."""
    model = make().to(dtype)
    expected = model(LATENTS, TIME, CONTEXT)
    names = set(model.state_dict())
    fast = for_inference(model, consume=True)
    gone = names - set(model.state_dict())
    assert gone == {name for name in names if is_held_twice(name)} and len(gone) == 2 * (4 + 2 + 2)
    fast.prepare(CONTEXT)
    assert relative_error(fast(LATENTS, TIME, CONTEXT), expected) < (1e-5 if dtype == torch.float32 else 0.02)


@torch.inference_mode()
def test_both_towers() -> None:
    model = JointModel(tiny_joint_config())
    randomise(model)
    latents = AVLatents(normal(2, 4, 3, 2, 2), normal(2, 3, 9, seed=4))
    expected = model(latents, (TIME, TIME), CONTEXT)
    found = for_inference(model)(latents, (TIME, TIME), CONTEXT)
    assert relative_error(found.video, expected.video) < 1e-5
    assert found.audio is not None and expected.audio is not None
    assert relative_error(found.audio, expected.audio) < 1e-5


@torch.inference_mode()
def test_bfloat16_is_no_less_exact_than_the_plain_path() -> None:
    model = make(dim=192, num_heads=4, ffn_dim=512)
    exact = model(LATENTS, TIME, CONTEXT)
    model.bfloat16()
    plain = relative_error(model(LATENTS, TIME, CONTEXT), exact)
    fast = for_inference(model)
    assert relative_error(fast(LATENTS, TIME, fast.prepare(CONTEXT)), exact) < 1.1 * plain


class OtherLinear(nn.Linear):
    """A layer of a host."""


class OtherOperations:
    Linear, Conv1d, Conv3d, LayerNorm = OtherLinear, nn.Conv1d, nn.Conv3d, nn.LayerNorm


@pytest.mark.parametrize("model", [WanModel(tiny_config(), operations=OtherOperations()), make().half()])  # type: ignore[arg-type]
def test_other_layers_and_dtypes_stay(model: WanModel) -> None:
    assert for_inference(model) is model
    assert for_inference(WanModel(tiny_config(), device="meta")).blocks[0].ffn[0].weight.is_meta
