"""Voice tokens on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from wan_core.errors import CheckpointError, InputError
from wan_core.pipelines import Character, NanoBundle
from wan_core.pipelines.voice_file import (
    VoiceInfo,
    check_encoder,
    encoder_fingerprint,
    read_voice_tokens,
    voice_to_bytes,
)
from wan_core.types import AudioClip

INFO = VoiceInfo(encoder="0123456789abcdef", source="me.wav", seconds=2.5)


def test_there_and_back(tmp_path: Path) -> None:
    tokens = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "me.voice.safetensors"
    path.write_bytes(voice_to_bytes(tokens, INFO))
    again, info = read_voice_tokens(path)
    assert torch.equal(again, tokens) and info == INFO


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"tokens": torch.zeros(1, 4, 8)}, path)
    with pytest.raises(
        InputError, match="expected a file that `wan-r2v encode-voice` wrote, got something else in"
    ):
        read_voice_tokens(path)
    path.write_bytes(voice_to_bytes(torch.full((1, 4, 8), float("nan")), INFO))
    with pytest.raises(InputError, match=r"expected finite tokens \(1, N, D\)"):
        read_voice_tokens(path)
    with pytest.raises(CheckpointError):
        read_voice_tokens(tmp_path / "none.safetensors")


def test_tokens_of_another_encoder(bundle: NanoBundle) -> None:
    right = VoiceInfo(encoder=encoder_fingerprint(bundle.voice), source="me.wav", seconds=1.0)
    check_encoder(right, bundle.voice, "")
    with pytest.raises(InputError, match="got those of 0123456789abcdef for character1"):
        check_encoder(INFO, bundle.voice, " for character1")


def test_one_voice_a_character(voice: AudioClip) -> None:
    tokens = (torch.zeros(1, 4, 8), INFO)
    assert Character(name="character1", voice_tokens=tokens).voice is None
    with pytest.raises(InputError, match="expected one voice, got a clip and a file of tokens"):
        Character(name="character1", voice=voice, voice_tokens=tokens)
