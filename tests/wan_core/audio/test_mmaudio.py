"""The codec against the code that Ovi carries; the file is made by tests/golden/make_mmaudio.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_dit import relative_error
from tiny_mmaudio import write_codec
from torch import Tensor

from wan_core.audio.mel import log_mel
from wan_core.audio.mmaudio import MMAudioCodec, MMAudioConfig
from wan_core.checkpoints.mmaudio import load_audio_codec
from wan_core.errors import ConfigError, InputError, ShapeError

GOLDEN = Path(__file__).parents[2] / "golden" / "mmaudio.safetensors"


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(GOLDEN)


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> MMAudioCodec:
    return load_audio_codec(*write_codec(tmp_path_factory.mktemp("codec")))


def test_mel_spectrogram(golden: dict[str, Tensor]) -> None:
    found = log_mel(golden["waveform"], sample_rate=16000, window=1024, hop=256, bands=80)
    assert relative_error(found, golden["mel"]) < 1e-5


def test_encodes_as_upstream(golden: dict[str, Tensor], codec: MMAudioCodec) -> None:
    found = codec.encode(golden["waveform"])
    assert found.shape == (1, 20, 12000 // codec.latent_samples)
    assert relative_error(found, golden["encoded"]) < 1e-5


def test_decodes_as_upstream(golden: dict[str, Tensor], codec: MMAudioCodec) -> None:
    found = codec.decode(golden["latents"])
    assert found.shape == (1, 6 * 512) and codec.sample_rate == 16000
    assert relative_error(found, golden["sound"][:, 0]) < 1e-5
    assert relative_error(codec.vae.decode(golden["latents"]), golden["decoded"]) < 1e-5


def test_a_second_gives_31_latents(codec: MMAudioCodec) -> None:
    assert codec.encode(torch.zeros(2, 16000)).shape == (2, 20, 31)


def test_bad_input(codec: MMAudioCodec) -> None:
    with pytest.raises(ShapeError, match=r"expected \(batch, samples\) with more than 384 samples"):
        codec.encode(torch.zeros(1, 300))
    with pytest.raises(ShapeError, match="expected at least 512 samples, got 500"):
        codec.encode(torch.zeros(1, 500))
    with pytest.raises(InputError, match="expected finite samples"):
        codec.encode(torch.full((1, 16000), torch.nan))
    with pytest.raises(ShapeError, match=r"audio latents: expected \(batch, 20, length\), got \(1, 19, 4\)"):
        codec.decode(torch.zeros(1, 19, 4))
    with pytest.raises(ConfigError, match="rates whose product is the hop"):
        MMAudioConfig(rates=(4, 4))
