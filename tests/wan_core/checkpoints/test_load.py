from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_dit import normal, randomise, tiny_config, tiny_joint_config

import wan_core
from wan_core import load_dit, load_text_encoder, load_vae
from wan_core.checkpoints.nano import save_part
from wan_core.dit.joint import JointModel
from wan_core.dit.model import WanModel
from wan_core.errors import (
    AmbiguousCheckpointError,
    CheckpointError,
    CheckpointMismatchError,
    ConfigError,
    UnknownCheckpointError,
)
from wan_core.text.encoder import NanoTextConfig, NanoTextEncoder
from wan_core.types import AVLatents
from wan_core.vae.config import PatchVAEConfig
from wan_core.vae.patch_vae import PatchVAE

GOLDEN = Path(__file__).parents[2] / "golden" / "ovi_fusion.safetensors"
HEADS = {"_class_name": "WanModel", "num_heads": 2}


def wide_model() -> WanModel:
    """One whose heads are as wide as the published ones, so that no config.json is needed."""
    model = WanModel(tiny_config(dim=256, ffn_dim=32, freq_dim=16, num_layers=1))
    randomise(model)
    return model


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return dict(wide_model().state_dict())


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model.", "model."])
def test_a_single_file_with_any_wrapper_prefix(
    tmp_path: Path, state: dict[str, torch.Tensor], prefix: str
) -> None:
    save_file({prefix + key: value for key, value in state.items()}, tmp_path / "w.safetensors")
    model = load_dit(tmp_path / "w.safetensors")
    assert isinstance(model, WanModel) and model.config == wide_model().config and not model.training
    assert all(torch.equal(model.state_dict()[key], value) for key, value in state.items())


def test_dtype_is_chosen_or_kept(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    save_file({key: value.bfloat16() for key, value in state.items()}, tmp_path / "w.safetensors")
    assert {p.dtype for p in load_dit(tmp_path / "w.safetensors").parameters()} == {torch.float32}
    assert {p.dtype for p in load_dit(tmp_path / "w.safetensors", dtype=torch.float16).parameters()} == {
        torch.float16
    }
    assert {p.dtype for p in load_dit(str(tmp_path / "w.safetensors"), dtype=None).parameters()} == {
        torch.bfloat16
    }


def test_ovi_file(tmp_path: Path) -> None:
    weights = {k.removeprefix("weight."): v for k, v in load_file(GOLDEN).items() if k.startswith("weight.")}
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(HEADS))
    model = load_dit(tmp_path)
    assert isinstance(model, JointModel)
    assert model.config.audio_position_scale == 0.19676 and model.config.audio.embedding_hidden == 256
    assert (model.config.video.in_channels, model.config.audio.in_channels) == (5, 3)


def test_nanos_own_file(tmp_path: Path) -> None:
    model = JointModel(tiny_joint_config())
    randomise(model)
    save_part(tmp_path / "dit.safetensors", "dit", model.config, model)
    found = load_dit(tmp_path / "dit.safetensors")
    assert isinstance(found, JointModel) and found.config == model.config
    arguments = (
        AVLatents(normal(1, 4, 2, 2, 2), normal(1, 3, 5)),
        (torch.ones(1), torch.ones(1)),
        normal(1, 3, 12),
    )
    assert torch.equal(found(*arguments).video, model(*arguments).video)
    tower = WanModel(tiny_config(prediction="sample"))
    save_part(tmp_path / "tower.safetensors", "tower", tower.config, tower)
    assert load_dit(tmp_path / "tower.safetensors").config == tower.config


def test_codec_and_text_encoder(tmp_path: Path) -> None:
    codec = PatchVAE(PatchVAEConfig(image_channels=4, motion_channels=2, refiner_width=8, refiner_blocks=1))
    save_part(tmp_path / "vae.safetensors", "patch_vae", codec.config, codec)
    assert isinstance(load_vae(tmp_path / "vae.safetensors"), PatchVAE)
    text = NanoTextEncoder(NanoTextConfig())
    save_part(tmp_path / "text.safetensors", "text", text.config, text)
    assert isinstance(load_text_encoder(tmp_path / "text.safetensors"), NanoTextEncoder)
    with pytest.raises(CheckpointError, match="kind of part: expected patch_vae, got 'text'"):
        load_vae(tmp_path / "text.safetensors")
    with pytest.raises(CheckpointError, match="kind of part: expected dit or tower, got 'text'"):
        load_dit(tmp_path / "text.safetensors")


def test_pipeline_folder(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    (tmp_path / "transformer").mkdir()
    (tmp_path / "model_index.json").write_text("{}")
    save_file(state, tmp_path / "transformer" / "diffusion_pytorch_model.safetensors")
    assert isinstance(load_dit(tmp_path), WanModel)


def write_shards(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    keys = sorted(state)
    parts = {"one.safetensors": keys[::2], "two.safetensors": keys[1::2]}
    for name, own in parts.items():
        save_file({key: state[key] for key in own}, folder / name)
    index = folder / "w.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {key: name for name, own in parts.items() for key in own}}))
    return index


def test_shards(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    index = write_shards(tmp_path, state)
    for path in (index, tmp_path):
        model = load_dit(path)
        assert all(torch.equal(model.state_dict()[key], value) for key, value in state.items())


def test_broken_shards(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    index = write_shards(tmp_path, state)
    save_file({"other": torch.zeros(1)}, tmp_path / "two.safetensors")
    with pytest.raises(
        CheckpointError, match="index: expected tensor .* in its shards, got shards without it"
    ):
        load_dit(index)
    (tmp_path / "two.safetensors").unlink()
    with pytest.raises(CheckpointError, match="got nothing at .*two.safetensors"):
        load_dit(index)
    index.write_text('{"weight_map": {}}')
    with pytest.raises(CheckpointError, match="expected the entry 'weight_map', got none"):
        load_dit(index)
    index.write_text("{")
    with pytest.raises(CheckpointError, match="expected readable JSON"):
        load_dit(index)
    index.write_text("[]")
    with pytest.raises(CheckpointError, match="expected an object, got list"):
        load_dit(index)


def test_folders_without_a_clear_choice(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(CheckpointError, match="expected one index or one .safetensors file, got none"):
        load_dit(tmp_path)
    for name in "ab":
        save_file(state, tmp_path / f"{name}.safetensors")
    with pytest.raises(
        CheckpointError, match=r"got a\.safetensors, b\.safetensors in .* Name the file itself"
    ):
        load_dit(tmp_path)


def test_what_is_no_transformer_gets_a_reason_per_family(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    save_file({"conv.weight": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(UnknownCheckpointError) as caught:
        load_dit(tmp_path / "x.safetensors")
    text = str(caught.value)
    assert (
        "Wan, original names: no patch_embedding.weight" in text and "Diffusers names: no condition" in text
    )
    assert "Ovi, video and audio towers: no audio_model" in text
    del state["time_projection.1.weight"]
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(UnknownCheckpointError, match="original names: no time_projection.1.weight"):
        load_dit(tmp_path / "x.safetensors")


def test_a_file_of_two_families_is_refused(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    extra = ("condition_embedder.time_proj.weight", "blocks.0.attn1.to_q.weight")
    save_file({**state, **{key: torch.zeros(1) for key in extra}}, tmp_path / "x.safetensors")
    with pytest.raises(AmbiguousCheckpointError, match="got Wan, original names and Wan, Diffusers names in"):
        load_dit(tmp_path / "x.safetensors")


def test_a_recognised_file_must_fit_exactly(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "x.safetensors"
    save_file({**state, **{f"vace_blocks.{i}.w": torch.zeros(1) for i in range(7)}}, path)
    with pytest.raises(
        CheckpointMismatchError, match=r"0 missing \(none\), 7 unexpected \(vace_blocks.0.w, .*4.w, \.\.\.\)"
    ):
        load_dit(path)
    lost = {key: value for key, value in state.items() if key != "blocks.0.cross_attn.o.bias"}
    save_file(lost, path)
    with pytest.raises(CheckpointMismatchError, match=r"1 missing \(blocks.0.cross_attn.o.bias\)"):
        load_dit(path)
    save_file({**state, "blocks.0.ffn.2.weight": torch.zeros(256, 33)}, path)
    with pytest.raises(
        CheckpointMismatchError, match=r"blocks.0.ffn.2.weight \(256, 33\) instead of \(256, 32\)"
    ):
        load_dit(path)
    save_file({**state, "patch_embedding.weight": torch.zeros(256, 16)}, path)
    with pytest.raises(CheckpointMismatchError, match=r"expected a convolution, got shape \(256, 16\)"):
        load_dit(path)
    save_file({k: v for k, v in state.items() if k != "text_embedding.0.weight"}, path)
    with pytest.raises(
        CheckpointMismatchError, match="tensor text_embedding.0.weight: expected it, got none"
    ):
        load_dit(path)


def test_config_json_must_agree(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(state, tmp_path / "x.safetensors")
    config = tmp_path / "config.json"
    config.write_text(
        json.dumps({**HEADS, "num_heads": 4, "dim": 256, "num_layers": 1, "patch_size": [1, 2, 2]})
    )
    assert load_dit(tmp_path / "x.safetensors").config.num_heads == 4
    config.write_text(json.dumps({**HEADS, "num_layers": 40}))
    with pytest.raises(
        CheckpointMismatchError, match="num_layers: expected 1 as the tensors have it, got 40"
    ):
        load_dit(tmp_path / "x.safetensors")
    config.write_text(json.dumps({**HEADS, "num_heads": 3}))
    with pytest.raises(ConfigError, match="dim: expected a multiple of num_heads 3, got 256"):
        load_dit(tmp_path / "x.safetensors")
    config.write_text(json.dumps({"_class_name": "SomethingElse", "num_heads": 3}))
    assert load_dit(tmp_path / "x.safetensors").config.num_heads == 2


def test_heads_can_not_be_guessed_for_other_widths(tmp_path: Path) -> None:
    save_file(dict(WanModel(tiny_config()).state_dict()), tmp_path / "x.safetensors")
    with pytest.raises(
        CheckpointMismatchError, match="number of heads: .* got width 48 .* config.json beside it"
    ):
        load_dit(tmp_path / "x.safetensors")


def test_formats_that_are_not_read_yet_say_so(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(
        {**state, "head.head.weight": state["head.head.weight"].to(torch.float8_e4m3fn)},
        tmp_path / "x.safetensors",
    )
    with pytest.raises(CheckpointError, match="expected F32, F16 or BF16, got F8_E4M3"):
        load_dit(tmp_path / "x.safetensors")
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match="got the GGUF file"):
        load_dit(tmp_path / "x.gguf")


def test_public_names_are_lazy_and_complete() -> None:
    assert set(dir(wan_core)) == set(wan_core.__all__)
    assert all(callable(getattr(wan_core, name)) for name in wan_core.__all__)
    with pytest.raises(AttributeError, match="no attribute 'load_nose'"):
        _ = wan_core.load_nose
