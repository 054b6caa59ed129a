"""Photos, voices and first frames to tokens and latents."""

from __future__ import annotations

import pytest
import torch

from wan_core.errors import InputError, ShapeError
from wan_core.pipelines import NanoBundle
from wan_core.pipelines.references import encode_first_frame, encode_identity, encode_voice
from wan_core.types import AudioClip


def test_one_photo(bundle: NanoBundle, photo: torch.Tensor) -> None:
    tokens, notes = encode_identity(bundle.identity, [photo], "whole")
    assert tokens.shape == (1, 3, 8) and not tokens.requires_grad
    assert notes == ("the whole picture is used as the face.",)


def test_several_photos_are_averaged(bundle: NanoBundle, photo: torch.Tensor) -> None:
    one, _ = encode_identity(bundle.identity, [photo], "whole")
    same, notes = encode_identity(bundle.identity, [photo, photo], "whole")
    torch.testing.assert_close(one, same, rtol=1e-4, atol=1e-5)
    assert notes[1].startswith("photo 2: ")
    other, _ = encode_identity(bundle.identity, [photo, photo.flip(0)], "whole")
    assert (other - one).abs().max() > 1e-4


def test_no_face_and_no_photo(bundle: NanoBundle, photo: torch.Tensor) -> None:
    with pytest.raises(InputError, match="expected a frontal face, got none"):
        encode_identity(bundle.identity, [photo])
    with pytest.raises(InputError, match="photos: expected at least one, got none"):
        encode_identity(bundle.identity, [])


def test_voice(bundle: NanoBundle, voice: AudioClip) -> None:
    tokens = encode_voice(bundle.voice, voice)
    assert tokens.shape == (1, bundle.voice.config.tokens, 8) and torch.isfinite(tokens).all()
    stereo = encode_voice(bundle.voice, AudioClip(voice.waveform.expand(2, -1), 16000))
    torch.testing.assert_close(stereo, tokens, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (AudioClip(torch.zeros(1, 16000), 44100), r"at 16000 Hz, got \(1, 16000\) at 44100 Hz"),
        (AudioClip(torch.zeros(16000), 16000), r"expected \(channels, samples\)"),
        (AudioClip(torch.full((1, 16000), float("nan")), 16000), "expected finite samples"),
        (AudioClip(torch.zeros(1, 16000), 16000), "voice clip: expected at least 0.1 s of voiced speech"),
    ],
)
def test_unusable_voices(bundle: NanoBundle, clip: AudioClip, message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode_voice(bundle.voice, clip)


def test_first_frame_is_cut_to_the_centre(bundle: NanoBundle, photo: torch.Tensor) -> None:
    latents = encode_first_frame(bundle.vae, photo, 64)
    assert latents.shape == (1, 8, 1, 4, 4)
    edges = photo.clone()
    edges[:, :10] = 0
    edges[:, -10:] = 0
    assert torch.equal(encode_first_frame(bundle.vae, edges, 64), latents)
    with pytest.raises(ShapeError, match=r"first frame: expected \(H, W, 3\) uint8 RGB, got \(3, 8, 8\)"):
        encode_first_frame(bundle.vae, torch.zeros(3, 8, 8, dtype=torch.uint8), 64)
