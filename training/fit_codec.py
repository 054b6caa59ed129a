"""Fit the linear half of nano's video codec by principal components of drawn clips.

python -m training.fit_codec --out FILE [--clips 3000] [--image-channels 160] [--motion-channels 64]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from wan_core.checkpoints.nano import save_part
from wan_core.vae.config import PatchVAEConfig
from wan_core.vae.patch_vae import PatchVAE

from .clips import random_clips
from .world.picture import compile_painter

CHUNK = 64


def principal_components(samples: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Directions of the largest variance of rows.

    Args:
        samples: (N, D), mean already taken off.
    Returns: orthonormal rows (count, D) and their standard deviations (count,).
    """
    covariance = (samples.T @ samples).double() / samples.shape[0]
    values, vectors = torch.linalg.eigh(covariance)
    order = torch.arange(values.shape[0] - 1, values.shape[0] - 1 - count, -1)
    return vectors[:, order].T.float().contiguous(), values[order].clamp_min(1e-9).sqrt().float()


def fit(config: PatchVAEConfig, clips: int, seed: int) -> PatchVAE:
    """Fit bases and scales on freshly drawn clips.

    A channel is divided by the square root of its standard deviation: large shapes keep more variance than fine detail,
    so that noise hides detail first and a generator settles from coarse to fine.
    """
    codec = PatchVAE(config)
    images: list[Tensor] = []
    motions: list[Tensor] = []
    generator = torch.Generator().manual_seed(seed)
    painter = compile_painter()
    for _ in range(0, clips, CHUNK):
        frames = codec.group(random_clips(CHUNK, generator, painter).video)
        mean = frames.mean(dim=4)
        images.append(mean.flatten(0, 3))
        motions.append((frames - mean.unsqueeze(4)).flatten(4)[:, 1:].flatten(0, 3))
    image = torch.cat(images)
    codec.image_mean.copy_(image.mean(dim=0))
    image_basis, image_scale = principal_components(image - codec.image_mean, config.image_channels)
    motion_basis, motion_scale = principal_components(torch.cat(motions), config.motion_channels)
    codec.image_basis.copy_(image_basis)
    codec.motion_basis.copy_(motion_basis)
    scale = torch.cat([image_scale, motion_scale]).sqrt()
    # One common factor brings the mean variance of the channels to one.
    codec.channel_scale.copy_(scale * (torch.cat([image_scale, motion_scale]) / scale).square().mean().sqrt())
    return codec


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of two tensors in [-1, 1]."""
    return float(10 * torch.log10(4.0 / (a - b).square().mean()))


def main() -> None:
    """Fit, report the linear codec's quality on other clips, and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--image-channels", type=int, default=160)
    parser.add_argument("--motion-channels", type=int, default=64)
    arguments = parser.parse_args()
    config = PatchVAEConfig(
        image_channels=arguments.image_channels, motion_channels=arguments.motion_channels
    )
    with torch.inference_mode():
        codec = fit(config, arguments.clips, arguments.seed)
        video = random_clips(CHUNK, torch.Generator().manual_seed(arguments.seed + 1)).video
        latents = codec.encode(video)
        decoded = codec.decode(latents)
    print(f"linear codec: {psnr(decoded, video):.2f} dB, latent variance {float(latents.var()):.3f}")
    save_part(arguments.out, "patch_vae", config, codec)


if __name__ == "__main__":
    main()
