"""Codecs and text encoder on ComfyUI's VAE and CLIP connections, so that core's encode and decode nodes take them."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..wan_core.errors import InputError
from ..wan_core.pipelines.defaults import NanoDefaults
from ..wan_core.pipelines.references import encode_first_frame
from ..wan_core.types import AVLatents
from . import host
from .convert import image_from_video, video_from_image


class HostVideoCodec:
    """VAE of the picture.

    patcher: ModelPatcher of a codec with `encode`, `decode` and a config with `patch`, `frames_per_latent`,
    `latent_channels`.
    """

    latent_dim = 3
    output_channels = 3

    def __init__(self, patcher: Any, defaults: NanoDefaults) -> None:
        self.patcher = patcher
        self.defaults = defaults
        self.fps = defaults.fps
        self.config = patcher.model.config
        self.latent_channels = self.config.latent_channels

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """IMAGE (F, H, W, 3), F = 4k + 1 -> latents (1, C, k + 1, H / patch, W / patch)."""
        device = host.place(self.patcher)
        return host.intermediate(self.patcher.model.encode(video_from_image(pixels).to(device)))

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """Latents (B, C, G, h, w) -> (B, F, H, W, 3) in [0, 1]."""
        device = host.place(self.patcher)
        video = self.patcher.model.decode(samples.to(device))
        return image_from_video(video).unflatten(0, (video.shape[0], video.shape[2]))

    def spacial_compression_encode(self) -> int:
        """Pixels of the picture per pixel of the latents, along one side (ComfyUI's spelling)."""
        return self.config.patch

    def spacial_compression_decode(self) -> int:
        """As `spacial_compression_encode`."""
        return self.config.patch

    def temporal_compression_decode(self) -> int:
        """Frames per latent frame."""
        return self.config.frames_per_latent


class HostAudioCodec:
    """VAE of the sound; patcher: ModelPatcher of a codec with `encode`, `decode` and `sample_rate`."""

    def __init__(self, patcher: Any) -> None:
        self.patcher = patcher
        self.audio_sample_rate = patcher.model.sample_rate
        self.latent_samples = patcher.model.latent_samples
        self.latent_channels = patcher.model.config.latent_dim

    def encode(self, waveform: torch.Tensor) -> torch.Tensor:
        """(B, samples, channels) at `audio_sample_rate` -> latents (B, C, T)."""
        device = host.place(self.patcher)
        return host.intermediate(self.patcher.model.encode(waveform.mean(dim=-1).to(device)))

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """Latents (B, C, T), alone or nested behind a picture (older ComfyUI) -> (B, samples, 1) in [-1, 1]."""
        device = host.place(self.patcher)
        if getattr(samples, "is_nested", False):
            samples = host.unnest(samples).audio
        return host.intermediate(self.patcher.model.decode(samples.to(device)))[..., None]


class HostTextEncoder:
    """CLIP; patcher: ModelPatcher of an encoder with `encode(list of prompts)`."""

    def __init__(self, patcher: Any) -> None:
        self.patcher = patcher

    def tokenize(self, text: str, return_word_ids: bool = False, **options: Any) -> list[str]:
        """Keep the text as it is: the encoder reads whole prompts.

        Raises: InputError: not a text.
        """
        if not isinstance(text, str):
            raise InputError(f"prompt: expected a text, got {type(text).__name__}. Connect a text.")
        return [text]

    def encode_from_tokens_scheduled(self, tokens: list[str], **options: Any) -> list[Any]:
        """CONDITIONING of a prompt."""
        host.place(self.patcher)
        return [[host.intermediate(self.patcher.model.encode(tokens)), {}]]


def empty_latents(vae: HostVideoCodec, audio_vae: HostAudioCodec) -> AVLatents:
    """Zeros in the shapes of a clip of the model's own size and length."""
    defaults, config = vae.defaults, vae.config
    side = defaults.native_size // config.patch
    groups = (defaults.frames - 1) // config.frames_per_latent + 1
    samples = defaults.seconds * audio_vae.audio_sample_rate
    audio = torch.zeros(1, audio_vae.latent_channels, math.ceil(samples / audio_vae.latent_samples))
    return AVLatents(torch.zeros(1, vae.latent_channels, groups, side, side), audio)


def first_frame_latents(vae: HostVideoCodec, picture: torch.Tensor) -> torch.Tensor:
    """Latents (1, C, 1, h, w) of the picture (H, W, 3) uint8 that a clip begins with."""
    host.place(vae.patcher)
    return host.intermediate(encode_first_frame(vae.patcher.model, picture, vae.defaults.native_size))
