import math

import pytest
import torch

from wan_core.errors import ShapeError
from wan_core.ops.speech import (
    FEATURES,
    POWER_FLOOR,
    SpeechFrames,
    analyse,
    cosine_basis,
    envelope_db,
    loudness_track,
    track_pitch,
)

TIME = torch.arange(16000) / 16000


def buzz(hertz: float, *, level: float = 0.1) -> torch.Tensor:
    """A steady voice-like tone of one second, (1, 16000)."""
    return level * sum(torch.sin(2 * math.pi * hertz * k * TIME) / k for k in range(1, 9))[None]


@pytest.mark.parametrize("hertz", [62.0, 111.3, 200.0, 330.0])
def test_pitch_of_a_steady_voice(hertz: float) -> None:
    log_f0, periodicity, is_voiced = track_pitch(buzz(hertz))
    inner = slice(4, -4)
    assert is_voiced[:, inner].all()
    assert (log_f0[:, inner] - math.log(hertz)).abs().max() < 0.01
    assert periodicity[:, inner].min() > 0.9


@pytest.mark.parametrize("gain", [0.03, 1.0])
def test_pitch_does_not_depend_on_gain_or_noise(gain: float) -> None:
    noise = 0.02 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(1))
    log_f0, _, is_voiced = track_pitch(gain * (buzz(150.0) + noise))
    assert is_voiced[:, 4:-4].all()
    assert (log_f0[:, 4:-4].median() - math.log(150.0)).abs() < 0.01


def test_noise_and_silence_are_unvoiced() -> None:
    noise = 0.1 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(1))
    frames = analyse(torch.cat((noise, torch.zeros(1, 16000))))
    assert (frames.voicing[0] > 0.5).float().mean() < 0.1
    assert frames.voicing[1].abs().max() == 0
    assert torch.allclose(frames.log_f0[1], torch.tensor(math.log(150.0)))
    assert torch.isfinite(frames.stack()).all()


def test_gap_in_pitch_is_interpolated() -> None:
    wave = torch.cat((buzz(100.0), torch.zeros(1, 4000), buzz(200.0)), -1)
    log_f0, _, is_voiced = track_pitch(wave)
    gap = ~is_voiced[0, 66:74]
    assert gap.any()
    assert math.log(100.0) < log_f0[0, 70] < math.log(200.0)


def test_envelope_of_white_noise_is_its_power() -> None:
    noise = 0.1 * torch.randn(1, 64000, generator=torch.Generator().manual_seed(1))
    log_power = analyse(noise).cepstra @ cosine_basis()
    assert abs(log_power.exp().mean().item() / 0.01 - 1.0) < 0.15


@pytest.mark.parametrize("hertz", [80.0, 300.0])
def test_envelope_hides_the_harmonics(hertz: float) -> None:
    count = int(7600 / hertz)
    flat = 0.02 * sum(torch.cos(2 * math.pi * hertz * k * TIME + k * k) for k in range(1, count + 1))[None]
    log_power = (analyse(flat).cepstra @ cosine_basis())[0, 10:-10, 6:44]
    assert log_power.std() < 0.5


def test_stack_and_split_are_inverse() -> None:
    frames = analyse(buzz(120.0))
    features = frames.stack()
    assert features.shape == (1, 63, FEATURES)
    again = SpeechFrames.split(features)
    assert torch.equal(again.cepstra, frames.cepstra)
    assert torch.equal(again.log_f0, frames.log_f0)
    with pytest.raises(ShapeError, match=r"expected a last axis of 26, got \(1, 63, 25\)"):
        SpeechFrames.split(features[..., :25])


def test_waveform_must_have_a_batch_axis() -> None:
    with pytest.raises(ShapeError, match=r"expected \(batch, samples\).*got \(16000,\)"):
        analyse(buzz(120.0)[0])


def test_levels() -> None:
    assert abs(envelope_db(buzz(200.0, level=0.1))[0, 30].item() + 21.2) < 2.0
    assert torch.allclose(envelope_db(torch.zeros(1, 1000)), torch.tensor(10 * math.log10(POWER_FLOOR)))


def test_loudness_track_follows_speech() -> None:
    wave = torch.cat((torch.zeros(1, 8000), buzz(150.0), torch.zeros(1, 8000)), -1)
    track = loudness_track(wave, torch.arange(17) / 8.0)[0]
    assert track[[0, 1, 2]].max() < 0.05
    assert track[[6, 7, 8, 9, 10]].min() > 0.9
    assert torch.allclose(track, loudness_track(0.2 * wave, torch.arange(17) / 8.0)[0], atol=0.05)
    assert loudness_track(torch.zeros(1, 8000), torch.arange(3) / 8.0).abs().max() == 0
