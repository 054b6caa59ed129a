"""Prompts as Ovi and DreamID-Omni want them: tags around speech and sounds, captions that are cleaned."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..text.characters import bind, names_in
from ..text.speech import speech_spans
from .ovi_family import OviFamily

_SPOKEN, _SPOKEN_END = "<S>", "<E>"
_SOUND_TAGS = re.compile(r"<AUDCAP>(.*?)<ENDAUDCAP>", re.DOTALL)
_SOUND_LINE = re.compile(r"Audio:\s*(.*)", re.DOTALL)
_SUBJECT = re.compile(r"<sub([1-9]\d?)>")
_MARKS = "\"\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d'\u2018\u2019"
#: Parts of a structured caption that the model was not trained with, then all other tags, then empty lines.
_CAPTION_PARTS = ("SPEAKER_TIMESTAMPS", "AUDIO_DESCRIPTION")


def prepare_prompt(
    prompt: str, family: OviFamily, names: Sequence[str] = (), slots: Sequence[int] = ()
) -> str:
    """Rewrite a prompt for a model.

    Args:
        prompt: the user's text: what is spoken in quotes or between `<S>` and `<E>`; what is heard after "Audio:" or
            between `<AUDCAP>` and `<ENDAUDCAP>`; characters by name (DreamID-Omni), or a structured caption.
        names, slots: of the characters, and the number of the picture that shows each.
    Raises: InputError: names of characters that do not fit the references.
    """
    text = bind(prompt, names, "dreamid" if family.takes_references else "none", pictures=slots)
    text = mark_speech(text)
    if family.sound == "tags":
        return sound_in_tags(text)
    if family.sound == "line":
        return sound_in_line(text)
    return clean_caption(text)


def people_in(prompt: str) -> int:
    """How many characters a prompt speaks of, by the highest number of a name or of a `<sub1>` tag; 1 without any."""
    numbers = [int(name.removeprefix("character")) for name in names_in(prompt)]
    numbers += [int(number) for number in _SUBJECT.findall(prompt)]
    return max(numbers, default=1)


def mark_speech(prompt: str) -> str:
    """Put quoted words between `<S>` and `<E>`; a prompt that has these tags stays as it is."""
    if _SPOKEN in prompt:
        return prompt
    parts: list[str] = []
    end = 0
    for begin, stop in speech_spans(prompt):
        words = prompt[begin:stop].strip(_MARKS).strip()
        parts += [prompt[end:begin], f"{_SPOKEN}{words}{_SPOKEN_END}"]
        end = stop
    return "".join((*parts, prompt[end:]))


def sound_in_tags(prompt: str) -> str:
    """Description of the sound between tags, as the model of 720x720 was trained.

    Source: character-ai/Ovi@5b69b25 ovi/ovi_fusion_engine.py NAME_TO_MODEL_SPECS_MAP (expression).
    """
    return _SOUND_LINE.sub(r"<AUDCAP>\1<ENDAUDCAP>", prompt)


def sound_in_line(prompt: str) -> str:
    """Description of the sound after "Audio:", as the models of 960x960 were trained; source as `sound_in_tags`."""
    return _SOUND_TAGS.sub(r"Audio: \1", prompt)


def clean_caption(caption: str) -> str:
    """A structured caption without the parts and tags that DreamID-Omni takes out before it is encoded.

    Source: Guoxu1233/DreamID-Omni@9a9f456 inference_r2av.py load_mixed_data (expressions).
    """
    for part in _CAPTION_PARTS:
        caption = re.sub(rf"\[{part}_START\].*?\[{part}_END\]", "", caption, flags=re.DOTALL).strip()
    caption = re.sub(r"\[[A-Z_]+\]", "", caption)
    return re.sub(r"\n\s*\n", "\n", caption).strip()
