"""The kinds of part that this project writes itself, and the classes that make them (imported on use)."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import nn

from ..errors import CheckpointError


class PartKind(NamedTuple):
    """Where a part's configuration class and the maker of its module live: `module:name`, relative to `wan_core`."""

    config: str
    model: str


PART_KINDS = MappingProxyType(
    {
        "dit": PartKind("dit.config:JointConfig", "dit.joint:JointModel"),
        "tower": PartKind("dit.config:WanConfig", "dit.model:WanModel"),
        "patch_vae": PartKind("vae.config:PatchVAEConfig", "vae.patch_vae:PatchVAE"),
        "wan_vae": PartKind("vae.wan_config:WanVAEConfig", "vae.wan_vae:WanVAE"),
        "text": PartKind("text.encoder:NanoTextConfig", "text.encoder:NanoTextEncoder"),
        "audio": PartKind("audio.config:AudioCodecConfig", "audio.codec:AudioCodec"),
        "identity": PartKind("identity.config:IdentityConfig", "identity.model:IdentityEncoder"),
        "face_encoder": PartKind("identity.config:FaceEncoderConfig", "identity.encoder:FaceEncoder"),
        "resampler": PartKind("identity.config:ResamplerConfig", "identity.resampler:Resampler"),
        "voice": PartKind("voice.config:VoiceEncoderConfig", "voice.encoder:VoiceEncoder"),
        "identity_adapter": PartKind(
            "ops.key_value:KeyValueConfig", "ops.key_value:KeyValueAdapter.from_config"
        ),
        "voice_adapter": PartKind(
            "ops.key_value:KeyValueConfig", "ops.key_value:KeyValueAdapter.from_config"
        ),
    }
)


def part_classes(kind: str, where: str) -> tuple[type[Any], Callable[[Any], nn.Module]]:
    """Configuration class of a kind, and what makes the module from a configuration.

    Args: where: file, named in errors.
    Raises: CheckpointError: there is no such kind.
    """
    if kind not in PART_KINDS:
        raise CheckpointError(
            f"kind of part: expected one of {', '.join(PART_KINDS)}, got '{kind}' in {where}. Update this project."
        )
    part = PART_KINDS[kind]
    return _find(part.config), _find(part.model)


def _find(place: str) -> Any:
    module, name = place.split(":")
    return attrgetter(name)(import_module(f"...{module}", __name__))
