"""Whisper's encoder from the files that it is published in."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import torch

from ..errors import CheckpointError, UnknownCheckpointError
from ..voice.whisper import WhisperConfig, WhisperSpeech
from .assign import build_and_load
from .header import Header
from .key_maps import Rules, rename
from .source import Source, open_source

#: Names of transformers, as the Hugging Face folder and ComfyUI's whisper_large_v3_encoder_fp16.safetensors have them.
RULES: Rules = ((r"(?:model\.)?encoder\.(.+)", r"encoder.\1"),)
#: What whole releases hold beside the encoder.
NOT_NEEDED = re.compile(r"(?:model\.)?decoder\..+|proj_out\..+")
#: Width of a head of every published Whisper, used where no config.json tells the number of heads.
PUBLISHED_HEAD_DIM = 64
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")


def load_whisper(
    path: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype | None = torch.float32
) -> WhisperSpeech:
    """Load Whisper's encoder for HuMo: `encode(clip)` gives the features of speech.

    Args:
        path: the folder of whisper-large-v3 (config.json and model.safetensors, or its index), or ComfyUI's
            whisper_large_v3_encoder_fp16.safetensors. Nothing is downloaded.
        dtype: of the weights; None keeps the stored one.
    Returns: the encoder in inference mode; the decoder of a whole release is not read.
    Raises:
        CheckpointError: missing or damaged.   UnknownCheckpointError: no Whisper in it.
        CheckpointMismatchError: tensors missing, left over or of another shape.
        ConfigError: another size than large.   MissingDependencyError: transformers is not installed.
    """
    path = Path(path)
    # The published folder holds the same weights in float32 too, in several files.
    whole = path / "model.safetensors"
    source = open_source(whole if whole.is_file() else path, "audio_encoder")
    header, names = whisper_names(source.header)
    config = whisper_config(source, header, names)
    model = build_and_load(lambda: WhisperSpeech(config), header, names=names, device=device, dtype=dtype)
    if not isinstance(model, WhisperSpeech):
        raise TypeError(type(model).__name__)
    return model.requires_grad_(False)


def whisper_names(header: Header) -> tuple[Header, dict[str, str]]:
    """The header without the decoder, and stored key -> parameter of `WhisperSpeech`.

    Raises: UnknownCheckpointError: the file holds no Whisper encoder.
    """
    names = rename(header.tensors, "", RULES)
    if "encoder.embed_positions.weight" not in names.values() or "encoder.conv1.weight" not in names.values():
        raise UnknownCheckpointError(
            f"Whisper: expected an encoder with convolutions and positions, got none in {header.name}. Name the "
            "folder of whisper-large-v3, or whisper_large_v3_encoder_fp16.safetensors."
        )
    kept = {key: info for key, info in header.tensors.items() if not NOT_NEEDED.fullmatch(key)}
    return replace(header, tensors=kept), names


def whisper_config(source: Source, header: Header, names: dict[str, str]) -> WhisperConfig:
    """Sizes from the shapes; config.json tells the number of heads, which otherwise follows from the width.

    Raises: CheckpointError: tensors that no encoder can be built from.   ConfigError: another size than large.
    """
    shapes = {name: header.shape(key) for key, name in names.items()}
    layers = {int(match[1]) for name in shapes if (match := _LAYER.match(name))}
    try:
        dim, mels, _ = shapes["encoder.conv1.weight"]
        positions = shapes["encoder.embed_positions.weight"][0]
        ffn = shapes["encoder.layers.0.fc1.weight"][0]
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"Whisper: expected convolutions, positions and layers, got '{error}' in {header.name}. Use "
            "whisper-large-v3."
        ) from error
    told = source.config if source.config.get("model_type") == "whisper" else {}
    return WhisperConfig(
        dim=dim,
        ffn_dim=ffn,
        num_heads=int(told.get("encoder_attention_heads") or max(1, dim // PUBLISHED_HEAD_DIM)),
        num_layers=len(layers),
        mels=mels,
        positions=positions,
    )
