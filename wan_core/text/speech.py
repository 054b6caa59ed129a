"""Spoken words inside a prompt: where they are, and whether nano can say them."""

from __future__ import annotations

import difflib
import re
from typing import NamedTuple

from ..errors import InputError
from .vocabulary import (
    CONTRACTIONS,
    MAX_SPEECH_WORDS,
    SPEECH_VERBS,
    SPEECH_WORDS,
    known_sentences,
    known_words,
)

_QUOTE_PAIRS = ('""', "\u201c\u201d", "\u201e\u201c", "\u00ab\u00bb", "\u300c\u300d")
_QUOTED = re.compile(
    "|".join(f"{re.escape(pair[0])}([^{re.escape(pair)}]*){re.escape(pair[1])}" for pair in _QUOTE_PAIRS)
    + r"|(?<![\w])['\u2018](?=\S)(.*?\S|)['\u2019](?![\w])"
)
_OPEN_QUOTE = re.compile("[" + "".join(re.escape(pair[0]) for pair in _QUOTE_PAIRS) + "]")
_VERB = re.compile(rf"\b(?:{'|'.join(SPEECH_VERBS)})\b(?P<colon>\s*:)?", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")


class SplitPrompt(NamedTuple):
    """A prompt taken apart: what is described, what is spoken, and notes about how it was read."""

    description: str
    speech: str
    notes: tuple[str, ...]


def split_words(text: str) -> list[str]:
    """Lower-case words of `text` in order, without punctuation; an apostrophe or hyphen inside a word stays."""
    return [word.replace("\u2019", "'") for word in _WORD.findall(text.casefold())]


def split_speech(prompt: str) -> SplitPrompt:
    """Separate the spoken words of a prompt from its description.

    Speech is what stands in quotes (straight, typographic, angle or corner quotes; several quotes are joined), else
    what follows a verb of speech with a colon (`says: hello`), else the longest trained sentence right after such a
    verb (`says hello everyone in the forest`). An apostrophe inside a word is no quote. A quote that is never closed
    runs to the end of the prompt, with a note.

    Args:
        prompt: the user's text, any length.
    Returns:
        `SplitPrompt`; `speech` is empty where nothing is spoken.
    """
    quoted = [
        next(group for group in match.groups() if group is not None) for match in _QUOTED.finditer(prompt)
    ]
    if quoted:
        return SplitPrompt(_QUOTED.sub(" ", prompt), " ".join(quoted), ())
    opened = _OPEN_QUOTE.search(prompt)
    if opened is not None:
        note = "a quote is opened and never closed: everything after it is taken as speech"
        return SplitPrompt(prompt[: opened.start()], prompt[opened.end() :], (note,))
    for verb in _VERB.finditer(prompt):
        rest = prompt[verb.end() :]
        if verb["colon"] is not None:
            return SplitPrompt(prompt[: verb.start()], rest, ())
        sentence = _leading_sentence(rest)
        if sentence:
            words = [match.end() for match in _WORD.finditer(rest)]
            return SplitPrompt(
                prompt[: verb.start()] + rest[words[len(sentence) - 1] :], " ".join(sentence), ()
            )
    return SplitPrompt(prompt, "", ())


def speech_spans(prompt: str) -> tuple[tuple[int, int], ...]:
    """Where words stand in quotes, as `split_speech` knows them: begin and end of each quote, marks included.

    Args:
        prompt: the user's text.
    """
    quotes = tuple(match.span() for match in _QUOTED.finditer(prompt))
    opened = None if quotes else _OPEN_QUOTE.search(prompt)
    return quotes if opened is None else ((opened.start(), len(prompt)),)


def parse_speech(speech: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Check that nano can say `speech` and return its words.

    Args:
        speech: the spoken text, without quotes.
    Returns:
        `(words, notes)`: lower-case words of `SPEECH_WORDS`, and a note where their order was never trained.
    Raises:
        InputError: a word is not in the vocabulary (the text suggests the nearest trained sentences), or there are
            more words than fit in nano's clip.
    """
    words = tuple(part for word in split_words(speech) for part in CONTRACTIONS.get(word, word).split())
    unknown = tuple(dict.fromkeys(word for word in words if word not in SPEECH_WORDS))
    if unknown:
        raise InputError(
            f"speech: expected words that nano can say, got {', '.join(map(repr, unknown))} in {speech.strip()!r}. "
            f"Say for example {_suggestions(words)}. Nano knows: {known_words()}."
        )
    if len(words) > MAX_SPEECH_WORDS:
        raise InputError(
            f"speech: expected at most {MAX_SPEECH_WORDS} words (what fits in nano's clip), got {len(words)}. "
            f"Say for example {_suggestions(words)}."
        )
    if words and " ".join(words) not in known_sentences():
        note = f'"{" ".join(words)}" is not a trained sentence and may be unclear; trained ones are near: '
        return words, (note + _suggestions(words),)
    return words, ()


def _leading_sentence(text: str) -> list[str]:
    """Words of the longest trained sentence at the start of `text`; empty where there is none."""
    words = split_words(text)
    sentences = known_sentences()
    for length in range(min(MAX_SPEECH_WORDS, len(words)), 0, -1):
        if " ".join(words[:length]) in sentences:
            return words[:length]
    return []


def _suggestions(words: tuple[str, ...]) -> str:
    """Up to three trained sentences nearest to `words`, quoted."""
    near = difflib.get_close_matches(" ".join(words), known_sentences(), n=3, cutoff=0.0)
    return " or ".join(f'"{sentence}"' for sentence in near)
