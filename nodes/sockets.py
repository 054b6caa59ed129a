"""What travels on the pack's own connections, and the names of those connections."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ..wan_core.identity.arcface import ArcFace
from ..wan_core.identity.lynx import LynxConfig
from ..wan_core.identity.strength import Strength
from ..wan_core.ops.key_value import PreparedInjection
from ..wan_core.types import TokenStream
from .host import io

AdapterSocket = io.Custom("WANR2V_ADAPTER")
IdentitySocket = io.Custom("WANR2V_IDENTITY")
VoiceSocket = io.Custom("WANR2V_VOICE")
CharacterSocket = io.Custom("WANR2V_CHARACTER")
StrengthSocket = io.Custom("WANR2V_STRENGTH")
SpeechSocket = io.Custom("WANR2V_SPEECH")


@dataclass(frozen=True, eq=False)
class Encoders:
    """What reads references, each a ModelPatcher.

    identity, voice: IdentityEncoder and VoiceEncoder.   identity_layers, voice_layers: the KeyValueAdapter of each.
    """

    identity: Any
    identity_layers: Any
    voice: Any
    voice_layers: Any


@dataclass(frozen=True, eq=False)
class ReferenceTokens:
    """A face or a voice, encoded, and the layers that inject it.

    tokens: (1, N, D), on the CPU.   layers: ModelPatcher of a KeyValueAdapter.
    """

    tokens: torch.Tensor
    layers: Any


@dataclass(frozen=True, eq=False)
class FaceAdapter:
    """A Lynx adapter that is read when a face is prepared, and the recogniser that it was trained with.

    files: folder or files of the adapter.   config: sizes, from their headers.   recogniser: small, stays on the CPU.
    """

    files: tuple[Path, ...]
    config: LynxConfig
    recogniser: ArcFace


@dataclass(frozen=True, eq=False)
class FaceReference:
    """A face as Lynx takes it.

    adapter: whose recogniser has seen it.   embeds: (1, 1, 512), of length 1.
    face, nobody: clips of one frame (1, 3, 1, 256, 256) in [-1, 1], the aligned face and mid-grey.
    """

    adapter: FaceAdapter
    embeds: torch.Tensor
    face: torch.Tensor
    nobody: torch.Tensor


@dataclass(frozen=True, eq=False)
class CharacterReference:
    """A character: its name in the prompt, what is known of it, and on what ground it is used."""

    name: str
    identity: ReferenceTokens | None
    voice: ReferenceTokens | None
    consent: str


@dataclass(frozen=True, eq=False)
class ShapedStrength:
    """How strongly references act, from Identity Strength."""

    strength: Strength


@dataclass(frozen=True, eq=False)
class JointStreams:
    """Faces and voices of DreamID-Omni on their way through a CONDITIONING: tokens beside picture and sound."""

    video: tuple[TokenStream, ...] = ()
    audio: tuple[TokenStream, ...] = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> JointStreams:
        """Itself, as `References`."""
        return self

    def without(self, *, video: bool = False, audio: bool = False) -> JointStreams:
        """The same places with zeros in them, for one modality."""
        return JointStreams(
            tuple(map(_emptied, self.video)) if video else self.video,
            tuple(map(_emptied, self.audio)) if audio else self.audio,
        )


def _emptied(stream: TokenStream) -> TokenStream:
    return replace(stream, latents=torch.zeros_like(stream.latents))


@dataclass(frozen=True, eq=False)
class References:
    """Injections on their way through a CONDITIONING; compared by identity, never copied.

    video: into the video tower.   audio: into the audio tower.
    shape: when and where the faces act, a `host.FaceShape`; None for as trained and everywhere.
    """

    video: tuple[PreparedInjection, ...] = ()
    audio: tuple[PreparedInjection, ...] = ()
    shape: Any = None

    def __deepcopy__(self, memo: dict[int, Any]) -> References:
        """Itself: it never changes, and old versions of ComfyUI copy what a model carries."""
        return self

    def to(self, device: torch.device, dtype: torch.dtype) -> References:
        """The same references where the model computes; itself where nothing has to move."""
        return References(
            tuple(injection.to(device, dtype) for injection in self.video),
            tuple(injection.to(device, dtype) for injection in self.audio),
            self.shape,
        )

    def only_video(self) -> References:
        """Without the voices."""
        return replace(self, audio=())
