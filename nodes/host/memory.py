"""ComfyUI's memory management."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.utils
import torch
from torch import Tensor, nn


def manage(module: nn.Module, *, is_text: bool = False) -> comfy.model_patcher.ModelPatcher:
    """Hand a module (a codec, an encoder) to ComfyUI's memory management; is_text: to its place for text encoders."""
    module.requires_grad_(False).train(False)
    management = comfy.model_management
    if is_text:
        places = management.text_encoder_device(), management.text_encoder_offload_device()
    else:
        places = management.get_torch_device(), management.unet_offload_device()
    return comfy.model_patcher.ModelPatcher(module, load_device=places[0], offload_device=places[1])


def place(*patchers: comfy.model_patcher.ModelPatcher) -> torch.device:
    """Bring models to the device that computes; that device."""
    comfy.model_management.load_models_gpu(list(patchers))
    return patchers[0].load_device


def place_whole(patcher: comfy.model_patcher.ModelPatcher, work: int) -> torch.device:
    """Bring a module to its device, all of it, with room for `work` bytes beside it; that device."""
    comfy.model_management.load_models_gpu([patcher], memory_required=work, force_full_load=True)
    return patcher.load_device


def cast_operations() -> Any:
    """ComfyUI's layers that convert their weights to the dtype and the device of their input (`Operations`)."""
    return comfy.ops.manual_cast


def codec_dtype() -> torch.dtype:
    """What video codecs compute in on this machine, by ComfyUI's settings."""
    management = comfy.model_management
    return management.vae_dtype(management.get_torch_device(), [torch.bfloat16, torch.float16, torch.float32])


def check_interrupted() -> None:
    """Raise where the user has pressed Interrupt."""
    comfy.model_management.throw_exception_if_processing_interrupted()


def progress_bar(steps: int) -> Any:
    """A progress bar on the node that runs; `update(n)` moves it on by n of `steps`."""
    return comfy.utils.ProgressBar(steps)


def intermediate(tensor: Tensor) -> Tensor:
    """A tensor on the device where ComfyUI keeps results."""
    return tensor.to(comfy.model_management.intermediate_device())
