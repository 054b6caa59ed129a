"""What nano's transformer is told: contexts, injections, the guidance chain over them, and the call itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..dit.joint import JointModel
from ..errors import ShapeError
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
        video, audio: references injected into the tower of the picture and of the sound.
    """

    context: Tensor
    video: tuple[PreparedInjection, ...] = ()
    audio: tuple[PreparedInjection, ...] = ()


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
            video_injections=condition.video,
            audio_injections=condition.audio,
            fuse=self.fuse,
        )


@torch.no_grad()
def make_conditions(
    bundle: NanoBundle,
    token_ids: Tensor,
    negative_ids: Tensor,
    identity_tokens: Tensor | None,
    voice_tokens: Tensor | None,
    scales: Scales,
) -> GuidanceChain[NanoCondition]:
    """Encode the text, prepare the injections once, and build the chain nothing -> references -> references and text.

    A reference of strength 0 is left out, so that the result is bit for bit that of a request without it; equal
    conditions are evaluated once.

    Args:
        token_ids: prompts, (B, L).   negative_ids: (B or 1, L).   Both padded with 0.
        identity_tokens, voice_tokens: (B or 1, N, D), or None without a face or voice.
        scales: guidance scales and strengths.
    Returns:
        The chain for `wan_core.sampling.sample`.
    """
    video_tower, audio_tower = bundle.dit.video_model, bundle.dit.audio_model
    video: tuple[PreparedInjection, ...] = ()
    audio: tuple[PreparedInjection, ...] = ()
    if identity_tokens is not None and scales.identity_strength > 0.0:
        norms, heads = video_tower.key_norms(), video_tower.config.num_heads
        prepared = bundle.identity_adapter.prepare(identity_tokens, norms, heads)
        video = (prepared.with_scale(scales.identity_strength),)
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
