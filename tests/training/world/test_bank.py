from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("espeakng_loader", reason="the world's speech needs `pip install espeakng-loader`")

from training.fit_audio import fit
from training.world.bank import SpeechBank, build_bank, fingerprint
from wan_core.audio import AudioCodecConfig
from wan_core.checkpoints.nano import save_part


@pytest.fixture(scope="module")
def codec_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A codec of 32 dimensions, fitted to noise."""
    noise = 0.1 * torch.randn(2, 34000, generator=torch.Generator().manual_seed(1))
    codec, held = fit(noise, AudioCodecConfig())
    assert 0.2 < held < 1.0
    path = tmp_path_factory.mktemp("codec") / "audio.safetensors"
    save_part(path, "audio", codec.config, codec)
    return path


def test_bank_is_built_read_and_gone_on_with(tmp_path: Path, codec_path: Path) -> None:
    build_bank(tmp_path, 1, 4, 1, held_out=0, codec_path=codec_path)
    bank = SpeechBank(tmp_path)
    assert bank.latents.shape == (1, 64, 32, 34)
    assert bank.mouth.shape == (1, 64, 17)
    assert list(bank.train_voices) == [0]
    assert len(bank.held_out_voices) == 0
    assert np.isfinite(bank.latents).all()
    assert (bank.leads >= 0.05 - 1e-6).all()
    before = np.array(bank.latents)
    build_bank(tmp_path, 1, 4, 1, held_out=0, codec_path=codec_path)
    np.testing.assert_array_equal(np.load(tmp_path / "latents.npy"), before)
    with pytest.raises(ValueError, match=r"expected .*'seed': 5.*got other settings"):
        build_bank(tmp_path, 1, 5, 1, held_out=0, codec_path=codec_path)


def test_fingerprint_tells_codecs_apart(codec_path: Path) -> None:
    noise = 0.1 * torch.randn(2, 34000, generator=torch.Generator().manual_seed(2))
    first, _ = fit(noise, AudioCodecConfig())
    second, _ = fit(0.5 * noise, AudioCodecConfig())
    assert fingerprint(first) == fingerprint(first)
    assert fingerprint(first) != fingerprint(second)
