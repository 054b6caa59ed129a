"""How the weights of a file are packed: plain fp8, and the layouts that keep scales beside the weights.

Two such layouts are published. The older has `X.scale_weight` (and `X.scale_input`) beside `X.weight`, and one marker
`scaled_fp8`; the newer has `X.weight_scale` (`X.input_scale`) and says in `X.comfy_quant`, or in the metadata entry
`_quantization_metadata`, what the format is. Scales of inputs serve products in fp8; here weights are unpacked first,
so these scales are not needed.
Source: yzkee/ComfyUI comfy/utils.py convert_old_quants, comfy/ops.py _load_quantized_module (names and meaning only).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from safetensors import SafetensorError, safe_open

from ..errors import CheckpointError
from ..ops.gguf_blocks import BLOCK_TYPES
from ..ops.quantized import VALUE_TYPES
from .header import DAMAGED, Header, Packing, TensorInfo

MARKER = "scaled_fp8"
DESCRIPTION = "comfy_quant"
METADATA_KEY = "_quantization_metadata"
#: What stands beside `X.weight`; the first two are its scale.
COMPANIONS = ("weight_scale", "scale_weight", "input_scale", "scale_input", DESCRIPTION)
#: Formats with two values in a byte, known by name only.
HALF_BYTE = ("nvfp4", "convrot_w4a4", "asym_w4a8_int8")
#: Formats by the name in a description; others are known by name only.
FORMATS = {"float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "int8_tensorwise": "I8"}


def find_packing(header: Header) -> Header:
    """Tell weights from what belongs to their packing.

    Returns: the header with its `packing`; markers, scales and descriptions are no longer among its `tensors`.
    Raises: CheckpointError: a description that can not be read.
    """
    descriptions = _described(header)
    tensors: dict[str, TensorInfo] = {}
    packing = dict(header.packing)
    for key, info in header.tensors.items():
        layer, _, leaf = key.rpartition(".")
        if leaf == MARKER or (leaf in COMPANIONS and f"{layer}.weight" in header.tensors):
            continue
        tensors[key] = info
        if key in packing:
            continue
        scale = next(
            (f"{layer}.{name}" for name in COMPANIONS[:2] if f"{layer}.{name}" in header.tensors), None
        )
        told = descriptions.get(layer) if leaf == "weight" else None
        if told is not None:
            packing[key] = Packing(_format(told), scale)
            if str(told.get("format")) in HALF_BYTE and info.shape:
                tensors[key] = TensorInfo((*info.shape[:-1], 2 * info.shape[-1]), info.dtype)
        elif info.dtype in VALUE_TYPES and (info.dtype != "I8" or (leaf == "weight" and scale)):
            packing[key] = Packing(info.dtype, scale if leaf == "weight" else None)
    return replace(header, tensors=tensors, packing=packing)


def refuse_unknown_packing(header: Header) -> None:
    """Check that every weight is packed in a way that this version unpacks.

    Raises: CheckpointError: one is not.
    """
    known = (*VALUE_TYPES, *BLOCK_TYPES)
    plain = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "U8", "I8", "BOOL")
    for key, info in header.tensors.items():
        kind = header.packing[key].format if key in header.packing else info.dtype
        if kind not in (known if key in header.packing else plain):
            raise CheckpointError(
                f"quantisation of {key}: expected one of {', '.join(known)}, got {kind} in {header.name}. "
                "Use another version of the model: fp8 scaled, or GGUF Q8_0 to Q3_K."
            )


def _format(description: Mapping[str, Any]) -> str:
    name = str(description.get("format"))
    if description.get("convrot") or dict(description.get("params") or {}).get("convrot"):
        return f"{name} (convrot)"
    return FORMATS.get(name, name)


def _described(header: Header) -> dict[str, Mapping[str, Any]]:
    """Layer -> what the file says about its format."""
    found: dict[str, Mapping[str, Any]] = {}
    try:
        if METADATA_KEY in header.metadata:
            found.update(json.loads(header.metadata[METADATA_KEY])["layers"])
        by_file: dict[Any, list[str]] = {}
        for key in header.tensors:
            if key.endswith(f".{DESCRIPTION}"):
                by_file.setdefault(header.files[key], []).append(key)
        for path, keys in by_file.items():
            with safe_open(path, framework="pt", device="cpu") as file:
                for key in keys:
                    text = bytes(file.get_tensor(key).tolist()).decode("utf-8")
                    found[key.removesuffix(f".{DESCRIPTION}")] = dict(json.loads(text))
    except (ValueError, TypeError, KeyError, SafetensorError, OSError) as error:
        raise CheckpointError(
            f"description of the quantisation: expected JSON with a format, got '{error}' in {header.name}. {DAMAGED}"
        ) from error
    return found
