"""Photographs from files: any format that Pillow reads, as upright 8-bit RGB on white."""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor

from ..errors import InputError

SMALLEST_SIDE = 32
"""Pixels; a photo with a shorter side shows no usable face."""

LARGEST_SIDE = 20_000
"""Pixels; a longer side is refused before anything is decoded."""

WORK_SIDE = 2048
"""Pixels; larger photos are scaled down to this while reading."""

_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, IndexError, OverflowError)


class Photo(NamedTuple):
    """A photo in memory: `pixels` (H, W, 3) uint8 RGB, and `notes` for the user."""

    pixels: Tensor
    notes: tuple[str, ...]


def read_photo(path: str | Path) -> Photo:
    """Read a photo of any format that Pillow knows.

    The orientation of the EXIF tag is applied; 16-bit, CMYK, palette and grey pictures become 8-bit sRGB (through the
    embedded colour profile where there is one); transparency is laid on white; of an animation or a file with several
    pictures the first is taken, with a note.

    Args:
        path: the file.
    Returns:
        The photo, its longer side at most `WORK_SIDE` pixels.
    Raises:
        InputError: missing, unreadable, damaged, smaller than 32 px or larger than 20,000 px a side.
    """
    path = Path(path)
    data = _read_bytes(path)
    notes: list[str] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as picture:
                _check_size(picture.size, path)
                count = int(getattr(picture, "n_frames", 1))
                if count > 1:
                    notes.append(f"{path.name} holds {count} pictures; the first is used.")
                    picture.seek(0)
                if picture.format == "JPEG":
                    picture.draft("RGB" if picture.mode != "L" else "L", (WORK_SIDE, WORK_SIDE))
                picture.load()
                upright = ImageOps.exif_transpose(picture)
                rgb, colour_notes = _to_rgb(upright, path)
    except Image.DecompressionBombError as error:
        raise InputError(
            f"photo: expected at most about 178 million pixels, got more in {path}. Scale the picture down first."
        ) from error
    except UnidentifiedImageError as error:
        raise InputError(
            f"photo: expected a picture file (JPEG, PNG, WebP, TIFF, ...), got something else in {path}. "
            "Save the photo as JPEG or PNG and use that file."
        ) from error
    except InputError:
        raise
    except _DAMAGE as error:
        raise InputError(
            f"photo: expected a whole picture, got a damaged or cut-off file in {path} ({error}). "
            "Open it in a picture program and save it again."
        ) from error
    notes.extend(colour_notes)
    rgb.thumbnail((WORK_SIDE, WORK_SIDE), Image.Resampling.LANCZOS)
    return Photo(torch.from_numpy(np.array(rgb)), tuple(notes))


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"photo: expected a file, got none at {path}. Check the path.") from error
    except IsADirectoryError as error:
        raise InputError(f"photo: expected a file, got a folder at {path}. Name one picture.") from error
    except OSError as error:
        raise InputError(
            f"photo: expected a readable file, got {error.strerror or error} in {path}. Check the path and its rights."
        ) from error
    if not data:
        raise InputError(
            f"photo: expected a picture file, got an empty file in {path}. Copy or save the photo again."
        )
    return data


def _check_size(size: tuple[int, int], path: Path) -> None:
    width, height = size
    if min(size) < SMALLEST_SIDE:
        raise InputError(
            f"photo: expected at least {SMALLEST_SIDE} pixels a side, got {width}x{height} in {path}. "
            "Use a larger photo of the face."
        )
    if max(size) > LARGEST_SIDE:
        raise InputError(
            f"photo: expected at most {LARGEST_SIDE} pixels a side, got {width}x{height} in {path}. "
            "Scale the picture down or cut the face out."
        )


def _to_rgb(picture: Image.Image, path: Path) -> tuple[Image.Image, list[str]]:
    """Convert any mode to 8-bit sRGB on white; returns the picture and notes."""
    if picture.mode.startswith(("I", "F")):
        return _wide_to_rgb(picture, path), []
    profile = cast("dict[str, Any]", picture.info).get("icc_profile")
    notes: list[str] = []
    if profile and picture.mode in ("RGB", "CMYK"):
        try:
            converted = ImageCms.profileToProfile(
                picture, io.BytesIO(profile), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError) as error:
            notes.append(f"the colour profile of {path.name} is not usable and was left out ({error}).")
        else:
            if converted is not None:
                return converted, notes
    if "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info:
        over = picture.convert("RGBA")
        ground = Image.new("RGBA", over.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, over).convert("RGB"), notes
    return picture.convert("RGB"), notes


def _wide_to_rgb(picture: Image.Image, path: Path) -> Image.Image:
    """Scale 16-bit, 32-bit and floating-point grey to 8 bits."""
    values = np.array(picture, dtype=np.float64)
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise InputError(
            f"photo: expected finite pixels, got {bad} that are not in {path}. Save the picture again."
        )
    top = float(values.max())
    is_float = picture.mode.startswith("F")
    if is_float and top <= 1.0:
        white = 1.0
    elif top <= 255.0 and (is_float or picture.mode == "I"):
        white = 255.0
    else:
        white = 65535.0 if top <= 65535.0 else float(2**31 - 1)
    grey = np.clip(values / white * 255.0 + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
