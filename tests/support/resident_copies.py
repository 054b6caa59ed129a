"""What the fastest form of a float32 transformer adds to this process's memory, printed as JSON.

A process of its own, since one that ran other tests has free memory of theirs to put copies into.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from tiny_dit import normal, tiny_config

from wan_core.dit.config import WanConfig
from wan_core.dit.execution import for_inference
from wan_core.dit.model import WanModel


def wide_config() -> WanConfig:
    """One block with weights of 52 MB that are worth a copy."""
    return tiny_config(dim=768, ffn_dim=6144, num_layers=1)


def resident_bytes() -> int:
    """What this process holds in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bytes_after_each_forward(count: int) -> list[int]:
    """Memory in use after each of some equal forwards; copies are made in the second."""
    model = for_inference(WanModel(wide_config()).requires_grad_(False))
    x, time, held = normal(1, 4, 2, 8, 8), torch.tensor([500.0]), list[int]()
    with torch.no_grad():
        context = model.prepare(normal(1, 20, 12))
        for _ in range(count):
            model(x, time, context)
            held.append(resident_bytes())
    return held


if __name__ == "__main__":
    print(json.dumps(bytes_after_each_forward(3)))  # noqa: T201
