"""Train the learned half of nano's video decoder on top of the fitted linear codec.

    python -m training.train_refiner --codec FILE --data DIR --out FILE [--minutes 60]

Half of the latents are clips that nano drew again (`training.redraw`), so that the decoder learns to clean the grain
and the seams that sampling leaves, not only to sharpen. A first run goes by the frames alone, a second one, with
`--critic`, also by a critic of fine detail. A killed run goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wan_core.checkpoints.nano import load_part, save_part
from wan_core.vae.patch_vae import PatchVAE

from .critic import CriticTrainer
from .fit_codec import psnr
from .optimizers import ConvOptimizer
from .pixels import to_pixels
from .runs import RunLog, load_state, save_state

HIDDEN = ("before", "down", "middle", "over_time", "up", "after")
REFINER_WIDTHS, REFINER_BLOCKS = (40, 64, 80, 80), 2
HELD_OUT = 32
#: Steps in which a fresh critic only learns: what it says before is noise.
CRITIC_ALONE = 150


def add_refiner(linear: PatchVAE) -> PatchVAE:
    """Return a codec with the same linear half and a fresh learned half."""
    codec = PatchVAE(replace(linear.config, refiner_widths=REFINER_WIDTHS, refiner_blocks=REFINER_BLOCKS))
    codec.load_state_dict({**codec.state_dict(), **dict(linear.named_buffers())})
    return codec


def decode_groups(codec: PatchVAE, latents: Tensor) -> Tensor:
    """Decode latents to groups of frames, unclamped, (B, G, 3 * span, H, W)."""
    groups = codec.decode_linear(latents)
    assert codec.refiner is not None
    # bfloat16 convolutions are three to four times as fast as fp32 ones on processors that have them.
    with torch.autocast(latents.device.type, dtype=torch.bfloat16):
        return codec.refiner(groups).float()


def refiner_loss(error: Tensor) -> Tensor:
    """Squared error for the dB, absolute error for crisp edges, and that of the differences of neighbouring pixels.

    The last is what the eye calls seams and grain: steps where the true picture has none.

    Args:
        error: (..., H, W).
    """
    across, down = error.diff(dim=-1).abs().mean(), error.diff(dim=-2).abs().mean()
    return error.square().mean() + 0.1 * error.abs().mean() + 0.6 * (across + down)


def balance(loss: Tensor, complaint: Tensor, last: Tensor) -> Tensor:
    """Factor at which the critic pulls on the last layer's weights as strongly as the loss.

    Source: Esser et al. 2021, arXiv 2012.09841, equation 7.
    """
    pulls = [torch.autograd.grad(value, last, retain_graph=True)[0].norm() for value in (loss, complaint)]
    return (pulls[0] / (pulls[1] + 1e-6)).clamp_max(1e3).detach()


class RefinerRun:
    """The decoder under training, its critic, its clips and its checkpoint.

    Args:
        codec: the linear half with a fresh learned one.   data: folder of training.build_data and training.redraw.
        checkpoint: file that an earlier run left, or where this one leaves its own.
        learning_rate: peak rate.   critic_weight: of the critic's word against the frames' own; 0: none.
    """

    def __init__(
        self, codec: PatchVAE, data: Path, checkpoint: Path, *, learning_rate: float, critic_weight: float
    ) -> None:
        assert codec.refiner is not None
        self.codec, self.refiner, self.checkpoint = codec, codec.refiner, checkpoint
        self.critic, self.critic_weight = CriticTrainer(codec.config.group_channels), critic_weight
        self.trained = nn.ModuleDict({"refiner": self.refiner, "critic": self.critic.critic})
        self.step = 0
        if (state := load_state(checkpoint)) is not None:
            self.trained.load_state_dict(state[0])
            self.step = int(state[1]["step"])
        self.first_step = self.step
        self.optimizer = ConvOptimizer(self.refiner, HIDDEN, learning_rate)
        self.frames = np.load(data / "frames.npy", mmap_mode="r")
        self.redrawn = np.load(data / "redrawn.npy", mmap_mode="r")
        #: The last clips that were drawn again are for `held_out_db`.
        self.end = len(self.redrawn) - HELD_OUT

    @torch.no_grad()
    def pick(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Latents of clips, the first half of them redrawn, and the groups of frames that they should become."""
        video = to_pixels(torch.from_numpy(self.frames[rows])).transpose(1, 2)
        half = len(rows) // 2
        redrawn = torch.from_numpy(self.redrawn[rows[:half]].astype(np.float32))
        latents = torch.cat([redrawn, self.codec.encode(video[half:])])
        return latents, self.codec.ungroup(self.codec.group(video))

    def rows(self, size: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Clips of one batch: the first half have been redrawn, none is held out."""
        known = np.concatenate([np.arange(self.end), np.arange(len(self.redrawn), len(self.frames))])
        return np.concatenate(
            [generator.integers(self.end, size=size // 2), generator.choice(known, size - size // 2)]
        )

    def train(self, rows: NDArray[np.int64], rate: float) -> tuple[float, float]:
        """One step at `rate` times the peak rate. Returns: the decoder's loss and the critic's."""
        latents, target = self.pick(rows)
        half = len(rows) // 2
        decoded = decode_groups(self.codec, latents)
        loss = total = refiner_loss(decoded - target)
        dispute = 0.0
        if self.critic_weight:
            redrawn = decoded[:half].flatten(0, 1)
            dispute = self.critic.step(target[half:].flatten(0, 1), redrawn)
            if self.step - self.first_step > CRITIC_ALONE:
                complaint = self.critic.complaint(redrawn)
                pull = balance(loss, complaint, self.refiner.leave.weight)
                total = loss + self.critic_weight * pull * complaint
        total.backward()
        nn.utils.clip_grad_norm_(self.refiner.parameters(), 0.5)
        self.optimizer.step(rate)
        self.step += 1
        return float(loss.detach()), dispute

    @torch.inference_mode()
    def held_out_db(self) -> dict[str, list[float]]:
        """Decibels of the linear half alone and of both, on held-out clips, drawn again and not."""
        rows = np.arange(self.end, self.end + HELD_OUT)
        latents, target = self.pick(np.concatenate([rows, rows]))
        linear = self.codec.decode_linear(latents).clamp(-1, 1)
        both = decode_groups(self.codec, latents).clamp(-1, 1)
        parts = {"redrawn_db": slice(HELD_OUT), "clean_db": slice(HELD_OUT, None)}
        return {
            name: [round(psnr(made[part], target[part]), 2) for made in (linear, both)]
            for name, part in parts.items()
        }

    def save(self, out: Path) -> None:
        """Write the checkpoint and the whole codec as it stands."""
        save_state(self.checkpoint, self.trained.state_dict(), {"step": self.step})
        save_part(out, "patch_vae", self.codec.config, self.codec)


def main() -> None:
    """Train and save the whole codec."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of training.build_data and training.redraw"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument(
        "--critic",
        type=float,
        default=0.0,
        help="weight of the critic's word against the frames' own; 0: none",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    run = RefinerRun(
        add_refiner(load_part(arguments.codec, "patch_vae")),
        arguments.data,
        arguments.out.with_suffix(".state"),
        learning_rate=arguments.learning_rate,
        critic_weight=arguments.critic,
    )
    log = RunLog(arguments.out.with_suffix(".jsonl"))
    started, losses = time.monotonic(), np.zeros(2)
    while (elapsed := (time.monotonic() - started) / (60 * arguments.minutes)) < 1:
        generator = np.random.default_rng([arguments.seed, run.step])
        rate = min(1, (run.step + 1) / 100, 3.0 * (1 - elapsed) + 0.01)
        losses += run.train(run.rows(arguments.batch_size, generator), rate)
        if run.step % 100 == 0:
            loss, dispute = (round(value / 100, 5) for value in losses.tolist())
            log.write(step=run.step, loss=loss, critic=dispute, **run.held_out_db())
            run.save(arguments.out)
            losses[:] = 0
    run.save(arguments.out)


if __name__ == "__main__":
    main()
