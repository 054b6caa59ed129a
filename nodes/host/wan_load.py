"""From a file of a Wan transformer to a MODEL."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import torch
from torch import Tensor, nn

from ...wan_core.checkpoints.load import load_dit
from ...wan_core.checkpoints.source import open_source
from ...wan_core.dit.config import WanConfig
from ...wan_core.dit.model import WanModel
from ...wan_core.errors import CheckpointMismatchError, InputError
from ...wan_core.ops.quantized import VALUE_TYPES, PackedWeight, QuantizedLinear, put_packed
from .humo import HostHuMo
from .packed import follow_patches, move_packed
from .wan import HostWan21, HostWan22, HostWanModel

DEFAULT = "default"
#: What the loader's `weight_dtype` asks for -> format of `ops.quantized`.
PACKED_FORMATS = MappingProxyType({"fp8_e4m3fn": "F8_E4M3", "fp8_e5m2": "F8_E5M2"})
#: In which packed weights may compute, the best first.
COMPUTE_DTYPES = [torch.bfloat16, torch.float16, torch.float32]
TI2V_CHANNELS = 48


def load_wan(path: Path, dtype_name: str, disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """Read a Wan transformer and make its MODEL.

    Args:
        path: any file that `load_dit` takes.   dtype_name: DEFAULT, or a key of PACKED_FORMATS to hold the blocks in.
        disable_dynamic: ComfyUI asks for a MODEL of the plain kind where it can not use its dynamic one.
    Raises: CheckpointError, InputError: the file is none of a Wan transformer's.
    """
    # The few tensors beside packed ones are small, and their precision counts: norms, biases, modulation.
    dtype = torch.float32 if open_source(path).header.packing else None
    model = load_dit(path, device="cpu", dtype=dtype)
    if not isinstance(model, WanModel):
        raise InputError(
            f"model: expected a Wan transformer of pictures, got {type(model).__name__} in {path}. Use Load Wan R2V."
        )
    patcher = wrap_wan(model, dtype_name, disable_dynamic)
    patcher.cached_patcher_init = (load_wan, (path, dtype_name))
    return patcher


def wrap_wan(
    model: WanModel, dtype_name: str = DEFAULT, disable_dynamic: bool = False
) -> comfy.model_patcher.ModelPatcher:
    """Make the MODEL of a loaded transformer, whose weights are taken over; arguments as in `load_wan`."""
    if dtype_name != DEFAULT:
        _pack(model, PACKED_FORMATS[dtype_name])
    management, patching = comfy.model_management, comfy.model_patcher
    load_device, offload_device = management.get_torch_device(), management.unet_offload_device()
    settings = _settings(model.config)
    is_packed = any(isinstance(module, QuantizedLinear) for module in model.modules())
    if is_packed:
        dtype, manual_cast = (
            management.unet_manual_cast(torch.float8_e4m3fn, load_device, COMPUTE_DTYPES),
            None,
        )
        operations = comfy.ops.manual_cast
    else:
        state = model.state_dict()
        dtype = management.unet_dtype(
            model_params=sum(tensor.numel() for tensor in state.values()),
            supported_dtypes=settings.supported_inference_dtypes,
            weight_dtype=_main_dtype(state),
        )
        manual_cast = management.unet_manual_cast(dtype, load_device, settings.supported_inference_dtypes)
        operations = comfy.ops.pick_operations(dtype, manual_cast)
    settings.set_inference_dtype(dtype, manual_cast)
    base = _base_model(model.config, settings, offload_device)
    base.diffusion_model = _host_model(model, operations, dtype, None if is_packed else dtype)
    management.archive_model_dtypes(base.diffusion_model)
    is_plain = is_packed or disable_dynamic
    patcher_class = patching.ModelPatcher if is_plain else patching.CoreModelPatcher
    patcher = patcher_class(base, load_device=load_device, offload_device=offload_device)
    if is_packed:
        follow_patches(patcher)
    return patcher


def _host_model(
    model: WanModel, operations: Any, dtype: torch.dtype, weight_dtype: torch.dtype | None
) -> HostWanModel:
    """The same transformer made of ComfyUI's layers; weight_dtype: None keeps every tensor as it is."""
    with torch.device("meta"):
        result = HostWanModel(model.config, operations=operations, dtype=dtype)
    packed = move_packed(model, result)
    weights = {
        name: tensor.to(weight_dtype) for name, tensor in model.state_dict().items() if name not in packed
    }
    result.load_state_dict(weights, strict=not packed, assign=True)
    left = [name for name, tensor in result.state_dict().items() if tensor.is_meta]
    if left:
        raise CheckpointMismatchError(
            f"weights: expected a value for every tensor, got none for {left[0]}. Use a whole file."
        )
    return result.requires_grad_(False).train(False)


def _pack(model: WanModel, kind: str) -> None:
    """Round the weights of the blocks' linear layers to 8 bits."""
    for block in model.blocks:
        for name, layer in list(block.named_modules()):
            if isinstance(layer, nn.Linear):
                data = layer.weight.detach().to(VALUE_TYPES[kind]).view(torch.uint8).flatten()
                put_packed(
                    block,
                    f"{name}.weight",
                    PackedWeight(kind, tuple(layer.weight.shape), data),
                    torch.float32,
                )


def _settings(config: WanConfig) -> Any:
    """ComfyUI's own settings of the family: latent format, shift, memory estimate."""
    models = comfy.supported_models
    kind = models.WAN21_T2V
    if config.speech is not None:
        kind = models.WAN21_HuMo
    elif config.out_channels == TI2V_CHANNELS:
        kind = models.WAN22_T2V
    elif config.image_dim is not None:
        kind = models.WAN21_I2V
    return kind({"image_model": "wan2.1", "dim": config.dim, "disable_unet_model_creation": True})


def _base_model(config: WanConfig, settings: Any, device: torch.device) -> comfy.model_base.BaseModel:
    if config.speech is not None:
        return HostHuMo(settings, device=device)
    if config.out_channels == TI2V_CHANNELS:
        return HostWan22(settings, image_to_video=True, device=device)
    return HostWan21(settings, image_to_video=config.image_dim is not None, device=device)


def _main_dtype(state: dict[str, Tensor]) -> torch.dtype:
    """The dtype that most numbers are stored in."""
    counts: dict[torch.dtype, int] = {}
    for tensor in state.values():
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numel()
    return max(counts, key=lambda dtype: counts[dtype])
