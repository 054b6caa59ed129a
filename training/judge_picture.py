"""The measuring instrument for pictures: reads identity, scene, pose and action back from pixels.

A small convolutional network that has seen true drawings only, never a model's output, so it cannot have learned to be
kind to one. `training.train_judge_picture` makes its weights.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from wan_core.errors import CheckpointMismatchError, ShapeError
from wan_core.text.vocabulary import ACTIONS, SCENES

from .world.identity import FACTOR_NAMES, factor_indices

POSE_READINGS: tuple[str, ...] = ("head_x", "head_y", "yaw", "pitch", "roll", "mouth", "hand", "hand_x")
"""What is read of a pose: the head's place in the frame (frame widths from where it rests), its turn, nod and tilt, the
mouth's opening in [0, 1], whether a hand is up (0 or 1) and where it swings (-1..1, meaningless without a hand)."""

SIZE = 64
"""Side of the pictures that the judge reads, in pixels."""

JUDGE_PATH = Path(__file__).parent / "judges" / "picture.safetensors"
"""Where the shipped weights are."""

_READ_AT_ONCE = 256


@dataclass(frozen=True)
class Readings:
    """What the judge read from N frames.

    Attributes:
        factors: (N, A) identity factors, columns as FACTOR_NAMES, about [-1, 1].
        scene_logits: (N, scenes), columns as SCENES.
        pose: (N, len(POSE_READINGS)).
    """

    factors: Tensor
    scene_logits: Tensor
    pose: Tensor

    def pose_of(self, name: str) -> Tensor:
        """Return one pose reading, (N,)."""
        return self.pose[:, POSE_READINGS.index(name)]


class _Residual(nn.Module):
    """Two 3 x 3 convolutions around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


def _narrow(channels_in: int, channels: int, kernel: int) -> list[nn.Module]:
    """Halve the resolution."""
    return [
        nn.Conv2d(channels_in, channels, kernel, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]


class PictureJudge(nn.Module):
    """Reads frames and clips. Build it with `load_picture_judge`.

    Attributes:
        factor_error: (A,) root mean square error of each factor on fresh, undegraded drawings; weighs the factors when
            identities are compared.
    """

    factor_error: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_narrow(3, 32, 4),
            *_narrow(32, 64, 3),
            _Residual(64),
            *_narrow(64, 128, 3),
            _Residual(128),
            nn.Conv2d(128, 24, 1),
            nn.Flatten(),
            nn.Linear(24 * (SIZE // 8) ** 2, 224),
            nn.ReLU(),
        )
        self.factors = nn.Linear(224, len(FACTOR_NAMES))
        self.scene = nn.Linear(224, len(SCENES))
        self.pose = nn.Linear(224, len(POSE_READINGS))
        self.action = nn.Sequential(
            nn.Conv1d(len(POSE_READINGS), 32, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(32, 32, 5, padding=2),
            nn.ReLU(),
        )
        self.action_head = nn.Linear(64, len(ACTIONS))
        self.register_buffer("factor_error", torch.ones(len(FACTOR_NAMES)))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return factors, scene logits and pose of frames (N, 3, 64, 64)."""
        hidden = self.features(frames)
        return self.factors(hidden), self.scene(hidden), self.pose(hidden)

    def classify_motion(self, poses: Tensor) -> Tensor:
        """Return action logits (N, actions) of pose readings (N, F, len(POSE_READINGS))."""
        steady = torch.cat(
            [poses[..., :-2] - poses[..., :-2].mean(dim=1, keepdim=True), poses[..., -2:]], dim=-1
        )
        hidden = self.action(steady.transpose(1, 2))
        return self.action_head(torch.cat([hidden.mean(dim=2), hidden.amax(dim=2)], dim=1))

    @torch.no_grad()
    def read(self, frames: Tensor) -> Readings:
        """Read frames one by one.

        Args:
            frames: (N, 3, 64, 64), RGB in [-1, 1].

        Returns: what is seen in each.

        Raises: ShapeError: another shape.
        """
        if frames.ndim != 4 or tuple(frames.shape[1:]) != (3, SIZE, SIZE):
            raise ShapeError(
                f"frames: expected (N, 3, {SIZE}, {SIZE}), got {tuple(frames.shape)}. Resize the frames and stack them."
            )
        parts = [self(part.float()) for part in frames.split(_READ_AT_ONCE)]
        factors, scene_logits, pose = (torch.cat(list(column)) for column in zip(*parts, strict=True))
        return Readings(factors, scene_logits, pose)

    @torch.no_grad()
    def read_action(self, clips: Tensor) -> Tensor:
        """Name the movement in clips.

        Args:
            clips: (N, 3, F, 64, 64), RGB in [-1, 1], about two seconds at 8 frames per second.

        Returns: logits (N, actions), columns as ACTIONS.

        Raises: ShapeError: another shape.
        """
        if clips.ndim != 5:
            raise ShapeError(
                f"clips: expected (N, 3, F, {SIZE}, {SIZE}), got {tuple(clips.shape)}. Add a batch axis."
            )
        count, _, frames = clips.shape[:3]
        readings = self.read(clips.transpose(1, 2).flatten(0, 1))
        return self.classify_motion(readings.pose.view(count, frames, -1))

    def identity_distance(self, read: Tensor, true: Tensor, names: tuple[str, ...] = FACTOR_NAMES) -> Tensor:
        """Compare readings with known identities, each factor weighed by how well the judge reads it.

        Args:
            read: (N, A) factors read from pictures (averaged over a clip's frames, usually).
            true: (M, A) factors of the candidates.
            names: factors to compare, for example face_factors() to leave clothes out.

        Returns: (N, M) distances; the nearest candidate of a good picture is its own identity.
        """
        columns = factor_indices(names)
        scale = 1.0 / self.factor_error[columns].clamp(min=0.05)
        return torch.cdist(read[:, columns] * scale, true[:, columns] * scale)


def save_picture_judge(judge: PictureJudge, path: Path) -> None:
    """Write the weights in half precision, with the names of what they read in the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        name: (value.to(torch.float16) if value.is_floating_point() else value).contiguous()
        for name, value in judge.state_dict().items()
    }
    save_file(state, path, metadata={"picture_judge": _signature()})


def load_picture_judge(path: Path = JUDGE_PATH) -> PictureJudge:
    """Load the judge, ready to read.

    Args:
        path: safetensors written by save_picture_judge.

    Returns: the judge on the CPU in float32, in inference mode.

    Raises: CheckpointMismatchError: the file was made for other factors, scenes or actions.
    """
    with safe_open(path, framework="pt") as file:
        signature = (file.metadata() or {}).get("picture_judge")
        if signature != _signature():
            raise CheckpointMismatchError(
                f"picture judge: expected {_signature()}, got {signature} in {path.name}. "
                "Run `python -m training.train_judge_picture` again."
            )
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    judge = PictureJudge()
    judge.load_state_dict(
        {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, strict=True
    )
    return judge.train(False).requires_grad_(False)


def _signature() -> str:
    return json.dumps({"factors": FACTOR_NAMES, "scenes": SCENES, "actions": ACTIONS, "pose": POSE_READINGS})
