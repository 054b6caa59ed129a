"""One forward of the transformer: ours, diffusers' and ComfyUI core's, around the same random weights.

    python -m benchmarks.dit_forward [--comfyui FOLDER] [--tokens 400 2000] [--layers 4] [--runs 3] [--threads 1]
        [--dtypes float32 bfloat16] [--device cpu] [--json FILE]

The width of Wan2.1 1.3B with few blocks, one process, contenders taking turns. `ours` has its text keys and values
prepared, as in a sampling run; `ours, nothing prepared` is called as the official code is. On a CPU the time is
processor time of one thread (`benchmarks/clock.py`), on CUDA wall time. ComfyUI is COMFYUI_PATH or comfy-cli's default
workspace unless named.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .clock import interleaved, peak_megabytes
from .peers import (
    make_contenders,
    make_inputs,
    print_head,
    print_row,
    random_weights,
    transformer_options,
    wan_config,
)


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
    parser = transformer_options(__doc__)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cases: dict[str, dict[str, dict[str, Any]]] = {}
    print_head("x best peer")
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
                print_row(case, contender, value, "times_best_peer")
            if arguments.json is not None:
                settings = {key: getattr(arguments, key) for key in ("layers", "runs", "threads", "device")}
                arguments.json.write_text(
                    json.dumps({**settings, "cases": cases}, indent=1), encoding="utf-8"
                )


if __name__ == "__main__":
    main()
