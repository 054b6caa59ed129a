"""The check of a voice clip, and what makes one fit to be a reference."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wan_core.checkpoints.nano import load_part
from wan_core.errors import InputError
from wan_core.media import check_voice, prepare_voice, read_voice
from wan_core.ops.voice_activity import find_voice
from wan_core.pipelines.bundle import default_folder
from wan_core.pipelines.references import encode_voice
from wan_core.types import AudioClip

RATE = 16000
EXAMPLE = Path(__file__).parents[3] / "wan_core" / "assets" / "examples" / "voice.wav"


def _voice(seconds: float, rate: int = RATE, pitch: float = 140.0) -> NDArray[np.float32]:
    """A buzz with the harmonics, the glides and the syllable rate of a voice."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * pitch * np.cumsum(1 + 0.1 * np.sin(2 * np.pi * 1.5 * t)) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (0.2 * buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))).astype(np.float32)


def _clip(samples: NDArray[np.float32]) -> AudioClip:
    return AudioClip(torch.from_numpy(np.ascontiguousarray(samples))[None], RATE)


@pytest.fixture(scope="module")
def speech() -> AudioClip:
    """Four seconds of espeak-ng's speech."""
    return read_voice(EXAMPLE).clip


def test_short_voice_names_what_was_found() -> None:
    with pytest.raises(
        InputError, match=r"expected at least 0.5 s of voiced speech, got 0\.\d\d s in 0\.20 s in me\.wav"
    ):
        check_voice(_clip(_voice(0.2)), " in me.wav")
    assert check_voice(_clip(_voice(0.8)))[0].startswith("the voice clip has 0.")


def test_noise_is_no_voice() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)
    with pytest.raises(InputError, match="voiced speech"):
        check_voice(_clip(noise))


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence(level: float) -> None:
    with pytest.raises(InputError, match="expected speech, got (silence|a peak of -)"):
        check_voice(_clip(_voice(2.0) / 0.5 * level))


def test_quiet_speech_passes() -> None:
    assert check_voice(_clip(_voice(2.0) * 0.02)) == ()


def test_clipping_is_noted_then_refused() -> None:
    loud = np.clip(_voice(2.0) * 3, -1, 1)
    assert "at full scale: it may sound distorted" in check_voice(_clip(loud))[0]
    with pytest.raises(InputError, match=r"at most 25% of the samples at full scale, got \d\d%"):
        check_voice(_clip(np.clip(_voice(2.0) * 100, -1, 1)))


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected \(1, samples\) at 16000 Hz, got \(2, 100\)"):
        check_voice(AudioClip(torch.zeros(2, 100), RATE))
    with pytest.raises(InputError, match="empty recording"):
        check_voice(AudioClip(torch.zeros(1, 0), RATE))


def test_music_is_no_voice() -> None:
    t = np.arange(4 * RATE) / RATE
    chord = sum(np.sin(2 * np.pi * f * h * t) / h for f in (261.6, 329.6, 392.0) for h in range(1, 6))
    with pytest.raises(
        InputError, match=r"expected speech, got [34]\.\d\d s of music or tones and 0\.\d\d s of"
    ):
        check_voice(_clip((0.1 * chord).astype(np.float32)))


def test_music_around_speech_is_said(speech: AudioClip) -> None:
    t = torch.arange(3 * RATE) / RATE
    tone = sum(0.05 * torch.sin(2 * math.pi * 220 * k * t) / k for k in range(1, 6))
    notes = check_voice(AudioClip(torch.cat((tone[None], speech.waveform), 1), RATE))
    assert len(notes) == 1 and "s of the voice clip sound like music or singing" in notes[0]


def test_a_clean_clip_stays_as_it_is(speech: AudioClip) -> None:
    clip, notes = prepare_voice(speech)
    assert clip is speech and notes == ()


def test_silence_and_music_are_cut_off_the_ends(speech: AudioClip) -> None:
    quiet = torch.zeros(1, 2 * RATE)
    clip, notes = prepare_voice(AudioClip(torch.cat((quiet, speech.waveform, quiet), 1), RATE))
    assert notes[0].endswith("s without speech are cut off the ends of the voice clip.") and len(notes) == 1
    assert 3.5 * RATE < clip.waveform.shape[1] < 4.5 * RATE
    assert find_voice(clip).voiced_seconds == pytest.approx(find_voice(speech).voiced_seconds, abs=0.1)


def test_loudness_comes_to_the_target(speech: AudioClip) -> None:
    quiet, notes = prepare_voice(AudioClip(speech.waveform * 0.03, RATE))
    assert "changed by +" in notes[0]
    level = find_voice(quiet)
    assert 10 * math.log10((10 ** (level.level[level.is_voiced] / 10)).mean()) == pytest.approx(-23, abs=0.5)
    loud, notes = prepare_voice(AudioClip(speech.waveform * 6, RATE))
    assert "changed by -" in notes[-1] and loud.waveform.abs().max() < speech.waveform.abs().max() * 3
    spike = speech.waveform * 0.03
    spike[0, 100] = 0.8
    held, _ = prepare_voice(AudioClip(spike, RATE))
    assert held.waveform.abs().max() == pytest.approx(10 ** (-1 / 20), abs=1e-3)


def test_the_voice_encoder_hears_the_same_voice(speech: AudioClip) -> None:
    """What is cut and changed is what nano's encoder does not listen to."""
    encoder = load_part(default_folder() / "voice.safetensors", "voice")
    quiet = torch.zeros(1, 2 * RATE)
    worse = AudioClip(torch.cat((quiet, 0.03 * speech.waveform, quiet), 1), RATE)
    want = encode_voice(encoder, speech)
    got = encode_voice(encoder, prepare_voice(worse).clip)
    unprepared = encode_voice(encoder, worse)
    assert torch.equal(encode_voice(encoder, prepare_voice(speech).clip), want)
    assert (got - want).square().mean() < 0.02
    assert (got - want).square().mean() < (unprepared - want).square().mean()
