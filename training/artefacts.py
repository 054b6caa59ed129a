"""What the eye calls block seams and grain, in numbers that drawn and sampled clips can be compared by."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LUMA = (0.299, 0.587, 0.114)


def luma(video: Tensor) -> Tensor:
    """Brightness of (B, 3, F, H, W) in [-1, 1] as (B * F, H, W) in [0, 255]."""
    weights = torch.tensor(LUMA, device=video.device).view(1, 3, 1, 1, 1)
    return ((video * weights).sum(dim=1).flatten(0, 1) + 1) * 127.5


def seam_ratio(video: Tensor, patch: int) -> float:
    """Mean step in brightness across the borders of patches over that between their inner neighbours.

    About 1 where nothing happens at the borders; drawn clips give .95, since more of them is edge in the middle.

    Args:
        video: (B, 3, F, H, W) in [-1, 1], H and W multiples of patch.   patch: side of a patch in pixels.
    """
    pictures = luma(video)
    at_border: list[Tensor] = []
    inside: list[Tensor] = []
    for picture in (pictures, pictures.transpose(1, 2)):
        steps = picture.diff(dim=2).abs().mean(dim=(0, 1))
        place = torch.arange(1, len(steps) + 1) % patch
        at_border.append(steps[place == 0])
        # The neighbours of a border belong to the seam's surroundings, not to the quiet inside.
        inside.append(steps[(place > 1) & (place < patch - 1)])
    return float(torch.cat(at_border).mean() / torch.cat(inside).mean())


def grain(video: Tensor) -> float:
    """Median size of the Laplacian of the brightness, mean over the frames, in steps of 1/255.

    Drawn pictures are mostly flat, so that the median sees texture where there should be none and no edges.

    Args:
        video: (B, 3, F, H, W) in [-1, 1].
    """
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]], device=video.device)
    response = functional.conv2d(luma(video)[:, None], kernel[None, None]).abs()
    return float(response.flatten(1).median(dim=1).values.mean())
