"""Configurations of the transformer; one class of model serves all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechConfig:
    """How a tower hears speech (HuMo): windows of features become tokens that every block attends to.

    window: frames of features that a latent frame hears.   groups: averages of the encoder's layers.
    features: width of the encoder.   hidden: of the projection.   tokens, width: what it gives for a window.
    Source: Phantom-video/HuMo@17094e9 humo/models/wan_modules/model_humo.py WanModel (audio_proj).
    """

    window: int = 8
    groups: int = 5
    features: int = 1280
    hidden: int = 512
    tokens: int = 16
    width: int = 1536


@dataclass(frozen=True, slots=True, kw_only=True)
class WanConfig:
    """One tower.

    dim, ffn_dim, num_heads, num_layers: sizes of the transformer; dim / num_heads must be even.
    in_channels, out_channels: of the latents (36 / 16 for image-to-video with concatenated conditioning).
    text_dim: width of the context; text_len: rows it is padded to upstream (any number works).
    freq_dim: width of the sinusoidal timestep embedding.
    patch_size: three numbers for video, one for a sequence (sound); a sequence must have patch (1,).
    image_dim: width of CLIP image embeddings (Wan2.1 image-to-video: 1280), None for a model without them.
    image_positions: rows of these embeddings where their positions are learned (first-last-frame: 514), else None.
    prediction: what the last layer gives: the velocity, or the clean sample, which forward turns into a velocity.
    embedding_kernel, embedding_hidden: convolutions that embed a sequence: odd kernel size and inner width (None: Ovi's
        rule, two thirds of 4 * dim rounded up to 256). Not used for video.
    speech: how it hears speech, None for a model that does not.
    Source of names and defaults: Wan-Video/Wan2.1@9737cba wan/modules/model.py, character-ai/Ovi@5b69b25.
    """

    dim: int
    ffn_dim: int
    num_heads: int
    num_layers: int
    in_channels: int
    out_channels: int
    text_dim: int
    text_len: int = 512
    freq_dim: int = 256
    patch_size: tuple[int, ...] = (1, 2, 2)
    qk_norm: bool = True
    cross_attn_norm: bool = True
    eps: float = 1e-6
    image_dim: int | None = None
    image_positions: int | None = None
    prediction: Literal["velocity", "sample"] = "velocity"
    embedding_kernel: int = 7
    embedding_hidden: int | None = None
    speech: SpeechConfig | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "patch_size", tuple(self.patch_size))
        names = (
            "dim",
            "ffn_dim",
            "num_heads",
            "num_layers",
            "in_channels",
            "out_channels",
            "text_dim",
            "text_len",
        )
        for name in (*names, "freq_dim", "embedding_kernel"):
            _check(getattr(self, name) > 0, name, "a positive number", getattr(self, name))
        _check(self.dim % self.num_heads == 0, "dim", f"a multiple of num_heads {self.num_heads}", self.dim)
        _check(self.head_dim % 2 == 0, "dim / num_heads", "an even number", self.head_dim)
        _check(self.freq_dim % 2 == 0, "freq_dim", "an even number", self.freq_dim)
        _check(self.embedding_kernel % 2 == 1, "embedding_kernel", "an odd number", self.embedding_kernel)
        is_patch = len(self.patch_size) == 3 and min(self.patch_size) > 0 or self.patch_size == (1,)
        _check(is_patch, "patch_size", "three positive numbers, or (1,) for a sequence", self.patch_size)
        _check(
            self.prediction in ("velocity", "sample"), "prediction", "'velocity' or 'sample'", self.prediction
        )
        has_image = self.image_positions is None or self.image_dim is not None
        _check(has_image, "image_positions", "None (image_dim is None)", self.image_positions)
        same = self.prediction == "velocity" or self.in_channels == self.out_channels
        _check(
            same, "out_channels", f"in_channels {self.in_channels} (prediction 'sample')", self.out_channels
        )
        _check(self.speech is None or self.ndim == 3, "speech", "None for a sequence", self.speech)

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.num_heads

    @property
    def ndim(self) -> int:
        """Number of axes of the latents after batch and channels: 3 for video, 1 for sound."""
        return len(self.patch_size)

    @property
    def sequence_hidden(self) -> int:
        """Inner width of the embedding of a sequence."""
        return self.embedding_hidden or 256 * -(-(8 * self.dim // 3) // 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class JointConfig:
    """A video tower and an audio tower whose blocks read each other.

    Sound token j stands at audio_position_scale * j + audio_position_offset, in latent frames of the video.
    audio_self_stretch: factor on the sound's positions in its own self-attention (1: as in the fusion, Ovi); a small
    model tells neighbouring tokens apart more easily when they are a whole unit apart.
    fusion_window: a token sees only tokens of the other tower at most this many latent frames away; None: all.
    Raises: ConfigError: the towers differ in the number of blocks, or do not have 3 and 1 axes.
    """

    video: WanConfig
    audio: WanConfig
    fusion_window: float | None
    audio_position_scale: float
    audio_position_offset: float = 0.0
    audio_self_stretch: float = 1.0

    def __post_init__(self) -> None:
        _check(self.video.ndim == 3, "video.patch_size", "three numbers", self.video.patch_size)
        _check(self.audio.ndim == 1, "audio.patch_size", "(1,)", self.audio.patch_size)
        layers = self.video.num_layers
        _check(
            self.audio.num_layers == layers, "audio.num_layers", f"{layers} as video", self.audio.num_layers
        )
        _check(self.video.patch_size[0] == 1, "video.patch_size", "1 along time", self.video.patch_size)
        _check(self.audio_position_scale > 0, "audio_position_scale", "above 0", self.audio_position_scale)
        _check(self.audio_self_stretch > 0, "audio_self_stretch", "above 0", self.audio_self_stretch)
        for tower in (self.video, self.audio):
            _check(tower.speech is None, "speech", "None in a tower of a joint model", tower.speech)
        window = self.fusion_window
        _check(window is None or window > 0, "fusion_window", "None or above 0", window)


def _check(is_valid: bool, field: str, expected: str, got: object) -> None:
    if not is_valid:
        raise ConfigError(f"{field}: expected {expected}, got {got}. Correct the model's configuration.")
