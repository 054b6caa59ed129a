from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_dit import wide_state

from wan_core import load_dit
from wan_core.errors import AmbiguousCheckpointError, UnknownCheckpointError


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return wide_state()


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
