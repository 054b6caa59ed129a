from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
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
