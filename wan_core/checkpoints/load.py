"""The loaders of the public API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from ..errors import CheckpointError
from .assign import build_and_load
from .nano import METADATA_KEY, build_part, load_part, read_part_config
from .source import open_source

if TYPE_CHECKING:
    from ..dit.joint import JointModel
    from ..dit.model import WanModel
    from ..text.encoder import NanoTextEncoder
    from ..vae.patch_vae import PatchVAE

TRANSFORMER_KINDS = ("dit", "tower")


def load_dit(
    path: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype | None = torch.float32
) -> WanModel | JointModel:
    """Load a transformer; what it is, is read from the header.

    Args:
        path: a .safetensors file (original, Diffusers or ComfyUI names, Ovi, or nano's own), a .gguf or .pth file, a
            sharded index (.safetensors.index.json), a folder with config.json and one, or a Diffusers pipeline folder.
        dtype: of the weights that are not packed, and of the work; None keeps the stored one, or takes bfloat16 where
            weights are packed.
    Returns: `WanModel`, or `JointModel` for a file with two towers; in inference mode. Linear layers of fp8, int8 and
        GGUF files keep their weights packed (`ops.quantized`).
    Raises:
        CheckpointError: missing or damaged files, or packed in a way that this version does not know.
        UnknownCheckpointError, AmbiguousCheckpointError: no known model, or several.
        CheckpointMismatchError: tensors missing, left over or of another shape.
    """
    from .families import detect

    source = open_source(path)
    header = source.header
    if METADATA_KEY in header.metadata:
        kind, config = read_part_config(header)
        if kind not in TRANSFORMER_KINDS:
            raise CheckpointError(
                f"kind of part: expected {' or '.join(TRANSFORMER_KINDS)}, got '{kind}' in {header.name}. "
                "Name the file of the transformer."
            )
        model = build_part(header, kind, config, device=device, dtype=dtype)
    else:
        found = detect(source)
        if dtype is None and header.packing:
            dtype = torch.bfloat16
        model = build_and_load(found.build, header, names=found.names, device=device, dtype=dtype)
    return cast("WanModel | JointModel", model)


def load_vae(
    path: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype | None = torch.float32
) -> PatchVAE:
    """Load a video codec: `encode(video (B, 3, F, H, W) in [-1, 1])` and `decode(latents)`.

    Args: path: nano's codec (a file of this project).   dtype: of the weights; None keeps the stored one.
    Raises: CheckpointError: missing, damaged, or not a video codec of this project.
    """
    return cast("PatchVAE", load_part(path, "patch_vae", device=device, dtype=dtype))


def load_text_encoder(
    path: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype | None = torch.float32
) -> NanoTextEncoder:
    """Load a text encoder: `encode(prompts)` gives the context, (B, L, text_dim).

    Args: path: nano's encoder (a file of this project).   dtype: of the weights; None keeps the stored one.
    Raises: CheckpointError: missing, damaged, or not a text encoder of this project.
    """
    return cast("NanoTextEncoder", load_part(path, "text", device=device, dtype=dtype))
