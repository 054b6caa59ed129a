"""HuMo's published headers at full size, in every form that they are published in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from full_headers import as_source
from safetensors.torch import save_file
from tiny_dit import wide_config, wide_state

from wan_core import load_dit
from wan_core.checkpoints.describe import describe
from wan_core.checkpoints.families import detect
from wan_core.checkpoints.header import TensorInfo
from wan_core.checkpoints.packing import find_packing
from wan_core.checkpoints.source import Source
from wan_core.dit.config import SpeechConfig
from wan_core.dit.model import WanModel
from wan_core.errors import CheckpointMismatchError

HEADERS = json.loads((Path(__file__).parents[2] / "golden" / "humo_headers.json").read_text(encoding="utf-8"))
BILLIONS = {"HuMo-1.7B": 1.75, "HuMo-17B": 17.1}
SPEECH = SpeechConfig(features=2, hidden=4, tokens=3, width=8)


def official_shapes(family: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes that the official code gives."""
    found: dict[str, tuple[int, ...]] = {}
    for pattern, shape in HEADERS[family]["tensors"].items():
        for number in range(HEADERS[family]["blocks"] if "{}" in pattern else 1):
            found[pattern.replace("{}", str(number))] = tuple(shape)
    return found


def check(source: Source, family: str) -> None:
    """Detect, build on the meta device, and compare every name and shape."""
    found = detect(source)
    assert found.family == family
    with torch.device("meta"):
        model = found.build()
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert {found.names.get(key): info.shape for key, info in source.header.tensors.items()} == expected
    count = sum(torch.Size(shape).numel() for shape in expected.values()) / 1e9
    assert abs(count - BILLIONS[family]) < 0.1


@pytest.mark.parametrize("family", HEADERS)
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
def test_official_and_repackaged_headers(family: str, prefix: str) -> None:
    check(as_source(official_shapes(family), prefix), family)


def test_scaled_fp8_header() -> None:
    """As humo_17B_fp8_e4m3fn.safetensors and the scaled one: fp8 blocks, scales beside them, and a marker."""
    source = as_source(official_shapes("HuMo-17B"))
    tensors = dict(source.header.tensors)
    for key, info in source.header.tensors.items():
        if key.startswith("blocks.") and len(info.shape) == 2:
            tensors[key] = TensorInfo(info.shape, "F8_E4M3")
            tensors[key.removesuffix("weight") + "scale_weight"] = TensorInfo((), "F32")
    tensors["scaled_fp8"] = TensorInfo((2,), "F8_E4M3")
    header = find_packing(source.header.__class__(tensors, source.header.files, {}, "humo.safetensors"))
    assert len(header.packing) == 40 * 14
    check(Source(header, {}), "HuMo-17B")


def test_small_file_loads(tmp_path: Path) -> None:
    state = wide_state(wide_config(speech=SPEECH))
    save_file(state, tmp_path / "humo.safetensors")
    model = load_dit(tmp_path / "humo.safetensors")
    assert isinstance(model, WanModel) and model.config.speech == SPEECH
    assert all(torch.equal(model.state_dict()[key], value) for key, value in state.items())
    velocity = model(torch.zeros(1, 4, 2, 2, 2), torch.tensor([5.0]), torch.zeros(1, 3, 12))
    assert velocity.shape == (1, 4, 2, 2, 2)
    told = describe(tmp_path / "humo.safetensors")
    assert "--model" in told.place and told.config["speech"]["tokens"] == 3
    torch.save(state, tmp_path / "ema.pth")
    assert isinstance(load_dit(tmp_path / "ema.pth"), WanModel)


def test_a_published_file_says_what_it_needs() -> None:
    found = detect(as_source(official_shapes("HuMo-17B"))).recognition
    assert found.family is not None and "Whisper" in found.family.needs
    assert found.rejected["expert of Wan2.2 I2V-A14B"].startswith("speech SpeechConfig(")


def test_incomplete_or_odd_projections(tmp_path: Path) -> None:
    state = wide_state(wide_config(speech=SPEECH))
    key = "audio_proj.audio_proj_glob_1.layer.weight"
    save_file({**state, key: torch.zeros(4, 81)}, tmp_path / "odd.safetensors")
    with pytest.raises(
        CheckpointMismatchError, match="expected windows of 8 x 5 features and whole tokens, got 81"
    ):
        load_dit(tmp_path / "odd.safetensors")
    del state["audio_proj.audio_proj_glob_norm.layer.weight"]
    save_file(state, tmp_path / "half.safetensors")
    with pytest.raises(CheckpointMismatchError, match="expected the projection of HuMo"):
        load_dit(tmp_path / "half.safetensors")
