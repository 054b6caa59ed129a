"""A tiny Lynx of the true layout for the Wan2.1 of `wan_release`, its recogniser and a detector; weights are random."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from arcface_weights import arcface_weights
from safetensors.torch import save_file
from scrfd_graph import write_landmark_detector
from wan_release import CONFIGS

from wan_core.identity.arcface import ArcFace
from wan_core.identity.config import ResamplerConfig
from wan_core.identity.lynx import LynxAdapter, LynxConfig

RECOGNISER = "recognition_arcface_ir_se50.safetensors"


@dataclass(frozen=True)
class LynxRelease:
    """Folders of both versions, each as published, with the recogniser beside them; file of the detector."""

    full: Path
    lite: Path
    recogniser: Path
    detector: Path


def write_lynx(folder: Path) -> LynxRelease:
    """Write everything under a folder."""
    tower = CONFIGS["t2v"]
    for name in ("full", "lite"):
        is_full = name == "full"
        config = LynxConfig(
            variant="full" if is_full else "lite",
            resampler=ResamplerConfig(
                dim=64, depth=1, heads=1, queries=4, in_dim=512, out_dim=tower.dim if is_full else 48
            ),
            dim=tower.dim,
            num_blocks=tower.num_layers,
            blocks=tuple(range(0, tower.num_layers, 1 if is_full else 2)),
            registers=2 if is_full else 0,
            has_reference=is_full,
        )
        adapter = LynxAdapter(config)
        generator = torch.Generator().manual_seed(11)
        for parameter in adapter.parameters():
            values = torch.randn(parameter.shape, generator=generator)
            parameter.data = (
                values / max(parameter[0].numel(), 1) ** 0.5 if parameter.ndim > 1 else 1 + values / 5
            )
        (folder / name).mkdir(parents=True)
        for part in ("resampler", "ip_layers", "ref_layers"):
            tensors = {
                key.removeprefix(f"{part}."): value.contiguous()
                for key, value in adapter.state_dict().items()
                if key.startswith(f"{part}.")
            }
            if tensors:
                save_file(tensors, folder / name / f"{part}.safetensors")
    shapes = {key: tuple(value.shape) for key, value in ArcFace().state_dict().items()}
    weights = {key: value.half().contiguous() for key, value in arcface_weights(shapes).items()}
    save_file(weights, folder / RECOGNISER)
    detector = write_landmark_detector(folder / "det.onnx")
    return LynxRelease(folder / "full", folder / "lite", folder / RECOGNISER, detector)
