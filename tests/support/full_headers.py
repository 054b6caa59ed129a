"""Headers of the published checkpoints at their true size, without a byte of weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel

from wan_core.checkpoints.header import Header, TensorInfo
from wan_core.checkpoints.source import Source

OFFICIAL: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "wan_headers.json").read_text(encoding="utf-8")
)
_LARGE = {"num_attention_heads": 40, "ffn_dim": 13824, "num_layers": 40}
#: Arguments of diffusers' class for each family.
DIFFUSERS: dict[str, dict[str, Any]] = {
    "Wan2.1-T2V-1.3B": {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30},
    "Wan2.1-T2V-14B": _LARGE,
    "Wan2.1-I2V-14B": {**_LARGE, "in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120},
    "Wan2.1-FLF2V-14B": {
        **_LARGE,
        "in_channels": 36,
        "image_dim": 1280,
        "added_kv_proj_dim": 5120,
        "pos_embed_seq_len": 514,
    },
    "Wan2.2-T2V-A14B": _LARGE,
    "Wan2.2-I2V-A14B": {**_LARGE, "in_channels": 36},
    "Wan2.2-TI2V-5B": {
        "num_attention_heads": 24,
        "ffn_dim": 14336,
        "num_layers": 30,
        "in_channels": 48,
        "out_channels": 48,
    },
}


def as_source(
    shapes: Mapping[str, tuple[int, ...]], prefix: str = "", config: Mapping[str, Any] | None = None
) -> Source:
    """A header of these tensors in bfloat16."""
    tensors = {prefix + key: TensorInfo(shape, "BF16") for key, shape in shapes.items()}
    return Source(Header(tensors, dict.fromkeys(tensors, Path("w")), {}, "w.safetensors"), config or {})


def official_shapes(family: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes that the official code of a family gives; see tests/golden/make_wan_headers.py."""
    header = OFFICIAL[family]
    found: dict[str, tuple[int, ...]] = {}
    for pattern, shape in header["tensors"].items():
        for number in range(header["blocks"] if "{}" in pattern else 1):
            found[pattern.replace("{}", str(number))] = tuple(shape)
    return found


def diffusers_model(family: str) -> WanTransformer3DModel:
    """The transformer of diffusers at full size, on the meta device."""
    with torch.device("meta"):
        return WanTransformer3DModel(**DIFFUSERS[family])
