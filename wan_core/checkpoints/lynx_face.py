"""The face recogniser of Lynx: `recognition_arcface_ir_se50` as .pth or .safetensors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from ..errors import UnknownCheckpointError
from ..identity.arcface import ArcFace
from .assign import build_and_load
from .source import open_header

#: Keys that tell this network from other recognisers.
SIGNATURE = ("input_layer.0.weight", "body.23.res_layer.5.fc2.weight", "output_layer.3.weight")
COUNTER = ".num_batches_tracked"


def load_arcface(
    path: Path | str, device: torch.device | str = "cpu", dtype: torch.dtype | None = torch.float32
) -> ArcFace:
    """Load facexlib's ArcFace, the only recogniser that Lynx works with.

    Args:
        path: the .pth file of facexlib (opened for its tensors alone), or the same as .safetensors.
        dtype: of the weights; the official code uses float32.
    Returns:
        The network in inference mode.
    Raises:
        CheckpointError: missing, damaged, or more than tensors.
        UnknownCheckpointError: another recogniser, e.g. one of insightface.
        CheckpointMismatchError: tensors missing, left over or of another shape.
    Source: xinntao/facexlib@260620a facexlib/recognition/__init__.py.
    """
    header = open_header(path)
    missing = [key for key in SIGNATURE if key not in header.tensors]
    if missing:
        raise UnknownCheckpointError(
            f"face recogniser: expected facexlib's ArcFace (IR-SE-50), got no {missing[0]} in {header.name}. Use "
            "recognition_arcface_ir_se50.pth of facexlib; Lynx does not understand the embeddings of others."
        )
    kept = {key: info for key, info in header.tensors.items() if not key.endswith(COUNTER)}
    model = build_and_load(ArcFace, replace(header, tensors=kept), device=device, dtype=dtype)
    return cast("ArcFace", model)
