"""Configuration of Wan's causal video VAEs, and the two that are published."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class WanVAEConfig:
    """Shape of a causal video VAE.

    Level i of the encoder is `encoder_width * width_factors[i]` channels wide; between two levels height and width are
    halved, and time too where `temporal_downsample` says so. The decoder mirrors it with `decoder_width`. A level has
    `res_blocks` residual blocks in the encoder and one more in the decoder. `patch` x `patch` pixels are laid into
    channels before everything else. `is_residual` gives each level an average-down or duplicate-up shortcut (2.2).
    `latents_mean` and `latents_std` (one number for each latent channel) make latents about standard normal.

    Raises: ConfigError: sizes that are not positive, lists of another length, or widths that do not divide.
    """

    latent_channels: int
    encoder_width: int
    decoder_width: int
    latents_mean: tuple[float, ...]
    latents_std: tuple[float, ...]
    width_factors: tuple[int, ...] = (1, 2, 4, 4)
    res_blocks: int = 2
    temporal_downsample: tuple[bool, ...] = (False, True, True)
    patch: int = 1
    is_residual: bool = False

    def __post_init__(self) -> None:
        sizes = (self.latent_channels, self.encoder_width, self.decoder_width, self.res_blocks, self.patch)
        counts = (len(self.latents_mean), len(self.latents_std), len(self.temporal_downsample) + 1)
        expected = (self.latent_channels, self.latent_channels, len(self.width_factors))
        if (
            min(*sizes, *self.width_factors) < 1
            or len(self.width_factors) < 2
            or counts != expected
            or min(self.latents_std) <= 0
            or not self._widths_divide()
        ):
            raise ConfigError(
                "video VAE config: expected positive sizes, a mean and a positive deviation for each latent channel, a "
                f"temporal_downsample between each two levels and widths that divide, got {self}. Correct the numbers."
            )

    def _widths_divide(self) -> bool:
        if not self.is_residual:
            return all(width % 2 == 0 for width in self.decoder_widths[1:-1])
        down = zip(self.encoder_widths[:-1], self.encoder_widths[1:], (*self._factors(), 1), strict=True)
        up = zip(self.decoder_widths[:-2], self.decoder_widths[1:-1], reversed(self._factors()), strict=True)
        return all(a * f % b == 0 for a, b, f in down) and all(b * f % a == 0 for a, b, f in up)

    def _factors(self) -> tuple[int, ...]:
        return tuple(8 if halves_time else 4 for halves_time in self.temporal_downsample)

    @property
    def encoder_widths(self) -> tuple[int, ...]:
        """Channels before the first level of the encoder and after each of them."""
        return tuple(self.encoder_width * factor for factor in (1, *self.width_factors))

    @property
    def decoder_widths(self) -> tuple[int, ...]:
        """Channels before the first level of the decoder and after each of them (2.1's upsampling then halves them)."""
        return tuple(
            self.decoder_width * factor for factor in (self.width_factors[-1], *self.width_factors[::-1])
        )

    @property
    def spatial_stride(self) -> int:
        """Video pixels along one side of a latent pixel."""
        return self.patch * 2 ** len(self.temporal_downsample)

    @property
    def temporal_stride(self) -> int:
        """Video frames of every latent frame but the first, which stands for one."""
        return 2 ** sum(self.temporal_downsample)


#: Wan 2.1, also used by Wan 2.2 A14B: 16 channels, 4 x 8 x 8.
#: Source: Wan-Video/Wan2.1@9737cba wan/modules/vae.py (numbers).
WAN21_VAE = WanVAEConfig(
    latent_channels=16,
    encoder_width=96,
    decoder_width=96,
    latents_mean=(
        *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
        *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
    ),
    latents_std=(
        *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
        *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160),
    ),
)

#: Wan 2.2 TI2V-5B, Ovi, DreamID-Omni: 48 channels, 4 x 16 x 16.
#: Source: Wan-Video/Wan2.2@42bf4cf wan/modules/vae2_2.py (numbers).
WAN22_VAE = WanVAEConfig(
    latent_channels=48,
    encoder_width=160,
    decoder_width=256,
    patch=2,
    is_residual=True,
    latents_mean=(
        *(-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557),
        *(-0.1382, 0.0542, 0.2813, 0.0891, 0.1570, -0.0098, 0.0375, -0.1825),
        *(-0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502),
        *(-0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230),
        *(-0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748),
        *(0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667),
    ),
    latents_std=(
        *(0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013),
        *(0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978),
        *(0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659),
        *(0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093),
        *(0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887),
        *(0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744),
    ),
)
