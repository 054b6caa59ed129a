"""ComfyUI's memory management."""

from __future__ import annotations

import comfy.model_management
import comfy.model_patcher
import torch
from torch import Tensor, nn


def manage(module: nn.Module) -> comfy.model_patcher.ModelPatcher:
    """Hand a module (a codec, an encoder) to ComfyUI's memory management."""
    module.requires_grad_(False).train(False)
    return comfy.model_patcher.ModelPatcher(
        module,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def place(*patchers: comfy.model_patcher.ModelPatcher) -> torch.device:
    """Bring models to the device that computes; that device."""
    comfy.model_management.load_models_gpu(list(patchers))
    return patchers[0].load_device


def intermediate(tensor: Tensor) -> Tensor:
    """A tensor on the device where ComfyUI keeps results."""
    return tensor.to(comfy.model_management.intermediate_device())
