"""Photos of every kind that people have on their disks."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from wan_core.errors import InputError
from wan_core.media import read_photo
from wan_core.media.photos import WORK_SIDE


@pytest.fixture
def corner() -> Image.Image:
    """A blue picture, 60 wide and 40 high, with a red top-left quarter."""
    picture = Image.new("RGB", (60, 40), (20, 40, 220))
    picture.paste((230, 30, 30), (0, 0, 30, 20))
    return picture


def _near(pixels: torch.Tensor, row: int, column: int, colour: tuple[int, int, int], within: int = 6) -> bool:
    return bool((pixels[row, column].int() - torch.tensor(colour)).abs().max() <= within)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tiff", "ppm", "tga"])
def test_common_formats(tmp_path: Path, corner: Image.Image, suffix: str) -> None:
    path = tmp_path / f"photo.{suffix}"
    corner.save(path, **({"quality": 95} if suffix in ("jpg", "webp") else {}))
    photo = read_photo(path)
    assert photo.pixels.dtype == torch.uint8
    assert photo.pixels.shape == (40, 60, 3)
    assert _near(photo.pixels, 8, 10, (230, 30, 30), 25)
    assert _near(photo.pixels, 30, 45, (20, 40, 220), 25)
    assert photo.notes == ()


@pytest.mark.parametrize(
    ("orientation", "red_at"), [(1, (8, 10)), (3, (32, 50)), (6, (10, 32)), (8, (50, 8))]
)
def test_exif_rotation(
    tmp_path: Path, corner: Image.Image, orientation: int, red_at: tuple[int, int]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    corner.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    pixels = read_photo(tmp_path / "phone.jpg").pixels
    assert pixels.shape == ((40, 60, 3) if orientation in (1, 3) else (60, 40, 3))
    assert _near(pixels, *red_at, (230, 30, 30), 25)


def test_cmyk(tmp_path: Path, corner: Image.Image) -> None:
    corner.convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    pixels = read_photo(tmp_path / "print.jpg").pixels
    assert _near(pixels, 8, 10, (230, 30, 30), 25)


def test_colour_profile_is_used_or_its_damage_noted(tmp_path: Path, corner: Image.Image) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    corner.save(tmp_path / "tagged.png", icc_profile=profile)
    assert _near(read_photo(tmp_path / "tagged.png").pixels, 8, 10, (230, 30, 30), 2)
    corner.save(tmp_path / "broken.png", icc_profile=b"no profile at all")
    broken = read_photo(tmp_path / "broken.png")
    assert "colour profile of broken.png is not usable" in broken.notes[0]
    assert _near(broken.pixels, 8, 10, (230, 30, 30))


@pytest.mark.parametrize(
    ("mode", "values", "suffix"),
    [
        ("uint16", (0, 65535), "png"),
        ("uint16", (0, 65535), "tiff"),
        ("int32", (0, 65535), "tiff"),
        ("float32", (0.0, 1.0), "tiff"),
    ],
)
def test_deep_grey(tmp_path: Path, mode: str, values: tuple[float, float], suffix: str) -> None:
    pixels = np.full((40, 40), values[0], mode)
    pixels[:, 20:] = values[1]
    pixels[:, 10:20] = values[1] / 2 if mode == "float32" else values[1] // 2
    Image.fromarray(pixels).save(tmp_path / f"deep.{suffix}")
    read = read_photo(tmp_path / f"deep.{suffix}").pixels
    assert _near(read, 5, 5, (0, 0, 0), 1)
    assert _near(read, 5, 15, (128, 128, 128), 2)
    assert _near(read, 5, 30, (255, 255, 255), 1)


def test_floats_that_are_no_numbers(tmp_path: Path) -> None:
    pixels = np.zeros((40, 40), np.float32)
    pixels[3, 3] = np.nan
    Image.fromarray(pixels).save(tmp_path / "nan.tiff")
    with pytest.raises(InputError, match="expected finite pixels, got 1 that are not"):
        read_photo(tmp_path / "nan.tiff")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(tmp_path: Path, corner: Image.Image, mode: str) -> None:
    path = tmp_path / "cutout.png"
    if mode == "P":
        palette = corner.quantize(2)
        palette.save(path, transparency=palette.getpixel((50, 30)))
    else:
        clear = corner.convert(mode)
        clear.putalpha(Image.new("L", corner.size, 0))
        clear.save(path)
    assert _near(read_photo(path).pixels, 30, 50, (255, 255, 255), 2)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tiff"])
def test_first_of_several_pictures(tmp_path: Path, corner: Image.Image, suffix: str) -> None:
    path = tmp_path / f"moving.{suffix}"
    other = Image.new("RGB", corner.size, (0, 255, 0))
    corner.save(path, save_all=True, append_images=[other, other.rotate(5)])
    photo = read_photo(path)
    assert "moving" in photo.notes[0] and "the first is used" in photo.notes[0]
    assert _near(photo.pixels, 8, 10, (230, 30, 30), 25)


def test_large_photos_are_scaled_down_while_reading(tmp_path: Path, corner: Image.Image) -> None:
    corner.resize((6000, 4000)).save(tmp_path / "large.jpg")
    pixels = read_photo(tmp_path / "large.jpg").pixels
    assert max(pixels.shape) <= WORK_SIDE
    assert pixels.shape[1] / pixels.shape[0] == pytest.approx(1.5, abs=0.01)
    Image.new("L", (20_000, 100), 90).save(tmp_path / "strip.png")
    with pytest.raises(InputError, match="at least 32 pixels|got 20000x"):
        Image.new("L", (20_000, 20), 90).save(tmp_path / "thin.png")
        read_photo(tmp_path / "thin.png")
    assert read_photo(tmp_path / "strip.png").pixels.shape[1] == WORK_SIDE


def _bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises a huge picture."""
    buffer = io.BytesIO()
    Image.new("L", (64, 64)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "expected a file, got none"),
        (b"", "got an empty file"),
        (b"hello, I am a text file" * 20, "expected a picture file .* got something else"),
        (_bomb(21_000, 64), "expected at most 20000 pixels a side, got 21000x64"),
        (_bomb(19_000, 19_000), "expected at most about 178 million pixels"),
        (_bomb(1, 1), "expected at least 32 pixels a side, got 1x1"),
    ],
)
def test_useless_files_are_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "photo.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_photo(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "tiff"])
def test_cut_off_files_are_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(InputError, match="damaged or cut-off|got something else"):
        read_photo(path)


def test_a_folder_is_no_photo(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got a folder"):
        read_photo(tmp_path)
