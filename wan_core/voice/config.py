"""Configuration of the voice encoder."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceEncoderConfig:
    """Sizes of the voice encoder.

    Attributes:
        token_dim: width of a voice token.
        timbre_tokens: how many tokens hold timbre; one each is added for intonation and for rhythm.
        timbre_width, contour_width: channels of the timbre branch and of the two others.
        blocks: dilated residual blocks of each branch.
        embed_dim: width of the pooled embedding that compares voices.
    Raises: ConfigError: a size is below 1.
    """

    token_dim: int = 128
    timbre_tokens: int = 2
    timbre_width: int = 160
    contour_width: int = 64
    blocks: int = 3
    embed_dim: int = 128

    def __post_init__(self) -> None:
        """Check the values."""
        sizes = (
            self.token_dim,
            self.timbre_tokens,
            self.timbre_width,
            self.contour_width,
            self.blocks,
            self.embed_dim,
        )
        if min(sizes) < 1:
            raise ConfigError(
                f"voice encoder sizes: expected at least 1 each, got {sizes}. Correct the configuration."
            )

    @property
    def tokens(self) -> int:
        """Number of voice tokens."""
        return self.timbre_tokens + 2
