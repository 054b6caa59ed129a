"""Measurements find what was put into a clip, and nothing where there is nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from wan_core.errors import ShapeError
from wan_core.report import measure_clip
from wan_core.report.measure import LAGS, compare_colours, compare_lips, median_pitch, mouth_opening
from wan_core.types import AudioClip

RATE, FPS, FRAMES = 16000, 8, 17


def _buzz(loudness: torch.Tensor, pitch: float = 150.0) -> AudioClip:
    """A voice whose loudness at frame k / 8 s is as given, (17,)."""
    t = torch.arange(34000) / RATE
    gain = torch.from_numpy(np.interp(t.numpy(), np.arange(FRAMES) / FPS, loudness.numpy())).float()
    harmonics = sum(torch.sin(2 * math.pi * pitch * k * t) / k for k in range(1, 12))
    return AudioClip((0.2 * gain * harmonics)[None], RATE)


def _talking_face(opening: torch.Tensor, sway: float = 0.0) -> torch.Tensor:
    """Frames (F, 3, 64, 64): skin with a red mouth that opens, dark inside."""
    frames = torch.empty(len(opening), 3, 64, 64)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    for number, value in enumerate(opening.tolist()):
        centre = 32 + sway * math.sin(number)
        distance = ((columns - centre) / 6) ** 2 + ((rows - 36) / (1.5 + 3 * value)) ** 2
        inside = ((columns - centre) / 5) ** 2 + ((rows - 36) / (0.3 + 3 * value)) ** 2
        frames[number] = torch.tensor([0.6, 0.3, 0.1])[:, None, None]
        frames[number][:, distance < 1] = torch.tensor([0.4, -0.5, -0.4])[:, None]
        frames[number][:, inside < 1] = torch.tensor([-0.7, -0.9, -0.9])[:, None]
    return frames


@pytest.fixture
def loudness() -> torch.Tensor:
    return torch.tensor([0, 0, 0.7, 1, 0.8, 0.2, 0, 0.4, 0.9, 1, 0.4, 0.1, 0.6, 0.9, 0.3, 0, 0])


@pytest.mark.parametrize("sway", [0.0, 3.0])
def test_mouth_opening_follows_the_mouth(loudness: torch.Tensor, sway: float) -> None:
    opening = mouth_opening(_talking_face(loudness, sway))
    assert torch.corrcoef(torch.stack((opening, loudness)))[0, 1] > 0.9


@pytest.mark.parametrize("delay", [0, 2, -1])
def test_lag_of_the_lips_is_found(loudness: torch.Tensor, delay: int) -> None:
    opening = mouth_opening(_talking_face(torch.roll(loudness, delay)))
    lips = compare_lips(opening, _buzz(loudness), FPS)
    assert lips is not None
    assert set(lips.by_lag) == set(LAGS)
    assert lips.best_lag == delay
    assert lips.by_lag[delay] > 0.75
    assert (min(lips.opening), max(lips.opening)) == (0.0, 1.0)


def test_still_lips_and_silence_give_nothing(loudness: torch.Tensor) -> None:
    still = mouth_opening(_talking_face(torch.zeros(FRAMES)))
    assert compare_lips(still, _buzz(loudness), FPS) is None
    moving = mouth_opening(_talking_face(loudness))
    assert compare_lips(moving, AudioClip(torch.zeros(1, 34000), RATE), FPS) is None
    assert compare_lips(moving[:5], _buzz(loudness), FPS) is None


@pytest.mark.parametrize("pitch", [90.0, 150.0, 260.0])
def test_pitch(pitch: float) -> None:
    found = median_pitch(_buzz(torch.ones(FRAMES), pitch))
    assert found == pytest.approx(pitch, rel=0.02)
    assert median_pitch(AudioClip(torch.zeros(1, 34000), RATE)) is None


def test_semitones_between_voices(loudness: torch.Tensor) -> None:
    video = _talking_face(loudness).transpose(0, 1)
    found = measure_clip(video, FPS, _buzz(loudness, 200.0), voice=_buzz(torch.ones(FRAMES), 100.0))
    assert found.pitch_difference == pytest.approx(12, abs=0.4)
    assert measure_clip(video, FPS).pitch_difference is None


def test_colours_of_zones() -> None:
    red, blue = torch.tensor([1.0, -1.0, -1.0]), torch.tensor([-1.0, -1.0, 1.0])
    same = compare_colours(red[:, None, None].expand(3, 64, 64), red[:, None, None].expand(3, 64, 64))
    assert set(same) == {"hair", "skin", "clothes"}
    assert all(match.difference == pytest.approx(0, abs=1e-3) for match in same.values())
    face = red[:, None, None].repeat(1, 64, 64)
    face[:, 55:] = blue[:, None, None]
    match = compare_colours(face, red[:, None, None].expand(3, 64, 64))
    assert match["clothes"].reference == (0, 0, 255)
    assert match["clothes"].clip == (255, 0, 0)
    # CIE 1976 distance of the sRGB primaries red and blue.
    assert match["clothes"].difference == pytest.approx(176.3, abs=1)
    assert match["hair"].difference == pytest.approx(0, abs=1e-3)


def test_face_similarity_and_lengths(loudness: torch.Tensor) -> None:
    embeds = torch.eye(FRAMES, 20)
    found = measure_clip(
        _talking_face(loudness).transpose(0, 1),
        FPS,
        _buzz(loudness),
        face_embeds=embeds[3],
        frame_embeds=embeds,
    )
    assert found.face_similarity is not None
    assert [round(value) for value in found.face_similarity] == [0, 0, 0, 1] + [0] * 13
    assert (found.frames, found.picture_seconds, found.sound_seconds) == (17, 2.125, 2.125)
    assert found.colours is None


def test_shapes_are_named() -> None:
    with pytest.raises(ShapeError, match=r"expected \(3, F, H, W\), got \(1, 3, 5, 8, 8\)"):
        measure_clip(torch.zeros(1, 3, 5, 8, 8), FPS)
    with pytest.raises(
        ShapeError, match=r"voice: expected \(1, samples\) at 16000 Hz, got \(1, 10\) at 8000 Hz"
    ):
        measure_clip(torch.zeros(3, 5, 8, 8), FPS, voice=AudioClip(torch.zeros(1, 10), 8000))
