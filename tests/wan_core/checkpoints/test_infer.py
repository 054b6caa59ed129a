from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_dit import tiny_config, wide_state

from wan_core import load_dit
from wan_core.dit.model import WanModel
from wan_core.errors import CheckpointMismatchError, ConfigError

HEADS = {"_class_name": "WanModel", "num_heads": 2}


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return wide_state()


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
