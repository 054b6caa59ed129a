"""Written clips: picture, sound, lengths, tags, and failures that leave nothing behind."""

from __future__ import annotations

import ctypes
import math
import platform
from pathlib import Path

import av
import pytest
import torch

from wan_core.errors import InputError, OutputError
from wan_core.media import read_sound, read_video, write_video
from wan_core.media.video_file import encode_video
from wan_core.types import AudioClip


def _ramp(frames: int = 17, height: int = 64, width: int = 64) -> torch.Tensor:
    """Colour that changes over time and place, (1, 3, F, H, W)."""
    video = torch.zeros(1, 3, frames, height, width)
    video[:, 0] = torch.linspace(-0.8, 0.8, frames)[:, None, None]
    video[:, 1] = torch.linspace(-0.8, 0.8, width)
    video[:, 2] = torch.linspace(-0.8, 0.8, height)[:, None]
    return video


def _tone(samples: int, rate: int = 16000) -> AudioClip:
    t = torch.arange(samples) / rate
    return AudioClip(
        (0.4 * torch.sin(2 * math.pi * 300 * t) * torch.sin(math.pi * t * rate / samples))[None], rate
    )


@pytest.mark.parametrize(
    ("frames", "fps", "samples"), [(17, 8, 34816), (17, 8, 20000), (17, 8, 50000), (25, 23.976, 16000)]
)
def test_sound_is_as_long_as_the_picture(tmp_path: Path, frames: int, fps: float, samples: int) -> None:
    path = write_video(tmp_path / "clip.mp4", _ramp(frames), fps, _tone(samples))
    with av.open(str(path)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert picture.codec_context.pix_fmt == "yuv420p"
        lengths = [float(stream.duration * stream.time_base) for stream in (picture, sound)]
        assert picture.frames == frames
    assert lengths[0] == pytest.approx(frames / fps, rel=1e-3)
    assert abs(lengths[0] - lengths[1]) <= 1024 / 48000
    heard = read_sound(path).clip.waveform.shape[1] / 16000
    assert heard == pytest.approx(lengths[0], abs=1 / 1000)


def test_picture_and_sound_come_back(tmp_path: Path) -> None:
    video = _ramp()
    path = write_video(tmp_path / "clip.mp4", video, 8, _tone(34000))
    decoded = read_video(path)
    assert decoded.fps == pytest.approx(8)
    back = decoded.frames.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    assert (back - video).abs().mean() < 0.03
    heard = read_sound(path).clip.waveform[0, :34000]
    said = _tone(34000).waveform[0]
    assert torch.corrcoef(torch.stack((heard, said)))[0, 1] > 0.98


def test_sound_and_picture_are_in_step(tmp_path: Path) -> None:
    video = torch.full((1, 3, 16, 64, 64), -1.0)
    video[:, :, 8:] = 1.0
    waveform = torch.zeros(1, 32000)
    waveform[0, 16000:] = 0.5 * torch.sin(torch.arange(16000) * 0.3)
    path = write_video(tmp_path / "clip.mp4", video, 8, AudioClip(waveform, 16000))
    brightness = read_video(path).frames.float().mean(dim=(1, 2, 3))
    assert (brightness > 128).nonzero()[0].item() == 8
    onset = (read_sound(path).clip.waveform[0].abs() > 0.2).nonzero()[0].item() / 16000
    assert onset == pytest.approx(1.0, abs=0.025)


def test_tags_survive(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "clip.mp4", _ramp(5), 8, metadata={"comment": "synthetic", "wan_r2v": '{"seed": 1}'}
    )
    tags = read_video(path).metadata
    assert tags["comment"] == "synthetic"
    assert tags["wan_r2v"] == '{"seed": 1}'


def test_odd_sizes_are_filled(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", _ramp(3, 63, 65), 8)
    assert read_video(path).frames.shape == (3, 64, 66, 3)


@pytest.mark.parametrize(
    ("video", "fps", "message"),
    [
        (torch.zeros(2, 3, 4, 8, 8), 8, r"expected \(1, 3, F, H, W\) .* got \(2, 3, 4, 8, 8\)"),
        (torch.zeros(3, 0, 8, 8), 8, r"got \(3, 0, 8, 8\)"),
        (torch.full((3, 4, 8, 8), float("nan")), 8, "expected finite pixels, got 768"),
        (torch.zeros(3, 4, 8, 8), 0, "fps: expected more than 0"),
    ],
)
def test_useless_clips_are_refused(tmp_path: Path, video: torch.Tensor, fps: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        write_video(tmp_path / "clip.mp4", video, fps)
    assert list(tmp_path.iterdir()) == []


def test_nan_in_the_sound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected finite samples, got 3"):
        write_video(
            tmp_path / "clip.mp4", _ramp(5), 8, AudioClip(torch.tensor([[0.0, *[float("nan")] * 3]]), 16000)
        )
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="expected a folder, got none"):
        write_video(tmp_path / "nowhere" / "clip.mp4", _ramp(5), 8)
    assert list(tmp_path.iterdir()) == []


def test_reading_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_bytes(b"no video here" * 100)
    with pytest.raises(InputError, match="expected a readable video"):
        read_video(tmp_path / "text.mp4")
    with pytest.raises(InputError, match="expected a file, got none"):
        read_video(tmp_path / "nothing.mp4")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="fills memory by a setting of glibc")
def test_equal_frames_give_equal_files_whatever_was_in_memory() -> None:
    """A moving camera at a width that is not a multiple of 128: x264's form for AVX-512 reads beyond the row there."""
    generator = torch.Generator().manual_seed(0)
    scene = torch.rand(1, 3, 24, 24, generator=generator)
    scene = torch.nn.functional.interpolate(scene, size=(192, 192), mode="bicubic")[0] * 1.6 - 0.8
    video = torch.stack([scene[:, 2 * f : 2 * f + 96, 3 * f : 3 * f + 96] for f in range(17)], dim=1)
    libc, fill = ctypes.CDLL(None), -6
    try:
        files = set()
        for value in range(0, 256, 32):
            libc.mallopt(fill, value)
            files.add(encode_video(video, 8))
    finally:
        libc.mallopt(fill, 0)
    assert len(files) == 1
