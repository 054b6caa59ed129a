"""Anti-aliased masks of simple shapes, as plain tensor arithmetic that a compiler can fuse.

All functions take coordinates relative to the shape's centre in design units (64 units span a frame) and return signed
distances in the same units: negative inside.
"""

from __future__ import annotations

import torch
from torch import Tensor

UNITS = 64.0
"""Design units per frame side. A shape drawn in these units looks the same at every pixel size."""

Planes = tuple[Tensor, Tensor, Tensor]
"""Red, green and blue, each (N, H, W) or broadcastable to it, in [0, 1]."""

Colour = tuple[Tensor, Tensor, Tensor] | tuple[float, float, float]
"""One colour for all pictures, or planes."""


def pixel_grid(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return pixel centres in design units.

    Args:
        size: pixels per side.
        device: where the grid lives.

    Returns: x (1, 1, size) growing to the right and y (1, size, 1) growing downwards, in [0, 64].
    """
    centres = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * (UNITS / size)
    return centres.view(1, 1, size), centres.view(1, size, 1)


def cover(distance: Tensor, softness: float) -> Tensor:
    """Turn a signed distance into coverage in [0, 1].

    Args:
        distance: signed distance in design units, any shape.
        softness: width of the edge in design units (one pixel is 64 / size).

    Returns: 1 inside, 0 outside, a linear ramp of that width between.
    """
    return (0.5 - distance / softness).clamp(0.0, 1.0)


def ellipse(x: Tensor, y: Tensor, half_width: Tensor | float, half_height: Tensor | float) -> Tensor:
    """Approximate the signed distance to an axis-aligned ellipse (exact on the outline, first order near it)."""
    u, v = x / half_width, y / half_height
    gradient = torch.sqrt((u / half_width) ** 2 + (v / half_height) ** 2 + 1e-6)
    return (u * u + v * v - 1.0) / (2.0 * gradient)


def rounded_box(
    x: Tensor, y: Tensor, half_width: Tensor | float, half_height: Tensor | float, radius: float
) -> Tensor:
    """Give the signed distance to a box whose corners are rounded by `radius`; exact outside, bounded inside."""
    u = (x.abs() - half_width + radius).clamp(min=0.0)
    v = (y.abs() - half_height + radius).clamp(min=0.0)
    return torch.sqrt(u * u + v * v + 1e-6) - radius


def segment(
    x: Tensor, y: Tensor, end_x: Tensor | float, end_y: Tensor | float, radius: Tensor | float
) -> Tensor:
    """Give the signed distance to a round-ended stroke from the origin to (end_x, end_y)."""
    along = ((x * end_x + y * end_y) / (end_x * end_x + end_y * end_y + 1e-6)).clamp(0.0, 1.0)
    u, v = x - along * end_x, y - along * end_y
    return torch.sqrt(u * u + v * v + 1e-6) - radius


def blend(under: Colour, over: Colour, mask: Tensor) -> Planes:
    """Lay a colour over a picture through a mask in [0, 1]."""
    red, green, blue = under
    return red + mask * (over[0] - red), green + mask * (over[1] - green), blue + mask * (over[2] - blue)


def shade(colour: Planes, factor: Tensor | float) -> Planes:
    """Multiply a colour by a brightness factor."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor
