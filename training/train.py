"""Train nano: two towers, text encoder, identity and voice adapters.

    python -m training.train --data DIR --bank DIR --run DIR --steps 4000 [--decay-steps 1000] [--device cpu]

A killed run goes on from its last checkpoint when the same command is given again; `--steps` may grow between calls.
The learning rate is constant after a warm-up and falls linearly to zero over the last `--decay-steps`.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .dataset import ClipDataset, Kind
from .optimizers import NanoOptimizer
from .runs import RunLog, load_state, save_state
from .trainee import Batch, Trainee

#: What an error counts in the patches (row, column) where eyes and mouth lie; elsewhere 1.
FACE_WEIGHTS = {(1, 1): 3.0, (1, 2): 3.0, (2, 1): 4.0, (2, 2): 4.0}
ALL_BACKENDS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one run; see the command's help."""

    data: Path
    bank: Path
    run: Path
    steps: int
    decay_steps: int
    unimodal_steps: int
    batch_size: int
    learning_rate: float
    ema: float
    seed: int
    workers: int
    device: str
    save_every: int
    compile: bool


def step_kind(step: int, settings: Settings) -> Kind:
    """Which batch a step trains on: unimodal ones first, later joint clips with some of the others between."""
    if step < settings.unimodal_steps:
        return "unimodal"
    place = step % 8
    return "unimodal" if place == 7 else "first_frame" if place == 3 else "joint"


def learning_rate_factor(step: int, settings: Settings) -> float:
    """Warm-up over 200 steps, constant, linear decay at the end."""
    left = settings.steps - step
    return min(1.0, (step + 1) / 200, max(left, 1) / max(settings.decay_steps, 1))


def noise_weight(sigma: Tensor) -> Tensor:
    """Weight of a velocity error: 1 at noise 0.4 and above, falling as sigma squared below.

    A network that predicts the clean sample makes velocity errors of 1 / sigma at little noise; unweighted, the last
    touches of almost clean clips would drown what decides who and what is seen.
    """
    return (sigma / 0.4).square().clamp_max(1.0)


def losses(
    trainee: nn.Module, batch: Batch, kind: Kind, channels: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """Velocity losses of one batch.

    Args: channels: weight of each channel of the video, (C,), of mean 1.
    Returns: the sum to minimise, and each tower's mean squared velocity error for the log.
    """
    predicted = trainee(batch, kind != "unimodal")
    video_error = (predicted.video - (batch.video_noise - batch.video)).square()
    video_error = (video_error * channels.view(1, -1, 1, 1, 1)).mean(dim=1)
    weight = (
        noise_weight(batch.video_sigma).reshape(len(video_error), -1, 1, 1).expand_as(video_error).clone()
    )
    for (row, column), counts in FACE_WEIGHTS.items():
        weight[:, :, row, column] *= counts
    if kind == "first_frame":
        weight[:, 0] = 0
    video = (video_error * weight).mean()
    noisy = noise_weight(batch.audio_sigma)
    audio_error = (predicted.audio - (batch.audio_noise - batch.audio)).square().mean(dim=(1, 2))
    audio = (audio_error * noisy).mean()
    return video + audio, {"video": video.detach(), "audio": audio.detach()}


def compile_blocks(trainee: Trainee) -> None:
    """Compile the three pieces of a block; all blocks of a tower share what is compiled for the first."""
    torch._dynamo.config.recompile_limit = 64
    for tower in (trainee.dit.video_model, trainee.dit.audio_model):
        for block in tower.tower_blocks():
            for name in ("attend_self", "attend_context", "feed_forward"):
                setattr(block, name, torch.compile(getattr(block, name), dynamic=False))


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Average gradients over the workers; parameters that this step left alone count as zero."""
    gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for parameter, piece in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = piece.view_as(parameter)


def move(batch: Batch, device: str) -> Batch:
    """Copy a batch to the device."""
    return replace(batch, **{f.name: getattr(batch, f.name).to(device) for f in fields(batch)})


class Run:
    """One worker's half of a training run: model, optimizer, averaged weights."""

    def __init__(self, settings: Settings, rank: int) -> None:
        self.settings, self.rank = settings, rank
        self.dataset = ClipDataset(settings.data, settings.bank, max_tokens=16)
        torch.manual_seed(settings.seed)
        self.trainee = Trainee(self.dataset.latent_channels).to(settings.device)
        self.channels = self.dataset.channel_weights().to(settings.device)
        self.optimizer = NanoOptimizer(self.trainee, settings.learning_rate)
        self.ema = {name: value.detach().clone() for name, value in self.trainee.named_parameters()}
        self.step = 0
        self.checkpoint = settings.run / "state.safetensors"
        state = load_state(self.checkpoint)
        if state is not None:
            self.restore(*state)

    def restore(self, tensors: dict[str, Tensor], info: dict[str, Any]) -> None:
        """Take up a checkpoint."""
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "ema": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            group, _, key = name.partition("/")
            groups[group][key] = tensor.to(self.settings.device)
        self.trainee.load_state_dict(groups["model"])
        self.ema = groups["ema"]
        self.optimizer.load_tensors(groups["optimizer"])
        self.step = int(info["step"])

    def save(self) -> None:
        """Write a checkpoint."""
        tensors = {f"model/{k}": v for k, v in self.trainee.state_dict().items()}
        tensors |= {f"ema/{k}": v for k, v in self.ema.items()}
        tensors |= {f"optimizer/{k}": v for k, v in self.optimizer.tensors().items()}
        save_state(self.checkpoint, tensors, {"step": self.step})

    def batches(self) -> Iterator[tuple[Kind, Batch]]:
        """Batches from the current step on; each depends on seed, step and worker alone."""
        while self.step < self.settings.steps:
            seed = (self.settings.seed * 1_000_003 + self.step) * 64 + self.rank
            kind = step_kind(self.step, self.settings)
            size = self.settings.batch_size * (2 if kind == "unimodal" else 1)
            batch = self.dataset.batch(size, kind, torch.Generator().manual_seed(seed))
            yield kind, move(batch, self.settings.device)

    def train(self) -> None:
        """Train to the last step, with checkpoints on the way."""
        settings, parameters = self.settings, list(self.trainee.parameters())
        if settings.compile:
            compile_blocks(self.trainee)
        log = RunLog(settings.run / "log.jsonl") if self.rank == 0 else None
        sums: dict[str, list[float]] = {}
        started = time.monotonic()
        for kind, batch in self.batches():
            # Fused attention of the CPU is slow on sequences as short as these; plain matrix products are not.
            with sdpa_kernel([SDPBackend.MATH] if settings.device == "cpu" else ALL_BACKENDS):
                loss, parts = losses(self.trainee, batch, kind, self.channels)
                loss.backward()
            if settings.workers > 1:
                average_gradients(parameters)
            nn.utils.clip_grad_norm_(parameters, 1.0)
            self.optimizer.step(learning_rate_factor(self.step, settings))
            self.update_ema()
            self.step += 1
            for name, value in parts.items():
                sums.setdefault(f"{kind}_{name}", []).append(float(value))
            if log and self.step % 50 == 0:
                means = {name: round(sum(values) / len(values), 4) for name, values in sums.items()}
                log.write(step=self.step, steps_a_second=round(50 / (time.monotonic() - started), 3), **means)
                sums, started = {}, time.monotonic()
            if self.rank == 0 and (self.step % settings.save_every == 0 or self.step == settings.steps):
                self.save()

    @torch.no_grad()
    def update_ema(self) -> None:
        """Move the averaged weights towards the current ones; faster while the run is young."""
        decay = min(self.settings.ema, (1 + self.step) / (10 + self.step))
        averaged = [self.ema[name] for name, _ in self.trainee.named_parameters()]
        torch._foreach_lerp_(averaged, [p.detach() for p in self.trainee.parameters()], 1 - decay)


def work(rank: int, settings: Settings) -> None:
    """Entry point of one worker process."""
    # Each worker compiles into a folder of its own: two that write the same file at once break each other.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(settings.run.resolve() / f"compiled_{rank}")
    if settings.device == "cpu":
        torch.set_num_threads(1)
        # Matrix products in bfloat16 with fp32 sums where the processor has them: several times faster, and the noise
        # is far below that of the mini-batch.
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    else:
        torch.set_float32_matmul_precision("high")
    if settings.workers > 1:
        store = f"file://{settings.run.resolve()}/rendezvous"
        distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=settings.workers)
    Run(settings, rank).train()


def main() -> None:
    """Read the command line and start the workers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by training.build_data")
    parser.add_argument("--bank", type=Path, required=True, help="folder written by training.world.bank")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints and the log")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--decay-steps", type=int, default=1000)
    parser.add_argument("--unimodal-steps", type=int, default=800)
    parser.add_argument("--batch-size", type=int, default=32, help="clips a worker and step")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--ema", type=float, default=0.9985)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--save-every", type=int, default=250)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    settings = Settings(**vars(parser.parse_args()))
    settings.run.mkdir(parents=True, exist_ok=True)
    (settings.run / "rendezvous").unlink(missing_ok=True)
    if settings.workers > 1:
        torch.multiprocessing.spawn(work, (settings,), nprocs=settings.workers)
    else:
        work(0, settings)


if __name__ == "__main__":
    main()
