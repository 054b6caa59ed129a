"""What a user asks for: one frozen description for text-, image- and reference-to-video."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from torch import Tensor

from ..errors import InputError
from ..identity.detectors import Detector
from ..identity.face import FaceChoice
from ..identity.regions import Region
from ..identity.strength import Strength
from ..sampling.noise import MAX_SEED
from ..text import characters as known_names
from ..types import AudioClip
from .identity_file import EncodedIdentity
from .voice_file import VoiceInfo

MAX_PHOTOS: int = 8
_NAME = re.compile(r"character[1-9]\d*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """How strongly each condition counts.

    The guidance scales belong to the chain nothing -> references -> references and text: 1 follows a condition as
    trained, more exaggerates it, 0 leaves it out. Where text and reference have the same scale in both modalities, the
    middle of the chain cancels and a step costs two evaluations instead of three.

    Attributes:
        text_video, text_audio: guidance of the prompt on picture and sound.
        identity: guidance of the references on the picture.   voice: on the sound.
        identity_strength, voice_strength: factor on the injected face and voice; 0 is exactly as without them.
    """

    text_video: float = 3.0
    text_audio: float = 1.6
    identity: float = 1.5
    voice: float = 1.6
    identity_strength: float = 1.0
    voice_strength: float = 1.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not (math.isfinite(value) and value >= 0.0):
                raise InputError(
                    f"scale {item.name}: expected a number of 0 or more, got {value}. 1 is as trained."
                )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Character:
    """A person of the clip.

    Attributes:
        name: what the prompt calls the person, character1, character2, ...
        photos: 0 to 8 pictures of the person, (H, W, 3) uint8 RGB each.
        videos: clips to work from as they are, (F, H, W, 3) uint8 RGB each; Bernini-R alone takes some.
        voice: a clip of the person speaking, or None.
        voice_tokens: instead of a clip, nano's tokens of it and what they are, as `read_voice_tokens` gives them.
        face: which face of the photos: "auto" (the largest), its number from 1, or "whole" (the photo is the face).
        detector: what finds the face.
        identity: instead of photos, what `encode-identity` made of them.
        regions: where and when the face acts, for models that inject it; empty for everywhere.
    """

    name: str
    photos: tuple[Tensor, ...] = ()
    videos: tuple[Tensor, ...] = ()
    voice: AudioClip | None = None
    voice_tokens: tuple[Tensor, VoiceInfo] | None = None
    face: FaceChoice = "auto"
    detector: Detector = Detector()
    identity: EncodedIdentity | None = None
    regions: tuple[Region, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"character name: expected character1, character2, ..., got {self.name!r}. Rename it."
            )
        if self.voice is not None and self.voice_tokens is not None:
            raise InputError(
                f"{self.name}: expected one voice, got a clip and a file of tokens. Give one of them."
            )
        if self.identity is not None and (self.photos or self.videos):
            raise InputError(
                f"{self.name}: expected photos or an encoded face, got both. Encode them all, or give them all."
            )
        if not (self.photos or self.videos or self.identity or self.voice or self.voice_tokens):
            raise InputError(f"{self.name}: expected a photo or a voice clip, got neither. Give one of them.")
        if len(self.photos) > MAX_PHOTOS:
            raise InputError(
                f"{self.name}: expected at most {MAX_PHOTOS} photos, got {len(self.photos)}. Keep the best ones."
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GenerateRequest:
    """A clip to make. References make it reference-to-video, a first frame image-to-video, neither text-to-video.

    Attributes:
        prompt: place, movement and, in quotes, what is said; names characters as character1, ...
        negative_prompt: what guidance leads away from; empty for nothing in particular.
        characters: references, each named in the prompt; a single one need not be named.
        first_frame: picture that the clip begins with, (H, W, 3) uint8 RGB, or None.
        size: width and height of the video in pixels.
        duration: seconds.
        shot_type: "single" or "multi"; what a model can make is checked when it is known.
        seed: 0 to 2**64 - 1; the same request with the same seed gives the same clip.
        has_audio: whether the result has sound.
        steps: sampling steps of each modality, None for the model's default.
        scales: None for the model's default.
        strength: shape of the face's strength over steps and blocks; its scale multiplies that of `scales`.
    Raises:
        InputError: a value that no model could use.
    """

    prompt: str = ""
    negative_prompt: str = ""
    characters: tuple[Character, ...] = ()
    first_frame: Tensor | None = None
    size: tuple[int, int] = (256, 256)
    duration: float = 2.0
    shot_type: Literal["single", "multi"] = "single"
    seed: int = 0
    has_audio: bool = True
    steps: int | None = None
    scales: Scales | None = None
    strength: Strength = Strength()

    def __post_init__(self) -> None:
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"seed: expected 0 to {MAX_SEED}, got {self.seed}. Use another seed.")
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise InputError(f"steps: expected 1 to 1000, got {self.steps}. Leave it out for the default.")
        if self.shot_type not in ("single", "multi"):
            raise InputError(
                f"shot type: expected single or multi, got {self.shot_type!r}. Choose one of them."
            )
        check_once([character.name for character in self.characters])


def check_names(characters: tuple[Character, ...], named: tuple[str, ...]) -> None:
    """Check that prompt and references name the same people.

    Args:
        characters: references of a request.   named: names that its prompt mentions.
    Raises:
        InputError: a name without a reference, or a reference without a mention (one alone needs none).
    """
    known_names.check_names([character.name for character in characters], named)


def check_once(names: Sequence[str]) -> None:
    """Refuse a character that comes twice.

    Raises: InputError: one does.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"characters: expected each name once, got {', '.join(twice)} twice. "
            "Put all photos and the voice of a person into one reference."
        )
