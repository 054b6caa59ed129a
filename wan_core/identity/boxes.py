"""A face as a box in a picture, and pictures as the detectors take them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ShapeError


@dataclass(frozen=True, slots=True)
class FaceBox:
    """A face in a picture.

    Attributes:
        left, top, width, height: the box from brows to chin, in pixels of the picture.
        score: how sure the detector is, (0, 1].
        is_whole: the box is the whole picture by the user's choice, not a detection.
        landmarks: (5, 2) of detectors that give them, see `views.SeenFace`.
    """

    left: float
    top: float
    width: float
    height: float
    score: float = 1.0
    is_whole: bool = False
    landmarks: NDArray[np.float32] | None = field(default=None, compare=False)

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return self.width * self.height


def as_channels_first(image: Tensor | NDArray[np.uint8]) -> Tensor:
    """A picture (H, W, 3) as (3, H, W) on the CPU.

    Raises:
        ShapeError: not (H, W, 3) uint8.
    """
    pixels = image.cpu() if isinstance(image, Tensor) else torch.from_numpy(np.array(image))
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != torch.uint8 or 0 in pixels.shape:
        raise ShapeError(
            f"image: expected (H, W, 3) uint8 RGB, got {tuple(pixels.shape)} {pixels.dtype}. "
            "Read photos with wan_core.media.photos.read_photo."
        )
    return pixels.permute(2, 0, 1)


def as_array(image: Tensor | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture (H, W, 3) uint8 as an array.

    Raises:
        ShapeError: not (H, W, 3) uint8.
    """
    return as_channels_first(image).permute(1, 2, 0).contiguous().numpy()


def overlap(first: FaceBox, second: FaceBox) -> float:
    """Return intersection over union of two boxes."""
    width = min(first.left + first.width, second.left + second.width) - max(first.left, second.left)
    height = min(first.top + first.height, second.top + second.height) - max(first.top, second.top)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (first.area + second.area - width * height)
