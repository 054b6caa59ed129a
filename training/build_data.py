"""Draw nano's training clips and store their latents.

    python -m training.build_data --codec FILE --bank DIR --out DIR [--clips 40960] [--workers 2]

Writes into the folder (N clips; each is a person of its own):
    latents.npy   (N, C, 5, 4, 4) float16, of the video codec
    photos.npy    (N, 2, 3, 64, 64) uint8, reference photos with and without camera faults
    factors.npy   (N, A) float16, who the person is
    index.npy     (N, 5) int16: scene, action, voice of the bank, phrase (64 = silent), frames before it
    frames.npy    (M, 17, 3, 64, 64) uint8, pixels of the first M clips, for the decoder's training
    done.npy      chunks that are complete: a killed build goes on from here
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from wan_core.checkpoints.nano import load_part
from wan_core.vae.patch_vae import PatchVAE

from .clips import draw_clips
from .dataset import SILENT
from .delays import delay, draw_delays
from .nano_config import FRAMES, SIZE
from .pixels import to_bytes
from .world.bank import SpeechBank
from .world.identity import FACTOR_NAMES
from .world.photo import render_photo
from .world.picture import Painter, compile_painter
from .world.speech import PHRASES

CHUNK = 64
SILENT_SHARE = 0.08


@dataclass(frozen=True, slots=True)
class Job:
    """What every worker needs to know; see the command's help."""

    codec: Path
    bank: Path
    out: Path
    clips: int
    frames: int
    seed: int
    workers: int


def open_arrays(job: Job, latent_channels: int) -> dict[str, NDArray[np.generic]]:
    """Open, and create where they are missing, the arrays of the data set."""
    shapes: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
        "latents": ((job.clips, latent_channels, (FRAMES - 1) // 4 + 1, SIZE // 16, SIZE // 16), np.float16),
        "photos": ((job.clips, 2, 3, SIZE, SIZE), np.uint8),
        "factors": ((job.clips, len(FACTOR_NAMES)), np.float16),
        "index": ((job.clips, 5), np.int16),
        "frames": ((job.frames, FRAMES, 3, SIZE, SIZE), np.uint8),
        "done": ((job.clips // CHUNK,), np.bool_),
    }
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, (shape, kind) in shapes.items():
        path = job.out / f"{name}.npy"
        mode = "r+" if path.exists() else "w+"
        arrays[name] = np.lib.format.open_memmap(path, mode=mode, dtype=kind, shape=shape)
    return arrays


def draw_chunk(
    job: Job,
    chunk: int,
    arrays: dict[str, NDArray[np.generic]],
    codec: PatchVAE,
    bank: SpeechBank,
    painter: Painter,
) -> None:
    """Draw and store one chunk; it depends on the seed and its number alone."""
    generator = torch.Generator().manual_seed(job.seed * 1_000_003 + chunk)
    voice = torch.randint(len(bank.train_voices), (CHUNK,), generator=generator)
    phrase = torch.randint(PHRASES, (CHUNK,), generator=generator)
    silent = torch.rand(CHUNK, generator=generator) < SILENT_SHARE
    mouth = torch.from_numpy(np.stack([bank.mouth[v, p] for v, p in zip(voice, phrase, strict=True)])).float()
    mouth = torch.where(silent[:, None], 0.0, mouth)
    # From a source of its own, so that people and photos do not depend on when somebody speaks.
    late = draw_delays(mouth, torch.Generator().manual_seed(-1 - generator.initial_seed()))
    mouth = delay(mouth, late)
    clips = draw_clips(mouth, generator, painter=painter)
    photos = [
        render_photo(clips.identity, generator, augment=augment, painter=painter) for augment in (True, False)
    ]
    rows = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
    arrays["latents"][rows] = codec.encode(clips.video).half().numpy()
    arrays["photos"][rows] = to_bytes(torch.stack(photos, dim=1)).numpy()
    arrays["factors"][rows] = clips.identity.factors.half().numpy()
    arrays["index"][rows] = torch.stack(
        [clips.scene, clips.action, voice, phrase.where(~silent, torch.tensor(SILENT)), late], 1
    ).numpy()
    if rows.stop <= job.frames:
        arrays["frames"][rows] = to_bytes(clips.video.transpose(1, 2)).numpy()
    arrays["done"][chunk] = True


def work(rank: int, job: Job) -> None:
    """Draw every chunk of one worker that is not there yet."""
    torch.set_num_threads(1)
    codec = load_part(job.codec, "patch_vae")
    assert isinstance(codec, PatchVAE)
    bank = SpeechBank(job.bank)
    arrays = open_arrays(job, codec.config.latent_channels)
    painter = compile_painter()
    started, count = time.monotonic(), 0
    with torch.inference_mode():
        for chunk in range(rank, job.clips // CHUNK, job.workers):
            if not arrays["done"][chunk]:
                draw_chunk(job, chunk, arrays, codec, bank, painter)
                count += 1
                if count % 20 == 0:
                    print(
                        f"worker {rank}: chunk {chunk}, {count * CHUNK / (time.monotonic() - started):.0f} clips/s",
                        flush=True,
                    )


def main() -> None:
    """Read the command line, create the arrays and start the workers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--codec", type=Path, required=True)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=40960)
    parser.add_argument("--frames", type=int, default=4096, help="clips whose pixels are kept")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    job = Job(**vars(parser.parse_args()))
    job.out.mkdir(parents=True, exist_ok=True)
    codec = load_part(job.codec, "patch_vae")
    assert isinstance(codec, PatchVAE)
    open_arrays(job, codec.config.latent_channels)
    torch.multiprocessing.spawn(work, (job,), nprocs=job.workers)


if __name__ == "__main__":
    main()
