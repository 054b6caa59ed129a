"""Recordings of every kind that people have, read as mono."""

from __future__ import annotations

import tracemalloc
import wave
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from wan_core.errors import InputError
from wan_core.media import read_sound, read_voice, resample, write_video
from wan_core.types import AudioClip

RATE = 16000


def _voice(seconds: float, rate: int = RATE, pitch: float = 140.0) -> NDArray[np.float32]:
    """A buzz with the harmonics, the glides and the syllable rate of a voice."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * pitch * np.cumsum(1 + 0.1 * np.sin(2 * np.pi * 1.5 * t)) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (0.2 * buzz * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))).astype(np.float32)


def _clip(samples: NDArray[np.float32]) -> AudioClip:
    return AudioClip(torch.from_numpy(np.ascontiguousarray(samples))[None], RATE)


def _write(path: Path, samples: NDArray[np.float32], rate: int, codec: str, layout: str = "mono") -> None:
    channels = {"mono": 1, "stereo": 2, "7.1": 8}[layout]
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


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout", "notes"),
    [
        ("eight.wav", "pcm_u8", 11025, "mono", ("eight.wav has 8 bits a sample",)),
        ("studio.flac", "flac", 192_000, "stereo", ("studio.flac has 192000 samples a second: resampled.",)),
        ("film.wav", "pcm_f32le", 48_000, "7.1", ("film.wav has 8 channels (7.1): averaged to one.",)),
        ("odd.wav", "pcm_s16le", 37_813, "mono", ()),
    ],
)
def test_unusual_formats_are_converted_and_said(
    tmp_path: Path, name: str, codec: str, rate: int, layout: str, notes: tuple[str, ...]
) -> None:
    samples = _voice(1.5, rate)
    _write(tmp_path / name, samples, rate, codec, layout)
    clip, said = read_voice(tmp_path / name)
    assert clip.waveform.shape[1] / RATE == pytest.approx(1.5, abs=0.05)
    assert clip.waveform.std().item() == pytest.approx(float(samples.std()), rel=0.05)
    assert len(said) == len(notes) and all(a.startswith(b) for a, b in zip(said, notes, strict=True))


def test_two_hours_cost_no_more_than_a_minute(tmp_path: Path) -> None:
    path, rate = tmp_path / "meeting.wav", 8000
    start = (32767 * _voice(61.0, rate)).astype("<i2").tobytes()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.setnframes(7200 * rate)
        file.writeframesraw(start)
        with path.open("rb+") as whole:
            whole.truncate(44 + 7200 * rate * 2)  # a hole in the file: nothing is on the disk
        file._datawritten = 7200 * rate * 2  # type: ignore[attr-defined]  # the header keeps its two hours
    with av.open(str(path)) as container:
        assert float(container.duration or 0) / 1e6 == pytest.approx(7200)
    tracemalloc.start()
    sound = read_sound(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sound.clip.waveform.shape == (1, 60 * RATE) and peak < 32e6
    assert sound.notes == ("only the first 60 s of meeting.wav are used.",)


def test_another_rate_on_request(tmp_path: Path) -> None:
    _write(tmp_path / "a.wav", _voice(1.0, 48_000), 48_000, "pcm_s16le")
    clip, _ = read_sound(tmp_path / "a.wav", sample_rate=24_000)
    assert clip.sample_rate == 24_000 and clip.waveform.shape == (1, 24_000)


def test_nan_in_a_wav(tmp_path: Path) -> None:
    samples = _voice(1.5)
    samples[4000:4010] = np.nan
    _write(tmp_path / "nan.wav", samples, RATE, "pcm_f32le")
    with pytest.raises(
        InputError, match=r"expected finite samples, got 10 that are NaN or infinite in .*nan\.wav"
    ):
        read_voice(tmp_path / "nan.wav")
