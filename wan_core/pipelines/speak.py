"""A script and voices to one track of speech: each line in its speaker's voice, one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from ..text.script import Turn, assign_voices, parse_script
from ..types import AudioClip
from ..voice.speak import SpeechModel, encode_reference, speak_part, split_sentences

USUAL_PAUSE = 0.35
"""Seconds between two turns where the script says nothing."""

SENTENCE_PAUSE = 0.12
"""Seconds between the parts of a long turn."""

SpeakProgress = Callable[[int, int], None]
"""Called with how many parts are spoken, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenTurn:
    """When somebody speaks.

    name: of the voice.   words: what is said.   start, end: seconds in the track.
    """

    name: str
    words: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpokenScript:
    """A finished track.

    audio: mono.   turns: in order, apart from each other.   notes: for the user.
    """

    audio: AudioClip
    turns: tuple[SpokenTurn, ...]
    notes: tuple[str, ...]


def speak(
    script: str,
    voices: Mapping[str, AudioClip],
    speech: SpeechModel,
    *,
    seed: int = 0,
    progress: SpeakProgress | None = None,
) -> SpokenScript:
    """Speak a script.

    Args:
        script: who says what, see `wan_core.text.script.parse_script`; without names it is for the only voice.
        voices: recordings by name, mono, any rate.
        speech: the model.
        seed: of the noise.
        progress: called before and after each part.
    Returns:
        `SpokenScript`; the pauses and times of the script are kept to the sample.
    Raises:
        InputError: no words, a speaker without a voice, two at once, or a line that begins before the one before ends.
        WanCoreError: the model gave samples that are not finite.
    """
    turns = parse_script(script)
    names = assign_voices(turns, tuple(voices))
    parts = [split_sentences(speech, turn.words) for turn in turns]
    total = sum(map(len, parts))
    report = progress or _ignore
    report(0, total)
    references = {name: encode_reference(speech, voices[name]) for name in dict.fromkeys(names)}
    spoken: list[Tensor] = []
    notes: list[str] = []
    done = 0
    for name, texts in zip(names, parts, strict=True):
        waves: list[Tensor] = []
        for text in texts:
            part = speak_part(speech, text, references[name], seed + done)
            waves.append(part.waveform)
            done += 1
            report(done, total)
            if not part.has_ended:
                notes.append(
                    f"the model came to no end of {text[:40]!r}: its last words may be missing or drawn out."
                )
        spoken.append(_join(waves, round(SENTENCE_PAUSE * speech.sample_rate)))
    starts = place_turns(turns, [len(wave) / speech.sample_rate for wave in spoken])
    audio, placed = _compose(turns, names, spoken, starts, speech.sample_rate)
    unused = [name for name in voices if name not in names]
    if unused:
        notes.append(f"{', '.join(unused)} has a voice and says nothing.")
    return SpokenScript(audio=audio, turns=placed, notes=tuple(notes))


def place_turns(turns: Sequence[Turn], seconds: Sequence[float]) -> list[float]:
    """When each turn begins.

    Args:
        turns: of a script.   seconds: how long each is.
    Returns:
        Seconds, rising.
    Raises:
        InputError: a turn whose time is before the end of the turn before it: two would speak at once.
    """
    starts: list[float] = []
    end = 0.0
    for index, (turn, length) in enumerate(zip(turns, seconds, strict=True)):
        usual = USUAL_PAUSE if index else 0.0
        start = end + (usual if turn.pause is None else turn.pause) if turn.start is None else turn.start
        if start < end:
            raise InputError(
                f"script: expected {turn.words[:40]!r} to begin at {end:.2f} s or later, when the line before ends, "
                f"got {start:.2f} s. Two would speak at once: move the line or shorten the one before."
            )
        starts.append(start)
        end = start + length
    return starts


def _compose(
    turns: Sequence[Turn],
    names: Sequence[str],
    spoken: Sequence[Tensor],
    starts: Sequence[float],
    sample_rate: int,
) -> tuple[AudioClip, tuple[SpokenTurn, ...]]:
    """Put the turns on one track."""
    begins = [round(start * sample_rate) for start in starts]
    track = torch.zeros(max(begin + len(wave) for begin, wave in zip(begins, spoken, strict=True)))
    placed: list[SpokenTurn] = []
    for turn, name, wave, begin in zip(turns, names, spoken, begins, strict=True):
        track[begin : begin + len(wave)] = wave
        end = (begin + len(wave)) / sample_rate
        placed.append(SpokenTurn(name=name, words=turn.words, start=begin / sample_rate, end=end))
    return AudioClip(track.clamp(-1, 1)[None], sample_rate), tuple(placed)


def _join(waves: Sequence[Tensor], gap: int) -> Tensor:
    """Put waveforms one after another with silence between them."""
    pieces: list[Tensor] = []
    for index, wave in enumerate(waves):
        if index:
            pieces.append(torch.zeros(gap))
        pieces.append(wave)
    return torch.cat(pieces)


def _ignore(_done: int, _total: int) -> None:
    """Report to nobody."""
