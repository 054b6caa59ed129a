"""Drawn identities: who a person is, as independent factors in [-1, 1].

The factors are what a reference photograph shows, what a generated video must keep, and what the judge reads back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wan_core.errors import ShapeError

HAIR_STYLES: tuple[str, ...] = ("crop", "fringe", "swept", "curly", "receding")
"""Hair cuts; exactly one of the five `style_*` factors is +1, the others are -1."""

FACTOR_NAMES: tuple[str, ...] = (
    "skin_depth",
    "skin_undertone",
    "hair_red",
    "hair_green",
    "hair_blue",
    *(f"style_{name}" for name in HAIR_STYLES),
    "hair_length",
    "face_width",
    "face_height",
    "jaw",
    "eye_spacing",
    "eye_size",
    "eye_colour",
    "brow_thickness",
    "brow_angle",
    "nose_size",
    "nose_width",
    "mouth_width",
    "lip_thickness",
    "glasses",
    "glasses_shape",
    "beard",
    "beard_amount",
    "cloth_red",
    "cloth_green",
    "cloth_blue",
    "collar",
    "stripes",
)
"""One name per column. `glasses`, `beard`, `stripes` and `style_*` are -1 or +1; `glasses_shape` and `beard_amount` are
0 where there are no glasses or no beard; the colours are 2 * RGB - 1; the rest is continuous."""

CLOTHING_FACTORS: tuple[str, ...] = ("cloth_red", "cloth_green", "cloth_blue", "collar", "stripes")
"""What a person wears rather than is: left out of face-only scores."""

BINARY_FACTORS: tuple[str, ...] = (*(f"style_{name}" for name in HAIR_STYLES), "glasses", "beard", "stripes")
"""Factors that are -1 or +1."""

_HAIR_PALETTE = (  # red, green, blue, share of the population
    (0.07, 0.06, 0.06, 0.30),
    (0.20, 0.13, 0.09, 0.20),
    (0.38, 0.24, 0.14, 0.16),
    (0.84, 0.67, 0.38, 0.13),
    (0.64, 0.27, 0.11, 0.10),
    (0.64, 0.63, 0.62, 0.11),
)


@dataclass(frozen=True)
class IdentityBatch:
    """N identities.

    Attributes:
        factors: (N, A) in [-1, 1], columns as FACTOR_NAMES.

    Raises: ShapeError: `factors` is not (N, A).
    """

    factors: Tensor

    def __post_init__(self) -> None:
        """Check the shape."""
        if self.factors.ndim != 2 or self.factors.shape[1] != len(FACTOR_NAMES):
            raise ShapeError(
                f"factors: expected (N, {len(FACTOR_NAMES)}), got {tuple(self.factors.shape)}. "
                "Draw identities with sample_identities."
            )

    @classmethod
    def concatenate(cls, batches: Sequence[IdentityBatch]) -> IdentityBatch:
        """Join several batches along N."""
        return cls(torch.cat([batch.factors for batch in batches]))

    def __len__(self) -> int:
        """Return N."""
        return self.factors.shape[0]

    def column(self, name: str) -> Tensor:
        """Return one factor, (N,)."""
        return self.factors[:, FACTOR_NAMES.index(name)]

    def select(self, index: Tensor) -> IdentityBatch:
        """Return the rows that `index` (M,) names; rows may repeat."""
        return IdentityBatch(self.factors[index])

    def replace(self, name: str, values: Tensor | float) -> IdentityBatch:
        """Return a copy with one factor set to `values` ((N,) or a number)."""
        factors = self.factors.clone()
        factors[:, FACTOR_NAMES.index(name)] = values
        return IdentityBatch(factors)


def factor_indices(names: Sequence[str]) -> list[int]:
    """Return the columns of the named factors."""
    return [FACTOR_NAMES.index(name) for name in names]


def face_factors() -> tuple[str, ...]:
    """Return the factors that are not clothing, in column order."""
    return tuple(name for name in FACTOR_NAMES if name not in CLOTHING_FACTORS)


def sample_identities(count: int, generator: torch.Generator) -> IdentityBatch:
    """Draw identities whose factors are independent of each other.

    Args:
        count: N.
        generator: the only source of randomness; its device is the device of the result.

    Returns: N identities.
    """
    device = generator.device

    def uniform() -> Tensor:
        return torch.rand(count, generator=generator, device=device) * 2.0 - 1.0

    def coin(share: float) -> Tensor:
        return torch.where(torch.rand(count, generator=generator, device=device) < share, 1.0, -1.0)

    values = {name: uniform() for name in FACTOR_NAMES}
    palette = torch.tensor(_HAIR_PALETTE, device=device)
    chosen = torch.multinomial(palette[:, 3], count, replacement=True, generator=generator)
    hair = palette[chosen, :3] * (1.0 + 0.15 * uniform()[:, None])
    hair = (hair + 0.02 * torch.stack([uniform() for _ in range(3)], dim=1)).clamp(0.02, 0.98)
    for channel, name in enumerate(("hair_red", "hair_green", "hair_blue")):
        values[name] = hair[:, channel] * 2.0 - 1.0
    style = torch.randint(len(HAIR_STYLES), (count,), generator=generator, device=device)
    for index, name in enumerate(HAIR_STYLES):
        values[f"style_{name}"] = torch.where(style == index, 1.0, -1.0)
    for name, gate, share in (("glasses_shape", "glasses", 0.4), ("beard_amount", "beard", 0.4)):
        values[gate] = coin(share)
        values[name] = torch.where(values[gate] > 0, values[name], 0.0)
    values["stripes"] = coin(0.35)
    for name in ("cloth_red", "cloth_green", "cloth_blue"):
        values[name] = values[name] * 0.86 - 0.02
    return IdentityBatch(torch.stack([values[name] for name in FACTOR_NAMES], dim=1))
