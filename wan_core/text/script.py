"""Who says what, and when: lines such as `character1 says: "Hello."` as a list of turns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError
from .characters import NAME
from .speech import speech_spans
from .vocabulary import SPEECH_VERBS

_MARKS = "\"\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d'\u2018\u2019"
_VERB = re.compile(rf"\b(?:{'|'.join(SPEECH_VERBS)})\b", re.IGNORECASE)
_TIME = re.compile(r"\[\s*(?:(\d+):)?(\d+(?:\.\d+)?)\s*s?\s*\]", re.IGNORECASE)
_PAUSE = re.compile(r"\[\s*pause\s+(\d+(?:\.\d+)?)\s*s?\s*\]", re.IGNORECASE)
_TOGETHER = re.compile(r"\s*(?:,|&|and|with)\s*(?:and\s*)?", re.IGNORECASE)
_UNQUOTED = re.compile(
    rf"(?P<before>[^\n\"]*?\b(?:{'|'.join(SPEECH_VERBS)})\b)\s*:\s*(?P<words>[^\n\"\u201c\u201e\u00ab\u300c]+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One person's words.

    Attributes:
        name: character1, character2, ...; None in a script without names, which one voice speaks.
        words: what is said, without quotes.
        start: seconds at which it begins, None: after the turn before and the pause.
        pause: seconds of silence before it, None: the usual one.
    """

    name: str | None
    words: str
    start: float | None = None
    pause: float | None = None


def parse_script(script: str) -> tuple[Turn, ...]:
    """Read who says what.

    Words stand in quotes after a name and a verb of speech (`character1 says: "Hello."`), or without quotes after a
    colon to the end of the line (`character1 says: hello`). What else is written is stage direction and not spoken.
    `[2.5 s]` or `[0:02.5]` before a line is the time at which it begins, `[pause 1 s]` the silence before it. A text
    with neither a name nor a quote is one turn of one voice.

    Args:
        script: the user's text.
    Returns:
        Turns in the order of the text, at least one.
    Raises:
        InputError: no words; words that nobody is named for, while somebody is for others; two people at once; times
            that do not rise; a time and a pause for the same line.
    """
    if not script.strip():
        raise InputError(
            'script: expected words to say, got none. Write for example: character1 says: "Hello."'
        )
    spoken = _spoken(script)
    if not spoken:
        if NAME.search(script) is not None:
            raise InputError(
                f"script: expected words in quotes after a name, got none in {_short(script)}. "
                'Write for example: character1 says: "Hello."'
            )
        spoken = [(*_cues_end(script), _without_cues(script))]
    turns: list[Turn] = []
    end = 0
    for begin, stop, words in spoken:
        before = script[end:begin]
        if not words:
            raise InputError(
                f"script: expected words between the quotes, got none after {_short(before)}. Write them."
            )
        start, pause = _cues(before)
        turns.append(Turn(name=_speaker(before, words), words=words, start=start, pause=pause))
        end = stop
    _check(turns)
    return tuple(turns)


def assign_voices(turns: Sequence[Turn], voices: Sequence[str]) -> tuple[str, ...]:
    """Name the voice of each turn.

    Args:
        turns: of a script.   voices: names that have a voice.
    Returns:
        One of `voices` for each turn.
    Raises:
        InputError: a turn whose speaker has no voice, or turns without names and more than one voice.
    """
    if not voices:
        raise InputError("voices: expected at least one, got none. Give a recording of a voice.")
    chosen: list[str] = []
    for turn in turns:
        if turn.name is None and len(voices) > 1:
            raise InputError(
                f"script: expected a name for every line, got none for {_short(turn.words)} and {len(voices)} voices. "
                f'Write for example: {voices[0]} says: "..."'
            )
        name = voices[0] if turn.name is None else turn.name
        if name not in voices:
            raise InputError(
                f"script: expected a voice for everybody who speaks, got none for {name} ({_short(turn.words)}). "
                f"Give {name} a recording, or the line to {' or '.join(voices)}."
            )
        chosen.append(name)
    return tuple(chosen)


def _spoken(script: str) -> list[tuple[int, int, str]]:
    """Begin, end and words of everything that is spoken, in order."""
    quotes = speech_spans(script)
    found = [(begin, end, script[begin:end].strip(_MARKS + " \n\t")) for begin, end in quotes]
    for match in _UNQUOTED.finditer(script):
        begin, end = match.span("words")
        words = match["words"].strip()
        is_inside = any(first < end and begin < last for first, last in quotes)
        is_before = any(not script[end:first].strip() for first, _ in quotes if first >= end)
        if words and not is_inside and not (is_before and not words) and NAME.search(match["before"]):
            found.append((begin, end, words))
    return sorted(found)


def _speaker(before: str, words: str) -> str | None:
    """The name that stands nearest before spoken words and a verb of speech; None where no name stands there."""
    verbs = list(_VERB.finditer(before))
    lead = before[: verbs[-1].start()] if verbs else before
    names = list(NAME.finditer(lead))
    if not names:
        return None
    if len(names) > 1 and _TOGETHER.fullmatch(lead[names[-2].end() : names[-1].start()]):
        both = f"character{int(names[-2][1])} and character{int(names[-1][1])}"
        raise InputError(
            f"script: expected one speaker at a time, got {both} for {_short(words)}. Give each a line."
        )
    return f"character{int(names[-1][1])}"


def _cues(before: str) -> tuple[float | None, float | None]:
    """Start time and pause that are written before a line."""
    time, pause = None, None
    for match in _TIME.finditer(before):
        time = 60.0 * int(match[1] or 0) + float(match[2])
    for match in _PAUSE.finditer(before):
        pause = float(match[1])
    if time is not None and pause is not None:
        raise InputError(
            f"script: expected a time or a pause before a line, got both in {_short(before)}. Leave one out."
        )
    return time, pause


def _cues_end(script: str) -> tuple[int, int]:
    """Where the words of a script without names and quotes begin and end."""
    ends = [match.end() for pattern in (_TIME, _PAUSE) for match in pattern.finditer(script)]
    return max(ends, default=0), len(script)


def _without_cues(script: str) -> str:
    return script[_cues_end(script)[0] :].strip()


def _check(turns: Sequence[Turn]) -> None:
    named = [turn.name for turn in turns if turn.name is not None]
    for turn in turns:
        if named and turn.name is None:
            raise InputError(
                f"script: expected a name for every line, got none for {_short(turn.words)}. "
                f'Write for example: {named[0]} says: "..."'
            )
    times = [turn.start for turn in turns if turn.start is not None]
    for first, second in zip(times, times[1:], strict=False):
        if second <= first:
            raise InputError(
                f"script: expected times that rise, got {second:g} s after {first:g} s. Put the lines in order."
            )


def _short(text: str) -> str:
    words = " ".join(text.split())
    return repr(words if len(words) <= 40 else words[:37] + "...")
