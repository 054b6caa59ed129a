"""Interleaved timing of contenders in one process, and the peak memory of each."""

from __future__ import annotations

import ctypes
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Time that one call takes: on a CPU its processor time, which other programs hardly touch; on CUDA wall time.

    With one thread, processor time is what the call takes on an idle machine.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        started = time.perf_counter()
        work()
        torch.cuda.synchronize(device)
        return time.perf_counter() - started
    started = time.process_time()
    work()
    return time.process_time() - started


def interleaved(work: dict[str, Callable[[], object]], runs: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each contender; they take turns, and the first turn only warms up."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(runs + 1):
        for name, call in work.items():
            taken = seconds(call, device)
            if turn:
                times[name].append(taken)
    return {name: statistics.median(taken) for name, taken in times.items()}


def peak_megabytes(work: Callable[[], object], device: torch.device) -> float | None:
    """Memory that one call needs beyond what was in use before it; None where the system does not tell.

    On a CPU: growth of the resident memory, which Linux tells.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return (torch.cuda.max_memory_allocated(device) - before) / 1e6
    if not sys.platform.startswith("linux"):
        return None
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _resident("VmRSS")
    work()
    return (_resident("VmHWM") - before) / 1e6


def _resident(field: str) -> float:
    """A size of this process in bytes."""
    found = re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text(encoding="ascii"))
    return float(found[1]) * 1024 if found else 0.0
