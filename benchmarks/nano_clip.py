"""How long nano takes for its clip, and how much memory, on this machine.

    python -m benchmarks.nano_clip [--runs 3] [--json FILE]

The ratio is time over the clip's own length; the fastest run counts, after one that warms up.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import torch

from wan_core.media import read_voice
from wan_core.media.photos import read_photo
from wan_core.pipelines.bundle import default_folder, load_bundle
from wan_core.pipelines.generate import Progress, generate
from wan_core.pipelines.request import Character, GenerateRequest


class Stopwatch:
    """Progress callback that adds up the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def __call__(self, progress: Progress) -> None:
        """Charge the time since the last call to the stage that reports."""
        now = time.perf_counter()
        self.seconds[progress.stage] = self.seconds.get(progress.stage, 0.0) + now - self._last
        self._last = now


def peak_gigabytes() -> float:
    """Largest resident memory of this process so far, in GB (Linux counts in kilobytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    """Make the demo's clip several times and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    examples = default_folder().parent / "examples"
    started = time.perf_counter()
    bundle = load_bundle()
    loading = time.perf_counter() - started
    character = Character(
        name="character1",
        photos=(read_photo(examples / "portrait.png").pixels,),
        voice=read_voice(examples / "voice.wav").clip,
        face="whole",
    )
    request = GenerateRequest(
        prompt='character1 waves at the beach and says "hello everyone"', characters=(character,)
    )
    runs: list[tuple[float, dict[str, float]]] = []
    clip_seconds = 0.0
    for _ in range(arguments.runs + 1):
        stopwatch, started = Stopwatch(), time.perf_counter()
        result = generate(request, bundle, stopwatch)
        runs.append((time.perf_counter() - started, stopwatch.seconds))
        clip_seconds = result.video.shape[2] / result.fps
    total, stages = min(runs[1:], key=lambda run: run[0])
    row = {
        "threads": torch.get_num_threads(),
        "load_s": loading,
        "clip_s": total,
        **{f"{stage}_s": seconds for stage, seconds in stages.items()},
        "times_clip_length": total / clip_seconds,
        "peak_gb": peak_gigabytes(),
    }
    for name, value in row.items():
        print(f"{name:20s} {value:8.2f}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(row, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
