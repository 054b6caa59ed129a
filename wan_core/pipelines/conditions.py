"""What nano's transformer is told: contexts, injections, the guidance chain over them, and the call itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..dit.joint import JointModel
from ..errors import ShapeError
from ..identity.strength import ShapedInjection, StrengthTable
from ..ops.key_value import PreparedInjection
from ..sampling.guidance import GuidanceChain, GuidanceTerm
from ..sampling.loop import AVTimesteps
from ..types import AVLatents
from .bundle import NanoBundle
from .request import Scales


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NanoCondition:
    """One condition of the chain.

    Attributes:
        context: text, (B or 1, L, text_dim).
        video, audio: references injected into the tower of the picture and of the sound; a `ShapedInjection` acts as
            its table says.
    """

    context: Tensor
    video: tuple[PreparedInjection | ShapedInjection, ...] = ()
    audio: tuple[PreparedInjection, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FaceShape:
    """When and where a face acts.

    Attributes:
        table: factor at every step and block, None for 1 throughout.
        weights: of every token of the picture, (L,), None for everywhere.
    """

    table: StrengthTable | None = None
    weights: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class NanoDenoiser:
    """The transformer as the sampling loop calls it.

    Attributes:
        dit: both towers.   fuse: False keeps the towers from reading each other, to measure what the fusion does.
    """

    dit: JointModel
    fuse: bool = True

    def __call__(self, latents: AVLatents, timesteps: AVTimesteps, condition: NanoCondition) -> AVLatents:
        """Velocities of both modalities; see `wan_core.sampling.Denoiser`.

        Raises:
            ShapeError: latents without sound; nano's towers were trained together.
        """
        if timesteps.audio is None:
            raise ShapeError(
                "latents: expected picture and sound, got no sound. Sample both and leave the sound out."
            )
        return self.dit(
            latents,
            (timesteps.video, timesteps.audio),
            condition.context,
            video_injections=acting(condition.video, float(timesteps.video.max())),
            audio_injections=condition.audio,
            fuse=self.fuse,
        )


def acting(
    injections: tuple[PreparedInjection | ShapedInjection, ...], timestep: float
) -> tuple[PreparedInjection, ...]:
    """Injections as they act at a timestep in [0, 1000]; those that do not are left out.

    Raises: ConfigError: a table of another number of blocks.
    """
    found = [own.at(timestep) if isinstance(own, ShapedInjection) else own for own in injections]
    return tuple(own for own in found if own is not None)


@torch.no_grad()
def make_conditions(
    bundle: NanoBundle,
    token_ids: Tensor,
    negative_ids: Tensor,
    identity_tokens: Tensor | None,
    voice_tokens: Tensor | None,
    scales: Scales,
    shape: FaceShape | None = None,
) -> GuidanceChain[NanoCondition]:
    """Encode the text, prepare the injections once, and build the chain nothing -> references -> references and text.

    A reference of strength 0 is left out, so that the result is bit for bit that of a request without it; equal
    conditions are evaluated once.

    Args:
        token_ids: prompts, (B, L).   negative_ids: (B or 1, L).   Both padded with 0.
        identity_tokens, voice_tokens: (B or 1, N, D), or None without a face or voice.
        scales: guidance scales and strengths.   shape: of the face's strength over steps, blocks and picture.
    Returns:
        The chain for `wan_core.sampling.sample`.
    """
    video_tower, audio_tower = bundle.dit.video_model, bundle.dit.audio_model
    video: tuple[PreparedInjection | ShapedInjection, ...] = ()
    audio: tuple[PreparedInjection, ...] = ()
    shape = shape or FaceShape()
    is_on = shape.table is None or not shape.table.is_off
    if identity_tokens is not None and scales.identity_strength > 0.0 and is_on:
        norms, heads = video_tower.key_norms(), video_tower.config.num_heads
        prepared = bundle.identity_adapter.prepare(identity_tokens, norms, heads)
        weights = None if shape.weights is None else shape.weights.to(bundle.device)
        scaled = prepared.with_scale(scales.identity_strength).with_regions(weights)
        video = (scaled if shape.table is None else ShapedInjection(injection=scaled, table=shape.table),)
    if voice_tokens is not None and scales.voice_strength > 0.0:
        norms, heads = audio_tower.key_norms(), audio_tower.config.num_heads
        prepared = bundle.voice_adapter.prepare(voice_tokens, norms, heads)
        audio = (prepared.with_scale(scales.voice_strength),)
    nothing = bundle.text(negative_ids.to(bundle.device))
    text = bundle.text(token_ids.to(bundle.device))
    references = GuidanceTerm(
        condition=NanoCondition(context=nothing, video=video, audio=audio),
        video=scales.identity,
        audio=scales.voice,
    )
    both = GuidanceTerm(
        condition=NanoCondition(context=text, video=video, audio=audio),
        video=scales.text_video,
        audio=scales.text_audio,
    )
    return GuidanceChain(NanoCondition(context=nothing), [references, both])
