"""Train the learned half of nano's video decoder on top of the fitted linear codec.

    python -m training.train_refiner --codec FILE --data DIR --out FILE [--minutes 60]

Half of the latents are clips that nano drew again (`training.redraw`), so that the decoder learns to clean the grain
and the seams that sampling leaves, not only to sharpen. A killed run goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from wan_core.checkpoints.nano import load_part, save_part
from wan_core.vae.patch_vae import PatchVAE

from .fit_codec import psnr
from .pixels import to_pixels
from .runs import RunLog, load_state, save_state

REFINER_BLOCKS, REFINER_WIDTH = 3, 32
HELD_OUT = 32


def add_refiner(linear: PatchVAE) -> PatchVAE:
    """Return a codec with the same linear half and a fresh learned half."""
    codec = PatchVAE(replace(linear.config, refiner_blocks=REFINER_BLOCKS, refiner_width=REFINER_WIDTH))
    codec.load_state_dict({**codec.state_dict(), **dict(linear.named_buffers())})
    return codec


def decode_groups(codec: PatchVAE, latents: Tensor) -> Tensor:
    """Decode latents to groups of frames, unclamped, (B, G, 3 * span, H, W)."""
    groups = codec.decode_linear(latents)
    assert codec.refiner is not None
    # bfloat16 convolutions are three to four times as fast as fp32 ones on processors that have them.
    with torch.autocast(latents.device.type, dtype=torch.bfloat16):
        refined = codec.refiner(groups.flatten(0, 1).contiguous(memory_format=torch.channels_last))
    return refined.float().unflatten(0, groups.shape[:2])


def refiner_loss(error: Tensor) -> Tensor:
    """Squared error for the dB, absolute error for crisp edges, and that of the differences of neighbouring pixels.

    The last is what the eye calls seams and grain: steps where the true picture has none.

    Args:
        error: (..., H, W).
    """
    across, down = error.diff(dim=-1).abs().mean(), error.diff(dim=-2).abs().mean()
    return error.square().mean() + 0.1 * error.abs().mean() + 0.2 * (across + down)


@torch.inference_mode()
def held_out_db(codec: PatchVAE, latents: Tensor, target: Tensor) -> tuple[float, float]:
    """Decibels of the linear half alone and of both halves on groups of frames."""
    linear = codec.decode_linear(latents).clamp(-1, 1)
    return psnr(linear, target), psnr(decode_groups(codec, latents).clamp(-1, 1), target)


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
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    codec = add_refiner(load_part(arguments.codec, "patch_vae"))
    assert codec.refiner is not None
    refiner = codec.refiner.to(memory_format=torch.channels_last)
    parameters = list(refiner.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=arguments.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    frames = np.load(arguments.data / "frames.npy", mmap_mode="r")
    redrawn = np.load(arguments.data / "redrawn.npy", mmap_mode="r")
    checkpoint, step = arguments.out.with_suffix(".state"), 0
    if (state := load_state(checkpoint)) is not None:
        refiner.load_state_dict(state[0])
        step = int(state[1]["step"])
    log = RunLog(arguments.data / "refiner.jsonl")

    def pick(rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Latents of clips, the first half of them redrawn, and the groups of frames that they should become."""
        video = to_pixels(torch.from_numpy(frames[rows])).transpose(1, 2)
        half = len(rows) // 2
        drawn = torch.from_numpy(redrawn[rows[:half]].astype(np.float32))
        with torch.no_grad():
            latents = torch.cat([drawn, codec.encode(video[half:])])
            return latents, codec.ungroup(codec.group(video))

    last = np.arange(len(redrawn) - HELD_OUT, len(redrawn))
    test_latents, test_target = pick(np.concatenate([last, last]))
    started, total = time.monotonic(), 0.0
    while (elapsed := (time.monotonic() - started) / (60 * arguments.minutes)) < 1:
        generator = np.random.default_rng([arguments.seed, step])
        rate = min(1, (step + 1) / 100, 2.0 * (1 - elapsed) + 0.01)
        optimizer.param_groups[0]["lr"] = arguments.learning_rate * rate
        half = arguments.batch_size // 2
        known = np.concatenate([np.arange(last[0]), np.arange(last[-1] + 1, len(frames))])
        rows = np.concatenate(
            [generator.integers(last[0], size=half), generator.choice(known, arguments.batch_size - half)]
        )
        latents, target = pick(rows)
        loss = refiner_loss(decode_groups(codec, latents) - target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 0.5)
        optimizer.step()
        step += 1
        total += float(loss.detach())
        if step % 100 == 0:
            drawn = held_out_db(codec, test_latents[:HELD_OUT], test_target[:HELD_OUT])
            clean = held_out_db(codec, test_latents[HELD_OUT:], test_target[HELD_OUT:])
            log.write(
                step=step,
                loss=round(total / 100, 5),
                redrawn_db=[round(value, 2) for value in drawn],
                clean_db=[round(value, 2) for value in clean],
            )
            save_state(checkpoint, refiner.state_dict(), {"step": step})
            total = 0.0
    save_part(arguments.out, "patch_vae", codec.config, codec)


if __name__ == "__main__":
    main()
