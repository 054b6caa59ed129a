"""Recordings of every kind that people have, and the check of a voice clip."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wan_core.errors import InputError
from wan_core.media import check_voice, read_sound, read_voice, resample, write_video
from wan_core.types import AudioClip

RATE = 16000


def _voice(seconds: float, rate: int = RATE, pitch: float = 140.0) -> NDArray[np.float32]:
    """A buzz with the harmonics and the syllable rate of a voice."""
    t = np.arange(round(seconds * rate)) / rate
    buzz = sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 12))
    return (0.2 * buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))).astype(np.float32)


def _clip(samples: NDArray[np.float32]) -> AudioClip:
    return AudioClip(torch.from_numpy(np.ascontiguousarray(samples))[None], RATE)


def _write(path: Path, samples: NDArray[np.float32], rate: int, codec: str, layout: str = "mono") -> None:
    channels = 1 if layout == "mono" else 2
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            np.repeat(samples[:, None], channels, axis=1).reshape(1, -1), format="flt", layout=layout
        )
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.wav", "pcm_s16le", 8000, "mono"),
        ("b.wav", "pcm_f32le", 44100, "stereo"),
        ("c.mp3", "libmp3lame", 44100, "stereo"),
        ("d.flac", "flac", 48000, "mono"),
        ("e.ogg", "libopus", 48000, "mono"),
        ("f.m4a", "aac", 44100, "stereo"),
    ],
)
def test_formats_become_mono_16_khz(tmp_path: Path, name: str, codec: str, rate: int, layout: str) -> None:
    samples = _voice(1.5, rate)
    _write(tmp_path / name, samples, rate, codec, layout)
    clip, notes = read_voice(tmp_path / name)
    assert clip.sample_rate == RATE
    assert clip.waveform.shape[0] == 1
    assert clip.waveform.shape[1] / RATE == pytest.approx(1.5, abs=0.1)
    assert clip.waveform.std().item() == pytest.approx(float(samples.std()), rel=0.15)
    assert notes == ()


def test_sound_track_of_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "me.mp4", torch.zeros(3, 16, 32, 32), 8, _clip(_voice(2.0)))
    clip, _ = read_voice(path)
    assert clip.waveform.shape[1] / RATE == pytest.approx(2.0, abs=0.05)


def test_video_without_sound(tmp_path: Path) -> None:
    path = write_video(tmp_path / "mute.mp4", torch.zeros(3, 4, 32, 32), 8)
    with pytest.raises(InputError, match="expected a sound track, got a file without one"):
        read_sound(path)


def test_long_recordings_are_cut_with_a_note(tmp_path: Path) -> None:
    _write(tmp_path / "long.wav", _voice(3.0), RATE, "pcm_s16le")
    clip, notes = read_sound(tmp_path / "long.wav", max_seconds=1.25)
    assert clip.waveform.shape[1] == 20000
    assert notes == ("only the first 1.25 s of long.wav are used.",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a file, got none"),
        (b"", "cannot be read"),
        (b"this is no recording" * 50, "cannot be read"),
    ],
)
def test_useless_files_are_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "voice.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_sound(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wav_without_samples(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "empty.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
    with pytest.raises(InputError, match="got an empty recording"):
        read_sound(tmp_path / "empty.wav")
    with pytest.raises(InputError, match="got a folder"):
        read_sound(tmp_path)


def test_nan_in_a_wav(tmp_path: Path) -> None:
    samples = _voice(1.5)
    samples[4000:4010] = np.nan
    _write(tmp_path / "nan.wav", samples, RATE, "pcm_f32le")
    with pytest.raises(
        InputError, match=r"expected finite samples, got 10 that are NaN or infinite in .*nan\.wav"
    ):
        read_voice(tmp_path / "nan.wav")


def test_short_voice_names_what_was_found(tmp_path: Path) -> None:
    _write(tmp_path / "short.wav", _voice(0.2), RATE, "pcm_s16le")
    with pytest.raises(
        InputError, match=r"expected at least 0.5 s of voiced speech, got 0\.\d\d s in 0\.20 s"
    ):
        read_voice(tmp_path / "short.wav")


def test_noise_is_no_voice() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * RATE).astype(np.float32)
    with pytest.raises(InputError, match="voiced speech"):
        check_voice(_clip(noise))


@pytest.mark.parametrize("level", [0.0, 1e-4])
def test_silence(level: float) -> None:
    with pytest.raises(InputError, match="expected speech, got (silence|a peak of -)"):
        check_voice(_clip(_voice(2.0) / 0.5 * level))


def test_quiet_speech_passes() -> None:
    assert check_voice(_clip(_voice(2.0) * 0.02)) == ()


def test_clipping_is_noted_then_refused() -> None:
    loud = np.clip(_voice(2.0) * 3, -1, 1)
    assert "at full scale: it may sound distorted" in check_voice(_clip(loud))[0]
    with pytest.raises(InputError, match=r"at most 25% of the samples at full scale, got \d\d%"):
        check_voice(_clip(np.clip(_voice(2.0) * 100, -1, 1)))


def test_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match=r"expected \(1, samples\) at 16000 Hz, got \(2, 100\)"):
        check_voice(AudioClip(torch.zeros(2, 100), RATE))
    with pytest.raises(InputError, match="empty recording"):
        check_voice(AudioClip(torch.zeros(1, 0), RATE))


def test_resample_keeps_pitch_length_and_level() -> None:
    t = torch.arange(44100) / 44100
    tone = 0.5 * torch.sin(2 * torch.pi * 440 * t)
    clip = resample(AudioClip(torch.stack((tone, tone)), 44100))
    assert clip.sample_rate == RATE
    assert abs(clip.waveform.shape[1] - RATE) <= 32
    spectrum = torch.fft.rfft(clip.waveform[0, :RATE]).abs()
    assert spectrum.argmax().item() == pytest.approx(440, abs=1)
    assert clip.waveform.std().item() == pytest.approx(0.5 / 2**0.5, rel=0.02)
    same = AudioClip(torch.zeros(1, 10), RATE)
    assert resample(same) is same
