"""Sample rates: torchaudio, and PyAV where it is missing."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Iterator

import pytest
import torch

from wan_core.errors import InputError
from wan_core.ops.resample import find_resampler, resample_waveform, resample_with_av


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What `find_resampler` remembers must not reach other tests."""
    find_resampler.cache_clear()
    yield
    find_resampler.cache_clear()


def tone(rate: int, hertz: float = 440.0) -> torch.Tensor:
    return 0.5 * torch.sin(2 * math.pi * hertz * torch.arange(rate) / rate)[None]


@pytest.mark.parametrize("old_rate", [8000, 22050, 44100, 192_000, 37_813])
def test_tones_keep_pitch_level_and_length(old_rate: int) -> None:
    got = resample_waveform(tone(old_rate), old_rate, 16000)
    assert abs(got.shape[1] - 16000) <= 32
    want = tone(16000)[:, : got.shape[1]]
    assert (got[:, 200:15700] - want[:, 200:15700]).abs().max() < 0.01


def test_what_the_new_rate_can_not_hold_goes() -> None:
    assert resample_waveform(tone(48000, 11_000), 48000, 16000)[:, 200:-200].abs().max() < 0.01


def test_same_rate_is_the_same_tensor() -> None:
    wave = tone(16000)
    assert resample_waveform(wave, 16000, 16000) is wave


def test_torchaudio_does_it_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert find_resampler() is not resample_with_av
    assert not caplog.records


def test_without_torchaudio(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with_torchaudio = resample_waveform(tone(44100).repeat(2, 1), 44100, 16000)
    find_resampler.cache_clear()
    monkeypatch.setitem(sys.modules, "torchaudio.functional", None)
    with caplog.at_level(logging.WARNING):
        got = [resample_waveform(tone(44100).repeat(2, 1), 44100, 16000) for _ in range(2)]
    assert [r.message.endswith("PyAV resamples sound instead.") for r in caplog.records] == [True]
    assert got[0].shape[0] == 2 and (got[0] - with_torchaudio)[:, 200:-200].abs().max() < 0.01


def test_torchaudio_of_another_cuda(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def find_spec(self, name: str, path: object, target: object = None) -> None:
            if name.startswith("torchaudio"):
                raise OSError("libcudart.so.99: cannot open shared object file\nmore")

    for name in [name for name in sys.modules if name.startswith("torchaudio")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with caplog.at_level(logging.WARNING):
        assert find_resampler() is resample_with_av
    assert "torchaudio can not be used (libcudart.so.99: cannot open shared object file)" in caplog.text


@pytest.mark.parametrize(("shape", "rate"), [((0, 5), 16000), ((1, 0), 16000), ((5,), 16000), ((1, 5), 0)])
def test_unusable_input(shape: tuple[int, ...], rate: int) -> None:
    with pytest.raises(InputError, match=r"expected \(channels, samples\) and rates of 1 Hz or more"):
        resample_waveform(torch.zeros(shape), rate, 8000)
