"""The joint transformer of a run: on the device, with prompts and references prepared, called by the sampling loop."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass

import torch
from torch import Tensor

from ..checkpoints.load import load_dit
from ..checkpoints.lora import apply_lora
from ..dit.context import PreparedJointContext
from ..dit.execution import for_inference
from ..dit.joint import JointModel
from ..errors import CheckpointMismatchError, ShapeError
from ..sampling.guidance import GuidanceChain, GuidanceTerm
from ..sampling.loop import AVTimesteps
from ..types import AVLatents, TokenStream
from .memory_stream import BlockStreamer
from .ovi_family import OviFamily
from .ovi_files import FoundOvi
from .ovi_request import OviSettings

POSITIVE, NEGATIVE = 0, 1


@dataclass(frozen=True, slots=True)
class OviCondition:
    """One condition of the guidance chain.

    Attributes:
        prompt: POSITIVE, or NEGATIVE (which differs for picture and sound).
        has_faces, has_voices: whether the references are shown, or zeros in their places.
        skipped: blocks that both towers leave out.
    """

    prompt: int
    has_faces: bool = True
    has_voices: bool = True
    skipped: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OviConditioning:
    """What the transformer is given beside the noise.

    Attributes:
        contexts: embedded prompts (1, L, text_dim): the prompt, what the picture avoids, what the sound avoids.
        faces, voices: references, see `ovi_references`.   first_frame: clean latents (1, C, 1, H, W), or None.
    """

    contexts: tuple[Tensor, Tensor, Tensor]
    faces: tuple[TokenStream, ...] = ()
    voices: tuple[TokenStream, ...] = ()
    first_frame: Tensor | None = None


def ovi_chain(settings: OviSettings) -> GuidanceChain[OviCondition]:
    """Guidance of a request; see `guidance_chain`."""
    return guidance_chain(settings.family, settings.guidance, settings.reference_guidance)


def guidance_chain(
    family: OviFamily, guidance: tuple[float, float], reference_guidance: tuple[float, float]
) -> GuidanceChain[OviCondition]:
    """Guidance with scales of its own for picture and sound.

    Args: guidance, reference_guidance: scale on the picture and on the sound, of the prompt and of the references.

    Ovi: away from the negative prompt, for which some blocks are skipped. DreamID-Omni: away from the negative prompt,
    and from zeros in place of the faces (picture) or of the voices (sound).
    Source: character-ai/Ovi@5b69b25 ovi/ovi_fusion_engine.py generate; Guoxu1233/DreamID-Omni@9a9f456
        dreamid_omni/dreamid_omni_engine.py generate.
    """
    video, audio = guidance
    everything = OviCondition(POSITIVE)
    terms = [GuidanceTerm(condition=everything, video=video, audio=audio)]
    if family.takes_references:
        faces, voices = reference_guidance
        no_faces, no_voices = (
            OviCondition(POSITIVE, has_faces=False),
            OviCondition(POSITIVE, has_voices=False),
        )
        terms += [
            GuidanceTerm(condition=everything, baseline=no_faces, video=faces, audio=0.0),
            GuidanceTerm(condition=everything, baseline=no_voices, video=0.0, audio=voices),
        ]
    return GuidanceChain(OviCondition(NEGATIVE, skipped=family.skipped), terms)


class OviDenoiser:
    """The joint transformer as the sampling loop calls it.

    Args:
        model: both towers, on their device.   conditioning: prompts and references.
        position_scale: see `OviFamily`.   dtype: in which prompts and references are shown.
    """

    def __init__(
        self, model: JointModel, conditioning: OviConditioning, *, position_scale: float, dtype: torch.dtype
    ) -> None:
        self._model = model
        self._position_scale = position_scale
        device = model.video_model.head.modulation.device
        text, video, audio = (context.to(device, dtype) for context in conditioning.contexts)
        with torch.no_grad():
            self._contexts: dict[int, PreparedJointContext] = {
                POSITIVE: model.prepare(text),
                NEGATIVE: model.prepare(video, audio),
            }
        self._faces = _shown_and_not(conditioning.faces, device, dtype)
        self._voices = _shown_and_not(conditioning.voices, device, dtype)

    def __call__(self, latents: AVLatents, timesteps: AVTimesteps, condition: OviCondition) -> AVLatents:
        """Velocities of both modalities; see `wan_core.sampling.Denoiser`.

        Raises: ShapeError: latents without sound, which the towers were trained with.
        """
        if timesteps.audio is None:
            raise ShapeError(
                "latents: expected picture and sound, got no sound. Sample both and leave the sound out."
            )
        return self._model(
            latents,
            (timesteps.video, timesteps.audio),
            self._contexts[condition.prompt],
            video_streams=self._faces[condition.has_faces],
            audio_streams=self._voices[condition.has_voices],
            audio_position_scale=self._position_scale,
            skip_blocks=condition.skipped,
        )


class OviTransformer:
    """Loads the joint transformer for one run.

    Args: found: the parts.   device, dtype: where and in what it works.   resident: blocks of each tower that stay on
        the device, None for all.   safe: weights stay such that a step can be repeated in float32.
    """

    def __init__(
        self,
        found: FoundOvi,
        *,
        device: torch.device | str,
        dtype: torch.dtype,
        resident: int | None,
        safe: bool,
    ) -> None:
        self._found = found
        self._device, self._dtype = torch.device(device), dtype
        self._resident, self._safe = resident, safe
        self._network: weakref.ref[JointModel] | None = None

    def network(self) -> JointModel | None:
        """The transformer that is in memory, or None."""
        return None if self._network is None else self._network()

    def load(self, conditioning: OviConditioning) -> OviDenoiser:
        """Load it, with its LoRA, and prepare prompts and references.

        Raises: CheckpointError: it can not be loaded, or a LoRA is of another model.
        """
        model = load_dit(self._found.path, "cpu", self._dtype)
        if not isinstance(model, JointModel):
            raise CheckpointMismatchError(
                f"model: expected two towers, got {type(model).__name__} in {self._found.path}. Name Ovi's file."
            )
        for lora in self._found.loras:
            apply_lora(model, lora)
        model = self._place(model.requires_grad_(False))
        self._network = weakref.ref(model)
        return OviDenoiser(
            model, conditioning, position_scale=self._found.family.position_scale, dtype=self._dtype
        )

    def free(self) -> None:
        """Give the memory of the transformer, once nobody holds it, back."""
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _place(self, model: JointModel) -> JointModel:
        if self._resident is None or self._resident >= model.config.video.num_layers:
            model = model.to(self._device)
            is_fixed = self._resident is not None or (self._safe and self._dtype != torch.float32)
            return model if is_fixed else for_inference(model, consume=True)
        towers = (model.video_model, model.audio_model)
        blocks = [tower.blocks for tower in towers]
        for tower in towers:
            tower.blocks = torch.nn.ModuleList()
        model.to(self._device)
        for tower, own in zip(towers, blocks, strict=True):
            tower.blocks = own
            tower.walk = BlockStreamer(list(own), self._device, self._resident, tower.head.modulation)
        return model


def _shown_and_not(
    streams: tuple[TokenStream, ...], device: torch.device, dtype: torch.dtype
) -> dict[bool, tuple[TokenStream, ...]]:
    """References as they are (True), and zeros in their places (False)."""
    placed = [(stream, stream.latents.to(device, dtype)) for stream in streams]
    return {
        True: tuple(_with(stream, latents) for stream, latents in placed),
        False: tuple(_with(stream, torch.zeros_like(latents)) for stream, latents in placed),
    }


def _with(stream: TokenStream, latents: Tensor) -> TokenStream:
    return TokenStream(latents=latents, offset=stream.offset, source=stream.source, timestep=stream.timestep)
