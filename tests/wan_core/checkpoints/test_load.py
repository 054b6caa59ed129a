from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_dit import normal, randomise, tiny_config, tiny_joint_config, wide_config, wide_state

from wan_core import load_dit, load_text_encoder, load_vae
from wan_core.checkpoints.nano import save_part
from wan_core.dit.joint import JointModel
from wan_core.dit.model import WanModel
from wan_core.errors import CheckpointError
from wan_core.text.encoder import NanoTextConfig, NanoTextEncoder
from wan_core.types import AVLatents
from wan_core.vae.config import PatchVAEConfig
from wan_core.vae.patch_vae import PatchVAE

GOLDEN = Path(__file__).parents[2] / "golden" / "ovi_fusion.safetensors"
HEADS = {"_class_name": "WanModel", "num_heads": 2}


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return wide_state()


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model.", "model."])
def test_a_single_file_with_any_wrapper_prefix(
    tmp_path: Path, state: dict[str, torch.Tensor], prefix: str
) -> None:
    save_file({prefix + key: value for key, value in state.items()}, tmp_path / "w.safetensors")
    model = load_dit(tmp_path / "w.safetensors")
    assert isinstance(model, WanModel) and model.config == wide_config() and not model.training
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
    codec = PatchVAE(PatchVAEConfig(image_channels=4, motion_channels=2, refiner_widths=(8,)))
    save_part(tmp_path / "vae.safetensors", "patch_vae", codec.config, codec)
    assert isinstance(load_vae(tmp_path / "vae.safetensors"), PatchVAE)
    text = NanoTextEncoder(NanoTextConfig())
    save_part(tmp_path / "text.safetensors", "text", text.config, text)
    assert isinstance(load_text_encoder(tmp_path / "text.safetensors"), NanoTextEncoder)
    with pytest.raises(CheckpointError, match="kind of part: expected patch_vae or wan_vae, got 'text'"):
        load_vae(tmp_path / "text.safetensors")
    with pytest.raises(CheckpointError, match="kind of part: expected dit or tower, got 'text'"):
        load_dit(tmp_path / "text.safetensors")
