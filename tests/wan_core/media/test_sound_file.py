"""Sound on the disk."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
import torch

from wan_core.errors import InputError
from wan_core.media import encode_wav, read_sound
from wan_core.types import AudioClip


@pytest.mark.parametrize("channels", [1, 2])
def test_there_and_back(tmp_path: Path, channels: int) -> None:
    wave = torch.rand(channels, 5000, generator=torch.Generator().manual_seed(0)) * 2 - 1
    path = tmp_path / "a.wav"
    path.write_bytes(encode_wav(AudioClip(wave, 24000), metadata={"comment": "Synthetic media."}))
    again = read_sound(path, sample_rate=24000).clip
    assert (again.waveform - wave.mean(0, keepdim=True)).abs().max() < 2e-4
    with av.open(str(path)) as container:
        assert container.metadata["comment"] == "Synthetic media."


@pytest.mark.parametrize("shape", [(3, 10), (1, 0), (10,)])
def test_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected \(1 or 2, samples\)"):
        encode_wav(AudioClip(torch.zeros(shape), 24000))


def test_not_finite() -> None:
    with pytest.raises(InputError, match="got 3 that are not"):
        encode_wav(AudioClip(torch.full((1, 3), float("nan")), 24000))
