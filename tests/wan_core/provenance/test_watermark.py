"""The mark in the picture: invisible, found again, and never found where it is not."""

from __future__ import annotations

import io
import math

import av
import numpy as np
import pytest
import torch
from skimage import data
from torch.nn import functional

from wan_core.errors import InputError
from wan_core.media import encode_video
from wan_core.provenance import detect_mark, is_markable, mark_video
from wan_core.provenance.watermark import make_pattern

SIZE = (256, 256)


def pan(frames: int = 8, speed: int = 3, size: tuple[int, int] = SIZE) -> torch.Tensor:
    """A camera that moves over a photograph, (3, F, H, W)."""
    photo = torch.from_numpy(data.chelsea()).permute(2, 0, 1)[None].float() / 127.5 - 1
    height, width = size[0] + frames * speed, size[1] + frames * speed
    large = functional.interpolate(photo, size=(height, width), mode="bilinear", antialias=True)[0]
    views = [
        large[:, k * speed : k * speed + size[0], k * speed : k * speed + size[1]] for k in range(frames)
    ]
    return torch.stack(views, 1)


def to_bytes(video: torch.Tensor) -> torch.Tensor:
    """(3, F, H, W) in [-1, 1] -> (F, H, W, 3) uint8."""
    return ((video + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0)


def decode(content: bytes) -> torch.Tensor:
    with av.open(io.BytesIO(content)) as container:
        return torch.from_numpy(np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)]))


def encode_again(frames: torch.Tensor, crf: int) -> torch.Tensor:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        stream.options = {"crf": str(crf), "preset": "medium"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.numpy(), format="rgb24")))
        container.mux(stream.encode(None))
    return decode(buffer.getvalue())


@pytest.fixture(scope="module")
def video() -> torch.Tensor:
    return pan()


@pytest.fixture(scope="module")
def marked(video: torch.Tensor) -> torch.Tensor:
    return mark_video(video)


@pytest.fixture(scope="module")
def written(marked: torch.Tensor) -> torch.Tensor:
    """The marked clip after the writer's own H.264."""
    return decode(encode_video(marked, 8))


def test_the_mark_is_weak(video: torch.Tensor, marked: torch.Tensor) -> None:
    error = (to_bytes(marked).float() - to_bytes(video).float()).square().mean()
    assert 10 * math.log10(255**2 / error) > 38
    assert marked.abs().max() <= 1 and marked.dtype == video.dtype
    flat = mark_video(torch.zeros(3, 1, 128, 128))
    assert (flat * 127.5).square().mean().sqrt() < 1.5


def test_found_in_the_marked_clip_alone(video: torch.Tensor, marked: torch.Tensor) -> None:
    with_mark, without = detect_mark(to_bytes(marked)), detect_mark(to_bytes(video))
    assert with_mark.is_marked and with_mark.score > 10 and with_mark.frames == 8
    assert not without.is_marked and abs(without.score) < 4
    assert "is in the picture" in with_mark.describe() and "proves nothing" in without.describe()


def test_survives_the_writer(written: torch.Tensor) -> None:
    assert detect_mark(written).score > 8


def test_survives_encoding_again_and_scaling(written: torch.Tensor) -> None:
    again = encode_again(written, 28)
    assert detect_mark(again).is_marked
    for height, width in ((144, 144), (400, 600)):
        scaled = functional.interpolate(
            again.permute(0, 3, 1, 2).float(), size=(height, width), mode="bilinear", antialias=True
        )
        assert detect_mark(scaled.round().to(torch.uint8).permute(0, 2, 3, 1)).is_marked


def test_cropping_removes_it(marked: torch.Tensor) -> None:
    """Said in the documents: the pattern is tied to the edges of the picture."""
    assert not detect_mark(to_bytes(marked)[:, 40:, 40:]).is_marked


def test_scores_without_the_mark_are_normal() -> None:
    """False positives: what chance gives for pictures of noise, coarse and fine, has mean 0 and deviation 1."""
    generator = torch.Generator().manual_seed(0)
    scores = []
    for index in range(200):
        small = torch.rand(1, 3, 4 + index % 60, 4 + index % 60, generator=generator)
        picture = functional.interpolate(small, size=(96, 96), mode="bicubic", antialias=True)[0].clamp(0, 1)
        scores.append(detect_mark((picture * 255).to(torch.uint8).permute(1, 2, 0)[None]).score)
    found = torch.tensor(scores)
    assert abs(found.mean()) < 0.3 and 0.8 < found.std() < 1.25 and found.abs().max() < 4.5


def test_the_pattern_never_changes() -> None:
    """Clips of today must be recognised by the versions of tomorrow."""
    pattern = make_pattern(128, 128)
    assert pattern.square().mean() == pytest.approx(1.0, abs=1e-4)
    torch.testing.assert_close(pattern[0, :4], torch.tensor(FIRST), atol=1e-3, rtol=0)


FIRST = [1.15536, 1.25945, 0.17325, -0.32011]


def test_sizes() -> None:
    assert is_markable(64, 64) and not is_markable(32, 200)
    with pytest.raises(
        InputError, match=r"expected \(3, F, H, W\) of 64 pixels or more a side, got \(3, 1, 32, 64\)"
    ):
        mark_video(torch.zeros(3, 1, 32, 64))
    with pytest.raises(InputError, match=r"expected \(F, H, W, 3\)"):
        detect_mark(torch.zeros(0, 64, 64, 3, dtype=torch.uint8))
    five = torch.zeros(1, 3, 2, 64, 96)
    assert mark_video(five).shape == five.shape
