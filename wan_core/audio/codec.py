"""Nano's audio codec: speech <-> latents, linear in source-filter features.

Features of 16 ms are normalised, cut in chunks of four and projected on principal components, because plain
spectrogram components lose the pitch (measured: correlation of log F0 0.15-0.69 against 0.99 here).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ShapeError
from ..ops.speech import FEATURES, HOP, SpeechFrames, analyse
from .config import AudioCodecConfig
from .vocoder import synthesise


class AudioCodec(nn.Module):
    """Turns 16 kHz speech into latents of roughly unit variance and back.

    Args:
        config: sizes. device, dtype: of the buffers; float32 is what the analysis wants.
    """

    feature_mean: Tensor
    feature_scale: Tensor
    basis: Tensor
    latent_mean: Tensor
    latent_scale: Tensor

    def __init__(
        self,
        config: AudioCodecConfig,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        chunk = FEATURES * config.frames_per_latent
        self.register_buffer("feature_mean", torch.zeros(FEATURES, device=device, dtype=dtype))
        self.register_buffer("feature_scale", torch.ones(FEATURES, device=device, dtype=dtype))
        self.register_buffer("basis", torch.eye(config.latent_dim, chunk, device=device, dtype=dtype))
        self.register_buffer("latent_mean", torch.zeros(config.latent_dim, device=device, dtype=dtype))
        self.register_buffer("latent_scale", torch.ones(config.latent_dim, device=device, dtype=dtype))

    @property
    def sample_rate(self) -> int:
        """Hz of the waveforms."""
        return self.config.sample_rate

    @property
    def latent_samples(self) -> int:
        """Samples that one latent stands for."""
        return HOP * self.config.frames_per_latent

    def pack(self, features: Tensor) -> Tensor:
        """Features (B, 4 T_a, 26) -> latents (B, 32, T_a).

        Raises: ShapeError: the frames do not fill whole latents.
        """
        size = self.config.frames_per_latent
        if features.ndim != 3 or features.shape[-1] != FEATURES or features.shape[1] % size:
            raise ShapeError(
                f"speech features: expected (B, N, {FEATURES}) with N a multiple of {size}, got "
                f"{tuple(features.shape)}. Pad the waveform to whole latents."
            )
        normal = (features - self.feature_mean) * self.feature_scale
        chunks = normal.reshape(features.shape[0], -1, size * FEATURES)
        return ((chunks @ self.basis.T - self.latent_mean) * self.latent_scale).transpose(1, 2)

    def unpack(self, latents: Tensor) -> Tensor:
        """Latents (B, 32, T_a) -> features (B, 4 T_a, 26).

        Raises: ShapeError: not latents of this codec.
        """
        if latents.ndim != 3 or latents.shape[1] != self.config.latent_dim:
            raise ShapeError(
                f"audio latents: expected (B, {self.config.latent_dim}, T), got {tuple(latents.shape)}. "
                "These latents belong to another codec."
            )
        chunks = (latents.transpose(1, 2) / self.latent_scale + self.latent_mean) @ self.basis
        return chunks.reshape(latents.shape[0], -1, FEATURES) / self.feature_scale + self.feature_mean

    def encode(self, waveform: Tensor) -> Tensor:
        """Waveform -> latents.

        Args:
            waveform: (B, T) in [-1, 1], 16 kHz; the end is padded with silence to a whole number of latents.
        Returns: (B, 32, ceil(T / 1024)).
        Raises: ShapeError: not (B, T).
        """
        if waveform.ndim != 2:
            raise ShapeError(
                f"waveform: expected (B, T), got {tuple(waveform.shape)}. Mix the channels down first."
            )
        padded = F.pad(waveform, (0, -waveform.shape[-1] % self.latent_samples))
        return self.pack(analyse(padded).stack())

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, 32, T_a) -> waveform (B, 1024 T_a) in [-1, 1], 16 kHz; equal latents give equal samples.

        Raises: ShapeError: not latents of this codec.
        """
        return synthesise(SpeechFrames.split(self.unpack(latents)), self.config.noise_seed)
