"""Speech told apart from silence, noise, hum, chords and melodies."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from wan_core.errors import InputError
from wan_core.media import read_sound
from wan_core.ops.voice_activity import best_voiced_second, find_voice, voiced_spans
from wan_core.types import AudioClip

RATE = 16000
EXAMPLE = Path(__file__).parents[3] / "wan_core" / "assets" / "examples" / "voice.wav"


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    """Four seconds of espeak-ng's speech, (samples,)."""
    return read_sound(EXAMPLE).clip.waveform[0]


def clip(*parts: torch.Tensor) -> AudioClip:
    return AudioClip(torch.cat(parts)[None], RATE)


def silence(seconds: float) -> torch.Tensor:
    return torch.zeros(round(seconds * RATE))


def noise(seconds: float, level: float = 0.1) -> torch.Tensor:
    return level * torch.randn(round(seconds * RATE), generator=torch.Generator().manual_seed(0))


def notes(*chords: tuple[float, ...], seconds: float = 0.5) -> torch.Tensor:
    """Chords with the decay of a plucked string, one after another."""
    time = torch.arange(round(seconds * RATE)) / RATE
    parts = [
        sum(torch.sin(2 * math.pi * f * h * time) / h for f in chord for h in range(1, 7)) for chord in chords
    ]
    return 0.1 * torch.cat([part * torch.exp(-2 * time) for part in parts])


def test_speech_is_voice(speech: torch.Tensor) -> None:
    activity = find_voice(clip(speech))
    assert activity.voiced_seconds > 2.0 and activity.tonal_seconds == 0
    assert 3.0 < sum(end - start for start, end in activity.spans) < 4.1


@pytest.mark.parametrize("gain", [0.05, 3.0])
def test_gain_does_not_matter(speech: torch.Tensor, gain: float) -> None:
    plain, other = find_voice(clip(speech)), find_voice(clip(speech * gain))
    assert other.voiced_seconds == pytest.approx(plain.voiced_seconds, rel=0.05)


@pytest.mark.parametrize(
    "sound",
    [silence(3), noise(3), noise(3, 1e-4), notes((220.0,), (247.0,), (262.0,), (196.0,), (220.0,), (330.0,))],
    ids=["silence", "noise", "hiss", "melody"],
)
def test_nobody_speaks(sound: torch.Tensor) -> None:
    assert voiced_spans(clip(sound)) == []
    with pytest.raises(
        InputError, match=r"expected speech, got \d\.\d\d s of music or tones and no voice in 3\.00 s"
    ):
        best_voiced_second(clip(sound))


def test_chords_and_hum_are_tonal() -> None:
    major, minor = (130.8, 261.6, 329.6, 392.0), (110.0, 220.0, 261.6, 329.6)
    chords = find_voice(clip(notes(major, minor, major, minor, seconds=1.0)))
    assert chords.voiced_seconds == 0 and chords.tonal_seconds > 1.5
    time = torch.arange(3 * RATE) / RATE
    hum = sum(0.05 * torch.sin(2 * math.pi * 50 * k * time) / k for k in (1, 2, 3, 5)) + noise(3, 0.003)
    assert find_voice(clip(hum)).voiced_seconds == 0


def test_spans_leave_out_silence_and_music(speech: torch.Tensor) -> None:
    music = notes((130.8, 261.6, 329.6), (110.0, 220.0, 261.6), seconds=1.5)
    spans = voiced_spans(clip(music, silence(1), speech, silence(2), noise(1, 0.01), speech))
    assert spans == sorted(spans) and all(a[1] < b[0] for a, b in zip(spans, spans[1:], strict=False))
    assert spans[0][0] > 3.8 and spans[0][0] < 4.6
    length = len(speech) / RATE
    assert not [span for span in spans if span[0] < 4 + length + 1.9 and span[1] > 4 + length + 0.2]


def test_best_second_is_full_of_voice_and_not_clipped(speech: torch.Tensor) -> None:
    start, end = best_voiced_second(clip(silence(2), speech, silence(2)))
    assert end - start == 1.0 and 2.0 <= start <= 2 + len(speech) / RATE - 0.9
    inside = find_voice(
        clip(torch.cat((silence(2), speech, silence(2)))[round(start * RATE) : round(end * RATE)])
    )
    assert inside.voiced_seconds > 0.65
    bad = (20 * speech).clamp(-1, 1)
    start, _ = best_voiced_second(clip(bad, silence(1), 0.3 * speech))
    assert start > len(speech) / RATE


def test_best_second_of_an_exact_second(speech: torch.Tensor) -> None:
    assert best_voiced_second(clip(speech[RATE : 2 * RATE])) == (0.0, 1.0)
    with pytest.raises(InputError, match=r"expected at least 1 s, got 0\.50 s"):
        best_voiced_second(clip(speech[: RATE // 2]))


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (AudioClip(torch.zeros(2, 100), RATE), r"expected \(1, samples\) at 16000 Hz, got \(2, 100\)"),
        (AudioClip(torch.zeros(1, 0), RATE), r"got \(1, 0\)"),
        (AudioClip(torch.zeros(1, 100), 44100), "at 44100 Hz"),
        (AudioClip(torch.full((1, 100), math.nan), RATE), "got 100 that are NaN or infinite"),
    ],
)
def test_unusable_input(sound: AudioClip, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_voice(sound)
