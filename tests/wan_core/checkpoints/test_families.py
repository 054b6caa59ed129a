from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_dit import wide_state

from wan_core import load_dit
from wan_core.checkpoints.families import detect
from wan_core.checkpoints.source import open_source
from wan_core.errors import AmbiguousCheckpointError, CheckpointMismatchError, UnknownCheckpointError


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


def test_mixed_prefixes(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    names = ("blocks.0.norm3.weight", "blocks.0.norm3.bias")
    mixed = {key if key in names else f"model.diffusion_model.{key}": value for key, value in state.items()}
    save_file(mixed, tmp_path / "x.safetensors")
    with pytest.raises(
        CheckpointMismatchError,
        match="expected one for all tensors, got 'model.diffusion_model.' and none in",
    ):
        load_dit(tmp_path / "x.safetensors")


def test_all_in_one_checkpoint_gives_its_transformer(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    content = {f"model.diffusion_model.{key}": value for key, value in state.items()}
    others = ("first_stage_model.conv.weight", "text_encoders.umt5xxl.transformer.shared.weight")
    save_file({**content, **{key: torch.zeros(1) for key in others}}, tmp_path / "x.safetensors")
    model = load_dit(tmp_path / "x.safetensors")
    assert all(torch.equal(model.state_dict()[key], value) for key, value in state.items())


def test_a_size_that_is_not_published_loads_and_says_so(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    save_file(state, tmp_path / "x.safetensors")
    found = detect(open_source(tmp_path / "x.safetensors"))
    assert found.family == "Wan transformer of a size that is not published"
    assert found.layout == "Wan, original names"
    assert found.recognition.rejected["Wan2.1 T2V-1.3B"].startswith(
        "dim 256 instead of 1536, ffn_dim 32 instead"
    )
