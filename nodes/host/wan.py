"""The Wan transformer inside a MODEL: the engine's forward, with the call that ComfyUI makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.conds
import comfy.model_base
import comfy.ops
import comfy.patcher_extension
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...wan_core.dit.block import WanBlock
from ...wan_core.dit.config import WanConfig
from ...wan_core.dit.context import PreparedContext
from ...wan_core.dit.model import WanModel
from ...wan_core.dit.speech import PreparedSpeech
from ...wan_core.errors import InputError
from ...wan_core.ops.norm import RMSNorm
from ...wan_core.types import TokenStream
from .attention import STREAM_WEIGHTS, collect
from .foreign import is_foreign, translated
from .memory import check_interrupted

UNSUPPORTED_PATCHES = ("patches", "patches_replace")
PREPARED = "wan_r2v_prepared"


@dataclass(frozen=True, eq=False)
class Prompt:
    """A prepared context on its way through a condition; compared by identity, and no tensor to ComfyUI."""

    prepared: PreparedContext


class HostWanModel(WanModel):
    """The transformer with the call that ComfyUI makes; its parameters keep their names."""

    def __init__(self, config: WanConfig, *, operations: Any, device: Any = None, dtype: Any = None) -> None:
        super().__init__(config, operations=operations, device=device, dtype=dtype)
        self.dtype = dtype
        self.walk = walk_interruptibly
        _use_host_norms(self)

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
        if PREPARED in conds:
            conds[PREPARED] = (conds[PREPARED], context, clip_fea)
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
        has_foreign = is_foreign(self.blocks)
        image_embeds = self.image_embeds(clip_fea)
        read: Tensor | PreparedContext = context
        if PREPARED in conds:
            prompt, own_context, own_clip = conds[PREPARED]
            # no wrapper has put others in their place, and no node reads the tokens themselves
            if context is own_context and clip_fea is own_clip and not has_foreign:
                read, image_embeds = prompt.prepared.to(x.device, x.dtype), None
        frames = x.shape[2]
        weights = transformer_options.get(STREAM_WEIGHTS)
        streams = [
            TokenStream(latents=latents.to(x), source=number, timestep=None, weights=weights)
            for number, latents in enumerate(conds.get("context_latents") or (), start=1)
        ]
        if time_dim_concat is not None and weights is None:
            x = torch.cat((x, time_dim_concat), dim=2)
        elif time_dim_concat is not None:  # the same tokens, as a stream that can weigh less or more
            place = (float(frames), 0.0, 0.0)
            streams.append(
                TokenStream(latents=time_dim_concat.to(x), offset=place, timestep=None, weights=weights)
            )
        speech = None
        if self.config.speech is not None:
            streams += self.references(conds, frames)
            speech = self.heard(conds, frames)
        with translated(self.blocks, transformer_options):
            result = super().forward(
                x,
                timestep,
                read,
                image_embeds=image_embeds,
                injections=collect(transformer_options, "cross_attn"),
                self_injections=collect(transformer_options, "self_attn"),
                streams=streams,
                speech=speech,
            )
        return result[:, :, :frames]

    def references(self, conds: dict[str, Any], frames: int) -> list[TokenStream]:
        """HuMo's references as tokens behind the last of `frames`."""
        latents = conds.get("reference_latent")
        place = (float(frames), 0.0, 0.0)
        return [] if latents is None else [TokenStream(latents=latents, offset=place, timestep=None)]

    def heard(self, conds: dict[str, Any], frames: int) -> PreparedSpeech | None:
        """HuMo's speech; windows beyond `frames` belong to nothing."""
        windows = conds.get("audio_embed")
        return None if windows is None else self.prepare_speech(windows[:, :frames])

    def image_embeds(self, clip_fea: Tensor | None) -> Tensor | None:
        """CLIP embeddings for a model that takes them; None, as ComfyUI does, for one that takes none.

        Raises: InputError: the model needs them and there are none.
        """
        if self.config.image_dim is None:
            return None
        if clip_fea is None:
            raise InputError(
                "clip_vision_output: expected CLIP embeddings of the start image, got none. Wan2.1 image-to-video "
                "models need them: connect CLIP Vision Encode to the conditioning node."
            )
        return clip_fea


def walk_interruptibly(blocks: Sequence[WanBlock]) -> Iterator[WanBlock]:
    """Blocks in order; Interrupt acts before the next one, since a step of a large model takes minutes."""
    for block in blocks:
        check_interrupted()
        yield block


class HostWan21(comfy.model_base.WAN21):
    """Wan 2.1 and the 14B experts of Wan 2.2 as ComfyUI's samplers see them."""

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """As core, and the keys and values of the prompt, computed once for all steps."""
        out = super().extra_conds(**kwargs)
        add_prepared(self, out, kwargs)
        streams = kwargs.get("context_latents")
        if streams is not None and "context_latents" not in out:  # ComfyUI before 0.25 does not know them
            out["context_latents"] = comfy.conds.CONDList([self.process_latent_in(own) for own in streams])
        return out

    def process_latent_in(self, latent: Tensor) -> Tensor:
        """As core, after a look at the channels."""
        check_channels(self, latent)
        return super().process_latent_in(latent)


class HostWan22(comfy.model_base.WAN22):
    """Wan 2.2 TI2V-5B as ComfyUI's samplers see it: given frames are clean tokens at timestep 0."""

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """As core, and the keys and values of the prompt, computed once for all steps."""
        out = super().extra_conds(**kwargs)
        add_prepared(self, out, kwargs)
        return out

    def process_latent_in(self, latent: Tensor) -> Tensor:
        """As core, after a look at the channels."""
        check_channels(self, latent)
        return super().process_latent_in(latent)


def check_channels(base: comfy.model_base.BaseModel, latent: Tensor) -> None:
    """Raises: InputError: latents of another model."""
    expected = base.latent_format.latent_channels
    if latent.shape[1] != expected:
        raise InputError(
            f"latents: expected {expected} channels, got {latent.shape[1]}. Make them with the VAE of this model: "
            "2.2 for TI2V 5B (Wan22ImageToVideoLatent), 2.1 for all others."
        )


def add_prepared(base: comfy.model_base.BaseModel, out: dict[str, Any], given: dict[str, Any]) -> None:
    """Add the prepared context of a condition of one sample; ComfyUI asks after it has loaded and patched the weights.

    Not where hooks change the weights during the run, since keys and values belong to the weights that made them.

    Args: out: what `extra_conds` returns.   given: its arguments.
    """
    context = out.get("c_crossattn")
    if context is None or context.cond.shape[0] != 1 or given.get("hooks") is not None:
        return
    device, dtype = given["device"], base.get_dtype_inference()
    image = out.get("clip_fea")
    embeds = base.diffusion_model.image_embeds(None if image is None else image.cond)
    prepared = base.diffusion_model.prepare(
        context.cond.to(device, dtype), None if embeds is None else embeds.to(device, dtype)
    )
    out[PREPARED] = comfy.conds.CONDConstant(Prompt(prepared))


class HostRMSNorm(RMSNorm, comfy.ops.CastWeightBiasOp):
    """The engine's norm as one of ComfyUI's layers, so that it can be offloaded and patched like the others."""

    bias = None

    def forward(self, x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """As `RMSNorm.forward`."""
        if not self.comfy_cast_weights and not self.weight_function:
            return super().forward(x, dtype)
        weight, bias, stream = comfy.ops.cast_bias_weight(
            self, dtype=torch.float32, device=x.device, bias_dtype=torch.float32, offloadable=True
        )
        result = F.rms_norm(x.float(), (x.shape[-1],), weight, self.eps)
        comfy.ops.uncast_bias_weight(self, weight, bias, stream)
        return result.to(x.dtype if dtype is None else dtype)


def _use_host_norms(module: nn.Module) -> None:
    """Replace the norms of queries and keys by ones that ComfyUI knows how to offload."""
    for owner in list(module.modules()):
        for name, child in list(owner.named_children()):
            if isinstance(child, RMSNorm):
                weight = child.weight
                norm = HostRMSNorm(weight.shape[0], child.eps, device=weight.device, dtype=weight.dtype)
                setattr(owner, name, norm)


def _refuse_patches(options: dict[str, Any]) -> None:
    """Patches that are made for the inner layers of ComfyUI's own class must not be dropped in silence."""
    found = [key for kind in UNSUPPORTED_PATCHES for key, value in options.get(kind, {}).items() if value]
    if found:
        raise InputError(
            f"model: expected no patches of attention or blocks, got {', '.join(found)}. The node that makes them "
            "works with core's Load Diffusion Model: use that instead of Load Wan Model."
        )
