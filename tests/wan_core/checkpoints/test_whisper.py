from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_whisper import TINY, whisper_state, write_whisper

from wan_core.checkpoints.describe import describe
from wan_core.checkpoints.header import TensorInfo, read_header
from wan_core.checkpoints.source import Source
from wan_core.checkpoints.whisper import load_whisper, whisper_config, whisper_names
from wan_core.errors import CheckpointMismatchError, ConfigError, UnknownCheckpointError
from wan_core.voice.whisper import WhisperConfig, WhisperSpeech


def test_folder_and_single_file_give_the_same(tmp_path: Path) -> None:
    folder = write_whisper(tmp_path / "whisper-large-v3")
    state = whisper_state()
    # ComfyUI's file: float16, transformers' names, no config.json; the heads follow from the width.
    wide = WhisperConfig(dim=64, ffn_dim=4, num_heads=1)
    fp16 = {f"model.encoder.{name}": t.half() for name, t in whisper_state(wide).items()}
    save_file(fp16, tmp_path / "whisper_large_v3_encoder_fp16.safetensors")
    own = load_whisper(folder)
    assert own.config == TINY and not any(p.requires_grad for p in own.parameters())
    assert all(torch.equal(own.encoder.state_dict()[name], tensor) for name, tensor in state.items())
    alone = load_whisper(tmp_path / "whisper_large_v3_encoder_fp16.safetensors", dtype=None)
    assert alone.config == wide and alone.encoder.conv1.weight.dtype == torch.float16


def test_published_encoder_builds_at_full_size(tmp_path: Path) -> None:
    """Shapes of openai/whisper-large-v3, of which the encoder alone is taken."""
    with torch.device("meta"):
        model = WhisperSpeech(WhisperConfig())
    shapes = {f"model.{name}": tuple(t.shape) for name, t in model.state_dict().items()}
    assert sum(torch.Size(shape).numel() for shape in shapes.values()) == 636_968_960
    header = read_header(_write_empty(tmp_path))
    tensors = {name: TensorInfo(shape, "F16") for name, shape in shapes.items()}
    tensors["model.decoder.layer_norm.weight"] = TensorInfo((1280,), "F16")
    kept, names = whisper_names(replace(header, tensors=tensors))
    assert set(kept.tensors) == set(shapes) == set(names)
    assert whisper_config(Source(kept, {}), kept, names) == WhisperConfig()


def _write_empty(folder: Path) -> Path:
    save_file({"x": torch.zeros(1)}, folder / "x.safetensors")
    return folder / "x.safetensors"


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownCheckpointError, match="expected an encoder with convolutions and positions, got none"
    ):
        load_whisper(_write_empty(tmp_path))
    state = {f"encoder.{name}": tensor for name, tensor in whisper_state().items()}
    save_file({**state, "encoder.extra": torch.zeros(1)}, tmp_path / "extra.safetensors")
    with pytest.raises(CheckpointMismatchError, match=r"1 unexpected \(encoder.extra\)"):
        load_whisper(tmp_path / "extra.safetensors")
    few = {key: tensor for key, tensor in state.items() if ".layers.31." not in key}
    save_file(few, tmp_path / "medium.safetensors")
    with pytest.raises(ConfigError, match="expected 32 encoder layers as whisper-large-v3 has, got 31"):
        load_whisper(tmp_path / "medium.safetensors")


def test_inspect_tells_where_it_belongs(tmp_path: Path) -> None:
    told = describe(write_whisper(tmp_path / "w") / "model.safetensors")
    assert told.model == "Whisper" and "--whisper" in told.place
