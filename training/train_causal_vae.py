"""Train a small Wan 2.2 causal video VAE on nano's clips, for comparison with nano's linear patch codec.

    python -m training.train_causal_vae --data DIR --out FILE [--channels 328] [--minutes 20]

It has as many latent numbers as the patch codec (`--channels` for each 4 x 16 x 16 pixels), and is scored on the same
held-out clips. A killed run goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from wan_core.vae.wan_config import WanVAEConfig
from wan_core.vae.wan_vae import WanVAE

from .fit_codec import psnr
from .pixels import to_pixels
from .runs import RunLog, load_state, save_state

HELD_OUT = 32
KL_WEIGHT = 1e-6


def small_config(channels: int, width: int) -> WanVAEConfig:
    """A VAE of Wan 2.2's kind: strides 4 x 16 x 16, average shortcuts, two pixels laid into channels first."""
    return WanVAEConfig(
        latent_channels=channels,
        encoder_width=width,
        decoder_width=width,
        latents_mean=(0.0,) * channels,
        latents_std=(1.0,) * channels,
        width_factors=(1, 2, 4, 4),
        res_blocks=1,
        temporal_downsample=(False, True, True),
        patch=2,
        is_residual=True,
    )


def reconstruction_loss(vae: nn.Module, video: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Squared error with a little absolute error and the divergence of the latents from a standard normal.

    Returns: the loss, and the squared error alone for the log.
    """
    assert isinstance(vae, WanVAE)
    mean, log_variance = vae.posterior(video)
    mean, log_variance = mean.float(), log_variance.float().clamp(-20, 5)
    noise = torch.randn(mean.shape, generator=generator)
    error = vae.render(mean + (0.5 * log_variance).exp() * noise).float() - video
    divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / len(video)
    squared = error.square().mean()
    return squared + 0.05 * error.abs().mean() + KL_WEIGHT * divergence, squared.detach()


def main() -> None:
    """Train, report, and keep a checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with frames.npy of training.build_data"
    )
    parser.add_argument("--out", type=Path, required=True, help="checkpoint; the log lies beside it")
    parser.add_argument("--channels", type=int, default=328)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    vae = WanVAE(small_config(arguments.channels, arguments.width))
    parameters = list(vae.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=arguments.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    frames = np.load(arguments.data / "frames.npy", mmap_mode="r")
    step = 0
    if (state := load_state(arguments.out)) is not None:
        vae.load_state_dict(state[0])
        step = int(state[1]["step"])
    log = RunLog(arguments.out.with_suffix(".jsonl"))
    log.write(parameters=sum(parameter.numel() for parameter in parameters))
    test = to_pixels(torch.from_numpy(frames[-HELD_OUT:].copy())).transpose(1, 2)
    started, total = time.monotonic(), 0.0
    while (elapsed := (time.monotonic() - started) / (60 * arguments.minutes)) < 1:
        generator = torch.Generator().manual_seed(arguments.seed * 1_000_003 + step)
        factor = min(1.0, (step + 1) / 50, 3 * (1 - elapsed) + 0.01)
        optimizer.param_groups[0]["lr"] = arguments.learning_rate * factor
        rows = torch.randint(len(frames) - HELD_OUT, (arguments.batch_size,), generator=generator)
        video = to_pixels(torch.from_numpy(frames[rows.sort().values.numpy()])).transpose(1, 2)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, squared = reconstruction_loss(vae, video, generator)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        step += 1
        total += float(squared)
        if step % 100 == 0:
            log.write(
                step=step,
                minutes=round((time.monotonic() - started) / 60, 1),
                train_error=round(total / 100, 5),
            )
            save_state(arguments.out, vae.state_dict(), {"step": step})
            total = 0.0
    save_state(arguments.out, vae.state_dict(), {"step": step})
    with torch.inference_mode():
        made = torch.cat([vae.decode(vae.encode(clip)) for clip in test.split(8)])
    log.write(step=step, held_out_db=round(psnr(made, test), 2))


if __name__ == "__main__":
    main()
