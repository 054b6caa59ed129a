"""Configuration of nano's video codec."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchVAEConfig:
    """Shape of the patch codec.

    A latent frame stands for `frames_per_latent` video frames (the first one for a single frame, as in the Wan VAEs), a
    latent pixel for `patch` x `patch` video pixels. Its channels are `image_channels` coefficients of the mean picture
    of the group followed by `motion_channels` coefficients of what differs from that mean. `refiner_widths` are the
    channels of the learned half of the decoder at a half, a quarter ... of the picture's size; none leaves the decoder
    linear. `refiner_blocks` is its depth at each size on the way back up.

    Raises: ConfigError for sizes that are not positive or a patch that can not be halved as often as the widths ask.
    """

    image_channels: int
    motion_channels: int
    patch: int = 16
    frames_per_latent: int = 4
    refiner_widths: tuple[int, ...] = ()
    refiner_blocks: int = 1

    def __post_init__(self) -> None:
        sizes = (self.image_channels, self.motion_channels, self.frames_per_latent, self.refiner_blocks)
        least = 2 ** len(self.refiner_widths)
        if min(*sizes, *self.refiner_widths) < 1 or self.patch < 4 or self.patch % least:
            raise ConfigError(
                f"video codec config: expected positive sizes and a patch that is a multiple of {least}, got {self}. "
                "Correct the numbers in the file's metadata."
            )

    @property
    def latent_channels(self) -> int:
        """Channels of a latent, image first, motion after."""
        return self.image_channels + self.motion_channels

    @property
    def group_channels(self) -> int:
        """Colour channels of one group of frames laid side by side."""
        return 3 * self.frames_per_latent
