"""The Wan transformer as a MODEL: the engine's forward inside ComfyUI's own base models of the family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.patcher_extension
import comfy.supported_models
import torch
from torch import Tensor, nn

from ...wan_core.checkpoints.load import load_dit
from ...wan_core.dit.config import WanConfig
from ...wan_core.dit.model import WanModel
from ...wan_core.errors import InputError
from ...wan_core.ops.norm import RMSNorm
from ...wan_core.types import TokenStream

TI2V_CHANNELS = 48
UNSUPPORTED_PATCHES = ("patches", "patches_replace")


class HostWanModel(WanModel):
    """The transformer with the call that ComfyUI makes; its parameters keep their names."""

    def __init__(self, config: WanConfig, *, operations: Any, device: Any = None, dtype: Any = None) -> None:
        super().__init__(config, operations=operations, device=device, dtype=dtype)
        self.dtype = dtype
        _use_host_norms(self, operations)

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        context: Tensor,
        clip_fea: Tensor | None = None,
        time_dim_concat: Tensor | None = None,
        transformer_options: dict[str, Any] | None = None,
        **conds: Any,
    ) -> Tensor:
        """Predict the velocity of noisy latents.

        Args:
            x: (B, in_channels, F, H, W), the channels of `concat_latent_image` and its mask after the noisy ones.
            timestep: (B,) or (B, F), in [0, 1000].   context: (B, L, text_dim).
            clip_fea: CLIP embeddings (B, N, image_dim); ignored, as by ComfyUI, by models that take none.
            time_dim_concat: clean latents after the noisy ones in time, (B, in_channels, F', H, W).
            transformer_options: wrappers of other nodes.   conds: `context_latents` for in-context references.
        Raises: InputError: another node put patches in that this model can not apply; CLIP embeddings are missing.
        """
        options = transformer_options or {}
        wrappers = comfy.patcher_extension.get_all_wrappers(
            comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, options
        )
        executor = comfy.patcher_extension.WrapperExecutor.new_class_executor(self._predict, self, wrappers)
        return executor.execute(x, timestep, context, clip_fea, time_dim_concat, options, **conds)

    def _predict(
        self,
        x: Tensor,
        timestep: Tensor,
        context: Tensor,
        clip_fea: Tensor | None,
        time_dim_concat: Tensor | None,
        transformer_options: dict[str, Any],
        **conds: Any,
    ) -> Tensor:
        _refuse_patches(transformer_options)
        image_embeds = clip_fea if self.config.image_dim is not None else None
        if image_embeds is None and self.config.image_dim is not None:
            raise InputError(
                "clip_vision_output: expected CLIP embeddings of the start image, got none. Wan2.1 image-to-video "
                "models need them: connect CLIP Vision Encode to the conditioning node."
            )
        frames = x.shape[2]
        if time_dim_concat is not None:
            x = torch.cat((x, time_dim_concat), dim=2)
        streams = [
            TokenStream(latents.to(x), source=number, timestep=None)
            for number, latents in enumerate(conds.get("context_latents") or (), start=1)
        ]
        result = super().forward(x, timestep, context, image_embeds=image_embeds, streams=streams)
        return result[:, :, :frames]


class HostWan21(comfy.model_base.WAN21):
    """Wan 2.1 and the 14B experts of Wan 2.2 as ComfyUI's samplers see them."""


class HostWan22(comfy.model_base.WAN22):
    """Wan 2.2 TI2V-5B as ComfyUI's samplers see it: given frames are clean tokens at timestep 0."""


def load_wan(path: Path, dtype_name: str, disable_dynamic: bool = False) -> comfy.model_patcher.ModelPatcher:
    """Read a Wan transformer and make its MODEL.

    Args:
        path: any file that `load_dit` takes.   dtype_name: a dtype of torch for the weights, or "default".
        disable_dynamic: ComfyUI asks for a MODEL of the plain kind where it can not use its dynamic one.
    Raises: CheckpointError, InputError: the file is none of a Wan transformer's.
    """
    model = load_dit(path, device="cpu", dtype=None)
    if not isinstance(model, WanModel):
        raise InputError(
            f"model: expected a Wan transformer of pictures, got {type(model).__name__} in {path}. Use Load Wan R2V."
        )
    patcher = wrap_wan(model, dtype_name, disable_dynamic)
    patcher.cached_patcher_init = (load_wan, (path, dtype_name))
    return patcher


def wrap_wan(
    model: WanModel, dtype_name: str = "default", disable_dynamic: bool = False
) -> comfy.model_patcher.ModelPatcher:
    """Make the MODEL of a loaded transformer; arguments as in `load_wan`."""
    management = comfy.model_management
    state = model.state_dict()
    settings = _settings(model.config)
    stored = _main_dtype(state)
    load_device, offload_device = management.get_torch_device(), management.unet_offload_device()
    dtype = stored if dtype_name == "default" else getattr(torch, dtype_name)
    if dtype_name == "default":
        dtype = management.unet_dtype(
            model_params=sum(tensor.numel() for tensor in state.values()),
            supported_dtypes=settings.supported_inference_dtypes,
            weight_dtype=stored,
        )
    manual_cast = management.unet_manual_cast(dtype, load_device, settings.supported_inference_dtypes)
    settings.set_inference_dtype(dtype, manual_cast)
    base = _base_model(model.config, settings, offload_device)
    operations = comfy.ops.pick_operations(dtype, manual_cast)
    with torch.device("meta"):
        base.diffusion_model = HostWanModel(model.config, operations=operations, dtype=dtype)
    weights = {name: tensor.to(dtype) for name, tensor in state.items()}
    base.diffusion_model.load_state_dict(weights, strict=True, assign=True)
    base.diffusion_model.requires_grad_(False).train(False)
    management.archive_model_dtypes(base.diffusion_model)
    patching = comfy.model_patcher
    patcher_class = patching.ModelPatcher if disable_dynamic else patching.CoreModelPatcher
    return patcher_class(base, load_device=load_device, offload_device=offload_device)


def _settings(config: WanConfig) -> Any:
    """ComfyUI's own settings of the family: latent format, shift, memory estimate."""
    models = comfy.supported_models
    kind = models.WAN21_T2V
    if config.out_channels == TI2V_CHANNELS:
        kind = models.WAN22_T2V
    elif config.image_dim is not None:
        kind = models.WAN21_I2V
    return kind({"image_model": "wan2.1", "dim": config.dim, "disable_unet_model_creation": True})


def _base_model(config: WanConfig, settings: Any, device: torch.device) -> comfy.model_base.BaseModel:
    if config.out_channels == TI2V_CHANNELS:
        return HostWan22(settings, image_to_video=True, device=device)
    return HostWan21(settings, image_to_video=config.image_dim is not None, device=device)


def _main_dtype(state: dict[str, Tensor]) -> torch.dtype:
    """The dtype that most numbers are stored in."""
    counts: dict[torch.dtype, int] = {}
    for tensor in state.values():
        counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numel()
    return max(counts, key=lambda dtype: counts[dtype])


def _use_host_norms(module: nn.Module, operations: Any) -> None:
    """Replace the norms of queries and keys by ComfyUI's, which can be offloaded and patched like its other layers."""
    for owner in list(module.modules()):
        for name, child in list(owner.named_children()):
            if isinstance(child, RMSNorm):
                weight = child.weight
                norm = operations.RMSNorm(
                    weight.shape[0], eps=child.eps, device=weight.device, dtype=weight.dtype
                )
                setattr(owner, name, norm)


def _refuse_patches(options: dict[str, Any]) -> None:
    """Patches that are made for the inner layers of ComfyUI's own class must not be dropped in silence."""
    found = [key for kind in UNSUPPORTED_PATCHES for key, value in options.get(kind, {}).items() if value]
    if found:
        raise InputError(
            f"model: expected no patches of attention or blocks, got {', '.join(found)}. The node that makes them "
            "works with core's Load Diffusion Model: use that instead of Load Wan Model."
        )
