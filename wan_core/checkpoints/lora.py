"""LoRA files: read, checked against a model, and added to it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import CheckpointError, CheckpointMismatchError, InputError
from ..ops.low_rank import LowRankLinear
from .header import Header, read_header
from .lora_keys import LayerChange, match_keys
from .tensors import read_tensors

#: Entry of a file's metadata in which Diffusers keeps the settings of peft.
PEFT_METADATA = "lora_adapter_metadata"
#: Names of the two files that peft itself writes.
PEFT_WEIGHTS, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Lora:
    """A LoRA to add to a model.

    path: the .safetensors file.   strength: factor on what it adds; 0 leaves the model as it is, 1 is as trained.
    Raises: InputError: strength is not finite.
    """

    path: Path
    strength: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.strength):
            raise InputError(
                f"LoRA {self.path.name}: expected a finite strength, got {self.strength}. 1 is as trained."
            )


def apply_lora(model: nn.Module, lora: Lora) -> int:
    """Add a LoRA: W + strength * alpha / rank * up down, computed in float32.

    Plain weights are changed in place; a packed (quantised) layer keeps its weight and gets the product as an addition
    of its own. Without an alpha it is the rank, as everywhere.

    Args: model: parameters named as the original checkpoints name them, with memory.
    Returns: number of layers changed.
    Raises:
        CheckpointError: missing or damaged file, another kind of adapter, a difference of a packed weight.
        CheckpointMismatchError: keys that fit no layer (listed), or matrices of another size: a LoRA of another model.
    """
    header = read_header(lora.path)
    modules = dict(model.named_modules())
    changes = match_keys(header.tensors, modules, header.name)
    _check_shapes(header, changes, modules)
    if lora.strength == 0.0:
        return 0
    tensors = read_tensors(header)
    usual_alpha = _usual_alpha(header, lora.path)
    for layer, change in changes.items():
        parts = {role: tensors[key] for role, key in change.keys.items()}
        if "down" in parts:
            down, up = parts["down"], parts["up"]
            alpha = float(parts["alpha"]) if "alpha" in parts else usual_alpha
            factor = lora.strength * (1.0 if alpha is None else alpha / down.shape[0])
            _add_product(model, layer, down.flatten(1), up.flatten(1) * factor)
        for role, name in (("diff", "weight"), ("diff_b", "bias"), ("diff_m", "modulation")):
            if role in parts:
                _add_difference(modules[layer], f"{layer}.{name}", parts[role] * lora.strength)
    return len(changes)


@torch.no_grad()
def _add_product(model: nn.Module, layer: str, down: Tensor, up: Tensor) -> None:
    module = model.get_submodule(layer)
    weight = getattr(module, "weight", None)
    if isinstance(weight, Tensor):
        delta = (up.to(weight.device) @ down.to(weight.device)).view(weight.shape)
        weight.copy_(weight.float() + delta)
        return
    device = next(iter(module.buffers())).device
    parent, _, own = layer.rpartition(".")
    setattr(model.get_submodule(parent), own, LowRankLinear(module, down.to(device), up.to(device)))


@torch.no_grad()
def _add_difference(module: nn.Module, name: str, difference: Tensor) -> None:
    parameter = getattr(module, name.rpartition(".")[2])
    parameter.copy_(parameter.float() + difference.to(parameter.device))


def _check_shapes(
    header: Header, changes: Mapping[str, LayerChange], modules: Mapping[str, nn.Module]
) -> None:
    """Refuse a LoRA of another model before anything is changed."""
    for layer, change in changes.items():
        module, keys = modules[layer], change.keys
        if "down" in keys:
            expected = _matrix_shape(module)
            down, up = header.shape(keys["down"]), header.shape(keys["up"])
            product = (up[0], *down[1:])
            fits = (
                expected is not None
                and math.prod(up[1:]) == down[0]
                and (product == expected or (product[0], math.prod(product[1:])) == expected)
            )
            if not fits:
                _mismatch(layer, expected, f"down {down} and up {up}", header.name)
        for role, name in (("diff", "weight"), ("diff_b", "bias"), ("diff_m", "modulation")):
            if role not in keys:
                continue
            parameter = getattr(module, name, None)
            if role == "diff" and parameter is None and hasattr(module, "packed_weight"):
                raise CheckpointError(
                    f"LoRA of {layer}: expected down and up matrices for a packed weight, got a full difference "
                    f"({keys['diff']}) in {header.name}. Load the version of the model that is not quantised."
                )
            expected = tuple(parameter.shape) if isinstance(parameter, Tensor) else None
            if expected != header.shape(keys[role]):
                _mismatch(f"{layer}.{name}", expected, header.shape(keys[role]), header.name)


def _matrix_shape(module: nn.Module) -> tuple[int, ...] | None:
    """Shape of the weight of a layer, or None for a module that has none."""
    weight = getattr(module, "weight", None)
    if isinstance(weight, Tensor) and weight.ndim >= 2:
        return tuple(weight.shape)
    sizes = (getattr(module, "out_features", None), getattr(module, "in_features", None))
    return (int(sizes[0]), int(sizes[1])) if isinstance(sizes[0], int) and isinstance(sizes[1], int) else None


def _mismatch(what: str, expected: object, got: object, where: str) -> None:
    raise CheckpointMismatchError(
        f"LoRA of {what}: expected shape {expected} as the model has it, got {got} in {where}. "
        "The LoRA belongs to another model (1.3B, 5B or 14B; text- or image-to-video): use one of this model."
    )


def _usual_alpha(header: Header, path: Path) -> float | None:
    """Alpha of layers without one of their own: from the metadata that Diffusers writes or from peft's file beside.

    Raises: CheckpointError: it can not be read, or says that some layers have another.
    """
    beside = path.with_name(PEFT_CONFIG)
    where, text = header.name, header.metadata.get(PEFT_METADATA)
    if text is None and path.name == PEFT_WEIGHTS and beside.is_file():
        where, text = str(beside), beside.read_text(encoding="utf-8", errors="replace")
    if text is None:
        return None
    try:
        entries = {str(k).rpartition(".")[2]: v for k, v in dict(json.loads(text)).items()}
        alpha = entries.get("lora_alpha")
        value = None if alpha is None else float(alpha)
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"settings of the LoRA: expected JSON with lora_alpha, got something else in {where}. Export it again."
        ) from error
    if entries.get("alpha_pattern"):
        raise CheckpointError(
            f"LoRA: expected one alpha for all layers, got alpha_pattern {entries['alpha_pattern']} in {where}. "
            "Export the LoRA with an alpha beside each layer."
        )
    return value
