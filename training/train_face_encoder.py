"""Pretrain nano's face encoder to read a person's factors from one reference photo, then embed every prepared photo.

    python -m training.train_face_encoder --data DIR --out FILE [--steps 3000]

The encoder is frozen afterwards, like the face recogniser of a large model; the resampler learns with the transformer.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wan_core.checkpoints.nano import save_part
from wan_core.identity.config import FaceEncoderConfig
from wan_core.identity.encoder import FaceEncoder

from .pixels import to_pixels
from .runs import RunLog


def augment(photos: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror, shift and recolour a little: cheap variety on top of the photos' own, (N, 3, H, W) to the same."""
    count = photos.shape[0]
    flip = torch.rand(count, 1, 1, 1, generator=generator) < 0.5
    photos = torch.where(flip, photos.flip(-1), photos)
    dx, dy = (int(v) for v in torch.randint(-3, 4, (2,), generator=generator))
    photos = torch.roll(photos, (dy, dx), dims=(2, 3))
    gain = 1 + 0.06 * torch.randn(count, 3, 1, 1, generator=generator)
    return (photos * gain + 0.03 * torch.randn(photos.shape, generator=generator)).clamp(-1, 1)


def main() -> None:
    """Train, report the held-out error of each factor, save the encoder and the embeddings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch-size", type=int, default=96)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    torch.backends.mkldnn.conv.fp32_precision = "bf16"
    torch.manual_seed(arguments.seed)
    photos = np.load(arguments.data / "photos.npy", mmap_mode="r")
    factors = torch.from_numpy(np.load(arguments.data / "factors.npy")).float()
    people, views = photos.shape[:2]
    held_out = min(512, people // 10)
    encoder = FaceEncoder(FaceEncoderConfig()).to(memory_format=torch.channels_last)
    head = nn.Linear(encoder.config.embed_dim, factors.shape[1])
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=arguments.learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, arguments.learning_rate, total_steps=arguments.steps, pct_start=0.05
    )
    log = RunLog(arguments.data / "face_encoder.jsonl")
    generator = torch.Generator().manual_seed(arguments.seed)
    started, total = time.monotonic(), 0.0
    for step in range(arguments.steps):
        rows = torch.randint(people - held_out, (arguments.batch_size,), generator=generator).sort().values
        view = int(torch.randint(views, (1,), generator=generator))
        batch = augment(to_pixels(torch.from_numpy(photos[rows.numpy(), view])), generator)
        loss = functional.mse_loss(head(encoder(batch)), factors[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if (step + 1) % 100 == 0:
            log.write(step=step + 1, loss=round(total / 100, 4), seconds=round(time.monotonic() - started, 1))
            total = 0.0
    encoder.train(False)
    with torch.inference_mode():
        embeds = torch.stack(
            [
                torch.cat(
                    [
                        encoder(to_pixels(torch.from_numpy(photos[i : i + 512, view])))
                        for i in range(0, people, 512)
                    ]
                )
                for view in range(views)
            ],
            dim=1,
        )
        read = head(embeds[people - held_out :, 0])
        error = (read - factors[people - held_out :]).square().mean(0) / factors.var(0)
    log.write(held_out_unexplained=[round(float(v), 3) for v in error], mean=round(float(error.mean()), 4))
    np.save(arguments.data / "embeds.npy", embeds.half().numpy())
    save_part(arguments.out, "face_encoder", encoder.config, encoder)


if __name__ == "__main__":
    main()
