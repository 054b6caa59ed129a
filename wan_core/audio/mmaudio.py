"""MMAudio's codec of 16 kHz: sound <-> mel spectrogram <-> latents, as Ovi and DreamID-Omni use it.

VAE and vocoder are diffusers' classes. These were made for the version of 44.1 kHz; what differs at 16 kHz (logarithm
of base 10, a bias and a tanh at the vocoder's end) is here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ConfigError, InputError, MissingDependencyError, ShapeError
from .mel import log_mel


@dataclass(frozen=True, slots=True, kw_only=True)
class MMAudioConfig:
    """Sizes of the codec; the defaults are the published ones.

    sample_rate: Hz.   window, hop: samples of the spectrogram.   bands: of the mel axis.
    latent_channels, hidden_channels, multipliers, layers: of the VAE, whose latents are every second frame.
    vocoder_channels: first width of the vocoder.   rates, kernels: of its stages; the rates multiply to the hop.
    block_kernels, dilations: of its residual blocks.
    Raises: ConfigError: rates that do not multiply to the hop.
    Source: character-ai/Ovi@5b69b25 ovi/modules/mmaudio/ext/autoencoder/vae.py, ext/bigvgan/bigvgan_vocoder.yml.
    """

    sample_rate: int = 16_000
    window: int = 1024
    hop: int = 256
    bands: int = 80
    latent_channels: int = 20
    hidden_channels: int = 384
    multipliers: tuple[int, ...] = (1, 2, 4)
    layers: int = 2
    vocoder_channels: int = 1536
    rates: tuple[int, ...] = (4, 4, 2, 2, 2, 2)
    kernels: tuple[int, ...] = (8, 8, 4, 4, 4, 4)
    block_kernels: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))

    def __post_init__(self) -> None:
        if math.prod(self.rates) != self.hop or len(self.rates) != len(self.kernels):
            raise ConfigError(
                f"vocoder: expected rates whose product is the hop {self.hop}, one kernel each, got {self.rates} and "
                f"{self.kernels}. Correct the configuration."
            )

    @property
    def latent_dim(self) -> int:
        """Channels of the latents, under the name that nano's codec has for it."""
        return self.latent_channels

    @property
    def latent_samples(self) -> int:
        """Samples that one latent stands for."""
        return 2 * self.hop


class MMAudioCodec(nn.Module):
    """Turns mono sound into latents and back.

    Parameters: `vae.*` (data_mean, data_std, encoder, decoder) and `vocoder.*`, with plain weights: see
    `checkpoints.mmaudio` for how the published ones become so.
    Raises: MissingDependencyError: diffusers is not installed, or older than these classes.
    """

    def __init__(self, config: MMAudioConfig) -> None:
        super().__init__()
        self.config = config
        self.vae = make_vae(config)
        self.vocoder = make_vocoder(config)

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms."""
        return self.config.sample_rate

    @property
    def latent_samples(self) -> int:
        """Samples that one latent stands for."""
        return self.config.latent_samples

    @torch.no_grad()
    def encode(self, waveform: Tensor) -> Tensor:
        """Mean of the latents' distribution.

        Args: waveform: (B, samples) at `sample_rate`, at least `latent_samples` and more than the window's margin.
        Returns: (B, latent_channels, samples // latent_samples or one less), in the dtype of the weights.
        Raises: ShapeError: another shape or too short.   InputError: samples that are not finite.
        """
        config = self.config
        if not bool(torch.isfinite(waveform).all()):
            raise InputError(
                "waveform: expected finite samples, got NaN or infinity. Export the recording again."
            )
        mel = log_mel(
            waveform,
            sample_rate=config.sample_rate,
            window=config.window,
            hop=config.hop,
            bands=config.bands,
        )
        if mel.shape[2] < 2:
            raise ShapeError(
                f"waveform: expected at least {config.latent_samples} samples, got {waveform.shape[1]}. "
                "Use a longer recording."
            )
        return self.vae.encode(mel.to(self.vae.data_mean.dtype)).chunk(2, dim=1)[0]

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Sound of latents.

        Args: latents: (B, latent_channels, T).
        Returns: (B, T * latent_samples) float32 in [-1, 1].
        Raises: ShapeError: another shape.
        """
        if latents.ndim != 3 or latents.shape[1] != self.config.latent_channels:
            raise ShapeError(
                f"audio latents: expected (batch, {self.config.latent_channels}, length), got {tuple(latents.shape)}. "
                "Use latents of Ovi or DreamID-Omni."
            )
        mel = self.vae.decode(latents.to(self.vae.data_mean))
        return self.vocoder(mel, return_dict=False)[0][:, 0].float()


def make_vae(config: MMAudioConfig) -> Any:
    """Encoder and decoder over mel spectrograms: diffusers' class with `encode(mel)` (moments) and `decode(z)`.

    Raises: MissingDependencyError: see `MMAudioCodec`.
    """
    vae_class, _ = _classes()
    return vae_class(
        mel_bins=config.bands,
        latent_channels=config.latent_channels,
        hidden_channels=config.hidden_channels,
        channel_multipliers=config.multipliers,
        layers_per_block=config.layers,
        sample_rate=config.sample_rate,
        n_fft=config.window,
        hop_length=config.hop,
    ).vae


def make_vocoder(config: MMAudioConfig) -> Any:
    """BigVGAN as published for 16 kHz: its last layer has a bias and a tanh.

    Raises: MissingDependencyError: see `MMAudioCodec`.
    """
    _, vocoder_class = _classes()
    vocoder = vocoder_class(
        num_mels=config.bands,
        upsample_initial_channel=config.vocoder_channels,
        upsample_rates=config.rates,
        upsample_kernel_sizes=config.kernels,
        resblock_kernel_sizes=config.block_kernels,
        resblock_dilation_sizes=config.dilations,
    )
    last = vocoder.conv_post
    vocoder.conv_post = nn.Sequential(nn.Conv1d(last.in_channels, 1, 7, padding=3), nn.Tanh())
    return vocoder


def _classes() -> tuple[Any, Any]:
    try:
        from diffusers.models.autoencoders.autoencoder_mmaudio import MMAudioVAE
        from diffusers.models.autoencoders.mmaudio_vocoder import MMAudioVocoder
    except ImportError as error:
        raise MissingDependencyError(
            f"audio codec: expected the package diffusers, 0.42.1 or newer, got '{error}'. "
            "Install it: pip install -U diffusers"
        ) from error
    return MMAudioVAE, MMAudioVocoder
