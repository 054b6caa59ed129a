"""One forward of the transformer: ours, diffusers' and ComfyUI core's, around the same random weights.

    python -m benchmarks.dit_forward [--comfyui FOLDER] [--tokens 400 2000] [--layers 4] [--runs 3] [--threads 1]
        [--dtypes float32 bfloat16] [--device cpu] [--json FILE]

The width of Wan2.1 1.3B with few blocks, one process, contenders taking turns. `ours` has its text keys and values
prepared, as in a sampling run; `ours, nothing prepared` is called as the official code is. On a CPU the time is
processor time of one thread (`benchmarks/clock.py`), on CUDA wall time. ComfyUI is COMFYUI_PATH or comfy-cli's default
workspace unless named.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .clock import interleaved, peak_megabytes
from .peers import find_comfyui, make_contenders, make_inputs, random_weights, wan_config


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm of what was expected."""
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def measure(
    tokens: int, layers: int, runs: int, dtype: torch.dtype, device: torch.device, comfyui: Path | None
) -> dict[str, dict[str, Any]]:
    """Median seconds, ratio to the best peer, peak memory and difference from diffusers, for each contender."""
    config = wan_config(layers)
    latents, contexts = make_inputs(tokens, dtype, device)
    contenders = make_contenders(config, random_weights(config, dtype, device), contexts, comfyui)
    timestep = torch.tensor([700.0], device=device)
    work = {name: lambda c=contender: c.forward(latents, timestep) for name, contender in contenders.items()}
    expected = work["diffusers"]()
    errors = {name: relative_error(call(), expected) for name, call in work.items()}
    taken = interleaved(work, runs, device)
    best = min(time for name, time in taken.items() if not name.startswith("ours"))
    return {
        name: {
            "seconds": taken[name],
            "times_best_peer": taken[name] / best,
            "peak_mb": peak_megabytes(call, device),
            "relative_error": errors[name],
        }
        for name, call in work.items()
    }


@torch.inference_mode()
def main() -> None:
    """Measure every case and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--comfyui", type=Path, default=find_comfyui())
    parser.add_argument("--tokens", type=int, nargs="+", default=[400, 2000])
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cases: dict[str, dict[str, dict[str, Any]]] = {}
    print(
        f"{'case':22s} {'contender':24s} {'seconds':>8s} {'x best peer':>12s} {'peak MB':>8s} {'difference':>11s}"
    )
    for name in arguments.dtypes:
        for tokens in arguments.tokens:
            row = measure(
                tokens,
                arguments.layers,
                arguments.runs,
                getattr(torch, name),
                torch.device(arguments.device),
                arguments.comfyui,
            )
            case = f"{tokens} tokens, {name}"
            cases[case] = row
            for contender, value in row.items():
                memory = "-" if value["peak_mb"] is None else f"{value['peak_mb']:.0f}"
                print(
                    f"{case:22s} {contender:24s} {value['seconds']:8.3f} {value['times_best_peer']:12.2f} {memory:>8s} "
                    f"{value['relative_error']:11.1e}",
                    flush=True,
                )
            if arguments.json is not None:
                settings = {key: getattr(arguments, key) for key in ("layers", "runs", "threads", "device")}
                arguments.json.write_text(
                    json.dumps({**settings, "cases": cases}, indent=1), encoding="utf-8"
                )


if __name__ == "__main__":
    main()
