"""Colours of hair, skin and clothes in a clip against those of the reference, at fixed places of nano's pictures."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor


class Zone(NamedTuple):
    """A rectangle relative to a face: centre and size in widths of the face, from its middle."""

    across: float
    down: float
    width: float
    height: float


class Framing(NamedTuple):
    """Where the face is in a picture: the middle's row and the face's width, as shares of the side."""

    middle: float
    width: float


REFERENCE_FRAMING = Framing(middle=0.5, width=1 / 2.3)
"""Face crops, as `crop_face` cuts them."""

CLIP_FRAMING = Framing(middle=0.42, width=1 / 2.5)
"""Clips of nano: the head at rest is a little above the middle."""

ZONES = MappingProxyType(
    {
        "hair": Zone(0.0, -0.5, 0.4, 0.12),
        "skin": Zone(0.0, 0.12, 0.3, 0.1),
        "clothes": Zone(0.0, 1.02, 0.6, 0.14),
    }
)
"""Fixed places; they miss where the head moves far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColourMatch:
    """Mean sRGB (0-255) of a zone in reference and clip, and their distance in CIELAB (2 is just visible)."""

    reference: tuple[int, int, int]
    clip: tuple[int, int, int]
    difference: float


def compare_colours(face: Tensor, frame: Tensor) -> dict[str, ColourMatch]:
    """Compare the colours of fixed zones.

    Args:
        face: reference crop, (3, S, S) in [-1, 1], framed as `REFERENCE_FRAMING`.
        frame: mean frame of a clip, (3, S', S'), framed as `CLIP_FRAMING`.
    Returns:
        A comparison for each of `ZONES`.
    """
    matches: dict[str, ColourMatch] = {}
    for name, zone in ZONES.items():
        first, second = _zone_mean(face, REFERENCE_FRAMING, zone), _zone_mean(frame, CLIP_FRAMING, zone)
        difference = float((_to_lab(first) - _to_lab(second)).norm())
        matches[name] = ColourMatch(reference=_to_bytes(first), clip=_to_bytes(second), difference=difference)
    return matches


def _zone_mean(picture: Tensor, framing: Framing, zone: Zone) -> Tensor:
    """Return the mean colour of a zone, (3,) in [0, 1]."""
    side = picture.shape[-1]
    edges: list[int] = []
    for centre, size, middle in ((zone.down, zone.height, framing.middle), (zone.across, zone.width, 0.5)):
        at, half = middle + centre * framing.width, size * framing.width / 2
        start = min(max(0, round((at - half) * side)), side - 1)
        edges += [start, max(start + 1, min(side, round((at + half) * side)))]
    patch = picture[:, edges[0] : edges[1], edges[2] : edges[3]]
    return (patch.flatten(1).mean(dim=1) * 0.5 + 0.5).clamp(0, 1)


def _to_bytes(colour: Tensor) -> tuple[int, int, int]:
    red, green, blue = (round(value * 255) for value in colour.tolist())
    return red, green, blue


def _to_lab(colour: Tensor) -> Tensor:
    """Convert sRGB (3,) in [0, 1] to CIELAB under D65."""
    linear = torch.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    ratio = (matrix @ linear) / torch.tensor([0.95047, 1.0, 1.08883])
    root = torch.where(
        ratio > (6 / 29) ** 3, ratio.clamp(min=1e-9) ** (1 / 3), ratio / (3 * (6 / 29) ** 2) + 4 / 29
    )
    return torch.stack((116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])))
