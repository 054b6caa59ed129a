"""First and last frames: their size, and the channels and latents that the transformer is given for them."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .wan_family import WanFamily

#: Frames of a latent frame, which are also the channels of the mask.
STRIDE_T = 4


def target_size(family: WanFamily, size: tuple[int, int], picture: Tensor | None) -> tuple[int, int]:
    """Width and height of the clip.

    Args: size: asked for.   picture: first frame (H, W, 3); its shape decides, the size gives the area.
    Source: Wan-Video/Wan2.1@9737cba wan/image2video.py; Wan-Video/Wan2.2@42bf4cf wan/utils/utils.py best_output_size.
    """
    if picture is None:
        return size
    height, width = picture.shape[:2]
    area, grid = size[0] * size[1], family.grid
    if family.conditioning == "first_frame":
        return _nearest_shape(width / height, area, grid)
    ratio = height / width
    rows, columns = math.sqrt(area * ratio) // grid, math.sqrt(area / ratio) // grid
    return max(1, int(columns)) * grid, max(1, int(rows)) * grid


def to_video(picture: Tensor) -> Tensor:
    """(H, W, 3) uint8 to (3, H, W) float32 in [-1, 1]."""
    return picture.permute(2, 0, 1).float() / 255.0 * 2.0 - 1.0


def cover(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale a picture until it covers a size (Lanczos, 8 bits), and cut its centre out.

    Args: picture: (H, W, 3) uint8.   size: width, height.
    Returns: (3, height, width) in [-1, 1].
    Source: Wan-Video/Wan2.2@42bf4cf wan/textimage2video.py i2v.
    """
    height, width = picture.shape[:2]
    scale = max(size[0] / width, size[1] / height)
    image = Image.fromarray(picture.cpu().numpy())
    image = image.resize((round(width * scale), round(height * scale)), Image.Resampling.LANCZOS)
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    image = image.crop((left, top, left + size[0], top + size[1]))
    return to_video(torch.from_numpy(np.array(image)))


def stretch(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale (3, H, W) to a size (width, height), bicubic without antialiasing, as the official code does."""
    return functional.interpolate(pixels[None], size=(size[1], size[0]), mode="bicubic")[0]


def frame_clip(first: Tensor, last: Tensor | None, frames: int) -> Tensor:
    """The clip whose latents tell an image-to-video model what is known: grey but for its ends.

    Args: first, last: (3, H, W) in [-1, 1].   frames: of the clip.
    Returns: (1, 3, frames, H, W).
    """
    clip = torch.zeros(1, 3, frames, *first.shape[1:])
    clip[0, :, 0] = first
    if last is not None:
        clip[0, :, -1] = last
    return clip


def frame_mask(frames: int, cells: tuple[int, int], *, has_last: bool) -> Tensor:
    """Mask channels of an image-to-video model: 1 where a frame is known.

    The first frame counts four times, so that it fills a latent frame of its own.

    Args: frames: of the clip, 4k + 1.   cells: height and width of the latents.   has_last: the last one is known too.
    Returns: (1, 4, latent frames, height, width).
    Source: Wan-Video/Wan2.1@9737cba wan/image2video.py, wan/first_last_frame2video.py. Differs: any number of frames
        with a last frame, not 81 alone.
    """
    known = torch.zeros(frames)
    known[0] = 1.0
    if has_last:
        known[-1] = 1.0
    known = torch.cat([known[:1].expand(STRIDE_T), known[1:]]).view(-1, STRIDE_T).T
    return known[None, :, :, None, None].expand(1, STRIDE_T, -1, *cells).contiguous()


def _nearest_shape(ratio: float, area: int, grid: int) -> tuple[int, int]:
    """Width and height on the grid, of at most the area, whose ratio is nearest."""
    width = max(1, int(math.sqrt(area * ratio) // grid)) * grid
    by_width = (width, max(1, int(area / width // grid)) * grid)
    height = max(1, int(area / math.sqrt(area * ratio) // grid)) * grid
    by_height = (max(1, int(area / height // grid)) * grid, height)

    def distance(size: tuple[int, int]) -> float:
        return max(ratio / (size[0] / size[1]), size[0] / size[1] / ratio)

    return by_width if distance(by_width) < distance(by_height) else by_height
