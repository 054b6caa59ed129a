from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from packed_files import write_scaled_fp8
from safetensors.torch import load_file, save_file
from tiny_dit import wide_state

from wan_core import load_dit
from wan_core.dit.model import WanModel
from wan_core.errors import CheckpointError


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return wide_state()


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


def test_the_folder_of_a_release_with_two_experts(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    for name in ("high_noise_model", "low_noise_model"):
        (tmp_path / name).mkdir()
        save_file(state, tmp_path / name / "diffusion_pytorch_model.safetensors")
    with pytest.raises(
        CheckpointError, match="got the two experts of Wan2.2 in .* Name one of its folders high_noi"
    ):
        load_dit(tmp_path)
    assert isinstance(load_dit(tmp_path / "low_noise_model"), WanModel)


def test_shards_of_a_scaled_model(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    write_scaled_fp8(tmp_path / "whole.safetensors", state)
    content = load_file(tmp_path / "whole.safetensors")
    (tmp_path / "parts").mkdir()
    index = write_shards(tmp_path / "parts", content)  # scales and weights lie in different files
    whole, parts = load_dit(tmp_path / "whole.safetensors"), load_dit(index)
    assert all(torch.equal(parts.state_dict()[key], value) for key, value in whole.state_dict().items())
