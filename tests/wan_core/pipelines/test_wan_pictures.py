"""Pictures of image-to-video are prepared as Wan's own code does it; the formulas below are written from that code."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from wan_core.pipelines.wan_family import FLF2V, I2V, T2V, TI2V
from wan_core.pipelines.wan_pictures import cover, frame_clip, frame_mask, stretch, target_size, to_video

SIZES = ((832, 480), (1280, 720), (480, 832))
PICTURES = ((320, 512), (512, 320), (700, 700), (1080, 1921), (333, 97))


def picture(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(height * width)
    return torch.randint(0, 256, (height, width, 3), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", PICTURES)
def test_size_of_image_to_video(size: tuple[int, int], shape: tuple[int, int]) -> None:
    """wan/image2video.py: the area decides, cells are cut down to the stride and then to whole patches."""
    area, ratio = size[0] * size[1], shape[0] / shape[1]
    rows = round(math.sqrt(area * ratio) // 8 // 2 * 2)
    columns = round(math.sqrt(area / ratio) // 8 // 2 * 2)
    assert target_size(I2V, size, picture(*shape)) == (columns * 8, rows * 8)


@pytest.mark.parametrize("shape", PICTURES)
def test_size_of_ti2v(shape: tuple[int, int]) -> None:
    """wan/utils/utils.py best_output_size: of two ways to round, the one whose shape is nearer."""
    area, ratio, grid = 1280 * 704, shape[1] / shape[0], 32
    wide = (area * ratio) ** 0.5
    high = area / wide
    first = (int(wide // grid * grid), int(area / int(wide // grid * grid) // grid * grid))
    second = (int(area / int(high // grid * grid) // grid * grid), int(high // grid * grid))
    ratios = [w / h for w, h in (first, second)]
    is_first = max(ratio / ratios[0], ratios[0] / ratio) < max(ratio / ratios[1], ratios[1] / ratio)
    assert target_size(TI2V, (1280, 704), picture(*shape)) == (first if is_first else second)


def test_text_alone_takes_the_size_as_it_is() -> None:
    assert target_size(T2V, (640, 368), None) == (640, 368)


@pytest.mark.parametrize("frames", [5, 21, 81])
@pytest.mark.parametrize("has_last", [False, True])
def test_mask(frames: int, has_last: bool) -> None:
    """wan/image2video.py and wan/first_last_frame2video.py, with the same steps."""
    known = torch.ones(1, frames, 3, 5)
    known[:, 1 : frames - 1 if has_last else frames] = 0
    known = torch.concat([torch.repeat_interleave(known[:, 0:1], repeats=4, dim=1), known[:, 1:]], dim=1)
    expected = known.view(1, known.shape[1] // 4, 4, 3, 5).transpose(1, 2)
    assert torch.equal(frame_mask(frames, (3, 5), has_last=has_last), expected)


def test_clip_and_scaling() -> None:
    """The whole picture is squeezed to the size, bicubic; what is not known is grey."""
    pixels = to_video(picture(40, 60))
    assert pixels.min() >= -1 and pixels.max() <= 1
    small = stretch(pixels, (32, 16))
    assert torch.equal(small, functional.interpolate(pixels[None], size=(16, 32), mode="bicubic")[0])
    clip = frame_clip(small, -small, 5)
    assert clip.shape == (1, 3, 5, 16, 32)
    assert torch.equal(clip[0, :, 0], small) and torch.equal(clip[0, :, -1], -small)
    assert not clip[:, :, 1:-1].any() and not frame_clip(small, None, 5)[:, :, 1:].any()


def test_cover_cuts_the_centre() -> None:
    """wan/textimage2video.py: Lanczos until the size is covered, then the middle."""
    grey = torch.full((20, 90, 3), 10, dtype=torch.uint8)
    grey[:, 30:60] = 250
    covered = cover(grey, (32, 32))
    assert covered.shape == (3, 32, 32)
    assert covered[:, :, 4:-4].min() > 0.9
    assert cover(picture(64, 32), (32, 64)).shape == (3, 64, 32)
    assert torch.equal(cover(picture(64, 32), (32, 64)), to_video(picture(64, 32)))


def test_first_and_last_use_the_same_grid() -> None:
    assert target_size(FLF2V, (1280, 720), picture(720, 1280)) == (1280, 720)
