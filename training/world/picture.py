"""Pictures of drawn people: identity, pose, scene and light in, frames out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .figure import paint_person
from .identity import IdentityBatch
from .motion import Motion
from .person import MOUTH_SHIFT, PERSON_PARAMETERS, lay_out_person
from .scenes import lay_out_scene, paint_scene
from .shapes import UNITS, Planes

Painter = Callable[[Tensor, Tensor, int], tuple[Planes, Tensor]]
"""Draws (person table, scene table, size) as three planes in [0, 1] and the person's coverage."""


def paint(person: Tensor, scene: Tensor, size: int) -> tuple[Planes, Tensor]:
    """Draw people in their scenes; the part of rendering that is worth compiling.

    Args:
        person: (N, len(PERSON_PARAMETERS)) from lay_out_person; its first three columns are the camera.
        scene: (N, len(SCENE_PARAMETERS)) from lay_out_scene.
        size: pixels per side.

    Returns: three planes (N, size, size), roughly in [0, 1], and how much of each pixel is person, (N, size, size).
    """
    return paint_person(person, paint_scene(scene, person[:, :3], size), size)


def compile_painter() -> Painter:
    """Return a compiled `paint` for CPU or GPU; the first call per batch size and picture size compiles."""
    return torch.compile(paint, dynamic=False)


def stack_planes(planes: Planes) -> Tensor:
    """Turn three planes in [0, 1] into pictures (N, 3, H, W), clipped, in [-1, 1]."""
    return (torch.stack(planes, dim=1) * 2.0 - 1.0).clamp(-1.0, 1.0)


def render(
    identity: IdentityBatch,
    pose: Motion,
    scene_index: Tensor,
    style: Tensor,
    light: Tensor,
    *,
    size: int = 64,
    painter: Painter = paint,
) -> Tensor:
    """Draw N pictures.

    Args:
        identity: N identities.
        pose: fields (N,).
        scene_index: (N,) long, an index into SCENES.
        style: (N, STYLE_SIZE) in [-1, 1].
        light: (N, LIGHT_SIZE) in [-1, 1].
        size: pixels per side.
        painter: `paint`, or what compile_painter returned.

    Returns: (N, 3, size, size), RGB in [-1, 1].
    """
    planes, _ = painter(lay_out_person(identity, pose, light), lay_out_scene(scene_index, style), size)
    return stack_planes(planes)


def render_clip(
    identity: IdentityBatch,
    motion: Motion,
    scene_index: Tensor,
    style: Tensor,
    light: Tensor,
    *,
    size: int = 64,
    painter: Painter = paint,
) -> Tensor:
    """Draw N clips: one person, scene and light per clip, one pose per frame.

    Args:
        identity: N identities.
        motion: fields (N, F).
        scene_index: (N,) long.
        style: (N, STYLE_SIZE).
        light: (N, LIGHT_SIZE).
        size: pixels per side.
        painter: `paint`, or what compile_painter returned.

    Returns: (N, 3, F, size, size), RGB in [-1, 1].
    """
    count, frames = motion.mouth.shape
    rows = torch.arange(count, device=light.device).repeat_interleave(frames)
    pictures = render(
        identity.select(rows),
        motion.flatten(),
        scene_index[rows],
        style[rows],
        light[rows],
        size=size,
        painter=painter,
    )
    return pictures.view(count, frames, 3, size, size).transpose(1, 2)


def mouth_box(identity: IdentityBatch, pose: Motion, size: int) -> Tensor:
    """Return where the mouth is, (N, 4): left, top, right, bottom in pixels, wide enough for an open mouth."""
    person = lay_out_person(identity, pose, torch.zeros(len(identity), 4, device=pose.mouth.device))
    v = {name: person[:, index] for index, name in enumerate(PERSON_PARAMETERS)}
    local_x, local_y = MOUTH_SHIFT * v["yaw"], v["mouth_y"] + 2.7 * v["pitch"]
    x = v["head_x"] + v["roll_cos"] * local_x - v["roll_sin"] * local_y
    y = v["head_y"] + v["roll_sin"] * local_x + v["roll_cos"] * local_y
    x = (x - 32.0) * v["zoom"] + 32.0 + v["pan_x"]
    y = (y - 32.0) * v["zoom"] + 32.0 + v["pan_y"]
    reach_x, reach_y = 8.5 * v["zoom"], 6.0 * v["zoom"]
    return torch.stack([x - reach_x, y - reach_y, x + reach_x, y + reach_y], dim=1) * (size / UNITS)
