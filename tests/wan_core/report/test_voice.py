from __future__ import annotations

import math

import pytest
import torch
from report_clips import FRAMES, RATE, buzz

from wan_core.report.voice import VoiceMatch, pitch_statistics
from wan_core.types import AudioClip


@pytest.mark.parametrize("pitch", [90.0, 150.0, 260.0])
def test_pitch(pitch: float) -> None:
    found = pitch_statistics(buzz(torch.ones(FRAMES), pitch))
    assert found is not None
    assert found.median == pytest.approx(pitch, rel=0.02)
    assert found.range < 0.5 and found.seconds == pytest.approx(2.1, abs=0.1)
    assert pitch_statistics(AudioClip(torch.zeros(1, 34000), RATE)) is None


def test_range_of_a_glide() -> None:
    """From 120 Hz to 240 Hz evenly in octaves: 5 to 95 % of it are 10.8 semitones."""
    t = torch.arange(2 * RATE) / RATE
    phase = 2 * math.pi * 120 * (2 ** (t / 2) - 1) * 2 / math.log(2)
    voice = sum(torch.sin(k * phase) / k for k in range(1, 8)) * 0.2
    found = pitch_statistics(AudioClip(voice[None], RATE))
    assert found is not None
    assert found.median == pytest.approx(120 * math.sqrt(2), rel=0.03)
    assert found.range == pytest.approx(10.8, abs=0.5)
    assert found.low < found.median < found.high


def test_semitones_between_voices() -> None:
    high, low = (pitch_statistics(buzz(torch.ones(FRAMES), pitch)) for pitch in (200.0, 100.0))
    match = VoiceMatch(similarity=None, scale=None, reference=low, clip=high)
    assert match.difference == pytest.approx(12, abs=0.4)
    assert VoiceMatch(similarity=None, scale=None, reference=None, clip=high).difference is None
