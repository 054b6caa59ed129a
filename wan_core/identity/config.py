"""Configurations of the identity side: the face encoder and the resampler that turns faces into tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import ConfigError


def _require_positive(owner: str, **values: int) -> None:
    for name, value in values.items():
        if value < 1:
            raise ConfigError(
                f"{owner}.{name}: expected a whole number >= 1, got {value}. Correct the configuration."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceEncoderConfig:
    """Shape of `FaceEncoder`.

    Attributes:
        image_size: side of the square face crop, pixels; a multiple of 2 ** number of stages.
        widths: channels after each stride-2 stage.
        blocks: residual blocks in each stage.
        group_size: channels in one group of the group norms.
        pool_heads: attention maps of the pooling, each a learned weighting of the last feature map.
        hidden_dim: width of the layer between pooling and embedding.
        embed_dim: width of `face_embeds`.
    Raises:
        ConfigError: the numbers don't fit one another.
    """

    image_size: int = 64
    widths: tuple[int, ...] = (32, 64, 128, 192)
    blocks: tuple[int, ...] = (0, 1, 1, 2)
    group_size: int = 16
    pool_heads: int = 4
    hidden_dim: int = 384
    embed_dim: int = 128

    def __post_init__(self) -> None:
        """Check the numbers; a JSON list is accepted where a tuple is meant."""
        object.__setattr__(self, "widths", tuple(self.widths))
        object.__setattr__(self, "blocks", tuple(self.blocks))
        _require_positive(
            "FaceEncoderConfig",
            image_size=self.image_size,
            group_size=self.group_size,
            pool_heads=self.pool_heads,
            hidden_dim=self.hidden_dim,
            embed_dim=self.embed_dim,
        )
        if not self.widths or len(self.widths) != len(self.blocks):
            raise ConfigError(
                f"FaceEncoderConfig.blocks: expected {len(self.widths)} numbers (one a stage of widths), "
                f"got {len(self.blocks)}. Give every stage a number of blocks."
            )
        if any(width % (2 * self.group_size) for width in self.widths) or min(self.blocks) < 0:
            raise ConfigError(
                f"FaceEncoderConfig.widths: expected multiples of {2 * self.group_size} and blocks >= 0, "
                f"got {self.widths} and {self.blocks}. Change widths or group_size."
            )
        if self.image_size % 2 ** len(self.widths):
            raise ConfigError(
                f"FaceEncoderConfig.image_size: expected a multiple of {2 ** len(self.widths)}, "
                f"got {self.image_size}. Change image_size or drop a stage."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResamplerConfig:
    """Shape of `Resampler`; names and defaults follow Lynx (`reference` of the 14B model: 1280, 4, 20, 16, 512, 5120).

    Attributes:
        dim: width inside.
        depth: number of layers (attention and feed-forward each).
        heads: attention heads; `dim` is divided among them.
        queries: N, the number of learned queries and so of output tokens.
        in_dim: width of an input token.
        out_dim: D, width of an output token.
        ff_mult: feed-forward width as a multiple of `dim`.
    Raises:
        ConfigError: a number below 1, or `dim` not a multiple of `heads`.
    """

    dim: int
    depth: int
    heads: int
    queries: int
    in_dim: int
    out_dim: int
    ff_mult: int = 4

    def __post_init__(self) -> None:
        """Check the numbers."""
        _require_positive(
            "ResamplerConfig",
            dim=self.dim,
            depth=self.depth,
            heads=self.heads,
            queries=self.queries,
            in_dim=self.in_dim,
            out_dim=self.out_dim,
            ff_mult=self.ff_mult,
        )
        if self.dim % self.heads:
            raise ConfigError(
                f"ResamplerConfig.heads: expected a divisor of dim {self.dim}, got {self.heads}. "
                "Choose heads that divide dim."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityConfig:
    """The whole identity encoder: faces to embeddings to tokens.

    Attributes:
        face: the face encoder.
        resampler: the resampler; its `in_dim` is the face encoder's `embed_dim`.
    Raises:
        ConfigError: the two don't meet.
    """

    face: FaceEncoderConfig = field(default_factory=FaceEncoderConfig)
    resampler: ResamplerConfig

    def __post_init__(self) -> None:
        """Check that embeddings fit the resampler."""
        if self.resampler.in_dim != self.face.embed_dim:
            raise ConfigError(
                f"IdentityConfig.resampler.in_dim: expected {self.face.embed_dim} (face.embed_dim), "
                f"got {self.resampler.in_dim}. Make the two equal."
            )
