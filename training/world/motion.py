"""Movements of a drawn person: one pose per frame for each of the named actions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from wan_core.errors import ShapeError
from wan_core.text.vocabulary import ACTIONS


@dataclass(frozen=True)
class Motion:
    """Poses, as tensors of one common shape: (N, F) for clips, (N,) for single frames.

    Attributes:
        head_x: horizontal offset of the head from its rest place, in frame widths, right is positive.
        head_y: vertical offset of the head, in frame heights, down is positive.
        yaw: turn of the head, -1..1, features shift to the right when positive.
        pitch: nod of the head, -1..1, features shift down when positive.
        roll: tilt of the head in radians, clockwise is positive.
        sway: sideways lean of the whole body, -1..1.
        mouth: opening, 0 closed .. 1 wide open.
        blink: 0 open eyes .. 1 closed eyes.
        smile: -1 sad .. 1 smiling.
        hand: 0 out of sight .. 1 raised beside the head.
        hand_x: sideways swing of the raised hand, -1..1.
        zoom: camera magnification, 1 at rest.
        pan_x: camera shift in frame widths; the picture moves right when positive.
        pan_y: camera shift in frame heights; the picture moves down when positive.
    """

    head_x: Tensor
    head_y: Tensor
    yaw: Tensor
    pitch: Tensor
    roll: Tensor
    sway: Tensor
    mouth: Tensor
    blink: Tensor
    smile: Tensor
    hand: Tensor
    hand_x: Tensor
    zoom: Tensor
    pan_x: Tensor
    pan_y: Tensor

    def as_tensor(self) -> Tensor:
        """Stack the fields along a new last axis, in the order of POSE_NAMES."""
        return torch.stack([getattr(self, name) for name in POSE_NAMES], dim=-1)

    @classmethod
    def from_tensor(cls, values: Tensor) -> Motion:
        """Rebuild a motion from (..., len(POSE_NAMES)).

        Raises: ShapeError: the last axis has another length.
        """
        if values.shape[-1] != len(POSE_NAMES):
            raise ShapeError(
                f"motion tensor: expected a last axis of {len(POSE_NAMES)}, got {tuple(values.shape)}. "
                "Pass what as_tensor returns."
            )
        return cls(*values.unbind(-1))

    def map(self, function: Callable[[Tensor], Tensor]) -> Motion:
        """Apply a shape-changing function to each field (indexing, repeating, moving to a device)."""
        return Motion(*(function(getattr(self, name)) for name in POSE_NAMES))

    def flatten(self) -> Motion:
        """Turn (N, F) into (N * F,), frames of one clip adjacent."""
        return self.map(lambda value: value.reshape(-1))


START = 0.15
"""Largest part of a period by which a named movement is ahead when the clip begins."""

POSE_NAMES: tuple[str, ...] = tuple(field.name for field in fields(Motion))
"""Names of the pose fields, in the order of Motion.as_tensor."""


def rest_pose(count: int, device: torch.device) -> Motion:
    """Return N poses of a person that looks straight ahead, mouth closed, hand down; fields are (N,)."""
    zeros = torch.zeros(count, device=device)
    return Motion(*(zeros + 1.0 if name == "zoom" else zeros for name in POSE_NAMES))


def sample_motion(
    action_index: Tensor, mouth: Tensor, generator: torch.Generator, *, fps: float = 8.0
) -> Motion:
    """Draw one movement per clip, with random speed, extent and start.

    Args:
        action_index: (N,) long, an index into ACTIONS.
        mouth: (N, F) opening per frame in [0, 1], usually the loudness of the speech.
        generator: the only source of randomness; all tensors live on its device.
        fps: frames per second.

    Returns: a motion with fields (N, F).

    Raises: ShapeError: `mouth` is not (N, F) for the N of `action_index`.
    """
    if mouth.ndim != 2 or mouth.shape[0] != action_index.shape[0]:
        raise ShapeError(
            f"mouth: expected ({action_index.shape[0]}, F) as action_index has {action_index.shape[0]} clips, "
            f"got {tuple(mouth.shape)}. Pass one opening per clip and frame."
        )
    count, frames = mouth.shape
    device = generator.device
    time = torch.arange(frames, device=device)[None] / fps

    def between(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, generator=generator, device=device)

    def wave(slow: float, fast: float, latest: float = 1.0) -> Tensor:
        return torch.sin(2.0 * math.pi * (between(slow, fast) * time + between(0.0, latest)))

    def is_action(name: str) -> Tensor:
        return (action_index == ACTIONS.index(name)).to(torch.float32)[:, None]

    waves, nods, shakes, sways = (is_action(name) for name in ("waves", "nods", "shakes", "sways"))
    # A named movement begins with the clip: what a prompt asks for is then visible in the mean of all clips that do it,
    # and a small model learns it from far fewer of them.
    nod = nods * wave(1.1, 1.6, START) * between(0.8, 1.0)
    shake = shakes * wave(1.0, 1.5, START) * between(0.85, 1.0)
    lean = sways * wave(0.6, 0.85, START) * between(0.8, 1.0)
    swing = wave(1.4, 2.0, START) * between(0.75, 1.0)
    raised = waves * (0.35 + 0.65 * (time / between(0.12, 0.4)).clamp(0.0, 1.0) + between(0.0, 0.65)).clamp(
        0.0, 1.0
    )

    blink_at = between(0.1, 3.2)
    return Motion(
        head_x=0.006 * wave(0.2, 0.4) + 0.055 * lean,
        head_y=0.005 * wave(0.2, 0.5) + 0.034 * nod + 0.006 * mouth,
        yaw=(0.22 * wave(0.1, 0.3) + between(-0.12, 0.12)) * (1.0 - 0.6 * shakes) + 0.95 * shake,
        pitch=0.14 * wave(0.1, 0.3) * (1.0 - 0.6 * nods) + 0.95 * nod,
        roll=0.03 * wave(0.15, 0.35) + 0.20 * lean,
        sway=0.06 * wave(0.1, 0.3) + lean,
        mouth=mouth.clamp(0.0, 1.0),
        blink=(1.0 - (time - blink_at).abs() / 0.16).clamp(0.0, 1.0),
        smile=(between(0.0, 1.0) + 0.15 * wave(0.1, 0.3)).clamp(-1.0, 1.0),
        hand=raised,
        hand_x=swing * waves,
        zoom=between(0.95, 1.05) + between(-0.012, 0.012) * time,
        pan_x=between(-0.02, 0.02) + between(-0.004, 0.004) * time,
        pan_y=between(-0.012, 0.012) + between(-0.002, 0.002) * time,
    )
