"""How strongly a reference acts: scale x curve over steps x curve over blocks x subject, resolved to a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from ..errors import ConfigError
from ..ops.key_value import PreparedInjection

Curve = tuple[tuple[float, float], ...]
"""Points (place in [0, 1], factor >= 0), places rising; straight between them, level outside."""

FLAT: Curve = ((0.0, 1.0),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """How strongly references act.

    Attributes:
        scale: 1 is as trained, 0 is off.
        steps: factors over the run, place 0 the first step, 1 the last.
        layers: factors over the transformer, place 0 the first block, 1 the last.
        low, high: references act where low < sigma <= high.
        subjects: factors of single subjects by name; 1 for one that is not named.
    Raises:
        ConfigError: a negative or infinite number, places that do not rise within [0, 1], or an empty window.
    """

    scale: float = 1.0
    steps: Curve = FLAT
    layers: Curve = FLAT
    low: float = 0.0
    high: float = 1.0
    subjects: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        """Check the numbers; JSON lists are accepted where tuples are meant."""
        for name in ("steps", "layers"):
            curve: Curve = tuple((float(place), float(factor)) for place, factor in getattr(self, name))
            object.__setattr__(self, name, curve)
            places = [place for place, _ in curve]
            rising = all(a < b for a, b in zip(places, places[1:], strict=False))
            if not curve or not rising or not 0.0 <= places[0] <= places[-1] <= 1.0:
                raise ConfigError(
                    f"strength.{name}: expected points with places rising from 0 to 1, got {curve}. Sort them."
                )
        factors = [self.scale, *self.subjects.values(), *(f for c in (self.steps, self.layers) for _, f in c)]
        if not all(0.0 <= factor < float("inf") for factor in factors):
            raise ConfigError(
                f"strength: expected finite numbers >= 0, got {factors}. 1 is as trained, 0 switches off."
            )
        if not 0.0 <= self.low < self.high <= 1.0:
            raise ConfigError(
                f"strength window: expected 0 <= low < high <= 1, got {self.low} to {self.high}. Swap or widen it."
            )


#: Named settings. "free" leaves the first steps, which lay out pose and framing, mostly to the prompt, and eases the
#: last blocks; "likeness" holds on more firmly throughout. Both are reasoned, not tuned on the published weights.
PRESETS: Mapping[str, Strength] = MappingProxyType(
    {
        "free": Strength(
            scale=0.85,
            steps=((0.0, 0.35), (0.3, 0.8), (0.6, 1.0)),
            layers=((0.0, 1.0), (0.6, 1.0), (1.0, 0.8)),
        ),
        "as trained": Strength(),
        "likeness": Strength(scale=1.25, steps=((0.0, 1.0), (0.5, 1.1))),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StrengthTable:
    """Factors of a subject, resolved for a run.

    Attributes:
        timesteps: what the transformer is shown at each step, [0, 1000].
        rows: one factor a block for every step.
    """

    timesteps: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]

    @property
    def is_off(self) -> bool:
        """Every factor is 0."""
        return not any(factor for row in self.rows for factor in row)

    def row(self, timestep: float) -> tuple[float, ...]:
        """Factors at a timestep: of the step whose timestep is nearest, the earlier of two."""
        nearest = min(range(len(self.rows)), key=lambda step: (abs(self.timesteps[step] - timestep), step))
        return self.rows[nearest]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapedInjection:
    """A prepared reference and its table."""

    injection: PreparedInjection
    table: StrengthTable

    def at(self, timestep: float) -> PreparedInjection | None:
        """The reference as it acts at a timestep, or None where it does not.

        Args:
            timestep: the one that the transformer is shown, [0, 1000].
        Raises:
            ConfigError: the table was made for another number of blocks.
        """
        row, own = self.table.row(timestep), self.injection.scales
        if len(row) != len(own):
            raise ConfigError(
                f"strength table: expected {len(own)} blocks (as the reference), got {len(row)}. Resolve it anew."
            )
        if not any(row):
            return None
        if all(factor == 1.0 for factor in row):
            return self.injection
        return self.injection.with_scale([factor * scale for factor, scale in zip(row, own, strict=True)])


def active_injections(shaped: Sequence[ShapedInjection], timestep: float) -> tuple[PreparedInjection, ...]:
    """What a forward is given of several references: those that act at its timestep; none is bit for bit no reference.

    Raises:
        ConfigError: as `ShapedInjection.at`.
    """
    found = [own.at(timestep) for own in shaped]
    return tuple(own for own in found if own is not None)


def resolve_strength(
    strength: Strength,
    sigmas: Sequence[float],
    num_blocks: int,
    *,
    subject: str | None = None,
    timesteps: Sequence[float] | None = None,
) -> StrengthTable:
    """Work out every factor of a run.

    Args:
        strength: what was asked for.
        sigmas: one a step at its start, (0, 1] (the grid without its last value).
        num_blocks: of the transformer.
        subject: name of the subject, or None where there is only one.
        timesteps: what the transformer is shown, one a step; None for 1000 * sigma.
    Raises:
        ConfigError: no step or block, or numbers of timesteps and sigmas that differ.
    """
    shown = tuple(1000.0 * sigma for sigma in sigmas) if timesteps is None else tuple(map(float, timesteps))
    if len(shown) != len(sigmas) or not shown or num_blocks < 1:
        raise ConfigError(
            f"strength: expected steps, as many timesteps, and blocks, got {len(sigmas)}, {len(shown)} and "
            f"{num_blocks}. Leave out the grid's last sigma."
        )
    factor = strength.scale * (1.0 if subject is None else strength.subjects.get(subject, 1.0))
    layers = [curve_at(strength.layers, _place(block, num_blocks)) for block in range(num_blocks)]
    rows: list[tuple[float, ...]] = []
    for step, sigma in enumerate(sigmas):
        is_inside = strength.low < sigma <= strength.high
        here = factor * curve_at(strength.steps, _place(step, len(sigmas))) if is_inside else 0.0
        rows.append(tuple(here * layer for layer in layers))
    return StrengthTable(timesteps=shown, rows=tuple(rows))


def slide(position: float) -> Strength:
    """One slider over the presets: -1 is "free", 0 exactly "as trained", 1 "likeness"; every factor rises with it.

    Args:
        position: in [-1, 1].
    Raises:
        ConfigError: a position outside.
    """
    if not -1.0 <= position <= 1.0:
        raise ConfigError(
            f"likeness and freedom: expected -1 (free) to 1 (likeness), got {position}. 0 is as trained."
        )
    trained, end = PRESETS["as trained"], PRESETS["likeness" if position > 0 else "free"]
    share = abs(position)
    if share == 0.0:
        return trained
    return Strength(
        scale=_between(trained.scale, end.scale, share),
        steps=_blend(trained.steps, end.steps, share),
        layers=_blend(trained.layers, end.layers, share),
    )


def preset(name: str) -> Strength:
    """A named setting.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in PRESETS:
        raise ConfigError(
            f"strength: expected one of {', '.join(PRESETS)}, got '{name}'. Choose one of these."
        )
    return PRESETS[name]


def curve_at(curve: Curve, place: float) -> float:
    """Factor of a curve at a place in [0, 1]."""
    before = curve[0]
    for point in curve:
        if place <= point[0]:
            width = point[0] - before[0]
            share = 1.0 if width == 0.0 else (place - before[0]) / width
            return point[1] if share >= 1.0 or place <= curve[0][0] else _between(before[1], point[1], share)
        before = point
    return before[1]


def _blend(first: Curve, second: Curve, share: float) -> Curve:
    places = sorted({place for place, _ in (*first, *second)})
    return tuple((p, _between(curve_at(first, p), curve_at(second, p), share)) for p in places)


def _between(first: float, second: float, share: float) -> float:
    return first + share * (second - first)


def _place(number: int, count: int) -> float:
    return number / (count - 1) if count > 1 else 0.0
