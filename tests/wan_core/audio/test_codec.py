import math

import pytest
import torch

from wan_core.audio import AudioCodec, AudioCodecConfig
from wan_core.errors import ConfigError, ShapeError
from wan_core.ops.speech import CEPSTRA, analyse


def vowel(hertz: float = 130.0) -> torch.Tensor:
    """One second of a rough vowel between silences, (1, 24000)."""
    time = torch.arange(16000) / 16000
    phase = 2 * math.pi * (hertz * time + 10.0 * time**2)
    wave = sum(torch.sin(k * phase) * math.exp(-(((k * hertz - 600.0) / 900.0) ** 2)) for k in range(1, 40))
    return torch.cat((torch.zeros(4000), 0.05 * wave, torch.zeros(4000)))[None]


@pytest.fixture
def codec() -> AudioCodec:
    """A codec that keeps every number of its features."""
    return AudioCodec(AudioCodecConfig(latent_dim=104))


def test_shapes_and_padding(codec: AudioCodec) -> None:
    latents = codec.encode(torch.zeros(2, 34000))
    assert latents.shape == (2, 104, 34)
    assert codec.decode(latents).shape == (2, 34816)
    assert (codec.sample_rate, codec.latent_samples) == (16000, 1024)


def test_complete_basis_gives_the_features_back(codec: AudioCodec) -> None:
    codec.feature_scale.uniform_(0.5, 2.0)
    codec.latent_mean.uniform_(-1, 1)
    codec.latent_scale.uniform_(0.5, 2.0)
    features = analyse(torch.nn.functional.pad(vowel(), (0, 576))).stack()
    torch.testing.assert_close(codec.unpack(codec.pack(features)), features, rtol=1e-4, atol=1e-3)


def test_speech_survives(codec: AudioCodec) -> None:
    wave = vowel()
    sound = codec.decode(codec.encode(wave))[:, : wave.shape[-1]]
    before, after = analyse(wave), analyse(sound)
    inner = slice(20, 74)
    assert (before.log_f0 - after.log_f0)[:, inner].abs().max() < 0.02
    assert (before.cepstra - after.cepstra)[:, inner].square().mean().sqrt() < 1.5
    assert abs(sound.std() / wave.std() - 1.0) < 0.15


def test_silence_stays_silent_and_equal_latents_sound_equal(codec: AudioCodec) -> None:
    wave = vowel()
    latents = codec.encode(wave)
    sound = codec.decode(latents)
    assert torch.equal(sound, codec.decode(latents.clone()))
    assert sound[:, :3000].abs().max() < 1e-4


def test_no_click_between_frames(codec: AudioCodec) -> None:
    wave = vowel()
    sound = codec.decode(codec.encode(wave))
    before, after = (part[:, 5000:19000].diff(n=2, dim=-1).abs().amax() for part in (wave, sound))
    assert after < 2.0 * before


def test_wrong_shapes(codec: AudioCodec) -> None:
    with pytest.raises(ShapeError, match=r"expected \(B, 104, T\), got \(1, 32, 3\)"):
        codec.decode(torch.zeros(1, 32, 3))
    with pytest.raises(ShapeError, match=r"expected \(B, T\), got \(1, 1, 4000\)"):
        codec.encode(torch.zeros(1, 1, 4000))
    with pytest.raises(ShapeError, match=r"multiple of 4, got \(1, 6, 26\)"):
        codec.pack(torch.zeros(1, 6, CEPSTRA + 2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent_dim": 0}, "expected at least 1, got latent_dim 0"),
        ({"sample_rate": 44100}, "expected 16000, got 44100"),
        ({"latent_dim": 105}, "expected at most 104, got 105"),
    ],
)
def test_bad_configuration(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AudioCodecConfig(**settings)
