"""The picture of a voice."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wan_core.media import read_sound
from wan_core.report.voice_card import CARD_SIZE, draw_voice_card, encode_png, mel_picture
from wan_core.types import AudioClip

RATE = 16000
EXAMPLE = Path(__file__).parents[3] / "wan_core" / "assets" / "examples" / "voice.wav"


@pytest.fixture(scope="module")
def speech() -> torch.Tensor:
    return read_sound(EXAMPLE).clip.waveform[:, : 2 * RATE]


def test_card_shows_where_the_voice_is(speech: torch.Tensor) -> None:
    clip = AudioClip(torch.cat((speech, torch.zeros_like(speech)), 1), RATE)
    pixels, facts = draw_voice_card(clip, "Voice of me.wav", ["something was noticed."])
    assert pixels.shape == (CARD_SIZE[1], CARD_SIZE[0], 3) and facts.seconds == pytest.approx(4.0)
    green = (pixels[66:190] == (220, 238, 226)).all(-1).any(0)
    width = CARD_SIZE[0]
    assert green[60 : width // 2].mean() > 0.4 and not green[width // 2 + 40 :].any()
    again = np.asarray(Image.open(io.BytesIO(encode_png(pixels))))
    assert np.array_equal(again, pixels)


@pytest.mark.parametrize("hertz", [300.0, 1000.0, 3500.0])
def test_a_tone_is_a_line_at_its_height(hertz: float) -> None:
    tone = torch.sin(2 * math.pi * hertz * torch.arange(RATE) / RATE)[None]
    picture = mel_picture(tone, 100, 80)
    row = int(picture[:, 20:80].astype(int).sum((1, 2)).argmax())
    mel = [2595 * math.log10(1 + value / 700) for value in (60.0, 7800.0, hertz)]
    assert row == pytest.approx(80 * (1 - (mel[2] - mel[0]) / (mel[1] - mel[0])), abs=3)


def test_silence_is_dark() -> None:
    quiet = torch.zeros(1, RATE)
    quiet[0, :4000] = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    picture = mel_picture(quiet, 100, 40).astype(int).sum(-1)
    assert picture[:, :20].mean() > 3 * picture[:, 40:].mean()
