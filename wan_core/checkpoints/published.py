"""The published Wan families as data: the configuration by which each is known, and what it takes to run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal

from ..dit.config import JointConfig, SpeechConfig, WanConfig
from .infer import OVI_AUDIO_POSITION_SCALE

Part = Literal["VAE 2.1", "VAE 2.2", "umT5", "CLIP", "other expert", "audio codec", "Whisper"]
#: Fields that no tensor shows, or that say nothing of the family.
_NOT_COMPARED = ("num_heads", "text_len", "eps", "prediction", "embedding_kernel", "embedding_hidden")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A family of checkpoints whose headers are alike.

    name: in full; releases that share their header stand side by side.   config: of its transformer.
    needs: parts that it takes beside the transformer.   note: what the header can not tell, or nothing.
    Source: Wan-Video/Wan2.1@9737cba and Wan-Video/Wan2.2@42bf4cf wan/configs, character-ai/Ovi@5b69b25 ovi/configs,
        Phantom-video/HuMo@17094e9 humo/configs/models.
    """

    name: str
    config: WanConfig | JointConfig
    needs: tuple[Part, ...]
    note: str = ""


def _wan(dim: int, ffn_dim: int, num_layers: int, in_channels: int = 16, out_channels: int = 16) -> WanConfig:
    return WanConfig(
        dim=dim,
        ffn_dim=ffn_dim,
        num_heads=dim // 128,
        num_layers=num_layers,
        in_channels=in_channels,
        out_channels=out_channels,
        text_dim=4096,
    )


_SMALL = _wan(1536, 8960, 30)
_LARGE = _wan(5120, 13824, 40)
_LARGE_IMAGE = replace(_LARGE, in_channels=36)
_FIVE = _wan(3072, 14336, 30, 48, 48)
_OVI = JointConfig(
    video=_FIVE,
    audio=replace(_FIVE, in_channels=20, out_channels=20, patch_size=(1,)),
    fusion_window=None,
    audio_position_scale=OVI_AUDIO_POSITION_SCALE,
)
_EXPERTS = (
    "whether it is the high-noise or the low-noise expert stands in the file's name only, not in its header"
)

PUBLISHED = (
    Published(name="Wan2.1 T2V-1.3B", config=_SMALL, needs=("VAE 2.1", "umT5")),
    Published(
        name="Wan2.1 T2V-14B or an expert of Wan2.2 T2V-A14B",
        config=_LARGE,
        needs=("VAE 2.1", "umT5", "other expert"),
        note=f"the headers of both releases are the same; of an expert, {_EXPERTS}",
    ),
    Published(
        name="Wan2.1 I2V-14B",
        config=replace(_LARGE_IMAGE, image_dim=1280),
        needs=("VAE 2.1", "umT5", "CLIP"),
        note="the headers of the 480P and the 720P release are the same",
    ),
    Published(
        name="Wan2.1 FLF2V-14B",
        config=replace(_LARGE_IMAGE, image_dim=1280, image_positions=514),
        needs=("VAE 2.1", "umT5", "CLIP"),
    ),
    Published(
        name="expert of Wan2.2 I2V-A14B",
        config=_LARGE_IMAGE,
        needs=("VAE 2.1", "umT5", "other expert"),
        note=_EXPERTS,
    ),
    Published(name="Wan2.2 TI2V-5B", config=_FIVE, needs=("VAE 2.2", "umT5")),
    Published(
        name="HuMo-1.7B",
        config=replace(_SMALL, speech=SpeechConfig()),
        needs=("VAE 2.1", "umT5", "Whisper"),
    ),
    Published(
        name="HuMo-17B",
        config=replace(_LARGE_IMAGE, speech=SpeechConfig()),
        needs=("VAE 2.1", "umT5", "Whisper"),
    ),
    Published(
        name="Ovi",
        config=_OVI,
        needs=("VAE 2.2", "umT5", "audio codec"),
        note="the headers of Ovi 1.0, Ovi 1.1 (5 s and 10 s) and DreamID-Omni are the same; only the file's name tells",
    ),
)


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a configuration is.

    family: the one that it equals, or None for a size that is not published.   rejected: every other family, and why.
    """

    family: Published | None
    rejected: Mapping[str, str]

    @property
    def name(self) -> str:
        """Name of the family, or that there is none."""
        return "Wan transformer of a size that is not published" if self.family is None else self.family.name


def recognise(config: WanConfig | JointConfig) -> Recognition:
    """Compare a configuration with every published one; it equals one of them or none."""
    reasons = {published.name: _difference(config, published.config) for published in PUBLISHED}
    fitting = [published for published in PUBLISHED if reasons[published.name] is None]
    family = fitting[0] if len(fitting) == 1 else None
    return Recognition(family, {name: reason for name, reason in reasons.items() if reason is not None})


def _difference(found: WanConfig | JointConfig, expected: WanConfig | JointConfig) -> str | None:
    """The differences that matter, in words, or None."""
    if isinstance(found, JointConfig) or isinstance(expected, JointConfig):
        if not (isinstance(found, JointConfig) and isinstance(expected, JointConfig)):
            towers = ("one tower", "two towers (video and audio)")
            return f"{towers[isinstance(found, JointConfig)]} instead of {towers[isinstance(expected, JointConfig)]}"
        parts = (("video", found.video, expected.video), ("audio", found.audio, expected.audio))
        told = [f"{name} {text}" for name, own, other in parts if (text := _difference(own, other))]
        return "; ".join(told) or None
    told = [
        f"{field.name} {getattr(found, field.name)} instead of {getattr(expected, field.name)}"
        for field in fields(WanConfig)
        if field.name not in _NOT_COMPARED and getattr(found, field.name) != getattr(expected, field.name)
    ]
    return ", ".join(told) or None
