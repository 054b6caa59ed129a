"""Weights files in the formats that people publish, written from plain tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

FLOAT8 = {"float8_e4m3fn": torch.float8_e4m3fn, "float8_e5m2": torch.float8_e5m2}
LARGEST = {"float8_e4m3fn": 448.0, "float8_e5m2": 57344.0, "int8_tensorwise": 127.0}


def is_matrix(key: str, value: Tensor) -> bool:
    """Whether converters pack it: the weight of a linear layer."""
    return key.endswith(".weight") and value.ndim == 2


def scaled(value: Tensor, format: str) -> tuple[Tensor, Tensor]:
    """A weight in fp8 or int8, and the number that it is multiplied by."""
    scale = value.abs().max() / LARGEST[format]
    if format == "int8_tensorwise":
        return (value / scale).round().to(torch.int8), scale
    return (value / scale).to(FLOAT8[format]), scale


def write_scaled_fp8(
    path: Path, state: Mapping[str, Tensor], prefix: str = "", format: str = "float8_e4m3fn"
) -> None:
    """The older layout: `scale_weight` and `scale_input` beside each weight and one marker."""
    content = {f"{prefix}scaled_fp8": torch.zeros(2, dtype=FLOAT8[format])}
    for key, value in state.items():
        content[prefix + key] = value
        if is_matrix(key, value):
            layer = prefix + key.removesuffix(".weight")
            content[prefix + key], content[f"{layer}.scale_weight"] = scaled(value, format)
            content[f"{layer}.scale_input"] = torch.ones(())
    save_file(content, path)


def write_comfy_quant(
    path: Path,
    state: Mapping[str, Tensor],
    prefix: str = "",
    format: str = "float8_e4m3fn",
    in_metadata: bool = False,
) -> None:
    """The newer layout: `weight_scale`, `input_scale`, and a description for each layer or in the metadata."""
    content: dict[str, Tensor] = {}
    layers: dict[str, dict[str, str]] = {}
    for key, value in state.items():
        content[prefix + key] = value
        if is_matrix(key, value):
            layer = prefix + key.removesuffix(".weight")
            content[prefix + key], content[f"{layer}.weight_scale"] = scaled(value, format)
            content[f"{layer}.input_scale"] = torch.ones(())
            layers[layer] = {"format": format}
    if in_metadata:
        save_file(content, path, metadata={"_quantization_metadata": json.dumps({"layers": layers})})
        return
    for layer, description in layers.items():
        text = json.dumps(description).encode()
        content[f"{layer}.comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)
    save_file(content, path)


def write_gguf(
    path: Path,
    state: Mapping[str, Tensor],
    kind: str,
    *,
    architecture: str = "wan",
    reshaped: tuple[str, ...] = (),
) -> dict[str, Tensor]:
    """A GGUF file whose matrices are of one type and the rest F32; returns the values that it stands for.

    reshaped: keys stored flat, with their shape noted in the metadata.
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_file_type(0)
    values: dict[str, Tensor] = {}
    for key, value in state.items():
        plain = value.float().numpy()
        if key in reshaped:
            writer.add_array(f"comfy.gguf.orig_shape.{key}", list(plain.shape))
            plain = plain.reshape(-1)
        own = gguf.GGMLQuantizationType[kind if is_matrix(key, value) else "F32"]
        packed = pack(plain, own)
        writer.add_tensor(key, packed, raw_dtype=own)
        back = (
            packed.astype(np.float32) if own.name in ("F32", "F16") else gguf.quants.dequantize(packed, own)
        )
        values[key] = torch.from_numpy(np.array(back, dtype=np.float32)).view(value.shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def pack(values: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
    """Values in a GGUF type; for those that the package only reads, random bytes with scales of fitting size."""
    try:
        return gguf.quants.quantize(values, kind)
    except NotImplementedError:
        return _pack_k(values, kind)


def _pack_k(values: np.ndarray, kind: gguf.GGMLQuantizationType) -> np.ndarray:
    """Random blocks of a K type whose float16 scales make numbers of about the size of the given ones."""
    count, size = gguf.GGML_QUANT_SIZES[kind]
    generator = np.random.default_rng(values.size)
    blocks = generator.integers(0, 256, (values.size // count, size), dtype=np.uint8)
    places = {"Q2_K": (80, 82), "Q3_K": (108,), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,)}[kind.name]
    factor = (
        float(np.abs(values).mean())
        / {"Q2_K": 15, "Q3_K": 64, "Q4_K": 300, "Q5_K": 600, "Q6_K": 1200}[kind.name]
    )
    for place in places:
        blocks[:, place : place + 2] = np.frombuffer(np.float16(factor).tobytes(), dtype=np.uint8)
    return blocks.reshape(*values.shape[:-1], -1)
