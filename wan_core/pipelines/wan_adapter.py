"""Files that were looked at, not loaded: a transformer, and the adapter of Lynx that goes with one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..checkpoints.families import Detected
from ..checkpoints.header import Header
from ..checkpoints.lora import Lora
from ..checkpoints.lynx import open_lynx, read_lynx
from ..dit.config import WanConfig
from ..errors import CheckpointMismatchError, InputError
from ..identity.detectors import Detector
from ..identity.lynx import LynxConfig
from .wan_family import WanFamily
from .wan_methods import LYNX_FULL, LYNX_LITE

#: Names of the recogniser's file, looked for beside the adapter.
RECOGNISERS = ("recognition_arcface_ir_se50.safetensors", "recognition_arcface_ir_se50.pth")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTransformer:
    """A transformer that was looked at, not loaded: its file, header, what it is, and the LoRA that go onto it."""

    path: Path
    header: Header
    detected: Detected
    loras: tuple[Lora, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAdapter:
    """Lynx that was looked at, not loaded.

    Attributes:
        files: or the folder.   header: of all of them.   config: sizes.
        recogniser: file of ArcFace.   detector: finds faces and their landmarks.
    """

    files: tuple[Path, ...]
    header: Header
    config: LynxConfig
    recogniser: Path
    detector: Detector = Detector()


def find_adapter(
    files: tuple[Path, ...], recogniser: Path | None, detector: Detector, found: FoundTransformer
) -> FoundAdapter:
    """Look at the files of Lynx and check that they fit a transformer.

    Raises:
        InputError: no recogniser.   CheckpointMismatchError: parts are missing, or it is for another transformer.
        CheckpointError: a file is missing, damaged or no Lynx.
    """
    header = open_lynx(files[0] if len(files) == 1 else files)
    config, _ = read_lynx(header)
    own = found.detected.config
    if not isinstance(own, WanConfig) or (own.dim, own.num_layers) != (config.dim, config.num_blocks):
        got = f"{own.num_layers} blocks of width {own.dim}" if isinstance(own, WanConfig) else "two towers"
        raise CheckpointMismatchError(
            f"Lynx: expected a transformer of {config.num_blocks} blocks of width {config.dim} for {header.name}, got "
            f"{got} in {found.header.name}. Lynx was made for Wan2.1-T2V-14B: name that as the model."
        )
    return FoundAdapter(
        files=files,
        header=header,
        config=config,
        recogniser=recogniser or _recogniser_beside(files[0]),
        detector=detector,
    )


def family_of_adapter(family: WanFamily, adapter: FoundAdapter, where: str) -> WanFamily:
    """Lynx, full or lite, on a text-to-video model.

    Raises: CheckpointMismatchError: the model is of another kind.
    """
    if family.conditioning != "text" or family.has_experts:
        raise CheckpointMismatchError(
            f"Lynx: expected Wan2.1-T2V-14B as the model, got {family.name} in {where}. Name the text-to-video model."
        )
    return LYNX_FULL if adapter.config.has_reference else LYNX_LITE


def _recogniser_beside(path: Path) -> Path:
    folder = path if path.is_dir() else path.parent
    for place in (folder, folder.parent):
        for name in RECOGNISERS:
            if (place / name).is_file():
                return place / name
    raise InputError(
        f"recogniser: expected the ArcFace that Lynx was trained with, got no {RECOGNISERS[0]} or .pth beside "
        f"{path}. Name the file of facexlib with --recogniser; others do not fit Lynx."
    )
