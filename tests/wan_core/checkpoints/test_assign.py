from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_dit import wide_state

from wan_core import load_dit
from wan_core.errors import CheckpointMismatchError


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return wide_state()


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
