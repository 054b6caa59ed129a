"""What the tensors of a LoRA file mean: which parameter each changes, and how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from ..errors import CheckpointError, CheckpointMismatchError
from .key_maps import DIFFUSERS_RULES, rename

Role = Literal["down", "up", "alpha", "diff", "diff_b", "diff_m"]

#: Endings of keys, longest first, and what they hold. Source of the diff endings: ModelTC/LightX2V
#: lightx2v/utils/lora_loader.py; of the others: kohya-ss/sd-scripts, huggingface/peft, huggingface/diffusers.
ENDINGS: Mapping[str, Role] = MappingProxyType(
    {
        ".lora_A.default.weight": "down",
        ".lora_B.default.weight": "up",
        ".lora_down.weight": "down",
        ".lora_up.weight": "up",
        ".lora.down.weight": "down",
        ".lora.up.weight": "up",
        ".lora_A.weight": "down",
        ".lora_B.weight": "up",
        ".alpha": "alpha",
        ".diff_b": "diff_b",
        ".diff_m": "diff_m",
        ".diff": "diff",
    }
)
#: Parts of keys of other kinds of adapter.
OTHER_KINDS: Mapping[str, str] = MappingProxyType(
    {
        "dora_scale": "DoRA",
        "lora_magnitude_vector": "DoRA",
        "hada_w": "LoHa",
        "lokr_w": "LoKr",
        "lora_mid": "LoCon with a middle matrix",
        "oft_": "OFT",
    }
)
#: What wrappers put before the name of a layer; taken off one after the other.
WRAPPERS = ("base_model.model.", "model.", "diffusion_model.", "transformer.", "unet.", "module.")
KOHYA = ("lora_unet__", "lora_unet_")
SHOWN_KEYS = 10


@dataclass(slots=True)
class LayerChange:
    """Keys of the file that change one layer or parameter: role -> key."""

    keys: dict[Role, str] = field(default_factory=dict[Role, str])


def match_keys(keys: Iterable[str], layers: Iterable[str], where: str) -> dict[str, LayerChange]:
    """Find the layer of the model that each key of a LoRA file changes.

    Args:
        keys: of the file: kohya's (`lora_unet_blocks_0_...`), Diffusers' or peft's (`transformer.blocks.0.attn1...`,
            `base_model.model...`), or the original names with or without `diffusion_model.`.
        layers: names of all modules of the model.   where: file, named in errors.
    Returns: name of the module -> what changes it.
    Raises: CheckpointMismatchError: keys that fit nothing, listed.   CheckpointError: another kind of adapter, or half
        of a pair.
    """
    names = set(layers) - {""}
    flat = {name.replace(".", "_"): name for name in names}
    changes: dict[str, LayerChange] = {}
    unmatched: list[str] = []
    for key in keys:
        _refuse_other_kinds(key, where)
        ending = next((ending for ending in ENDINGS if key.endswith(ending)), None)
        layer = None if ending is None else _find_layer(key[: -len(ending)], names, flat)
        if ending is None or layer is None:
            unmatched.append(key)
        else:
            changes.setdefault(layer, LayerChange()).keys[ENDINGS[ending]] = key
    if unmatched or not changes:
        shown = ", ".join(sorted(unmatched)[:SHOWN_KEYS]) or "no tensor at all"
        more = f" and {len(unmatched) - SHOWN_KEYS} more" if len(unmatched) > SHOWN_KEYS else ""
        raise CheckpointMismatchError(
            f"LoRA: expected keys of layers that this model has, got {len(unmatched)} that fit none: {shown}{more} in "
            f"{where}. Use a LoRA that was trained for this model."
        )
    for layer, change in changes.items():
        _check_pair(layer, change, where)
    return changes


def _find_layer(base: str, names: set[str], flat: Mapping[str, str]) -> str | None:
    """Name of the module, or None."""
    for prefix in KOHYA:
        if base.startswith(prefix):
            return flat.get(base[len(prefix) :])
    for wrapper in WRAPPERS * 2:
        if base in names:
            return base
        base = base.removeprefix(wrapper)
    if base in names:
        return base
    original = rename([f"{base}.weight"], "", DIFFUSERS_RULES).get(f"{base}.weight", "")
    original = original.removesuffix(".weight")
    return original if original in names else None


def _refuse_other_kinds(key: str, where: str) -> None:
    kind = next((name for part, name in OTHER_KINDS.items() if part in key), None)
    if kind is not None:
        raise CheckpointError(
            f"LoRA: expected pairs of down and up matrices, got {kind} ({key}) in {where}. Use a plain LoRA, or merge "
            "the file into the model with the tool that made it."
        )


def _check_pair(layer: str, change: LayerChange, where: str) -> None:
    has_down, has_up = "down" in change.keys, "up" in change.keys
    if has_down != has_up or ("alpha" in change.keys and not has_up):
        got = ", ".join(change.keys.values())
        raise CheckpointError(
            f"LoRA of {layer}: expected a down and an up matrix, got {got} alone in {where}. "
            "The file is incomplete: download it again."
        )
