"""Train the learned half of nano's video decoder on top of the fitted linear codec.

    python -m training.train_refiner --codec FILE --data DIR --bank DIR --run DIR --out FILE [--minutes 15]

Half of the latents are replaced by what nano's own transformer makes of them after noise was added, so that the decoder
learns to clean the grain and the seams that sampling leaves, not only to sharpen. A killed run goes on from its
checkpoint.
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

from .dataset import ClipDataset
from .export import load_averaged
from .fit_codec import psnr
from .pixels import to_pixels
from .runs import RunLog, load_state, save_state
from .trainee import Batch, Trainee, mix

REFINER_BLOCKS = 3


@torch.no_grad()
def estimate(
    trainee: Trainee, dataset: ClipDataset, rows: Tensor, latents: Tensor, generator: torch.Generator
) -> Tensor:
    """Noise latents and let the transformer clean them in one step, with the clip's own prompt, face and sound.

    Args:
        rows: clips, (B,).   latents: of these clips, (B, C, G, h, w).
    Returns: the transformer's estimate of the clean latents, same shape.
    """
    count = len(rows)
    scene, action, voice, phrase, late = dataset.index[rows].unbind(dim=1)
    sigma = 0.08 + 0.5 * torch.rand(count, generator=generator)
    audio = dataset.sound(voice, phrase, late)
    batch = Batch(
        video=latents,
        audio=audio,
        token_ids=dataset.prompts[scene, action, phrase],
        face_embeds=dataset.embeds[rows, :1],
        voice_tokens=dataset.voice_tokens[voice, 0],
        keep_identity=torch.ones(count),
        keep_voice=torch.ones(count),
        video_sigma=sigma,
        audio_sigma=torch.zeros(count),
        video_noise=torch.randn(latents.shape, generator=generator),
        audio_noise=torch.zeros_like(audio),
    )
    velocity = trainee(batch, True).video
    return mix(latents, batch.video_noise, sigma) - sigma.view(-1, 1, 1, 1, 1) * velocity


def add_refiner(linear: PatchVAE) -> PatchVAE:
    """Return a codec with the same linear half and a fresh learned half."""
    codec = PatchVAE(replace(linear.config, refiner_blocks=REFINER_BLOCKS))
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


def main() -> None:
    """Train and save the whole codec."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with frames.npy of training.build_data"
    )
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder of training.train")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=1.5e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    torch.manual_seed(arguments.seed)
    codec = add_refiner(load_part(arguments.codec, "patch_vae"))
    dataset = ClipDataset(arguments.data, arguments.bank, max_tokens=16)
    trainee, _ = load_averaged(arguments.run, dataset.latent_channels)
    assert codec.refiner is not None
    refiner = codec.refiner.to(memory_format=torch.channels_last)
    parameters = list(refiner.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=arguments.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    frames = np.load(arguments.data / "frames.npy", mmap_mode="r")
    held_out = 32
    checkpoint, step = arguments.out.with_suffix(".state"), 0
    if (state := load_state(checkpoint)) is not None:
        refiner.load_state_dict(state[0])
        step = int(state[1]["step"])
    log = RunLog(arguments.data / "refiner.jsonl")
    started, total = time.monotonic(), 0.0
    test = to_pixels(torch.from_numpy(frames[-held_out:])).transpose(1, 2)
    while (elapsed := (time.monotonic() - started) / (60 * arguments.minutes)) < 1:
        generator = torch.Generator().manual_seed(arguments.seed * 1_000_003 + step)
        optimizer.param_groups[0]["lr"] = arguments.learning_rate * min(
            1, (step + 1) / 100, 2.5 * (1 - elapsed) + 0.01
        )
        rows = (
            torch.randint(len(frames) - held_out, (arguments.batch_size,), generator=generator).sort().values
        )
        video = to_pixels(torch.from_numpy(frames[rows.numpy()])).transpose(1, 2)
        with torch.no_grad():
            latents = codec.encode(video)
            half = len(rows) // 2
            guessed = estimate(trainee, dataset, rows[:half], latents[:half], generator)
            latents = torch.cat([guessed, latents[half:]])
            target = codec.ungroup(codec.group(video))
        error = decode_groups(codec, latents) - target
        # Squared error for the dB, absolute error for crisp edges.
        loss = error.square().mean() + 0.1 * error.abs().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 0.5)
        optimizer.step()
        step += 1
        total += float(loss.detach())
        if step % 100 == 0:
            with torch.inference_mode():
                linear = psnr(codec.decode_linear(codec.encode(test)), codec.ungroup(codec.group(test)))
                refined = psnr(codec.decode(codec.encode(test)), test)
            log.write(
                step=step,
                loss=round(total / 100, 5),
                linear_db=round(linear, 2),
                refined_db=round(refined, 2),
            )
            save_state(checkpoint, refiner.state_dict(), {"step": step})
            total = 0.0
    save_part(arguments.out, "patch_vae", codec.config, codec)


if __name__ == "__main__":
    main()
