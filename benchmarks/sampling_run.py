"""A whole sampling run with guidance: ours, diffusers' and ComfyUI core's, around the same random weights.

    python -m benchmarks.sampling_run [--comfyui FOLDER] [--tokens 400 2000] [--layers 4] [--steps 20] [--measured 20]
        [--threads 1] [--dtypes float32 bfloat16] [--device cpu] [--few] [--json FILE]

Euler steps of flow matching with classifier-free guidance, a prompt of 30 tokens and a negative one of 126. The
contenders take turns after each step, so that a machine that gets busy slows all of them. A run is what ours prepares
once (packed weights, keys and values of both prompts), the first step, with whatever anybody sets up in it, and the
median of the later steps times their number; `--measured` steps are taken, and the latents compared after them.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wan_core.sampling.sigmas import flow_sigmas

from .clock import peak_megabytes, seconds
from .dit_forward import relative_error
from .peers import (
    make_contenders,
    make_inputs,
    print_head,
    print_row,
    random_weights,
    transformer_options,
    wan_config,
)

SHIFT, SCALE = 5.0, 5.0
TARGETS = {400: 1.5, 2000: 1.3}


class Run:
    """The state of one contender's run."""

    def __init__(self, contender: Any, latents: Tensor, sigmas: Tensor) -> None:
        self.contender, self.sigmas, self.x, self.index = contender, sigmas, latents.float(), 0
        self.dtype = latents.dtype

    def step(self) -> None:
        """Take one Euler step."""
        now, after = float(self.sigmas[self.index]), float(self.sigmas[self.index + 1])
        timestep = torch.tensor([now * 1000], device=self.x.device)
        velocity = self.contender.guided(self.x.to(self.dtype), timestep, SCALE)
        self.x, self.index = self.x + (after - now) * velocity.float(), self.index + 1


def measure(
    tokens: int,
    dtype: torch.dtype,
    device: torch.device,
    comfyui: Path | None,
    layers: int,
    few: bool,
    steps: int,
    measured: int,
) -> dict[str, dict[str, Any]]:
    """Seconds of a run, times as fast as the best peer, peak memory and difference from diffusers, per contender.

    The memory is that of one forward.
    """
    config = wan_config(layers)
    latents, contexts = make_inputs(tokens, dtype, device)
    contenders = make_contenders(config, random_weights(config, dtype, device), contexts, comfyui, few=few)
    sigmas = flow_sigmas(steps, SHIFT)
    timestep = torch.tensor([700.0], device=device)
    runs = {name: Run(contender, latents, sigmas) for name, contender in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(measured):
        for name, run in runs.items():
            times[name].append(seconds(run.step, device))
    total = {
        name: contenders[name].once + taken[0] + (steps - 1) * statistics.median(taken[1:])
        for name, taken in times.items()
    }
    best = min(time for name, time in total.items() if not name.startswith("ours"))
    return {
        name: {
            "seconds": total[name],
            "once_seconds": contenders[name].once,
            "first_step_seconds": times[name][0],
            "step_seconds": statistics.median(times[name][1:]),
            "speed_of_best_peer": best / total[name],
            "peak_mb": peak_megabytes(lambda c=contenders[name]: c.forward(latents, timestep), device),
            "relative_error": relative_error(run.x, runs["diffusers"].x),
        }
        for name, run in runs.items()
    }


@torch.inference_mode()
def main() -> None:
    """Measure every case and print the table."""
    parser = transformer_options(__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--measured", type=int, default=20)
    parser.add_argument("--few", action="store_true", help="one form of each implementation, its fastest")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    settings = {key: getattr(arguments, key) for key in ("layers", "steps", "measured", "threads", "device")}
    cases: dict[str, dict[str, dict[str, Any]]] = {}
    targets: dict[str, dict[str, Any]] = {}
    print_head("x speed")
    for name in arguments.dtypes:
        for tokens in arguments.tokens:
            row = measure(
                tokens,
                getattr(torch, name),
                torch.device(arguments.device),
                arguments.comfyui,
                arguments.layers,
                arguments.few,
                arguments.steps,
                arguments.measured,
            )
            case = f"{tokens} tokens, {name}"
            cases[case] = row
            for contender, value in row.items():
                print_row(case, contender, value, "speed_of_best_peer")
            if tokens in TARGETS and arguments.device == "cpu":
                value, target = row["ours"]["speed_of_best_peer"], TARGETS[tokens]
                targets[case] = {"value": value, "target": target, "met": value >= target}
            if arguments.json is not None:
                text = json.dumps({**settings, "cases": cases, "targets": targets}, indent=1)
                arguments.json.write_text(text, encoding="utf-8")
    for case, found in targets.items():
        print(f"{case}: {found['value']:.2f} times as fast as the best peer (target {found['target']})")


if __name__ == "__main__":
    main()
