"""References as token streams: Phantom's frames after the clip, Bernini-R's numbered pictures and videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError, ShapeError
from ..types import TokenStream

#: Phantom was trained with up to this many subjects.
PHANTOM_SUBJECTS = 4
#: Bernini-R's references are scaled so that their longer side is at most this, pixels.
BERNINI_LONG_SIDE = 848
_WHITE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomStreams:
    """Both sides of Phantom's guidance.

    Attributes:
        subjects: the references.   nobody: zeros in their place.
    """

    subjects: tuple[TokenStream, ...]
    nobody: tuple[TokenStream, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BerniniStreams:
    """The sets of references that Bernini-R's guidance chains name.

    Attributes:
        video: the first video alone.   images: the pictures alone, counted from 1.
        every: all videos, then all pictures, counted on from 1.
    """

    video: tuple[TokenStream, ...]
    images: tuple[TokenStream, ...]
    every: tuple[TokenStream, ...]


def letterbox(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Fit a picture into a size and fill the rest with white; nothing is cut off.

    Args:
        image: (H, W, 3) uint8 RGB.   width, height: of the clip, pixels.
    Returns:
        (height, width, 3) uint8 RGB, the picture in the middle.
    Raises:
        InputError: no picture, or so narrow that nothing of it would be left.
    Source: Phantom-video/Phantom@7e2997d generate.py load_ref_images (Lanczos; sizes are rounded down).
    """
    from PIL import Image

    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise InputError(
            f"reference: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}. Read it with read_photo."
        )
    ratio = image.shape[1] / image.shape[0]
    is_wider = ratio > width / height
    fitted = (width, int(width / ratio)) if is_wider else (int(height * ratio), height)
    if min(fitted) < 1:
        raise InputError(
            f"reference: expected a picture that fits {width}x{height}, got {image.shape[1]}x{image.shape[0]}. "
            "Use one that is less narrow."
        )
    scaled = np.asarray(Image.fromarray(image).resize(fitted, Image.Resampling.LANCZOS))
    result = np.full((height, width, 3), _WHITE, dtype=np.uint8)
    left, top = (width - fitted[0]) // 2, (height - fitted[1]) // 2
    result[top : top + fitted[1], left : left + fitted[0]] = scaled
    return result


def phantom_streams(subjects: Sequence[Tensor], frames: int) -> PhantomStreams:
    """Put subjects behind the last frame of the clip, on the same grid.

    They share the timestep of the noisy frames. As they are never part of the latents that the solver moves, they are
    clean at every step. (Upstream draws its noise for frames and subjects together; for the same numbers from a seed,
    draw `frames` + number of subjects latent frames and keep the first `frames`.)

    Args:
        subjects: latents (B, C, 1, h, w) of letterboxed pictures of the clip's size, 1 to 4.
        frames: latent frames of the clip.
    Raises:
        InputError: no subject, or more than 4.   ShapeError: not one latent frame each, of one size.
    Source: Phantom-video/Phantom phantom_wan/subject2video.py (as stored in svjack/Phantom@7aa4d87).
    """
    if not 1 <= len(subjects) <= PHANTOM_SUBJECTS:
        raise InputError(
            f"subjects: expected 1 to {PHANTOM_SUBJECTS} pictures for Phantom, got {len(subjects)}. Leave some out."
        )
    shapes = {tuple(own.shape) for own in subjects}
    if len(shapes) != 1 or subjects[0].ndim != 5 or subjects[0].shape[2] != 1:
        raise ShapeError(
            f"subjects: expected latents (B, C, 1, h, w) of one size, got {sorted(shapes)}. Letterbox and encode each."
        )
    joined = torch.cat(tuple(subjects), dim=2)
    place = (float(frames), 0.0, 0.0)
    return PhantomStreams(
        subjects=(TokenStream(latents=joined, offset=place, timestep=None),),
        nobody=(TokenStream(latents=torch.zeros_like(joined), offset=place, timestep=None),),
    )


def bernini_streams(videos: Sequence[Tensor], images: Sequence[Tensor]) -> BerniniStreams:
    """Number references; each lies on a grid of its own from the clip's first frame on, and is turned by its number.

    They share the timestep of the noisy frames.

    Args:
        videos: latents (B, C, F, h, w) in order, any sizes.   images: latents (B, C, 1, h, w).
    Raises:
        InputError: no reference at all.   ShapeError: not latents, or a picture with several frames.
    Source: neuregex/ComfyUI-BerniniR@1bd2745 bernini/sampler.py, bernini/rope.py.
    """
    if not videos and not images:
        raise InputError("references: expected a picture or a video for Bernini-R, got none. Add one.")
    for latents, is_image in [(own, False) for own in videos] + [(own, True) for own in images]:
        if latents.ndim != 5 or (is_image and latents.shape[2] != 1):
            raise ShapeError(
                f"reference: expected latents (B, C, {'1' if is_image else 'F'}, h, w), got {tuple(latents.shape)}. "
                "Encode each picture and each video by itself."
            )
    every = _numbered((*videos, *images))
    return BerniniStreams(video=every[:1] if videos else (), images=_numbered(images), every=every)


def bernini_size(width: int, height: int) -> tuple[int, int]:
    """Size that a reference is scaled to: its longer side at most 848, both sides rounded down to multiples of 16.

    The limit is the official one (`max_image_size`); the rounding is ours, as a patch is 16 pixels wide.

    Raises:
        InputError: a side of less than 16 pixels would come out.
    """
    factor = min(1.0, BERNINI_LONG_SIDE / max(width, height))
    result = (int(width * factor) // 16 * 16, int(height * factor) // 16 * 16)
    if min(result) < 16:
        raise InputError(
            f"reference: expected at least 16 pixels a side at a long side of {BERNINI_LONG_SIDE}, got "
            f"{width}x{height}. Use a larger or less narrow one."
        )
    return result


def _numbered(references: Sequence[Tensor]) -> tuple[TokenStream, ...]:
    return tuple(
        TokenStream(latents=latents, source=1 + number, timestep=None)
        for number, latents in enumerate(references)
    )
