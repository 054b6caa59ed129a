"""Tiny Lynx adapters and transformers from the golden files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tiny_dit import tiny_config
from torch import Tensor

from wan_core.checkpoints.key_maps import DIFFUSERS_RULES, rename
from wan_core.checkpoints.lynx import load_lynx
from wan_core.dit.model import WanModel
from wan_core.identity.lynx import LynxAdapter

GOLDEN = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True)
class TinyLynx:
    """Numbers of the official run, and the same weights in this project's modules."""

    golden: dict[str, Tensor]
    model: WanModel
    adapter: LynxAdapter


def golden_lynx(variant: str) -> dict[str, Tensor]:
    """Everything of a golden file, in float32."""
    return {key: value.float() for key, value in load_file(GOLDEN / f"lynx_{variant}.safetensors").items()}


def part(golden: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {
        key.removeprefix(prefix): value.contiguous()
        for key, value in golden.items()
        if key.startswith(prefix)
    }


def write_official(golden: dict[str, Tensor], folder: Path) -> Path:
    """Write the files of the official folder."""
    folder.mkdir(exist_ok=True)
    for name in ("resampler", "ip_layers", "ref_layers"):
        if tensors := part(golden, f"{name}."):
            save_file(tensors, folder / f"{name}.safetensors")
    return folder


def write_merged(golden: dict[str, Tensor], path: Path, step: int) -> Path:
    """Write one file in the merged layout. step: blocks from one identity layer to the next."""
    tensors = {f"resampler.{key}": value for key, value in part(golden, "resampler.").items()}
    for key, value in part(golden, "ip_layers.").items():
        number, rest = key.split(".", 1)
        tensors[f"blocks.{step * int(number)}.cross_attn.ip_adapter.{rest}"] = value
    for key, value in part(golden, "ref_layers.").items():
        number, rest = key.split(".", 1)
        tensors[f"blocks.{number}.self_attn.ref_adapter.{rest}"] = value
    save_file(tensors, path)
    return path


def tiny_lynx(variant: str, folder: Path) -> TinyLynx:
    """Build from the golden file. variant: full or lite.   folder: for the adapter's files."""
    golden = golden_lynx(variant)
    base = part(golden, "base.")
    names = rename(base, "", DIFFUSERS_RULES)
    blocks = 1 + max(int(name.split(".")[1]) for name in names.values() if name.startswith("blocks."))
    model = WanModel(tiny_config(dim=32, ffn_dim=48, freq_dim=16, num_layers=blocks))
    model.load_state_dict({names[key]: value for key, value in base.items()})
    adapter = load_lynx(write_official(golden, folder / variant))
    return TinyLynx(golden, model.train(False).requires_grad_(False), adapter.requires_grad_(False))


def error(found: Tensor, expected: Tensor) -> float:
    """Relative error."""
    return float((found.double() - expected.double()).norm() / expected.double().norm())


def zero_time(batch: int, value: float) -> Tensor:
    """A timestep for every sample."""
    return torch.full((batch,), value)
