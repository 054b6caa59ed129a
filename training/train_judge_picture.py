"""Train the picture judge on true drawings, and measure it on fresh ones.

    python -m training.train_judge_picture --checkpoint FILE [--out FILE] [--steps 700] [--seed 0]

Under ten minutes on one free core. The same seed gives the same weights; a run that was cut off goes on from its
checkpoint.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as functional
from torch import Tensor

from wan_core.text.vocabulary import ACTIONS, SCENES

from .judge_picture import JUDGE_PATH, POSE_READINGS, PictureJudge, load_picture_judge, save_picture_judge
from .runs import load_state, save_state
from .world.identity import FACTOR_NAMES, IdentityBatch, face_factors, sample_identities
from .world.motion import Motion, sample_motion
from .world.picture import Painter, compile_painter, paint, render
from .world.scenes import sample_lights, sample_styles
from .world.softness import soften

BATCH = 256
FRAMES = 17
_PEAK_RATE = 3e-3


@dataclass(frozen=True)
class Lesson:
    """Drawn frames and everything that is true of them; N rows each."""

    frames: Tensor
    identity: IdentityBatch
    scene: Tensor
    action: Tensor
    pose: Tensor


def true_readings(pose: Motion) -> Tensor:
    """Turn poses, fields of any shape (...), into what the judge should read, (..., len(POSE_READINGS))."""
    rest_y = (27.0 - 32.0) / 64.0
    values = {
        "head_x": pose.head_x * pose.zoom + pose.pan_x,
        "head_y": (pose.head_y + rest_y) * pose.zoom + pose.pan_y - rest_y,
        "yaw": pose.yaw,
        "pitch": pose.pitch,
        "roll": pose.roll,
        "mouth": pose.mouth,
        "hand": (pose.hand > 0.5).float(),
        "hand_x": pose.hand_x,
    }
    return torch.stack([values[name] for name in POSE_READINGS], dim=-1)


def draw_mouths(count: int, frames: int, generator: torch.Generator) -> Tensor:
    """Draw mouth openings, (N, F) in [0, 1]: a third shut, the rest at any opening, changing from frame to frame."""
    device = generator.device
    shut = torch.rand(count, frames, generator=generator, device=device) < 0.3
    return torch.where(shut, 0.0, torch.rand(count, frames, generator=generator, device=device))


def draw_lesson(count: int, generator: torch.Generator, painter: Painter) -> Lesson:
    """Draw single frames of clips: any identity, scene, light, action and moment."""
    device = generator.device
    identity = sample_identities(count, generator)
    scene = torch.randint(len(SCENES), (count,), generator=generator, device=device)
    action = torch.randint(len(ACTIONS), (count,), generator=generator, device=device)
    motion = sample_motion(action, draw_mouths(count, FRAMES, generator), generator)
    moment = torch.randint(FRAMES, (count, 1), generator=generator, device=device)
    pose = motion.map(lambda value: value.gather(1, moment)[:, 0])
    style, light = sample_styles(count, generator), sample_lights(count, generator)
    frames = render(identity, pose, scene, style, light, painter=painter)
    return Lesson(frames, identity, scene, action, true_readings(pose))


def judge_loss(outputs: tuple[Tensor, Tensor, Tensor], lesson: Lesson, columns: slice) -> Tensor:
    """Squared errors of what can be seen (a beard's fullness only where there is one) plus scene cross-entropy."""
    factors, scene_logits, pose = outputs
    true = lesson.identity.factors[columns]
    seen = torch.ones_like(true)
    for gate, detail in (("glasses", "glasses_shape"), ("beard", "beard_amount")):
        shown = (true[:, FACTOR_NAMES.index(gate)] > 0).float()
        seen[:, FACTOR_NAMES.index(detail)] = shown
    factor_loss = (seen * (factors - true) ** 2).mean()
    true_pose = lesson.pose[columns]
    # head offsets and tilt are small numbers: weigh every reading to about unit variance
    weight = torch.tensor([400.0, 600.0, 4.0, 4.0, 60.0, 10.0, 4.0, 4.0]).expand_as(true_pose).clone()
    weight[:, POSE_READINGS.index("hand_x")] *= true_pose[:, POSE_READINGS.index("hand")]
    pose_loss = (weight * (pose - true_pose) ** 2).mean()
    return factor_loss + 0.5 * pose_loss + 0.3 * functional.cross_entropy(scene_logits, lesson.scene[columns])


def train_frames(
    judge: PictureJudge,
    steps: int,
    seed: int,
    checkpoint: Path,
    painter: Painter,
    *,
    every: int = 50,
    batch: int = BATCH,
) -> None:
    """Train the frame reader; every second picture is softened.

    Args:
        judge: the judge, changed in place.
        steps: batches of drawings, each making two updates.
        seed: of the drawings; each step draws from the seed and its own number.
        checkpoint: file to resume from where it exists, rewritten as training goes on.
        painter: `paint`, or what compile_painter returned.
        every: steps between checkpoints.
        batch: drawings per step, even.
    """
    optimizer = torch.optim.AdamW(judge.parameters(), lr=_PEAK_RATE, weight_decay=0.02)
    start = _resume(judge, optimizer, checkpoint)
    began = time.monotonic()
    judge.train(True).to(memory_format=torch.channels_last)
    for step in range(start, steps):
        rate = _PEAK_RATE * min(1.0, (step + 1) / 50) * 0.5 * (1.0 + math.cos(math.pi * step / steps)) + 1e-6
        for group in optimizer.param_groups:
            group["lr"] = rate
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        lesson = draw_lesson(batch, generator, painter)
        frames = lesson.frames.clone()
        frames[::2] = soften(frames[::2], generator)
        for half in (slice(0, batch // 2), slice(batch // 2, batch)):
            with torch.autocast("cpu", torch.bfloat16):
                outputs = judge(frames[half].contiguous(memory_format=torch.channels_last))
            factors, scene_logits, pose = (output.float() for output in outputs)
            loss = judge_loss((factors, scene_logits, pose), lesson, half)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(judge.parameters(), 5.0)
            optimizer.step()
        if (step + 1) % every == 0:
            _save(judge, optimizer, checkpoint, step + 1)
            print(
                f"step {step + 1}/{steps} loss {loss.item():.4f} {time.monotonic() - began:.0f} s", flush=True
            )


def _save(judge: PictureJudge, optimizer: torch.optim.Optimizer, path: Path, step: int) -> None:
    tensors = {f"judge.{name}": value for name, value in judge.state_dict().items()}
    for index, parameter in enumerate(judge.parameters()):
        for name, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{index}.{name}"] = value
    save_state(path, tensors, {"step": step})


def _resume(judge: PictureJudge, optimizer: torch.optim.Optimizer, path: Path) -> int:
    saved = load_state(path)
    if saved is None:
        return 0
    tensors, info = saved
    judge.load_state_dict({k.removeprefix("judge."): v for k, v in tensors.items() if k.startswith("judge.")})
    for index, parameter in enumerate(judge.parameters()):
        prefix = f"optimizer.{index}."
        moments = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        if moments:
            optimizer.state[parameter] = moments
    return int(info["step"])


def draw_clips(count: int, generator: torch.Generator, painter: Painter) -> tuple[Tensor, Tensor]:
    """Draw clips as frames: (N * F, 3, 64, 64), and their actions (N,)."""
    identity = sample_identities(count, generator)
    action = torch.randint(len(ACTIONS), (count,), generator=generator)
    motion = sample_motion(action, draw_mouths(count, FRAMES, generator), generator).flatten()
    rows = torch.arange(count).repeat_interleave(FRAMES)
    scene = torch.randint(len(SCENES), (count,), generator=generator)[rows]
    style, light = sample_styles(count, generator)[rows], sample_lights(count, generator)[rows]
    parts = []
    for part in torch.arange(count * FRAMES).split(BATCH):
        full = torch.cat([part, part.new_zeros(BATCH - len(part))])  # one batch size, one compilation
        pose = motion.map(lambda value, full=full: value[full])
        drawn = render(
            identity.select(rows[full]), pose, scene[full], style[full], light[full], painter=painter
        )
        parts.append(drawn[: len(part)])
    return torch.cat(parts), action


def train_actions(
    judge: PictureJudge, seed: int, painter: Painter, *, clips: int = 640, rounds: int = 400
) -> None:
    """Train the movement classifier on the judge's own readings of drawn clips, half of them softened."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 900_001)
    frames, action = draw_clips(clips, generator, painter)
    softened = frames.view(clips, FRAMES, 3, 64, 64)
    for row in range(0, clips, 2):
        softened[row] = soften(softened[row], generator)
    poses = judge.train(False).read(softened.flatten(0, 1)).pose.view(clips, FRAMES, -1)
    parameters = [*judge.action.parameters(), *judge.action_head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=3e-3, weight_decay=0.01)
    for _ in range(rounds):
        pick = torch.randint(clips, (128,), generator=generator)
        noise = 0.01 * torch.randn(128, FRAMES, poses.shape[-1], generator=generator)
        loss = functional.cross_entropy(judge.classify_motion(poses[pick] + noise), action[pick])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


@torch.no_grad()
def measure(judge: PictureJudge, seed: int, painter: Painter, *, softened: bool) -> dict[str, float]:
    """Measure the judge on 1,024 fresh frames and 96 fresh clips; sets `factor_error` when they are not softened."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 950_001)
    lessons = [draw_lesson(BATCH, generator, painter) for _ in range(4)]
    frames = torch.cat([lesson.frames for lesson in lessons])
    clip_frames, action = draw_clips(96, generator, painter)
    if softened:
        frames, clip_frames = soften(frames, generator), soften(clip_frames, generator)
    true = torch.cat([lesson.identity.factors for lesson in lessons])
    pose = torch.cat([lesson.pose for lesson in lessons])
    scene = torch.cat([lesson.scene for lesson in lessons])
    read = judge.train(False).read(frames)
    if not softened:
        judge.factor_error.copy_((read.factors - true).pow(2).mean(dim=0).sqrt())
    result: dict[str, float] = {}
    for title, names in (("top1_of_16", FACTOR_NAMES), ("top1_of_16_face", face_factors())):
        groups = zip(read.factors.split(16), true.split(16), strict=True)
        hits = [
            (judge.identity_distance(r, t, names).argmin(1) == torch.arange(16)).float().mean()
            for r, t in groups
        ]
        result[title] = torch.stack(hits).mean().item()
    result["scene"] = (read.scene_logits.argmax(1) == scene).float().mean().item()
    result["action"] = (judge.read_action(clip_frames.view(96, FRAMES, 3, 64, 64).transpose(1, 2)).argmax(1) == action
                        ).float().mean().item()  # fmt: skip
    hand_up = pose[:, POSE_READINGS.index("hand")] > 0
    for index, name in enumerate(POSE_READINGS):
        rows = hand_up if name == "hand_x" else torch.ones_like(hand_up)
        result[f"pose.{name}"] = _correlate(read.pose[rows, index], pose[rows, index])
    for index, name in enumerate(FACTOR_NAMES):
        gate = {"glasses_shape": "glasses", "beard_amount": "beard"}.get(name)
        rows = true[:, FACTOR_NAMES.index(gate)] > 0 if gate else torch.ones_like(hand_up)
        result[f"factor.{name}"] = _correlate(read.factors[rows, index], true[rows, index])
    return result


def _correlate(first: Tensor, second: Tensor) -> float:
    return torch.corrcoef(torch.stack([first, second]))[0, 1].item()


def main() -> None:
    """Parse the command line, train, measure, save."""
    parser = argparse.ArgumentParser(description="Train nano's picture judge.")
    parser.add_argument("--checkpoint", type=Path, required=True, help="file that makes the run resumable")
    parser.add_argument("--out", type=Path, default=JUDGE_PATH)
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--measure-only", action="store_true", help="measure the saved judge on the drawings of --seed"
    )
    parser.add_argument("--no-compile", action="store_true", help="draw without the compiler")
    arguments = parser.parse_args()
    painter = paint if arguments.no_compile else compile_painter()
    if arguments.measure_only:
        judge = load_picture_judge(arguments.out)
    else:
        torch.manual_seed(arguments.seed)
        judge = PictureJudge()
        train_frames(judge, arguments.steps, arguments.seed, arguments.checkpoint, painter)
        train_actions(judge, arguments.seed, painter)
    clean = measure(judge, arguments.seed, painter, softened=False)
    soft = measure(judge, arguments.seed, painter, softened=True)
    for name, value in clean.items():
        print(f"{name:24s} {value:6.3f}  softened {soft[name]:6.3f}")
    if not arguments.measure_only:
        save_picture_judge(judge, arguments.out)


if __name__ == "__main__":
    main()
