"""A clip written frame by frame is the file that is written at once; a failed one leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wan_core.errors import InputError, OutputError
from wan_core.media import open_video, read_video, video_writer, write_video
from wan_core.media.sound import read_sound
from wan_core.types import AudioClip


def clip(frames: int = 6, height: int = 33, width: int = 48) -> torch.Tensor:
    rows = torch.linspace(-1, 1, height)[:, None].expand(height, width)
    return torch.stack([torch.stack([rows * (1 - f / 9), rows, -rows]) for f in range(frames)], dim=1)


def test_same_file_as_at_once(tmp_path: Path) -> None:
    video, tags = clip(), {"comment": "made by a test"}
    write_video(tmp_path / "once.mp4", video, 16, metadata=tags)
    with open_video(tmp_path / "parts.mp4", 16, metadata=tags) as writer:
        for part in video.split((1, 4, 1), dim=1):
            writer.add(part[None])
            assert not (tmp_path / "parts.mp4").exists()
    assert (writer.path, writer.frames, writer.size) == (tmp_path / "parts.mp4", 6, (34, 48))
    once, parts = (read_video(tmp_path / f"{name}.mp4") for name in ("once", "parts"))
    assert torch.equal(once.frames, parts.frames)
    assert (once.fps, parts.fps, parts.metadata["comment"]) == (16, 16, "made by a test")


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_sound_is_as_long_as_the_picture(tmp_path: Path, seconds: float) -> None:
    """Six frames at 8 a second are 0.75 s: the shorter sound is filled with silence, the longer one is cut."""
    tone = 0.5 * torch.sin(torch.arange(round(seconds * 16000)) * 0.2)[None]
    audio = AudioClip(tone, 16000)
    write_video(tmp_path / "once.mp4", clip(), 8, audio)
    with open_video(tmp_path / "parts.mp4", 8, audio=audio) as writer:
        for part in clip().split((1, 5), dim=1):
            writer.add(part[None])
    once, parts = (read_sound(tmp_path / f"{name}.mp4").clip.waveform for name in ("once", "parts"))
    assert torch.equal(once, parts) and abs(parts.shape[1] / 16000 - 0.75) < 1024 / 16000
    heard = parts[0, : round(min(seconds, 0.7) * 16000)]
    assert float(heard.std()) > 0.2
    with pytest.raises(InputError, match="expected finite samples"):
        write_video(tmp_path / "bad.mp4", clip(), 8, AudioClip(tone * float("nan"), 16000))


def test_a_name_that_is_taken_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with open_video(tmp_path / "clip.mp4", 8) as writer:
        writer.add(clip())
        (tmp_path / "clip.mp4").write_text("mine")
    assert writer.path == tmp_path / "clip_001.mp4"
    assert (tmp_path / "clip.mp4").read_text() == "mine"
    with open_video(tmp_path / "clip.mp4", 8, overwrite=True) as writer:
        writer.add(clip())
    assert read_video(tmp_path / "clip.mp4").frames.shape[0] == 6


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
def test_what_goes_wrong_on_the_way_leaves_nothing(error: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(error)), open_video(tmp_path / "clip.mp4", 8) as writer:
        writer.add(clip())
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(video_writer, "encode_frame", fail)
    with (
        pytest.raises(OutputError, match="expected room on the disk"),
        open_video(tmp_path / "clip.mp4", 8) as writer,
    ):
        writer.add(clip())
    assert list(tmp_path.iterdir()) == []


def test_bad_frames(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one frame"), open_video(tmp_path / "clip.mp4", 8):
        pass
    with pytest.raises(InputError, match="as before"), open_video(tmp_path / "clip.mp4", 8) as writer:
        writer.add(clip())
        writer.add(clip(width=64))
    with (
        pytest.raises(InputError, match="expected finite pixels"),
        open_video(tmp_path / "clip.mp4", 8) as writer,
    ):
        writer.add(clip() * float("nan"))
    with pytest.raises(InputError, match="fps"), open_video(tmp_path / "clip.mp4", 0):
        pass
    assert list(tmp_path.iterdir()) == []
