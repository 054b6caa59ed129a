"""Let nano draw its own training clips again, so that the decoder can be trained on what sampling leaves behind.

    python -m training.redraw --data DIR --bank DIR [--weights DIR] [--clips 1024]

Noise is added to a clip up to some level and sampled away again, with the clip's own prompt, face and sound and with
the guidance that `generate` uses. Content stays in place, so that the true frames remain the target; the seams and the
grain are those of sampling. Written to `redrawn.npy` in the data folder, a batch at a time: a killed run goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from wan_core.pipelines.bundle import NanoBundle, load_bundle
from wan_core.pipelines.conditions import NanoDenoiser, make_conditions
from wan_core.pipelines.defaults import NanoDefaults
from wan_core.sampling import AVSigmas, flow_sigmas, sample
from wan_core.types import AVLatents

from .dataset import ClipDataset
from .runs import RunLog
from .trainee import mix

BATCH = 32
STEPS = 14
#: Noise levels that clips are taken back to: the lowest leave seams and grain already, and above the
#: highest little of a clip's place is left.
LOWEST, HIGHEST = 0.3, 0.92


@torch.inference_mode()
def redraw(bundle: NanoBundle, dataset: ClipDataset, rows: Tensor, generator: torch.Generator) -> Tensor:
    """Draw clips again from a random noise level.

    Args:
        rows: clips, (B,).   generator: of the noise and its level, one level a batch.
    Returns: latents (B, C, G, h, w).
    """
    settings = NanoDefaults()
    latents = torch.from_numpy(dataset.latents[rows.numpy()].astype(np.float32))
    scene, action, voice, phrase, late = dataset.index[rows].unbind(dim=1)
    chain = make_conditions(
        bundle,
        dataset.prompts[scene, action, phrase],
        torch.zeros_like(dataset.prompts[0, 0, :1]),
        bundle.identity.resampler(dataset.embeds[rows, :1]),
        dataset.voice_tokens[voice, 0],
        settings.scales,
    )
    grid = flow_sigmas(STEPS, settings.shift)
    level = LOWEST + (HIGHEST - LOWEST) * float(torch.rand((), generator=generator))
    grid = grid[int((grid > level).sum()) :]
    noise = torch.randn(latents.shape, generator=generator)
    noisy = mix(latents, noise, torch.full((len(rows),), float(grid[0])))
    sound = dataset.sound(voice, phrase, late)
    start = AVLatents(noisy, sound)
    with sdpa_kernel([SDPBackend.MATH]):
        return sample(NanoDenoiser(bundle.dit), start, AVSigmas(grid, torch.zeros_like(grid)), chain).video


def main() -> None:
    """Redraw the first clips of the data."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder written by training.build_data")
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="folder of exported parts; the shipped ones if left out")
    parser.add_argument("--clips", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    bundle = load_bundle(arguments.weights)
    dataset = ClipDataset(arguments.data, arguments.bank, bundle.text.config.max_tokens)
    log = RunLog(arguments.data / "redraw.jsonl")
    path = arguments.data / "redrawn.npy"
    shape = (arguments.clips, *dataset.latents.shape[1:])
    done = np.load(path, mmap_mode="r") if path.exists() else np.zeros((0, *shape[1:]), np.float16)
    for first in range(len(done), arguments.clips, BATCH):
        rows = torch.arange(first, min(first + BATCH, arguments.clips))
        generator = torch.Generator().manual_seed(arguments.seed * 1_000_003 + first)
        drawn = redraw(bundle, dataset, rows, generator).numpy().astype(np.float16)
        done = np.concatenate([done, drawn])
        np.save(path.with_suffix(".part.npy"), done)
        path.with_suffix(".part.npy").replace(path)
        log.write(clips=len(done))


if __name__ == "__main__":
    main()
