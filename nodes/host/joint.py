"""The joint picture and sound transformer as a MODEL."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

import comfy.conds
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.patcher_extension
import comfy.supported_models_base
import comfy.utils
import torch
from torch import Tensor

from ...wan_core.dit.joint import JointModel
from ...wan_core.errors import InputError
from ...wan_core.types import AVLatents

REFERENCES = "wan_r2v_references"
#: Keys of a CONDITIONING: another context for the sound, and faces and voices as tokens (`JointStreams`).
AUDIO_CONTEXT, STREAMS = "wan_r2v_audio_context", "wan_r2v_streams"


class HostJointModel(JointModel):
    """The joint transformer with the call that ComfyUI makes; its parameters keep their names."""

    def __init__(self, config: Any, *, operations: Any, device: Any = None, dtype: Any = None) -> None:
        super().__init__(config, operations=operations, device=device, dtype=dtype)
        self.dtype = dtype
        #: Latent frames of the video between two latents of the sound, where the file does not tell; None: it does.
        self.position_scale: float | None = None

    def forward(
        self,
        x: list[Tensor] | Tensor,
        timestep: tuple[Tensor, Tensor],
        context: Tensor,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **conds: Any,
    ) -> list[Tensor] | Tensor:
        """Predict the velocities of a packed sample.

        Args:
            x: [video (B, C, F, H, W), audio (B, C_a, T_a)], or the video alone.
            timestep: of the video, (B,) or (B, F), and of the audio, (B,), in [0, 1000].
            context: (B, L, text_dim).   transformer_options: wrappers of other nodes.
            conds: what `HostJoint.extra_conds` added; references under the key REFERENCES.
        """
        options = transformer_options or {}
        wrappers = comfy.patcher_extension.get_all_wrappers(
            comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, options
        )
        executor = comfy.patcher_extension.WrapperExecutor.new_class_executor(self._predict, self, wrappers)
        return executor.execute(x, timestep, context, options, **conds)

    def _predict(
        self,
        x: list[Tensor] | Tensor,
        timestep: tuple[Tensor, Tensor],
        context: Tensor,
        transformer_options: dict[str, Any],
        **conds: Any,
    ) -> list[Tensor] | Tensor:
        latents = AVLatents(*x) if isinstance(x, (list, tuple)) else AVLatents(x)
        video, audio = self.velocity(
            latents,
            timestep,
            context,
            conds.get(REFERENCES),
            audio_context=conds.get(AUDIO_CONTEXT),
            streams=conds.get(STREAMS),
            options=transformer_options,
        )
        return video if audio is None else [video, audio]

    def velocity(
        self,
        latents: AVLatents,
        timesteps: tuple[Tensor, Tensor],
        context: Tensor,
        references: Any = None,
        *,
        audio_context: Tensor | None = None,
        streams: Any = None,
        skip_blocks: Collection[int] = (),
        options: Mapping[str, Any] | None = None,
    ) -> AVLatents:
        """The engine's own forward: velocities of latents, with injections or streams of references (or none).

        Args: options: `transformer_options`; shaped references read the sigmas of the run in it.
        """
        placed = None if references is None else references.to(latents.video.device, latents.video.dtype)
        faces = () if placed is None else placed.video
        if placed is not None and placed.shape is not None:
            sides = zip(latents.video.shape[2:], self.config.video.patch_size, strict=True)
            frames, rows, columns = (side // step for side, step in sides)
            faces = placed.shape.acting(
                faces, options or {}, float(timesteps[0].max()), (frames, rows, columns)
            )
        return super().forward(
            latents,
            timesteps,
            context,
            audio_context=audio_context,
            video_injections=faces,
            audio_injections=() if placed is None else placed.audio,
            video_streams=() if streams is None else streams.video,
            audio_streams=() if streams is None else streams.audio,
            audio_position_scale=self.position_scale,
            skip_blocks=skip_blocks,
        )


class HostJoint(comfy.model_base.BaseModel):
    """The joint transformer as ComfyUI's samplers see it: flow matching over nested latents."""

    def extra_conds(self, **kwargs: Any) -> dict[str, Any]:
        """Hand on the shapes of the nested latents, the mask of frames that are given, and the references."""
        out = super().extra_conds(**kwargs)
        if kwargs.get("cross_attn") is not None:
            out["c_crossattn"] = comfy.conds.CONDRegular(kwargs["cross_attn"])
        shapes, mask = kwargs.get("latent_shapes"), kwargs.get("denoise_mask")
        if shapes is not None and len(shapes) > 1:
            out["latent_shapes"] = comfy.conds.CONDConstant(shapes)
        if mask is not None:
            parts = comfy.utils.unpack_latents(mask, shapes) if shapes is not None else [mask]
            out["denoise_mask"] = comfy.conds.CONDRegular(parts[0])
        for key in (REFERENCES, STREAMS):
            if kwargs.get(key) is not None:
                out[key] = comfy.conds.CONDConstant(kwargs[key])
        if kwargs.get(AUDIO_CONTEXT) is not None:
            out[AUDIO_CONTEXT] = comfy.conds.CONDRegular(kwargs[AUDIO_CONTEXT])
        return out

    def process_timestep(
        self, timestep: Tensor, x: Tensor, denoise_mask: Tensor | None = None, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Timesteps of video and audio; a latent frame that is wholly given stands at 0."""
        if denoise_mask is None:
            return timestep, timestep
        noisy = denoise_mask.amax(dim=(1, 3, 4))
        return timestep[:, None] * noisy, timestep

    def scale_latent_inpaint(
        self, sigma: Tensor, noise: Tensor, latent_image: Tensor, **kwargs: Any
    ) -> Tensor:
        """A given frame is shown to the model clean."""
        return latent_image


def wrap_joint(
    model: JointModel, *, shift: float, preview: Callable[[Tensor], Tensor]
) -> comfy.model_patcher.ModelPatcher:
    """Make the MODEL of a joint transformer.

    Args:
        model: loaded on the CPU; its weights are taken over, not copied.
        shift: of the flow schedule that core schedulers use.
        preview: latents (B, C, F, H, W) -> RGB video (B, 3, F, H, W) in [-1, 1]; live previews show its first frame.
    """
    weight = next(model.parameters())

    class PreviewFormat(comfy.latent_formats.LatentFormat):
        latent_channels = model.config.video.in_channels
        latent_dimensions = 3
        latent_rgb_factors = torch.eye(3).tolist()
        latent_rgb_factors_reshape = staticmethod(preview)

    class Settings(comfy.supported_models_base.BASE):
        unet_extra_config: ClassVar[dict[str, Any]] = {}
        sampling_settings: ClassVar[dict[str, Any]] = {"shift": shift}
        latent_format = PreviewFormat
        memory_usage_factor = 1.0

    load_device = comfy.model_management.get_torch_device()
    offload_device = comfy.model_management.unet_offload_device()
    dtype = weight.dtype
    settings = Settings({"disable_unet_model_creation": True})
    settings.set_inference_dtype(dtype, comfy.model_management.unet_manual_cast(dtype, load_device, [dtype]))
    base = HostJoint(settings, comfy.model_base.ModelType.FLOW, device=offload_device)
    operations = comfy.ops.pick_operations(dtype, settings.manual_cast_dtype)
    with torch.device("meta"):
        base.diffusion_model = HostJointModel(model.config, operations=operations, dtype=dtype)
    base.diffusion_model.load_state_dict(model.state_dict(), strict=True, assign=True)
    base.diffusion_model.requires_grad_(False).train(False)
    return comfy.model_patcher.ModelPatcher(base, load_device=load_device, offload_device=offload_device)


def joint_model(model: comfy.model_patcher.ModelPatcher) -> HostJointModel:
    """The joint transformer inside a MODEL.

    Raises: InputError: the MODEL holds another one.
    """
    inner = model.get_model_object("diffusion_model")
    if not isinstance(inner, HostJointModel):
        raise InputError(
            f"model: expected a joint video and audio model of Wan R2V, got {type(inner).__name__}. Use Load Wan R2V."
        )
    return inner
