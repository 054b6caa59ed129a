"""Everything of nano that is trained together: the two towers, the text encoder and both adapters."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wan_core.dit.init import init_weights
from wan_core.dit.joint import JointModel
from wan_core.identity.resampler import Resampler
from wan_core.text.encoder import NanoTextEncoder
from wan_core.types import AVLatents

from . import nano_config


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch of nano's training.

    Attributes:
        video: clean video latents (B, C, F, h, w).   audio: clean audio latents (B, C_a, T_a).
        token_ids: prompts (B, L).   face_embeds: (B, 1, 128).   voice_tokens: (B, N, D).
        keep_identity, keep_voice: (B,) of 0 and 1; 0 drops a sample's reference.
        video_sigma: noise of the video, (B,) or, with a clean first frame, (B, F).   audio_sigma: (B,).
        video_noise, audio_noise: like video and audio.
    """

    video: Tensor
    audio: Tensor
    token_ids: Tensor
    face_embeds: Tensor
    voice_tokens: Tensor
    keep_identity: Tensor
    keep_voice: Tensor
    video_sigma: Tensor
    audio_sigma: Tensor
    video_noise: Tensor
    audio_noise: Tensor


class Trainee(nn.Module):
    """The trained parts, called as sampling calls them."""

    def __init__(self, latent_channels: int) -> None:
        super().__init__()
        self.dit = JointModel(nano_config.joint_config(latent_channels))
        init_weights(self.dit)
        self.text = NanoTextEncoder(nano_config.text_config())
        self.resampler = Resampler(nano_config.resampler_config())
        self.identity = nano_config.make_identity_adapter()
        self.voice = nano_config.make_voice_adapter()
        self.identity.init_weights()
        self.voice.init_weights()

    def forward(self, batch: Batch, fuse: bool) -> AVLatents:
        """Predict the velocities of both towers at the batch's noise levels."""
        context = self.text(batch.token_ids)
        video, audio = self.dit.video_model, self.dit.audio_model
        identity = self.identity.prepare(
            self.resampler(batch.face_embeds),
            video.key_norms(),
            video.config.num_heads,
        )
        voice = self.voice.prepare(batch.voice_tokens, audio.key_norms(), audio.config.num_heads)
        noisy = AVLatents(
            mix(batch.video, batch.video_noise, batch.video_sigma),
            mix(batch.audio, batch.audio_noise, batch.audio_sigma),
        )
        return self.dit(
            noisy,
            (batch.video_sigma * 1000, batch.audio_sigma * 1000),
            context,
            video_injections=(identity.with_batch_scale(batch.keep_identity),),
            audio_injections=(voice.with_batch_scale(batch.keep_voice),),
            fuse=fuse,
        )


def mix(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """Flow-matching interpolation (1 - sigma) * clean + sigma * noise; sigma (B,) or, for video, (B, F)."""
    shape = sigma.shape if sigma.ndim == 1 else (sigma.shape[0], 1, sigma.shape[1])
    level = sigma.reshape(*shape, *(1,) * (clean.ndim - len(shape)))
    return torch.lerp(clean, noise, level)
