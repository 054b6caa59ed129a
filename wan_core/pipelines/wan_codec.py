"""The video codec of a family."""

from __future__ import annotations

from pathlib import Path

import torch

from ..checkpoints.load import load_vae
from ..errors import CheckpointMismatchError
from ..vae.wan_vae import WanVAE
from .wan_family import WanFamily
from .wan_files import check_vae


def load_codec(path: Path, family: WanFamily, device: str) -> WanVAE:
    """Load the VAE of a family, in float32 as in the official code.

    Raises: CheckpointError: it can not be loaded.   CheckpointMismatchError: it is another family's.
    """
    check_vae(path, family)
    vae = load_vae(path, device, torch.float32)
    if not isinstance(vae, WanVAE):
        raise CheckpointMismatchError(
            f"VAE: expected a Wan VAE, got {type(vae).__name__} in {path}. Name the file of the VAE."
        )
    return vae.requires_grad_(False)
