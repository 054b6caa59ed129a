"""Reading of nano's prompts: scene, action, spoken words and named characters, as words and as token ids."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InputError
from .characters import NAME, names_in
from .speech import parse_speech, split_speech, split_words
from .vocabulary import (
    ACTION_FORMS,
    SCENE_SYNONYMS,
    SILENCE_ID,
    STOP_WORDS,
    action_id,
    known_words,
    scene_id,
    speech_id,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedPrompt:
    """What a nano prompt says.

    Attributes:
        scene: a word of `SCENES`, or None where no place is named.
        action: a word of `ACTIONS`, or None where no movement is named.
        speech_words: spoken words in order, each of `SPEECH_WORDS`.
        characters: names such as "character1" in order of first mention, each once.
        unknown: words of the description that nano does not know, each once.
        notes: sentences for the user about how the prompt was read.
        token_ids: ids for `NanoTextEncoder`, without padding; empty for an empty prompt.
    """

    scene: str | None
    action: str | None
    speech_words: tuple[str, ...]
    characters: tuple[str, ...]
    unknown: tuple[str, ...]
    notes: tuple[str, ...]
    token_ids: tuple[int, ...]


def parse_prompt(text: str, what: str = "prompt") -> ParsedPrompt:
    """Read a prompt with nano's closed vocabulary.

    The speech is what stands in quotes or after `says:`; the rest is searched for one scene, one action (synonyms and
    inflections count) and names of the form `characterN`. Words that nano does not know are reported, not dropped
    silently. An empty prompt is allowed and gives no tokens.

    Args:
        text: the user's prompt.   what: what errors call it.
    Returns:
        The `ParsedPrompt`.
    Raises:
        InputError: the prompt is not empty and holds nothing that nano knows, or its speech cannot be said.
    """
    text = unicodedata.normalize("NFKC", text)
    if not text.strip():
        return ParsedPrompt(
            scene=None, action=None, speech_words=(), characters=(), unknown=(), notes=(), token_ids=()
        )
    description, speech, split_notes = split_speech(text)
    speech_words, speech_notes = parse_speech(speech)
    characters = names_in(description)
    words = _description_words(NAME.sub(" ", description))
    scenes, actions = _matches(words, SCENE_SYNONYMS), _matches(words, ACTION_FORMS)
    unknown = tuple(dict.fromkeys(word for word in words if not _is_known(word)))
    if not (scenes or actions or speech_words or characters):
        raise InputError(
            f"{what}: expected at least one word that nano knows, got {text.strip()[:80]!r}. "
            f"Nano knows: {known_words()}."
        )
    notes = [*split_notes, *speech_notes]
    notes += [
        f"the prompt names {len(found)} {kind}s ({', '.join(found)}); nano makes one: {found[0]}"
        for kind, found in (("scene", scenes), ("action", actions))
        if len(found) > 1
    ]
    if unknown:
        notes.append(f"nano does not know {', '.join(unknown)}: ignored. It knows {known_words()}")
    scene, action = (scenes or (None,))[0], (actions or (None,))[0]
    return ParsedPrompt(
        scene=scene,
        action=action,
        speech_words=speech_words,
        characters=characters,
        unknown=unknown,
        notes=tuple(notes),
        token_ids=encode_words(scene, action, speech_words),
    )


def encode_words(scene: str | None, action: str | None, speech_words: tuple[str, ...]) -> tuple[int, ...]:
    """Token ids of a prompt given by its parts: scene, action, then the spoken words or the silence token.

    Args:
        scene: a word of `SCENES`, or None.   action: a word of `ACTIONS`, or None.
        speech_words: words of `SPEECH_WORDS`; empty for silence.
    Returns:
        Ids without padding. Any part may be missing; the silence token stands wherever nothing is spoken.
    """
    places = (scene_id(scene),) if scene is not None else ()
    movements = (action_id(action),) if action is not None else ()
    return places + movements + (tuple(speech_id(word) for word in speech_words) or (SILENCE_ID,))


def _description_words(text: str) -> list[str]:
    """Words of a description; a possessive ending goes, a hyphenated word stays whole only where it is known."""
    words: list[str] = []
    for raw in split_words(text):
        word = raw.removesuffix("'s").replace("'", "")
        joined = word.replace("-", "")
        words += [joined] if _is_known(joined) else word.split("-")
    return words


def _is_known(word: str) -> bool:
    return (
        word in STOP_WORDS
        or _resolve(word, SCENE_SYNONYMS) is not None
        or _resolve(word, ACTION_FORMS) is not None
    )


def _resolve(word: str, table: Mapping[str, tuple[str, ...]]) -> str | None:
    """Key of `table` that `word` is or belongs to, None where there is none."""
    return next((key for key, others in table.items() if word == key or word in others), None)


def _matches(words: list[str], table: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Keys of `table` named by `words`, in order of first mention, each once."""
    return tuple(dict.fromkeys(key for word in words if (key := _resolve(word, table)) is not None))
