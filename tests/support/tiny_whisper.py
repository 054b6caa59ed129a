"""Whisper with the layers and mel bands of large-v3, but narrow; its weights come from a formula."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from formula_weights import formula_state
from safetensors.torch import save_file
from torch import Tensor

from wan_core.voice.whisper import WhisperConfig, WhisperSpeech

TINY = WhisperConfig(dim=8, ffn_dim=16, num_heads=2)


def whisper_state(config: WhisperConfig = TINY) -> dict[str, Tensor]:
    """Weights of the encoder under transformers' names, without a prefix."""
    model = WhisperSpeech(config)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.encoder.state_dict().items()}
    return formula_state(shapes)


def tiny_whisper() -> WhisperSpeech:
    """The encoder itself."""
    model = WhisperSpeech(TINY)
    model.encoder.load_state_dict(whisper_state())
    return model.train(False)


def write_whisper(folder: Path, config: WhisperConfig = TINY) -> Path:
    """Write a folder as it is published: encoder and decoder, with config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"model.encoder.{name}": tensor for name, tensor in whisper_state(config).items()}
    state["model.decoder.layer_norm.weight"] = torch.ones(config.dim)
    save_file(state, folder / "model.safetensors")
    save_file(
        {"model.encoder.conv1.weight": torch.zeros(1)}, folder / "model.fp32-00001-of-00002.safetensors"
    )
    settings = {"model_type": "whisper", "encoder_attention_heads": config.num_heads}
    (folder / "config.json").write_text(json.dumps(settings))
    return folder
