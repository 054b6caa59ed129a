"""Lynx with random weights, full and lite, for the transformer of `tiny_wan`, and a recogniser."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from wan_core.identity.arcface import ArcFace
from wan_core.identity.config import ResamplerConfig
from wan_core.identity.lynx import LynxAdapter, LynxConfig

DIM, BLOCKS = 128, 2


def lynx_config(variant: str, dim: int = DIM, blocks: int = BLOCKS) -> LynxConfig:
    """Sizes that fit a transformer of `blocks` blocks."""
    is_full = variant == "full"
    return LynxConfig(
        variant="full" if is_full else "lite",
        resampler=ResamplerConfig(dim=64, depth=1, heads=1, queries=4, in_dim=512, out_dim=48, ff_mult=2),
        dim=dim,
        num_blocks=blocks,
        blocks=tuple(range(0, blocks, 1 if is_full else 2)),
        registers=2 if is_full else 0,
        has_reference=is_full,
    )


def write_lynx(folder: Path, variant: str, seed: int = 3, dim: int = DIM, blocks: int = BLOCKS) -> Path:
    """Write the official files of an adapter into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    adapter = LynxAdapter(lynx_config(variant, dim, blocks))
    state: dict[str, torch.Tensor] = {}
    for name, tensor in adapter.state_dict().items():
        values = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim > 1:
            values = values / tensor.shape[-1] ** 0.5
        elif "norm" in name and name.endswith("weight"):
            values = 1 + 0.1 * values
        state[name] = values.contiguous()
    for part in ("resampler", "ip_layers", "ref_layers"):
        tensors = {key.removeprefix(f"{part}."): t for key, t in state.items() if key.startswith(f"{part}.")}
        if tensors:
            save_file(tensors, folder / f"{part}.safetensors")
    return folder


def write_recogniser(path: Path, seed: int = 4) -> Path:
    """Write facexlib's ArcFace, in its one size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        save_file({key: t.contiguous() for key, t in ArcFace().state_dict().items()}, path)
    return path
