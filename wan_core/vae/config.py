"""Configuration of nano's video codec."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchVAEConfig:
    """Shape of the patch codec.

    A latent frame stands for `frames_per_latent` video frames (the first one for a single frame, as in the Wan VAEs), a
    latent pixel for `patch` x `patch` video pixels. Its channels are `image_channels` coefficients of the mean picture
    of the group followed by `motion_channels` coefficients of what differs from that mean. `refiner_blocks` is the
    depth of the learned half of the decoder; 0 leaves the decoder linear.

    Raises: ConfigError for sizes that are not positive or a patch that is not a multiple of 4.
    """

    image_channels: int
    motion_channels: int
    patch: int = 16
    frames_per_latent: int = 4
    refiner_width: int = 64
    refiner_blocks: int = 0

    def __post_init__(self) -> None:
        sizes = (self.image_channels, self.motion_channels, self.frames_per_latent, self.refiner_width)
        if min(sizes) < 1 or self.refiner_blocks < 0 or self.patch < 4 or self.patch % 4:
            raise ConfigError(
                f"video codec config: expected positive sizes and a patch that is a multiple of 4, got {self}. "
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
