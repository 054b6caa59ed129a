"""From a file of Ovi or DreamID-Omni to a MODEL."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.supported_models_base
import torch

from ...wan_core.checkpoints.load import load_dit
from ...wan_core.checkpoints.source import open_source
from ...wan_core.dit.joint import JointModel
from ...wan_core.errors import InputError
from ...wan_core.pipelines.ovi_family import LATENT_CHANNELS, OviFamily
from .joint import HostJoint, HostJointModel
from .packed import follow_patches, move_packed
from .wan_load import COMPUTE_DTYPES

#: Attachment of the MODEL that says which of the published models it is.
FAMILY = "wan_r2v_ovi"


class _Preview(comfy.latent_formats.LatentFormat):
    """Normalised latents of Wan 2.2, which is what nested latents of picture and sound hold."""

    latent_channels = LATENT_CHANNELS
    latent_dimensions = 3
    latent_rgb_factors = comfy.latent_formats.Wan22.latent_rgb_factors


def load_ovi(path: Path, family: OviFamily) -> comfy.model_patcher.ModelPatcher:
    """Read both towers and make their MODEL.

    Raises: CheckpointError, InputError: the file is none of a joint model's.
    """
    dtype = torch.float32 if open_source(path).header.packing else None
    model = load_dit(path, device="cpu", dtype=dtype)
    if not isinstance(model, JointModel) or model.config.video.in_channels != LATENT_CHANNELS:
        raise InputError(
            f"model: expected Ovi or DreamID-Omni, got {type(model).__name__} in {path}. Use Load Wan Model."
        )
    patcher = _wrap(model, family)
    patcher.set_attachments(FAMILY, family)
    return patcher


def ovi_family(model: comfy.model_patcher.ModelPatcher) -> OviFamily:
    """Which of the published models a MODEL is.

    Raises: InputError: none of them.
    """
    family = model.get_attachment(FAMILY)
    if not isinstance(family, OviFamily):
        raise InputError("model: expected Ovi or DreamID-Omni, got another model. Use Load Ovi (Wan R2V).")
    return family


def _wrap(model: JointModel, family: OviFamily) -> comfy.model_patcher.ModelPatcher:
    class Settings(comfy.supported_models_base.BASE):
        unet_extra_config: ClassVar[dict[str, Any]] = {}
        sampling_settings: ClassVar[dict[str, Any]] = {"shift": family.shift}
        latent_format = _Preview
        memory_usage_factor = 1.0

    management = comfy.model_management
    load_device, offload_device = management.get_torch_device(), management.unet_offload_device()
    weight = model.video_model.head.modulation
    settings = Settings({"disable_unet_model_creation": True})
    with torch.device("meta"):
        probe = HostJointModel(model.config, operations=comfy.ops.manual_cast)
    packed = move_packed(model, probe)
    if packed:
        dtype, manual_cast = (
            management.unet_manual_cast(torch.float8_e4m3fn, load_device, COMPUTE_DTYPES),
            None,
        )
        operations = comfy.ops.manual_cast
    else:
        dtype = weight.dtype
        manual_cast = management.unet_manual_cast(dtype, load_device, COMPUTE_DTYPES)
        operations = comfy.ops.pick_operations(dtype, manual_cast)
    settings.set_inference_dtype(dtype, manual_cast)
    base = HostJoint(settings, comfy.model_base.ModelType.FLOW, device=offload_device)
    with torch.device("meta"):
        inner = HostJointModel(model.config, operations=operations, dtype=dtype)
    move_packed(model, inner)
    weights = {name: tensor for name, tensor in model.state_dict().items() if name not in packed}
    inner.load_state_dict(weights, strict=not packed, assign=True)
    inner.position_scale = family.position_scale
    base.diffusion_model = inner.requires_grad_(False).train(False)
    patcher = comfy.model_patcher.ModelPatcher(base, load_device=load_device, offload_device=offload_device)
    if packed:
        follow_patches(patcher)
    return patcher
