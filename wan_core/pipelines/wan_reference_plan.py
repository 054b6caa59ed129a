"""References of a request: whether a family takes them, and what they come to before anything is encoded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..identity.lynx import LynxConfig
from ..identity.lynx_prepare import REFERENCE_SIZE
from ..identity.recipes import BERNINI_PREFIXES, choose_bernini_mode
from ..identity.regions import refuse_regions
from ..identity.streams import PHANTOM_SUBJECTS, bernini_size
from ..text.characters import bind
from .request import Character
from .wan_family import WanFamily

#: Latent cells of Lynx's reference picture: 256 pixels, 8 a cell, 2 x 2 cells a token.
_LYNX_TOKENS = (REFERENCE_SIZE // 16) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceSizes:
    """What references add to the memory of a run.

    Attributes:
        streams: latents (frames, height, width) of the tokens beside the noisy ones, where there are most of them.
        picture: width and height of the largest picture that the codec encodes, or None.
        key_values: numbers in the keys and values that stay beside the transformer.
    """

    streams: tuple[tuple[int, int, int], ...] = ()
    picture: tuple[int, int] | None = None
    key_values: int = 0


NO_REFERENCES = ReferenceSizes()


def check_characters(characters: Sequence[Character], family: WanFamily, suggestion: str | None) -> None:
    """Refuse references that a family can not take.

    Args: suggestion: method that the name of the model's file hints at, or None.
    Raises: InputError: the text says what to do.
    """
    pictures = sum(len(own.photos) for own in characters)
    videos = sum(len(own.videos) for own in characters)
    names = ", ".join(own.name for own in characters)
    if family.method is None and characters:
        hint = f" The file's name suggests --method {suggestion}." if suggestion else ""
        raise InputError(
            f"references: expected none for {family.name}, which takes no references, got {names}. Add Lynx "
            "(--adapter), or say --method phantom or --method bernini if these are its weights." + hint
        )
    speaking = [own.name for own in characters if own.voice is not None]
    if speaking:
        raise InputError(
            f"voice: expected none for {family.name}, which makes no sound, got one of {', '.join(speaking)}. "
            "Leave it out."
        )
    if videos and family.method != "bernini":
        raise InputError(
            f"references: expected photos for {family.name}, got a video. Take frames of it as photos; Bernini-R "
            "alone takes videos."
        )
    if family.method != "lynx":
        refuse_regions([region for own in characters for region in own.regions], family.name)
        encoded = [own.name for own in characters if own.identity is not None]
        if encoded:
            raise InputError(
                f"references: expected photos for {family.name}, which reads pictures, got an encoded face of "
                f"{', '.join(encoded)}. Give the photos themselves."
            )
    if family.method == "lynx" and len(characters) != 1:
        got = f"{len(characters)} ({names})" if characters else "none"
        raise InputError(
            f"references: expected one person for {family.name}, got {got}. Give one --reference name; Phantom and "
            "Bernini-R take several."
        )
    if family.method == "phantom" and not 1 <= pictures <= PHANTOM_SUBJECTS:
        raise InputError(
            f"references: expected 1 to {PHANTOM_SUBJECTS} pictures for {family.name}, got {pictures}. "
            + ("Give one." if not pictures else "Leave some out.")
        )


def full_prompt(prompt: str, characters: Sequence[Character], family: WanFamily) -> str:
    """The prompt as the text encoder is given it: names said as the family needs, and Bernini-R's prefix.

    Raises: InputError: a name without a reference, or a reference that is not named.
    """
    names = [own.name for own in characters]
    if family.method != "bernini":
        return bind(prompt, names, family.method or "none")
    videos = sum(len(own.videos) for own in characters)
    images = sum(len(own.photos) for own in characters)
    text = bind(prompt, names, "bernini", pictures=_bernini_numbers(characters))
    prefix = BERNINI_PREFIXES[choose_bernini_mode(videos, images).partition("_")[0]]
    return prefix + text.strip()


def reference_sizes(
    characters: Sequence[Character],
    family: WanFamily,
    size: tuple[int, int],
    frames: int,
    adapter: LynxConfig | None,
) -> ReferenceSizes:
    """Sizes of everything that references add.

    Args:
        size: width and height of the clip.   frames: of the clip.   adapter: of Lynx.
    Raises: InputError: a reference that is too narrow.
    """
    if not characters:
        return NO_REFERENCES
    if adapter is not None:
        tokens = adapter.resampler.queries + adapter.registers
        numbers = 2 * 2 * adapter.dim * len(adapter.blocks) * tokens
        if not adapter.has_reference:
            return ReferenceSizes(key_values=numbers)
        numbers += 2 * 2 * adapter.dim * adapter.num_blocks * _LYNX_TOKENS
        return ReferenceSizes(picture=(REFERENCE_SIZE, REFERENCE_SIZE), key_values=numbers)
    if family.method == "phantom":
        count = sum(len(own.photos) for own in characters)
        cells = (count, size[1] // family.stride, size[0] // family.stride)
        return ReferenceSizes(streams=(cells,), picture=size)
    if family.method == "bernini":
        pieces = [
            (1 if length is None else latent_frames(length, frames), bernini_size(width, height))
            for length, width, height in _shapes(characters)
        ]
        streams = tuple((f, h // family.stride, w // family.stride) for f, (w, h) in pieces)
        return ReferenceSizes(streams=streams, picture=max((p for _, p in pieces), key=math.prod))
    return NO_REFERENCES


def latent_frames(length: int, frames: int) -> int:
    """Latent frames of a video of some length beside a clip of `frames`: it is cut to the clip, and to 4k + 1."""
    return (min(length, frames) - 1) // 4 + 1


def _bernini_numbers(characters: Sequence[Character]) -> list[int]:
    """Number of each character's first reference in Bernini-R's counting: all videos, then all pictures."""
    video, picture = 1, 1 + sum(len(own.videos) for own in characters)
    numbers: list[int] = []
    for own in characters:
        numbers.append(video if own.videos else picture)
        video += len(own.videos)
        picture += len(own.photos)
    return numbers


def _shapes(characters: Sequence[Character]) -> list[tuple[int | None, int, int]]:
    """Frames (None for a picture), width and height of all videos, then all pictures."""
    videos = [(v.shape[0], v.shape[2], v.shape[1]) for own in characters for v in own.videos]
    pictures = [(None, p.shape[1], p.shape[0]) for own in characters for p in own.photos]
    return [*videos, *pictures]
