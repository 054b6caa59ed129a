"""Figures of a voice against what is known of the sound."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from wan_core.errors import InputError
from wan_core.media import read_sound
from wan_core.report.voice_facts import describe_voice
from wan_core.types import AudioClip

RATE = 16000
EXAMPLE = Path(__file__).parents[3] / "wan_core" / "assets" / "examples" / "voice.wav"


def voice(pitch: float, depth: float = 0.12, syllables: float = 4.0, power: float = 1.0) -> torch.Tensor:
    """Two seconds of a buzz whose pitch swings by `depth`, with syllables; harmonic k has amplitude k ** -power."""
    time = torch.arange(2 * RATE) / RATE
    phase = 2 * math.pi * torch.cumsum(pitch * (1 + depth * torch.sin(2 * math.pi * 1.5 * time)), 0) / RATE
    buzz = sum(torch.sin(k * phase) / k**power for k in range(1, int(7000 / pitch / 1.2)))
    return 0.1 * buzz * (torch.sin(2 * math.pi * syllables * time - 1.2) + 0.9).clamp(0, 1)


def clip(*parts: torch.Tensor) -> AudioClip:
    return AudioClip(torch.cat(parts)[None], RATE)


@pytest.mark.parametrize("pitch", [90.0, 150.0, 240.0])
def test_pitch_and_its_range(pitch: float) -> None:
    facts = describe_voice(clip(voice(pitch)))
    assert facts.median_pitch == pytest.approx(pitch, rel=0.05)
    full = 12 * math.log2(1.12 / 0.88)
    assert 0.8 * full < facts.pitch_range < 1.05 * full
    still = describe_voice(clip(voice(pitch, depth=0.06)))
    assert still.pitch_range < 0.65 * facts.pitch_range and still.pitch_speed < 0.7 * facts.pitch_speed


@pytest.mark.parametrize("rate", [3.0, 5.0])
def test_syllables(rate: float) -> None:
    assert describe_voice(clip(voice(130.0, syllables=rate))).syllables == pytest.approx(2 * rate, abs=1)


def test_syllables_of_real_words() -> None:
    """ "hello everyone ..." of the example, spoken by espeak-ng: 15 to 18 syllables in four seconds."""
    facts = describe_voice(AudioClip(read_sound(EXAMPLE).clip.waveform, RATE))
    assert 12 <= facts.syllables <= 19 and 3 < facts.syllable_rate < 6


def test_pauses() -> None:
    facts = describe_voice(clip(voice(130.0), torch.zeros(RATE), voice(130.0)))
    assert len(facts.pauses) == 1 and facts.pauses[0] == pytest.approx(1.0, abs=0.25)


def test_a_bright_voice_falls_less() -> None:
    dark, bright = (
        describe_voice(clip(voice(120.0, power=1.5))),
        describe_voice(clip(voice(120.0, power=0.7))),
    )
    assert dark.tilt == pytest.approx(-9, abs=2) and bright.tilt == pytest.approx(-4.2, abs=2)
    assert bright.centre > dark.centre


def test_lines_hold_the_figures() -> None:
    timbre, intonation, rhythm = describe_voice(clip(voice(150.0))).lines()
    assert timbre.startswith("timbre: median pitch 1") and "dB an octave" in timbre
    assert intonation.startswith("intonation: ") and "semitones a second" in intonation
    assert rhythm.startswith("rhythm: ") and "s of 2.0 s voiced" in rhythm


def test_no_voice() -> None:
    with pytest.raises(
        InputError, match=r"expected at least 0\.26 s of voiced speech, got 0\.00 s in 1\.00 s"
    ):
        describe_voice(clip(torch.zeros(RATE)))
