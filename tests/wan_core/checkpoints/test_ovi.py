"""Files of joint models: plain, fp8, and what does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_dit import relative_error
from tiny_ovi import ovi_config, ovi_state
from torch import Tensor

from wan_core import load_dit
from wan_core.checkpoints.describe import describe
from wan_core.checkpoints.licences import LICENCES, licences_of
from wan_core.dit.joint import JointModel
from wan_core.errors import CheckpointMismatchError
from wan_core.ops.quantized import QuantizedLinear
from wan_core.types import AVLatents


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return ovi_state()


@torch.no_grad()
def run(model: JointModel) -> AVLatents:
    generator = torch.Generator().manual_seed(0)
    video, audio, context = (
        torch.randn(shape, generator=generator) for shape in ((1, 48, 2, 2, 2), (1, 20, 4), (1, 5, 32))
    )
    time = torch.tensor([500.0])
    return model(AVLatents(video, audio), (time, time), context)


def test_plain_and_fp8_files(tmp_path: Path, state: dict[str, Tensor]) -> None:
    """Matrices in e4m3 without scales, as in Ovi's own fp8 file: packed, and equal to rounded ones."""
    save_file(state, tmp_path / "ovi.safetensors")
    plain = load_dit(tmp_path / "ovi.safetensors")
    assert isinstance(plain, JointModel)
    wanted = ovi_config()
    assert plain.config == replace(wanted, audio=replace(wanted.audio, embedding_hidden=512))
    eight = {
        name: tensor.to(torch.float8_e4m3fn) if tensor.ndim >= 2 and name.endswith("weight") else tensor
        for name, tensor in state.items()
    }
    save_file(eight, tmp_path / "ovi_fp8.safetensors")
    packed = load_dit(tmp_path / "ovi_fp8.safetensors")
    assert isinstance(packed, JointModel)
    assert isinstance(packed.audio_model.blocks[0].cross_attn.k_fusion, QuantizedLinear)
    save_file({name: tensor.float() for name, tensor in eight.items()}, tmp_path / "rounded.safetensors")
    rounded = run(load_dit(tmp_path / "rounded.safetensors"))  # type: ignore[arg-type]
    found = run(packed)
    assert relative_error(found.video, rounded.video) < 1e-5
    assert found.audio is not None and rounded.audio is not None
    assert relative_error(found.audio, rounded.audio) < 1e-5
    assert not torch.allclose(found.video, run(plain).video)
    assert "fp8 e4m3" in describe(tmp_path / "ovi_fp8.safetensors").quantisation


def test_a_missing_tensor_is_named(tmp_path: Path, state: dict[str, Tensor]) -> None:
    name = "audio_model.blocks.3.cross_attn.norm_k_fusion.weight"
    save_file({key: tensor for key, tensor in state.items() if key != name}, tmp_path / "ovi.safetensors")
    with pytest.raises(CheckpointMismatchError, match=f"1 missing \\({name}\\)"):
        load_dit(tmp_path / "ovi.safetensors")


def test_licences() -> None:
    assert licences_of("MMAudio", "Ovi", "MMAudio") == (LICENCES["MMAudio"], LICENCES["Ovi"])
    assert "academic research" in LICENCES["DreamID-Omni"]
