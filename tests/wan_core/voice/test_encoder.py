import math

import pytest
import torch

from wan_core.errors import ConfigError, InputError, ShapeError
from wan_core.ops.speech import analyse
from wan_core.voice import VoiceEncoder, VoiceEncoderConfig, encode_clip

SMALL = VoiceEncoderConfig(token_dim=16, timbre_width=24, contour_width=8, blocks=2, embed_dim=12)


@pytest.fixture
def encoder() -> VoiceEncoder:
    """A small encoder with random weights."""
    torch.manual_seed(1)
    return VoiceEncoder(SMALL).train(False)


def speech(hertz: float, seconds: float = 1.0, *, bright: float = 1.0) -> torch.Tensor:
    """Vowel-like sound of a pitch, (1, T)."""
    time = torch.arange(int(16000 * seconds)) / 16000
    wave = sum(
        torch.sin(2 * math.pi * hertz * k * time + k) * math.exp(-k / (8 * bright)) for k in range(1, 30)
    )
    return 0.05 * wave[None] * (0.6 + 0.4 * torch.sin(2 * math.pi * 4 * time))


def test_shapes(encoder: VoiceEncoder) -> None:
    code = encode_clip(encoder, torch.cat((speech(120.0), speech(200.0))))
    assert code.tokens.shape == (2, 4, 16)
    assert code.embedding.shape == (2, 12)
    torch.testing.assert_close(code.embedding.norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(code.tokens.var(-1, correction=0), torch.ones(2, 4), atol=1e-3, rtol=0)


@pytest.mark.parametrize("seconds", [0.3, 1.0, 6.0])
def test_any_length(encoder: VoiceEncoder, seconds: float) -> None:
    assert torch.isfinite(encode_clip(encoder, speech(150.0, seconds)).tokens).all()


def test_gain_and_silence_around_hardly_matter(encoder: VoiceEncoder) -> None:
    wave = speech(150.0, 2.0)
    plain = encode_clip(encoder, wave).embedding
    padded = torch.cat((torch.zeros(1, 9600), 0.3 * wave, torch.zeros(1, 16000)), -1)
    other = encode_clip(encoder, speech(250.0, 2.0, bright=3.0)).embedding
    same = (plain * encode_clip(encoder, padded).embedding).sum()
    assert same > 0.95
    assert same > (plain * other).sum() + 0.02


def test_each_token_hears_its_own_part(encoder: VoiceEncoder) -> None:
    features = analyse(speech(150.0))
    higher = features.stack().clone()
    higher[..., 24] += 0.3
    before, after = encoder(features.stack()).tokens, encoder(higher).tokens
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.allclose(before[:, 2], after[:, 2])
    assert torch.equal(before[:, 3], after[:, 3])
    louder = features.stack().clone()
    louder[..., 0] += 5.0
    torch.testing.assert_close(before, encoder(louder).tokens, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_no_speech_is_refused(encoder: VoiceEncoder, kind: str) -> None:
    noise = 0.1 * torch.randn(1, 16000, generator=torch.Generator().manual_seed(2))
    with pytest.raises(InputError, match=r"expected at least 0\.1 s of voiced speech, got 0\.0\d s"):
        encode_clip(encoder, torch.zeros(1, 16000) if kind == "silence" else noise)


def test_wrong_input(encoder: VoiceEncoder) -> None:
    with pytest.raises(ShapeError, match=r"N >= 16, 26\), got \(1, 9, 26\)"):
        encoder(torch.zeros(1, 9, 26))
    with pytest.raises(ConfigError, match="expected at least 1 each"):
        VoiceEncoderConfig(blocks=0)
