"""Layers whose weights stay packed (fp8, int8, GGUF) under ComfyUI's memory management and LoRA patches."""

from __future__ import annotations

from typing import Any, NoReturn

import comfy.lora
import comfy.model_patcher
import comfy.patcher_extension
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...wan_core.errors import InputError
from ...wan_core.ops.quantized import PackedWeight, QuantizedLinear

CALLBACK = "wan_r2v_packed"


class HostPackedLinear(nn.Module):
    """As `QuantizedLinear`; LoRA patches of its weight are added each time it is unpacked, not stored.

    The packed bytes have the name `weight`, so that ComfyUI finds the layer by the name of its weight. It counts as
    one of ComfyUI's own layers: left out of a partial load, it computes from where it lies.
    """

    comfy_cast_weights = True

    def __init__(self, layer: QuantizedLinear) -> None:
        super().__init__()
        self.format, self.shape = layer.format, layer.shape
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.register_buffer("weight", layer.packed)
        self.register_buffer("scale_bits", layer.scale_bits)
        self.bias = layer.bias
        self.weight_function: list[Any] = []
        self.bias_function: list[Any] = []
        self.patches: tuple[Any, ...] = ()
        self.key = ""

    def forward(self, x: Tensor) -> Tensor:
        """Return x (..., in) times the patched weight, plus the bias: (..., out), in the dtype of x."""
        weight = self._unpack(x.device, torch.float32 if self.patches else x.dtype)
        if self.patches:
            weight = comfy.lora.calculate_weight(list(self.patches), weight, self.key).to(x.dtype)
        return F.linear(x, weight, None if self.bias is None else self._patched_bias(self.bias, x))

    def convert_weight(self, *args: Any, **options: Any) -> NoReturn:
        """Refuse what would change the stored weight: hooks that patch during a run, merging of models.

        Raises: InputError: always.
        """
        raise InputError(
            f"weight {self.key or self.format}: expected plain numbers to patch in place, got {self.format}. "
            "Use a version of the model that is not quantised with this node; LoRA loaders work with both."
        )

    set_weight = convert_weight

    def _patched_bias(self, bias: Tensor, x: Tensor) -> Tensor:
        bias = bias.to(x, copy=bool(self.bias_function))  # a patch may write into what it gets
        for function in self.bias_function:
            bias = function(bias)
        return bias

    def _unpack(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        scale = None if self.scale_bits is None else self.scale_bits.to(device).view(torch.float32)
        return PackedWeight(self.format, self.shape, self.weight.to(device), scale).unpack(dtype)


def move_packed(source: nn.Module, target: nn.Module) -> set[str]:
    """Put the packed layers of `source` into `target`, which has the same structure.

    Returns: names of the tensors that they hold, as in `source.state_dict()`.
    """
    held: set[str] = set()
    for name, layer in source.named_modules():
        if isinstance(layer, QuantizedLinear):
            parent, _, own = name.rpartition(".")
            setattr(target.get_submodule(parent), own, HostPackedLinear(layer))
            held |= {f"{name}.{key}" for key in layer.state_dict()}
    return held


def follow_patches(patcher: comfy.model_patcher.ModelPatcher) -> None:
    """Have every clone of a patcher hand its LoRA patches to the packed layers when it is loaded."""
    patcher.add_callback_with_key(comfy.patcher_extension.CallbacksMP.ON_LOAD, CALLBACK, _hand_patches)


def _hand_patches(patcher: comfy.model_patcher.ModelPatcher, *where: Any) -> None:
    for name, module in patcher.model.named_modules():
        if isinstance(module, HostPackedLinear):
            module.key = f"{name}.weight"
            module.patches = tuple(patcher.patches.get(module.key, ()))
