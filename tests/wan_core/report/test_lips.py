"""Lips: an opening and a lag that were put in come out again, and nothing where there is nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from report_clips import FPS, FRAMES, RATE, buzz, talking_face

from wan_core.ops.speech import loudness_track
from wan_core.report.lips import (
    LAGS,
    aligned_mouth_opening,
    compare_lips,
    loudness_curve,
    mouth_opening,
)
from wan_core.types import AudioClip


@pytest.mark.parametrize("sway", [0.0, 3.0])
def test_mouth_opening_follows_the_mouth(loudness: torch.Tensor, sway: float) -> None:
    opening = mouth_opening(talking_face(loudness, sway))
    assert torch.corrcoef(torch.stack((opening, loudness)))[0, 1] > 0.9


def test_aligned_mouth_opening_follows_the_mouth_of_light_and_dark_skin(loudness: torch.Tensor) -> None:
    rows, columns = torch.meshgrid(torch.arange(112.0), torch.arange(112.0), indexing="ij")
    for skin, lips in (([0.6, 0.3, 0.1], [0.4, -0.3, -0.3]), ([-0.4, -0.55, -0.65], [-0.3, -0.6, -0.6])):
        faces = torch.tensor(skin)[None, :, None, None].repeat(FRAMES, 1, 112, 112)
        for number, value in enumerate(loudness.tolist()):
            outside = ((columns - 56) / 16) ** 2 + ((rows - 92) / (3 + 9 * value)) ** 2 < 1
            inside = ((columns - 56) / 14) ** 2 + ((rows - 92) / (0.5 + 8 * value)) ** 2 < 1
            faces[number][:, outside] = torch.tensor(lips)[:, None]
            faces[number][:, inside] = torch.tensor([-0.9, -0.95, -0.95])[:, None]
        opening = aligned_mouth_opening(faces)
        assert torch.corrcoef(torch.stack((opening, loudness)))[0, 1] > 0.9


@pytest.mark.parametrize("delay", [0, 2, -1])
def test_lag_of_the_lips_is_found(loudness: torch.Tensor, delay: int) -> None:
    opening = mouth_opening(talking_face(torch.roll(loudness, delay)))
    lips = compare_lips(opening, buzz(loudness), FPS)
    assert lips is not None
    assert set(lips.by_lag) == set(LAGS)
    assert lips.best_lag == delay
    assert lips.by_lag[delay] > 0.75
    assert lips.best_lag_ms == pytest.approx(1000 * delay / FPS, abs=40)
    assert (min(lips.opening), max(lips.opening)) == (0.0, 1.0)


@pytest.mark.parametrize("milliseconds", [-150, 60, 240])
def test_lag_between_frames_is_found(milliseconds: int) -> None:
    """25 frames a second, and a mouth that is late by no whole number of frames."""
    t = torch.arange(4 * RATE) / RATE
    level = (0.5 + 0.5 * torch.sin(2 * math.pi * 1.3 * t + torch.sin(3 * t))).square()
    sound = AudioClip((0.3 * level * torch.sin(2 * math.pi * 180 * t))[None], RATE)
    times = torch.arange(100) / 25 - milliseconds / 1000
    opening = torch.from_numpy(np.interp(times.numpy(), t.numpy(), level.sqrt().numpy())).float()
    lips = compare_lips(opening, sound, 25)
    assert lips is not None
    assert lips.best_lag_ms == pytest.approx(milliseconds, abs=20)
    assert lips.best > 0.95


def test_frames_without_a_face_are_left_out(loudness: torch.Tensor) -> None:
    opening = mouth_opening(talking_face(loudness))
    whole = compare_lips(opening, buzz(loudness), FPS)
    opening[4:7] = float("nan")
    lips = compare_lips(opening, buzz(loudness), FPS)
    assert whole is not None and lips is not None
    assert [value is None for value in lips.opening] == [4 <= place < 7 for place in range(FRAMES)]
    assert lips.by_lag[0] > 0.75
    opening[:8] = float("nan")
    assert compare_lips(opening, buzz(loudness), FPS) is None


def test_still_lips_and_silence_give_nothing(loudness: torch.Tensor) -> None:
    still = mouth_opening(talking_face(torch.zeros(FRAMES)))
    assert compare_lips(still, buzz(loudness), FPS) is None
    moving = mouth_opening(talking_face(loudness))
    assert compare_lips(moving, AudioClip(torch.zeros(1, 34000), RATE), FPS) is None
    assert compare_lips(moving[:5], buzz(loudness), FPS) is None


def test_sound_that_ends_early_is_silent_from_there_on(loudness: torch.Tensor) -> None:
    sound = buzz(loudness)
    lips = compare_lips(
        mouth_opening(talking_face(loudness)), AudioClip(sound.waveform[:, :24000], RATE), FPS
    )
    assert lips is not None
    assert lips.loudness[-1] == 0.0 and max(lips.loudness[:8]) > 0.8


def test_loudness_curve_is_that_of_the_analysis(loudness: torch.Tensor) -> None:
    sound = buzz(loudness)
    at = (torch.arange(425) + 0.5) * 80 / RATE
    expected = loudness_track(sound.waveform, at)[0]
    assert (loudness_curve(sound) - expected).abs().max() < 1e-3
