"""The eight named places, drawn from one set of soft shapes.

A scene is a row of numbers: sky and ground gradients, a horizon of hills, a second range behind it, a glowing disk, a
row of uprights, a lattice of dots and two beams of light. One painter draws them all, so a scene is a table look-up.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from wan_core.text.vocabulary import SCENES

from .shapes import UNITS, Planes, blend, cover, pixel_grid, rounded_box, shade

STYLE_SIZE = 8
"""Width of a scene style: hue (3), brightness, sideways shift, horizon, disk place, phase; each in [-1, 1]."""

LIGHT_SIZE = 4
"""Width of a light: direction x, direction y, brightness, warmth; each in [-1, 1]."""

_UPRIGHTS = 4


@dataclass(frozen=True)
class _Place:
    """What makes one scene. Lengths are in design units (64 per side), colours in [0, 1]."""

    sky_top: tuple[float, float, float]
    sky_low: tuple[float, float, float]
    ground_top: tuple[float, float, float]
    ground_low: tuple[float, float, float]
    horizon: float
    hill: float = 0.0
    far: tuple[float, float, float] = (0.0, 0.0, 0.0)
    far_horizon: float = 90.0
    far_hill: float = 0.0
    hill_pitch: float = 0.12
    disk: tuple[float, float, float] = (1.0, 1.0, 1.0)
    disk_place: tuple[float, float, float] = (12.0, 11.0, -9.0)  # x, y, radius (negative leaves it out)
    glow: float = 0.0
    upright: tuple[float, float, float] = (0.0, 0.0, 0.0)
    upright_x: tuple[float, float, float, float] = (5.0, 15.0, 49.0, 59.0)
    upright_half: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)  # 0 leaves it out
    upright_top: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    upright_low: float = 70.0
    upright_light: float = 0.0  # how much brighter every second upright is
    dot: tuple[float, float, float] = (1.0, 1.0, 1.0)
    dot_gain: float = 0.0
    dot_pitch: float = 9.0
    dot_edge: float = 0.8
    dots_on_uprights: float = 0.0
    beam: float = 0.0


_PLACES: dict[str, _Place] = {
    "beach": _Place(
        (0.34, 0.67, 0.93), (0.74, 0.90, 0.98), (0.96, 0.87, 0.62), (0.88, 0.74, 0.48), horizon=43.0, hill=0.8,
        far=(0.08, 0.50, 0.68), far_horizon=29.0, disk=(1.0, 0.96, 0.62), disk_place=(10.0, 9.0, 4.6), glow=0.35,
    ),
    "forest": _Place(
        (0.42, 0.66, 0.34), (0.66, 0.80, 0.46), (0.20, 0.40, 0.17), (0.12, 0.26, 0.11), horizon=45.0, hill=1.5,
        far=(0.17, 0.42, 0.20), far_horizon=17.0, far_hill=4.0, hill_pitch=0.42,
        upright=(0.33, 0.21, 0.12), upright_x=(4.5, 15.0, 49.5, 60.0), upright_half=(2.6, 1.8, 1.9, 2.8),
        upright_top=(-8.0, -8.0, -8.0, -8.0), upright_low=52.0, upright_light=0.25,
    ),
    "city": _Place(
        (0.52, 0.57, 0.68), (0.80, 0.78, 0.78), (0.38, 0.38, 0.41), (0.30, 0.30, 0.33), horizon=52.0,
        upright=(0.40, 0.42, 0.50), upright_x=(5.0, 16.0, 47.5, 59.0), upright_half=(6.0, 4.6, 5.4, 5.6),
        upright_top=(16.0, 27.0, 10.0, 21.0), upright_low=54.0, upright_light=0.30,
        dot=(0.98, 0.88, 0.55), dot_gain=0.42, dot_pitch=5.4, dot_edge=0.30, dots_on_uprights=1.0,
    ),
    "kitchen": _Place(
        (0.97, 0.90, 0.76), (0.93, 0.82, 0.66), (0.62, 0.40, 0.26), (0.45, 0.28, 0.18), horizon=49.0,
        far=(0.56, 0.76, 0.74), far_horizon=31.0,
        upright=(0.80, 0.33, 0.24), upright_x=(6.0, 17.2, 47.0, 58.4), upright_half=(5.2, 5.2, 5.2, 5.4),
        upright_top=(-6.0, -6.0, -6.0, -6.0), upright_low=17.0, upright_light=0.12,
    ),
    "snow": _Place(
        (0.66, 0.75, 0.86), (0.84, 0.89, 0.95), (0.97, 0.98, 1.0), (0.86, 0.91, 0.98), horizon=42.0, hill=2.2,
        far=(0.56, 0.68, 0.82), far_horizon=26.0, far_hill=6.5, hill_pitch=0.20,
        dot=(1.0, 1.0, 1.0), dot_gain=0.80, dot_pitch=12.0, dot_edge=0.87,
    ),
    "night": _Place(
        (0.03, 0.04, 0.16), (0.12, 0.14, 0.36), (0.05, 0.07, 0.14), (0.03, 0.04, 0.08), horizon=48.0, hill=2.5,
        disk=(0.98, 0.96, 0.82), disk_place=(11.0, 11.0, 5.2), glow=0.22, hill_pitch=0.16,
        dot=(1.0, 1.0, 0.9), dot_gain=0.90, dot_pitch=13.0, dot_edge=0.95,
    ),
    "desert": _Place(
        (0.96, 0.62, 0.33), (1.0, 0.84, 0.55), (0.84, 0.52, 0.25), (0.68, 0.36, 0.16), horizon=40.0, hill=3.2,
        far=(0.74, 0.38, 0.25), far_horizon=31.0, far_hill=4.0, hill_pitch=0.15,
        disk=(1.0, 0.95, 0.80), disk_place=(52.0, 10.0, 4.8), glow=0.40,
        upright=(0.20, 0.40, 0.20), upright_x=(8.0, 4.2, 56.0, 59.6), upright_half=(1.9, 1.2, 1.5, 0.0),
        upright_top=(25.0, 31.0, 32.0, 0.0), upright_low=48.0,
    ),
    "stage": _Place(
        (0.10, 0.03, 0.09), (0.20, 0.06, 0.15), (0.36, 0.20, 0.12), (0.22, 0.11, 0.07), horizon=53.0,
        upright=(0.58, 0.05, 0.12), upright_x=(2.0, 8.5, 55.5, 62.0), upright_half=(4.0, 3.6, 3.6, 4.0),
        upright_top=(-8.0, -8.0, -8.0, -8.0), upright_low=70.0, upright_light=-0.25, beam=0.55,
    ),
}  # fmt: skip

_COLOURS = ("sky_top", "sky_low", "ground_top", "ground_low", "far", "disk", "upright", "dot")
_SCALARS = (
    "horizon", "hill", "far_horizon", "far_hill", "hill_pitch", "glow", "upright_low", "upright_light",
    "dot_gain", "dot_pitch", "dot_edge", "dots_on_uprights", "beam",
)  # fmt: skip
_ROWS = ("disk_place", "upright_x", "upright_half", "upright_top")
SCENE_PARAMETERS: tuple[str, ...] = (
    *(f"{name}_{channel}" for name in _COLOURS for channel in "rgb"),
    *_SCALARS,
    *(f"disk_place_{index}" for index in range(3)),
    *(f"{name}_{index}" for name in _ROWS[1:] for index in range(_UPRIGHTS)),
    "shift",
    "phase",
)
"""Columns of the table that paint_scene reads."""


def sample_styles(count: int, generator: torch.Generator) -> Tensor:
    """Draw scene styles, (N, STYLE_SIZE) in [-1, 1]."""
    return torch.rand(count, STYLE_SIZE, generator=generator, device=generator.device) * 2.0 - 1.0


def sample_lights(count: int, generator: torch.Generator) -> Tensor:
    """Draw lights, (N, LIGHT_SIZE) in [-1, 1]."""
    return torch.rand(count, LIGHT_SIZE, generator=generator, device=generator.device) * 2.0 - 1.0


def _place_row(place: _Place) -> list[float]:
    row: list[float] = []
    for name in _COLOURS:
        row.extend(getattr(place, name))
    row.extend(getattr(place, name) for name in _SCALARS)
    for name in _ROWS:
        row.extend(getattr(place, name))
    return [*row, 0.0, 0.0]


def lay_out_scene(scene_index: Tensor, style: Tensor) -> Tensor:
    """Turn scenes and styles into the numbers that paint_scene draws.

    Args:
        scene_index: (N,) long, an index into SCENES.
        style: (N, STYLE_SIZE) in [-1, 1].

    Returns: (N, len(SCENE_PARAMETERS)).
    """
    table = torch.tensor([_place_row(_PLACES[name]) for name in SCENES], device=style.device)
    rows = table[scene_index]
    colours = 3 * len(_COLOURS)
    tint = 1.0 + 0.07 * style[:, :3].repeat(1, len(_COLOURS)) + 0.08 * style[:, 3:4]
    values = dict(zip(SCENE_PARAMETERS, rows.unbind(1), strict=True))
    for name, column in zip(SCENE_PARAMETERS, (rows[:, :colours] * tint).unbind(1), strict=False):
        values[name] = column.clamp(0.0, 1.0)
    values["shift"] = 2.5 * style[:, 4]
    values["phase"] = 3.14159 * style[:, 7]
    for name in ("horizon", "far_horizon"):
        values[name] = values[name] + 2.0 * style[:, 5]
    values["disk_place_0"] = values["disk_place_0"] + 3.0 * style[:, 6]
    values["disk_place_1"] = values["disk_place_1"] + 1.5 * style[:, 7]
    for index in range(_UPRIGHTS):
        values[f"upright_top_{index}"] = values[f"upright_top_{index}"] + 2.0 * style[:, 5 + index % 2]
    return torch.stack([values[name] for name in SCENE_PARAMETERS], dim=1)


def paint_scene(scene: Tensor, camera: Tensor, size: int) -> Planes:
    """Draw backgrounds without anyone in them.

    Args:
        scene: (N, len(SCENE_PARAMETERS)) from lay_out_scene.
        camera: (N, 3) zoom, pan x and pan y in design units.
        size: pixels per side.

    Returns: three planes (N, size, size) in [0, 1].
    """
    value = {name: scene[:, index, None, None] for index, name in enumerate(SCENE_PARAMETERS)}

    def colour(name: str) -> Planes:
        return value[f"{name}_r"], value[f"{name}_g"], value[f"{name}_b"]

    grid_x, grid_y = pixel_grid(size, scene.device)
    zoom = 1.0 + 0.5 * (camera[:, 0, None, None] - 1.0)  # far things grow half as much
    x = (grid_x - 32.0 - 0.5 * camera[:, 1, None, None]) / zoom + 32.0 - value["shift"]
    y = (grid_y - 32.0 - 0.5 * camera[:, 2, None, None]) / zoom + 32.0
    soft = 1.6 * UNITS / size

    horizon = value["horizon"] + value["hill"] * torch.sin(x * value["hill_pitch"] + value["phase"])
    ridge = value["far_horizon"] + value["far_hill"] * torch.sin(
        x * value["hill_pitch"] * 1.4 - value["phase"] * 2.0
    )
    planes = blend(colour("sky_top"), colour("sky_low"), (y / value["horizon"]).clamp(0.0, 1.0))

    from_disk = torch.sqrt((x - value["disk_place_0"]) ** 2 + (y - value["disk_place_1"]) ** 2 + 1e-6)
    halo = value["glow"] * (1.0 - from_disk / 22.0).clamp(0.0, 1.0)
    halo = torch.maximum(halo, cover(from_disk - value["disk_place_2"], soft))
    planes = blend(planes, colour("disk"), halo)

    turn = 3.14159 / value["dot_pitch"]
    lattice = (torch.sin(x * turn + value["phase"]) * torch.sin((y + 0.35 * x) * turn + value["phase"])).abs()
    grid = (torch.sin(x * turn) * torch.sin(y * turn)).abs()
    on_uprights = value["dots_on_uprights"]
    dots = lattice + on_uprights * (grid - lattice)
    dots = value["dot_gain"] * ((dots - value["dot_edge"]) * 1.6 / (1.0 - value["dot_edge"])).clamp(0.0, 1.0)
    planes = blend(planes, colour("dot"), dots * (1.0 - on_uprights))

    planes = blend(planes, colour("far"), cover(ridge - y, soft))
    ground = blend(
        colour("ground_top"), colour("ground_low"), ((y - value["horizon"]) / 20.0).clamp(0.0, 1.0)
    )
    planes = blend(planes, ground, cover(horizon - y, soft))

    for index in range(_UPRIGHTS):
        half = value[f"upright_half_{index}"]
        top, low = value[f"upright_top_{index}"], value["upright_low"]
        across = x - value[f"upright_x_{index}"]
        mask = cover(rounded_box(across, y - 0.5 * (top + low), half, 0.5 * (low - top), 0.8), soft) * (
            half > 0.1
        )
        lit = (
            1.0 + value["upright_light"] * (index % 2) - 0.18 * (across / (half + 0.1)).clamp(-1.0, 1.0) ** 2
        )
        planes = blend(planes, shade(colour("upright"), lit), mask)
        planes = blend(planes, colour("dot"), mask * dots * on_uprights)

    for side in (-1.0, 1.0):
        axis = 32.0 + side * (28.0 - 0.42 * y)
        beam = value["beam"] * (1.0 - (x - axis).abs() / (2.5 + 0.16 * y)).clamp(0.0, 1.0)
        planes = blend(planes, (1.0, 0.90, 0.62), beam)
    return planes
