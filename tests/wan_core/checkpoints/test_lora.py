"""LoRA: every style of key gives W + strength * alpha / rank * up down, and a file of another model is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_dit import normal, randomise, relative_error, tiny_config
from torch import Tensor, nn

from wan_core.checkpoints.lora import Lora, apply_lora
from wan_core.dit.model import WanModel
from wan_core.errors import CheckpointError, CheckpointMismatchError, InputError
from wan_core.ops.quantized import PackedWeight, put_packed

RANK, ALPHA, STRENGTH = 3, 2.0, 0.7
#: Layers of the model, and what Diffusers calls them.
LAYERS = {
    "blocks.0.self_attn.q": "blocks.0.attn1.to_q",
    "blocks.1.cross_attn.o": "blocks.1.attn2.to_out.0",
    "blocks.1.ffn.2": "blocks.1.ffn.net.2",
    "time_projection.1": "condition_embedder.time_proj",
    "head.head": "proj_out",
}
Pairs = dict[str, tuple[Tensor, Tensor]]


def tiny() -> WanModel:
    model = randomise(WanModel(tiny_config()))
    assert isinstance(model, WanModel)
    return model


def pairs(model: WanModel) -> Pairs:
    found: Pairs = {}
    for number, name in enumerate(LAYERS):
        out, into = model.get_submodule(name).weight.shape
        found[name] = (normal(RANK, into, seed=number), normal(out, RANK, seed=100 + number))
    return found


def kohya(given: Pairs) -> dict[str, Tensor]:
    return _with_alpha(given, lambda name: "lora_unet_" + name.replace(".", "_"))


def kohya_fun(given: Pairs) -> dict[str, Tensor]:
    return _with_alpha(given, lambda name: "lora_unet__" + name.replace(".", "_"))


def original(given: Pairs) -> dict[str, Tensor]:
    return _with_alpha(given, lambda name: name)


def lightx2v(given: Pairs) -> dict[str, Tensor]:
    return _with_alpha(given, lambda name: f"diffusion_model.{name}")


def comfy(given: Pairs) -> dict[str, Tensor]:
    return _with_alpha(given, lambda name: f"model.diffusion_model.{name}")


def diffusers(given: Pairs) -> dict[str, Tensor]:
    return _plain(given, lambda name: f"transformer.{LAYERS[name]}", "weight")


def peft(given: Pairs) -> dict[str, Tensor]:
    return _plain(given, lambda name: f"base_model.model.{name}", "weight")


def peft_saved_whole(given: Pairs) -> dict[str, Tensor]:
    return _plain(given, lambda name: f"diffusion_model.{name}", "default.weight")


def _with_alpha(given: Pairs, base: Callable[[str], str]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, (down, up) in given.items():
        state |= {f"{base(name)}.lora_down.weight": down, f"{base(name)}.lora_up.weight": up}
        state[f"{base(name)}.alpha"] = torch.tensor(ALPHA)
    return state


def _plain(given: Pairs, base: Callable[[str], str], ending: str) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for name, (down, up) in given.items():
        state |= {f"{base(name)}.lora_A.{ending}": down, f"{base(name)}.lora_B.{ending}": up}
    return state


def write(path: Path, state: dict[str, Tensor], metadata: dict[str, str] | None = None) -> Lora:
    save_file(state, path, metadata=metadata)
    return Lora(path, STRENGTH)


def check(model: nn.Module, before: dict[str, Tensor], given: Pairs, factor: float) -> None:
    """Changed layers are W + factor * up down, all others bit for bit as before."""
    for name, after in model.state_dict().items():
        layer = name.removesuffix(".weight")
        if layer in given:
            down, up = given[layer]
            expected = before[name] + factor * up @ down
            assert relative_error(after, expected) < 1e-6, name
            assert not torch.equal(after, before[name])
        else:
            assert torch.equal(after, before[name]), name


@pytest.mark.parametrize("style", [kohya, kohya_fun, original, lightx2v, comfy])
def test_styles_with_alpha(style: Callable[[Pairs], dict[str, Tensor]], tmp_path: Path) -> None:
    model = tiny()
    before, given = {k: v.clone() for k, v in model.state_dict().items()}, pairs(model)
    assert apply_lora(model, write(tmp_path / "lora.safetensors", style(given))) == len(LAYERS)
    check(model, before, given, STRENGTH * ALPHA / RANK)


@pytest.mark.parametrize("style", [diffusers, peft, peft_saved_whole])
@pytest.mark.parametrize("alpha", [None, 6.0])
def test_styles_with_one_alpha_or_none(
    style: Callable[[Pairs], dict[str, Tensor]], alpha: float | None, tmp_path: Path
) -> None:
    """Diffusers keeps alpha in the metadata, peft in a file beside; without either it is the rank."""
    model = tiny()
    before, given = {k: v.clone() for k, v in model.state_dict().items()}, pairs(model)
    metadata = None
    if alpha is not None and style is not peft:
        metadata = {
            "lora_adapter_metadata": json.dumps({"transformer.lora_alpha": alpha, "transformer.r": RANK})
        }
    if alpha is not None and style is peft:
        (tmp_path / "adapter_config.json").write_text(json.dumps({"lora_alpha": alpha, "r": RANK}))
    apply_lora(model, write(tmp_path / "adapter_model.safetensors", style(given), metadata))
    check(model, before, given, STRENGTH * (1.0 if alpha is None else alpha / RANK))


def test_differences_of_weights_biases_and_modulation(tmp_path: Path) -> None:
    model = tiny()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    changed = {
        "blocks.0.norm3.weight": "diffusion_model.blocks.0.norm3.diff",
        "blocks.0.self_attn.k.bias": "diffusion_model.blocks.0.self_attn.k.diff_b",
        "blocks.1.modulation": "diffusion_model.blocks.1.diff_m",
        "patch_embedding.weight": "diffusion_model.patch_embedding.diff",
        "head.modulation": "diffusion_model.head.diff_m",
    }
    state = {key: normal(*before[name].shape, seed=n) for n, (name, key) in enumerate(changed.items())}
    apply_lora(model, write(tmp_path / "lora.safetensors", state))
    for name, after in model.state_dict().items():
        add = STRENGTH * state[changed[name]] if name in changed else 0.0
        assert torch.allclose(after, before[name] + add, rtol=0, atol=1e-6), name


def test_convolution(tmp_path: Path) -> None:
    model = tiny()
    before = model.patch_embedding.weight.detach().clone()
    down, up = normal(RANK, 4, 1, 2, 2), normal(48, RANK, 1, 1, 1)
    state = {"patch_embedding.lora_down.weight": down, "patch_embedding.lora_up.weight": up}
    apply_lora(model, write(tmp_path / "lora.safetensors", state))
    expected = before + STRENGTH * torch.einsum("or,rcthw->octhw", up[..., 0, 0, 0], down)
    assert relative_error(model.patch_embedding.weight, expected) < 1e-6


def test_packed_layers_get_an_addition(tmp_path: Path) -> None:
    """The output is that of the unpacked weight with the LoRA merged."""
    plain, packed = tiny(), tiny()
    given = pairs(plain)
    for name in given:
        weight = plain.get_submodule(name).weight.detach().to(torch.float8_e4m3fn)
        plain.get_submodule(name).weight.data = weight.float()
        data = weight.contiguous().view(torch.uint8).flatten()
        assert put_packed(
            packed, f"{name}.weight", PackedWeight("F8_E4M3", weight.shape, data), torch.float32
        )
    bytes_before = packed.get_submodule("head.head").packed.clone()
    for strength in (0.7, -0.4):
        save_file(kohya(given), tmp_path / "lora.safetensors")
        for model in (plain, packed):
            apply_lora(model, Lora(tmp_path / "lora.safetensors", strength))
    x = normal(2, 5, 48)
    for name in ("blocks.0.self_attn.q", "head.head"):
        assert relative_error(packed.get_submodule(name)(x), plain.get_submodule(name)(x)) < 1e-5
    assert torch.equal(packed.get_submodule("head.head").base.base.packed, bytes_before)


def test_packed_time_embedding_keeps_the_working_dtype(tmp_path: Path) -> None:
    """The model asks its first layer in which dtype to work; an addition to it changes nothing about that."""
    model = tiny().to(torch.bfloat16)
    layer = model.time_embedding[0]
    data = layer.weight.detach().to(torch.float8_e4m3fn).contiguous().view(torch.uint8).flatten()
    packed = PackedWeight("F8_E4M3", tuple(layer.weight.shape), data)
    put_packed(model, "time_embedding.0.weight", packed, torch.bfloat16)
    seen: list[torch.dtype] = []
    model.blocks[0].self_attn.register_forward_pre_hook(lambda _, args: seen.append(args[0].dtype))
    inputs = (normal(1, 4, 2, 4, 4), torch.tensor([500.0]), normal(1, 7, 12))
    state = {"time_embedding.0.lora_A.weight": normal(2, 32), "time_embedding.0.lora_B.weight": normal(48, 2)}
    lora = write(tmp_path / "lora.safetensors", state)
    with torch.no_grad():
        before = model(*inputs)
        apply_lora(model, lora)
        after = model(*inputs)
    assert seen == [torch.bfloat16, torch.bfloat16]
    assert not torch.equal(before, after)


def test_strength_0_changes_nothing(tmp_path: Path) -> None:
    model = tiny()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    path = write(tmp_path / "lora.safetensors", kohya(pairs(model))).path
    apply_lora(model, Lora(path, 0.0))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_half_precision_is_computed_in_float32(tmp_path: Path) -> None:
    model = tiny().to(torch.bfloat16)
    before, given = model.get_submodule("head.head").weight.float(), pairs(tiny())
    apply_lora(model, write(tmp_path / "lora.safetensors", original(given)))
    down, up = given["head.head"]
    expected = (before + STRENGTH * ALPHA / RANK * up @ down).to(torch.bfloat16)
    assert torch.equal(model.get_submodule("head.head").weight, expected)


def _refused(tmp_path: Path, state: dict[str, Tensor], error: type[Exception], match: str) -> None:
    model = tiny()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    lora = write(tmp_path / "lora.safetensors", state)
    with pytest.raises(error, match=match):
        apply_lora(model, lora)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_unmatched_keys_are_listed(tmp_path: Path) -> None:
    state = lightx2v(pairs(tiny())) | {"diffusion_model.blocks.7.self_attn.q.lora_up.weight": torch.ones(1)}
    _refused(
        tmp_path, state, CheckpointMismatchError, r"got 1 that fit none: diffusion_model\.blocks\.7\.self"
    )
    state = kohya(pairs(tiny())) | {
        "lora_te1_text_model.lora_up.weight": torch.ones(1),
        "something": torch.ones(1),
    }
    _refused(tmp_path, state, CheckpointMismatchError, "got 2 that fit none: lora_te1_text_model.*something")


def test_lora_of_another_model(tmp_path: Path) -> None:
    state = original({"blocks.0.self_attn.q": (normal(RANK, 64), normal(64, RANK))})
    _refused(
        tmp_path,
        state,
        CheckpointMismatchError,
        r"expected shape \(48, 48\).*got down \(3, 64\) and up \(64, 3\)",
    )
    state = {"blocks.0.norm3.diff": torch.ones(64)}
    _refused(tmp_path, state, CheckpointMismatchError, r"norm3.weight: expected shape \(48,\).*got \(64,\)")


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("blocks.0.self_attn.q.dora_scale", "DoRA"),
        ("blocks.0.self_attn.q.lora_magnitude_vector", "DoRA"),
        ("lora_unet_blocks_0_self_attn_q.hada_w1_a", "LoHa"),
        ("lora_unet_blocks_0_self_attn_q.lokr_w1", "LoKr"),
    ],
)
def test_other_kinds_of_adapter(key: str, kind: str, tmp_path: Path) -> None:
    _refused(tmp_path, original(pairs(tiny())) | {key: torch.ones(48)}, CheckpointError, f"got {kind}")


def test_incomplete_and_useless_files(tmp_path: Path) -> None:
    state = original(pairs(tiny()))
    del state["head.head.lora_up.weight"]
    _refused(tmp_path, state, CheckpointError, "LoRA of head.head: expected a down and an up matrix")
    metadata = {"lora_adapter_metadata": json.dumps({"transformer.alpha_pattern": {"q": 1.0}})}
    lora = write(tmp_path / "pattern.safetensors", diffusers(pairs(tiny())), metadata)
    with pytest.raises(CheckpointError, match="alpha_pattern"):
        apply_lora(tiny(), lora)
    with pytest.raises(InputError, match="expected a finite strength, got nan"):
        Lora(tmp_path / "lora.safetensors", float("nan"))


def test_full_difference_of_a_packed_layer(tmp_path: Path) -> None:
    model = tiny()
    data = model.head.head.weight.detach().to(torch.float8_e5m2).view(torch.uint8).flatten()
    put_packed(model, "head.head.weight", PackedWeight("F8_E5M2", (16, 48), data), torch.float32)
    lora = write(tmp_path / "lora.safetensors", {"head.head.diff": torch.ones(16, 48)})
    with pytest.raises(CheckpointError, match="expected down and up matrices for a packed weight"):
        apply_lora(model, lora)
