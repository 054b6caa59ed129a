"""Pocket TTS of transformers with tiny random weights: the real model, loaded and speaking."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path

import pytest
import torch
from tiny_speech import write_speech_model

from wan_core.errors import CheckpointError, InputError, MissingDependencyError, UnknownCheckpointError
from wan_core.types import AudioClip
from wan_core.voice.speak import (
    SpeechModel,
    encode_reference,
    load_speech_model,
    speak_part,
    split_sentences,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speech_model(tmp_path_factory.mktemp("speech") / "tiny")


@pytest.fixture(scope="module")
def speech(folder: Path) -> SpeechModel:
    return load_speech_model(folder)


def voice(pitch: float, rate: int = 16000, seconds: float = 1.0) -> AudioClip:
    time = torch.arange(round(rate * seconds)) / rate
    return AudioClip(0.1 * sum(torch.sin(2 * math.pi * pitch * k * time) for k in range(1, 6))[None], rate)


def test_a_voice_is_encoded_at_any_rate(speech: SpeechModel) -> None:
    assert speech.sample_rate == 24000
    found = encode_reference(speech, voice(120))
    # The feature extractor ends a prompt on 80 ms of silence; a frame of this codec is 40 ms.
    assert found.shape == (27, 8) and found.isfinite().all()
    assert encode_reference(speech, voice(120, 44100)).shape == found.shape
    assert not torch.allclose(encode_reference(speech, voice(220)), found, atol=1e-3)
    assert encode_reference(speech, voice(120, seconds=25.0)).shape[0] <= 503


def test_speech_depends_on_words_voice_and_seed(speech: SpeechModel) -> None:
    first, second = (encode_reference(speech, voice(pitch)) for pitch in (120, 220))
    base = speak_part(speech, "Hello.", first, 1)
    assert base.waveform.ndim == 1 and base.waveform.abs().max() > 0
    again = speak_part(speech, "Hello.", first, 1)
    assert torch.equal(again.waveform, base.waveform)
    for other in (
        speak_part(speech, "Hallo.", first, 1),
        speak_part(speech, "Hello.", second, 1),
        speak_part(speech, "Hello.", first, 2),
    ):
        assert other.waveform.shape == base.waveform.shape and not torch.equal(other.waveform, base.waveform)
    assert len(speak_part(speech, "Hello, how are you today?", first, 1).waveform) > len(base.waveform)


def test_the_random_state_of_others_is_left_alone(speech: SpeechModel) -> None:
    reference = encode_reference(speech, voice(120))
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    speak_part(speech, "Hi.", reference, 1)
    assert torch.equal(torch.rand(3), want)


def test_an_end_is_noticed(speech: SpeechModel) -> None:
    reference = encode_reference(speech, voice(120))
    assert not speak_part(speech, "Hello there.", reference, 1).has_ended
    config = speech.model.generation_config
    config.eos_threshold = -1e9
    try:
        part = speak_part(speech, "Hello there, this is long enough.", reference, 1)
    finally:
        config.eos_threshold = 1e9
    assert part.has_ended


def test_long_texts_are_cut_at_sentences(speech: SpeechModel) -> None:
    text = "This is one sentence of words. Here comes another one, longer. And a third."
    parts = split_sentences(speech, text)
    assert parts == ["This is one sentence of words.", "Here comes another one, longer. And a third."]
    with pytest.raises(InputError, match="expected words to say"):
        split_sentences(speech, "...")


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (AudioClip(torch.zeros(2, 100), 16000), r"expected \(1, samples\), got \(2, 100\)"),
        (AudioClip(torch.full((1, 100), math.nan), 16000), "expected finite samples"),
    ],
)
def test_unusable_voices(speech: SpeechModel, clip: AudioClip, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode_reference(speech, clip)


def test_folders_that_are_something_else(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected config.json in JSON, got FileNotFoundError"):
        load_speech_model(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UnknownCheckpointError, match="expected a folder of pocket_tts, got 'llama'"):
        load_speech_model(tmp_path)
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "audio_tokenizer" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="the files of audio_tokenizer in audio_tokenizer, got none at"):
        load_speech_model(broken)


def test_damaged_and_missing_weights(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    cut = shutil.copytree(folder, tmp_path / "cut")
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="expected the files of Pocket TTS, got"):
        load_speech_model(cut)
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if "flow_head" in name)
    save_file({key: value for key, value in tensors.items() if key != name}, weights, {"format": "pt"})
    with pytest.raises(CheckpointError, match=f"expected all weights, got none for {name}"):
        load_speech_model(cut)


def test_transformers_too_old_or_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", json)
    with pytest.raises(MissingDependencyError, match=r'pip install --upgrade "transformers>=5\.23"'):
        load_speech_model(folder)
