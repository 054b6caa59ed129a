"""Configuration of the audio codec."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioCodecConfig:
    """Sizes of the audio codec.

    Attributes:
        latent_dim: numbers of one latent.
        frames_per_latent: analysis frames of 16 ms in one latent.
        sample_rate: Hz; the analysis is made for 16,000 only.
        noise_seed: seed of the vocoder's noise, so that one latent always sounds the same.
    Raises: ConfigError: a size is below 1, the rate is not 16,000, or a latent is larger than its frames.
    """

    latent_dim: int = 32
    frames_per_latent: int = 4
    sample_rate: int = 16000
    noise_seed: int = 7

    def __post_init__(self) -> None:
        """Check the values."""
        if self.latent_dim < 1 or self.frames_per_latent < 1:
            raise ConfigError(
                f"audio codec sizes: expected at least 1, got latent_dim {self.latent_dim} and "
                f"frames_per_latent {self.frames_per_latent}. Correct the configuration."
            )
        if self.sample_rate != 16000:
            raise ConfigError(
                f"audio codec sample_rate: expected 16000, got {self.sample_rate}. Resample the sound first."
            )
        if self.latent_dim > 26 * self.frames_per_latent:
            raise ConfigError(
                f"audio codec latent_dim: expected at most {26 * self.frames_per_latent}, got {self.latent_dim}. "
                "A latent cannot hold more numbers than its frames."
            )
