"""Frames of a video, evenly spread, with their numbers and times."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wan_core.errors import InputError
from wan_core.media import write_video
from wan_core.media.video_frames import sample_frames


def test_frames_are_spread_evenly(tmp_path: Path) -> None:
    shades = torch.linspace(-1, 1, 30).view(1, 1, 30, 1, 1).expand(1, 3, 30, 32, 48)
    path = write_video(tmp_path / "clip.mp4", shades, 10.0)
    found = list(sample_frames(path, 6))
    assert [frame.index for frame in found] == [0, 5, 10, 15, 20, 25]
    assert [round(frame.time, 2) for frame in found] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert all(frame.pixels.shape == (32, 48, 3) for frame in found)
    means = [float(frame.pixels.mean()) for frame in found]
    assert means == sorted(means) and means[-1] - means[0] > 150
    assert len(list(sample_frames(path, 100))) == 30


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="video: expected a file, got none"):
        list(sample_frames(tmp_path / "none.mp4"))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match="expected a readable video"):
        list(sample_frames(tmp_path / "text.mp4"))
