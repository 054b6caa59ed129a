"""HuMo transformers with random weights, small but with speech of the published sizes, as ComfyUI's own loader asks."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from tiny_wan import random_state, wan_config

from wan_core.dit.config import SpeechConfig

FAMILIES = {
    "humo_1_7b": wan_config(speech=SpeechConfig()),
    "humo_17b": wan_config(in_channels=36, speech=SpeechConfig()),
}


def write_tiny_humo(folder: Path) -> None:
    """Write `tiny_humo_1_7b.safetensors` and `tiny_humo_17b.safetensors`; their width and depth alone are small."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, config) in enumerate(FAMILIES.items()):
        save_file(random_state(config, 20 + seed), folder / f"tiny_{name}.safetensors")
