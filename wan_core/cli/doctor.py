"""`wan-r2v doctor`: what is installed here, and what nano can make."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import torch
from av.codec import Codec

from ..errors import WanCoreError
from ..identity.detectors import detectors_here
from ..identity.face import find_faces
from ..media import plan_output
from ..pipelines import NanoDefaults, load_bundle
from ..pipelines.memory_phases import MemoryPlan
from ..pipelines.memory_plan import plan_memory
from ..pipelines.ovi_files import FoundOvi
from ..pipelines.ovi_folder import survey_ovi
from ..pipelines.ovi_memory import plan_ovi_memory
from ..pipelines.ovi_request import usual_settings
from ..pipelines.wan_files import FoundModel
from ..pipelines.wan_folder import survey
from ..pipelines.wan_plan import WanOptions
from ..text import ACTIONS, CLOSERS, OPENERS, SCENES
from .console import Console
from .wan_options import parse_bytes, parse_device

PACKAGES = (
    "torch",
    "torchaudio",
    "av",
    "pillow",
    "scikit-image",
    "safetensors",
    "numpy",
)
OPTIONAL_PACKAGES = ("transformers", "gguf", "insightface", "onnxruntime", "diffusers")
WELL, ILL = 0, 1
_Model = TypeVar("_Model", FoundModel, FoundOvi)


def run_doctor(options: argparse.Namespace, console: Console) -> int:
    """Examine this installation and say what works.

    Args:
        options: of `parser.build_parser`.
        console: where to say it.
    Returns:
        0 where a clip can be made, 1 where something needed is missing.
    """
    needed = {name: _version(name) for name in PACKAGES}
    optional = {name: _version(name) for name in OPTIONAL_PACKAGES}
    trials: dict[str, Callable[[], str]] = {
        "nano's weights": lambda: _try_weights(options.weights),
        "face detector": _try_faces,
        "H.264 encoder": lambda: Codec("libx264", "w").long_name,
        "AAC encoder": lambda: Codec("aac", "w").long_name,
        "writing here": lambda: str(plan_output(Path("clip.mp4"), number=True).resolve().parent),
    }
    findings = {name: _attempt(trial) for name, trial in trials.items()}
    is_well = all(needed.values()) and all(works for works, _ in findings.values())
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    detectors = detectors_here()
    models = [] if options.models is None else _plans(options)
    lines = [
        f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        f"CUDA device: {device} (nano runs on the processor)",
        *(f"{name} {found or 'MISSING: pip install ' + name}" for name, found in needed.items()),
        *(f"{name} {found or 'not installed (optional)'}" for name, found in optional.items()),
        *(f"{name}: {text if works else 'FAILS: ' + text}" for name, (works, text) in findings.items()),
        *(f"face detector {own.name}: {own.detail}" for own in detectors),
        *_abilities(),
        *(line for model in models for line in model["lines"]),
        "all well: try wan-r2v demo" if is_well else "not all is well: see the lines in capitals",
    ]
    content: dict[str, Any] = {
        "is_well": is_well,
        "python": platform.python_version(),
        "cuda": device,
        "packages": needed | optional,
        "checks": {name: {"works": works, "detail": text} for name, (works, text) in findings.items()},
        "detectors": {own.name: {"is_ready": own.is_ready, "detail": own.detail} for own in detectors},
        "scenes": SCENES,
        "actions": ACTIONS,
        "openers": OPENERS,
        "closers": CLOSERS,
        "models": models,
    }
    console.show(lines, content)
    return WELL if is_well else ILL


def _plans(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What it takes to run every Wan and joint model of a folder, at its usual size and length."""
    device = parse_device(None)
    limit = None if options.vram is None else parse_bytes(options.vram)
    dtype = WanOptions(device=device).work_dtype if limit is None else torch.bfloat16

    def plan_wan(model: FoundModel) -> tuple[str, MemoryPlan]:
        own = model.family
        plan = plan_memory(model, own.size, own.frames, device=device, dtype=dtype, limit=limit)
        return _usual(own.size, own.frames), plan

    def plan_joint(model: FoundOvi) -> tuple[str, MemoryPlan]:
        own = model.family
        settings = usual_settings(own)
        encodes = own.takes_references
        plan = plan_ovi_memory(model, settings, device=device, dtype=dtype, encodes=encodes, limit=limit)
        return _usual(settings.size, settings.frames), plan

    found = [
        _entry(each.name, each.path, each.missing, each.model, plan_wan) for each in survey(options.models)
    ]
    found += [
        _entry(each.name, each.path, each.missing, each.model, plan_joint)
        for each in survey_ovi(options.models)
    ]
    return found or [{"name": None, "lines": [f"no Wan model in {options.models}"]}]


def _usual(size: tuple[int, int], frames: int) -> str:
    return f"at {size[0]}*{size[1]}, {frames} frames:"


def _entry(
    name: str,
    path: Path,
    missing: Sequence[str],
    model: _Model | None,
    plan: Callable[[_Model], tuple[str, MemoryPlan]],
) -> dict[str, Any]:
    """A model of the folder: what it lacks, or its plan, or why it does not fit."""
    lines, resident, fits = [f"{name} in {path}"], None, model is not None
    if model is None:
        lines.append(f"  missing: {', '.join(missing)}")
    else:
        try:
            head, memory = plan(model)
            resident = memory.resident
            lines += [f"  {line}" for line in [head, *memory.lines()]]
        except WanCoreError as error:
            fits = False
            lines.append(f"  {error}")
    return {"name": name, "path": str(path), "fits": fits, "resident": resident, "lines": lines}


def _abilities() -> list[str]:
    defaults = NanoDefaults()
    sizes = ", ".join(f"{width}*{height}" for width, height in defaults.sizes)
    return [
        f"nano makes {defaults.seconds:g} s at {defaults.fps} frames a second; sizes {sizes} "
        f"(drawn at {defaults.native_size}, then enlarged); one person a clip",
        f"  places: {', '.join(SCENES)}",
        f"  movements: {', '.join(ACTIONS)}",
        f"  words to begin with: {', '.join(OPENERS)}",
        f"  words to add: {', '.join(closer for closer in CLOSERS if closer)}",
    ]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _attempt(trial: Callable[[], str]) -> tuple[bool, str]:
    """Run a trial: whether it worked, and what it said."""
    try:
        return True, trial()
    except (WanCoreError, OSError, ValueError) as error:
        return False, " ".join(str(error).split())


def _try_weights(folder: Path | None) -> str:
    bundle = load_bundle(folder)
    parameters = sum(
        parameter.numel()
        for part in (bundle.dit, bundle.text, bundle.identity, bundle.voice, bundle.identity_adapter)
        for parameter in part.parameters()
    )
    return f"loaded, {parameters / 1e6:.1f} million trained numbers in the networks"


def _try_faces() -> str:
    find_faces(torch.zeros(64, 64, 3, dtype=torch.uint8))
    return "scikit-image's cascade"
