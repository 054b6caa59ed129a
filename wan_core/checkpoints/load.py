"""The loaders of the public API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from ..errors import CheckpointError, InputError
from .assign import build_and_load
from .nano import METADATA_KEY, build_part, load_part, read_part_config
from .source import open_source

if TYPE_CHECKING:
    from ..dit.joint import JointModel
    from ..dit.model import WanModel
    from ..text.encoder import NanoTextEncoder
    from ..text.umt5_encoder import UMT5TextEncoder
    from ..vae.patch_vae import PatchVAE
    from ..vae.wan_vae import WanVAE

TRANSFORMER_KINDS = ("dit", "tower")
VAE_KINDS = ("patch_vae", "wan_vae")


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
) -> WanVAE | PatchVAE:
    """Load a video codec: `encode(video (B, 3, F, H, W) in [-1, 1])` and `decode(latents)`.

    Args:
        path: a Wan 2.1 or 2.2 VAE (the original .pth, .safetensors with original, ComfyUI or Diffusers names, a folder
            with one and a config.json, or a Diffusers pipeline folder), or a codec that this project wrote.
        dtype: of the weights; None keeps the stored one.
    Returns: `WanVAE`, or `PatchVAE` for nano's codec; in inference mode.
    Raises:
        CheckpointError: missing or damaged files, or a part of this project that is no video codec.
        UnknownCheckpointError, AmbiguousCheckpointError: no known VAE, or several.
        CheckpointMismatchError: tensors missing, left over or of another shape.
    """
    from .vae_families import detect_vae

    source = open_source(path, "vae")
    if METADATA_KEY in source.header.metadata:
        return cast("WanVAE | PatchVAE", load_part(path, VAE_KINDS, device=device, dtype=dtype))
    found = detect_vae(source)
    model = build_and_load(found.build, source.header, names=found.names, device=device, dtype=dtype)
    vae = cast("WanVAE", model)
    vae.arrange_weights()
    return vae


def load_text_encoder(
    path: Path | str,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = torch.float32,
    tokenizer: Path | str | None = None,
) -> NanoTextEncoder | UMT5TextEncoder:
    """Load a text encoder: `encode(prompts)` gives the context, (B, L, text_dim).

    Args:
        path: nano's encoder, or umT5-xxl: a .safetensors (transformers', ComfyUI's or official names), .gguf or .pth
            file, a sharded index, a folder with one, a Diffusers pipeline folder, or an official release's folder.
        dtype: of the weights and of the context; None keeps the stored one, or takes bfloat16 where weights are packed.
            Linear layers of fp8 and GGUF files keep their weights packed, umT5's embedding its stored dtype.
        tokenizer: umT5's, where it is neither inside the file nor beside it: tokenizer.json, spiece.model, or a folder
            with one. Nothing is downloaded.
    Returns: the encoder in inference mode; `UMT5TextEncoder` says how its memory is released after encoding.
    Raises:
        CheckpointError: missing or damaged files, or no tokenizer.   UnknownCheckpointError: another model.
        CheckpointMismatchError: tensors missing, left over or of another shape, or a tokenizer of another model.
        InputError: a tokenizer for nano, which has its own words.
    """
    from .text_umt5 import load_umt5, open_text_source

    source = open_text_source(path)
    if METADATA_KEY not in source.header.metadata:
        return load_umt5(source, tokenizer, device=device, dtype=dtype)
    if tokenizer is not None:
        raise InputError(
            f"tokenizer: expected none for nano's text encoder, which has its own words, got {tokenizer}. Leave it out."
        )
    return cast("NanoTextEncoder", load_part(path, "text", device=device, dtype=dtype))
