"""Names of characters in a prompt: found, checked against the references, and said the way each model family needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Literal, get_args

from ..errors import ConfigError, InputError
from .speech import speech_spans

#: A name in a prompt: its number, and its possessive ending.
NAME = re.compile(r"[@<]?(?<![^\W_])character\s?(\d+)(['\u2019]s)?(?![^\W_])>?", re.IGNORECASE)

CharacterFamily = Literal["none", "lynx", "phantom", "humo", "bernini", "dreamid"]
"""How a model wants its references named; "none" is a model without references, for which every name is an error."""

_FAMILIES: tuple[CharacterFamily, ...] = get_args(CharacterFamily)
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
MAX_CHARACTERS = len(_ORDINALS)
_SPOKEN_TAG = re.compile(r"<S>.*?<E>", re.DOTALL)
_SUBJECT_TAG = re.compile(r"<sub([1-9]\d*)>")
_IMAGE_TAG = re.compile(r"<img[1-9]\d*>")
_SENTENCE_START = re.compile(r"(?:\A|[.!?:]\s|\n)\s*\Z")


def names_in(text: str) -> tuple[str, ...]:
    """Names such as "character1" that a description mentions, in order of first mention, each once.

    Args:
        text: without what is spoken in it.
    """
    return tuple(dict.fromkeys(f"character{int(match[1])}" for match in NAME.finditer(text)))


def check_names(known: Sequence[str], named: Sequence[str]) -> None:
    """Check that prompt and references name the same people.

    Args:
        known: names of the references.   named: names that the prompt mentions.
    Raises:
        InputError: a name without a reference, or a reference without a mention (one alone needs none).
    """
    missing = [name for name in named if name not in known]
    if missing:
        raise InputError(
            f"prompt: expected a reference for every character it names, got none for {', '.join(missing)}. "
            f"Give {missing[0]} a photo or a voice, or leave the name out."
        )
    unused = [name for name in known if name not in named]
    if unused and not (len(known) == 1 and not named):
        raise InputError(
            f"references: expected each to be named in the prompt, got no mention of {', '.join(unused)}. "
            f"Write for example: {unused[0]} waves at the beach."
        )


def bind(
    prompt: str, names: Sequence[str], family: CharacterFamily, *, pictures: Sequence[int] | None = None
) -> str:
    """Check the names in a prompt and rewrite them as a model family needs.

    - Lynx, Phantom and HuMo have no tags: their training texts describe people. One character is "a person", then "the
      person"; of several, the first reference is "the first person" and so on. A description after a name helps them to
      tell people apart: `character1 (a woman in a red coat)`.
    - Bernini-R numbers its references: "the person in image 1". The wording is reasoned; its number is that of the
      model's own counting.
    - DreamID-Omni has tags: `<sub1>`, and a line that ties `<img1>` to it, put before prompts without one. A prompt
      that is written with these tags already counts as naming the characters in order.

    Names inside quotes, or inside `<S>...<E>`, are spoken and stay as they are.

    Args:
        prompt: the user's text.   names: of the references, in their order.   family: of the model.
        pictures: number of the picture that shows each character, from 1; None where each has one, in order.
    Returns:
        The prompt for the text encoder; without names, as it was.
    Raises:
        InputError: a name without a reference, a reference without a mention (one alone needs none), or more than five.
        ConfigError: an unknown family, or another number of pictures than names.
    Source: prompts of bytedance/lynx@3a6a91a README.md, Phantom-video/HuMo@17094e9 examples/test_case.json,
        Phantom-video/Phantom infer.sh; Guoxu1233/DreamID-Omni@9a9f456 README.md, test_case/twoip/captions.
    """
    numbers = tuple(range(1, len(names) + 1)) if pictures is None else tuple(pictures)
    if family not in _FAMILIES or len(numbers) != len(names):
        raise ConfigError(
            f"characters: expected {', '.join(_FAMILIES)} and a picture for each of {len(names)} names, got "
            f"{family!r} and {len(numbers)}. Correct the call."
        )
    if len(names) > MAX_CHARACTERS:
        raise InputError(
            f"characters: expected at most {MAX_CHARACTERS}, got {len(names)}. Leave the least important ones out."
        )
    spoken = [*speech_spans(prompt), *(match.span() for match in _SPOKEN_TAG.finditer(prompt))]
    mentions = [
        match
        for match in NAME.finditer(prompt)
        if not any(begin <= match.start() < end for begin, end in spoken)
    ]
    named = [f"character{int(match[1])}" for match in mentions]
    if family == "dreamid":
        tagged = [int(match[1]) for match in _SUBJECT_TAG.finditer(prompt)]
        named += [names[numbers.index(n)] if n in numbers else f"<sub{n}>" for n in tagged]
    check_names(names, tuple(dict.fromkeys(named)))
    say = _SAYERS[family](tuple(names), numbers)
    parts: list[str] = []
    end = 0
    for match in mentions:
        before = prompt[: match.start()]
        words = say(f"character{int(match[1])}")
        is_start = _SENTENCE_START.search(before) is not None and words[0].isalpha()
        parts += [prompt[end : match.start()], words[0].upper() + words[1:] if is_start else words]
        parts.append(match[2] or "")
        end = match.end()
    text = "".join((*parts, prompt[end:]))
    if family == "dreamid" and names and _IMAGE_TAG.search(text) is None:
        return "".join(f"<img{n}>: A person, identified as <sub{n}>.\n" for n in numbers) + "\n" + text
    return text


_Say = Callable[[str], str]


def _as_people(names: tuple[str, ...], _numbers: tuple[int, ...]) -> _Say:
    seen: set[str] = set()

    def say(name: str) -> str:
        if len(names) > 1:
            return f"the {_ORDINALS[names.index(name)]} person"
        article = "the" if name in seen else "a"
        seen.add(name)
        return f"{article} person"

    return say


def _as_pictures(names: tuple[str, ...], numbers: tuple[int, ...]) -> _Say:
    return lambda name: f"the person in image {numbers[names.index(name)]}"


def _as_tags(names: tuple[str, ...], numbers: tuple[int, ...]) -> _Say:
    return lambda name: f"<sub{numbers[names.index(name)]}>"


_SAYERS: MappingProxyType[CharacterFamily, Callable[[tuple[str, ...], tuple[int, ...]], _Say]] = (
    MappingProxyType(
        {
            "none": _as_people,
            "lynx": _as_people,
            "phantom": _as_people,
            "humo": _as_people,
            "bernini": _as_pictures,
            "dreamid": _as_tags,
        }
    )
)
