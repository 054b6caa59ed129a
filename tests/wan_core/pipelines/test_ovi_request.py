from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from wan_core.errors import InputError
from wan_core.pipelines.ovi_family import DREAMID, OVI_720, OVI_960, OVI_960_LONG
from wan_core.pipelines.ovi_prompt import clean_caption, mark_speech, prepare_prompt
from wan_core.pipelines.ovi_references import voice_second
from wan_core.pipelines.ovi_request import OviRequest, resolve_ovi
from wan_core.pipelines.request import Character
from wan_core.types import AudioClip

PHOTO = torch.zeros(8, 8, 3, dtype=torch.uint8)
VOICE = AudioClip(torch.zeros(1, 40000), 16000)
PERSON = Character(name="character1", photos=(PHOTO,), voice=VOICE)
CAPTION = """[IMAGE_CAPTIONS_START]
<img1>: A man, identified as <sub1>.
[IMAGE_CAPTIONS_END]

[FINAL_VIDEO_CAPTION_START]
[AUDIO_DESCRIPTION_START]
Rain.
[AUDIO_DESCRIPTION_END]

<sub1> says, <S>Hello.<E>
[FINAL_VIDEO_CAPTION_END]

[SPEAKER_TIMESTAMPS_START]
{"<sub1>": ["<Time_S>00:02<Time_E>"]}
[SPEAKER_TIMESTAMPS_END]"""


def test_official_settings() -> None:
    found = resolve_ovi(OviRequest(), OVI_960)
    assert (found.steps, found.shift, found.solver, found.guidance) == (50, 5.0, "unipc", (4.0, 3.0))
    assert (found.frames, found.latent_frames, found.audio_length) == (121, 31, 157)
    assert found.negative_prompt.startswith("jitter") and found.negative_sound.startswith("robotic")
    long = resolve_ovi(OviRequest(), OVI_960_LONG)
    assert (long.frames, long.latent_frames, long.audio_length, long.notes) == (241, 61, 314, ())
    dreamid = resolve_ovi(OviRequest(characters=(PERSON,)), DREAMID)
    assert (dreamid.guidance, dreamid.reference_guidance, dreamid.slots) == ((3.0, 4.0), (1.5, 2.0), (1,))


def test_other_sizes_and_lengths_are_told() -> None:
    found = resolve_ovi(OviRequest(size=(512, 512), duration=3), OVI_960)
    assert found.frames == 73 and found.audio_length == round(73 / 24 * 31.25)
    assert "960*960 is the same shape" in found.notes[0] and "trained on 121 frames; 73" in found.notes[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": (100, 64)}, r"size: expected multiples of 32 .*Use 96\*64"),
        ({"frames": 6}, r"frames: expected 4k \+ 1 .* Use 5"),
        ({"duration": 500.0}, "duration: expected more than 0 and at most 40 seconds"),
        ({"characters": (PERSON,)}, "expected none for Ovi 1.1 .* --variant dreamid-omni"),
    ],
)
def test_what_ovi_can_not_make(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_ovi(OviRequest(**changes), OVI_960)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ((), "expected one or two characters for DreamID-Omni, got 0"),
        ((Character(name="character1", photos=(PHOTO,)),), "a photo and a voice .* got no voice"),
        ((Character(name="character1", voice=VOICE),), "a photo and a voice .* got no photo"),
        (tuple(replace(PERSON, name=f"character{i}") for i in (1, 2, 3)), "one or two characters .* got 3"),
    ],
)
def test_dreamid_needs_faces_and_voices(people: tuple[Character, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve_ovi(OviRequest(characters=people), DREAMID)
    with pytest.raises(InputError, match="first frame: expected none for DreamID-Omni"):
        resolve_ovi(OviRequest(characters=(PERSON,), first_frame=PHOTO), DREAMID)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"steps": 0}, "steps"),
        ({"shift": 0.0}, "shift"),
        ({"solver": "magic"}, "solver"),
        ({"guidance": (1.0, -1.0)}, "guidance"),
        ({"frames": 5, "duration": 1.0}, "length"),
        ({"voice_span": "first"}, "voice span"),
        ({"first_frame": torch.zeros(3, 8, 8)}, "first frame"),
        ({"characters": (PERSON, PERSON)}, "characters: expected each name once"),
    ],
)
def test_values_that_no_model_could_use(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        OviRequest(**changes)  # type: ignore[arg-type]


def test_prompts_of_ovi() -> None:
    text = 'A man says "Hi there." Audio: wind and birds.'
    assert prepare_prompt(text, OVI_960) == "A man says <S>Hi there.<E> Audio: wind and birds."
    tagged = prepare_prompt(text, OVI_720)
    assert tagged == "A man says <S>Hi there.<E> <AUDCAP>wind and birds.<ENDAUDCAP>"
    assert prepare_prompt(tagged, OVI_960) == "A man says <S>Hi there.<E> Audio: wind and birds."
    assert mark_speech('<S>one<E> and "two"') == '<S>one<E> and "two"'
    with pytest.raises(InputError, match="got none for character1"):
        prepare_prompt("character1 waves", OVI_960)


def test_prompts_of_dreamid() -> None:
    cleaned = clean_caption(CAPTION)
    assert cleaned == "<img1>: A man, identified as <sub1>.\n<sub1> says, <S>Hello.<E>"
    assert prepare_prompt(CAPTION, DREAMID, ["character1"], [1]) == cleaned
    found = prepare_prompt('character1 says "Hello."', DREAMID, ["character1"], [1])
    assert found == "<img1>: A person, identified as <sub1>.\n<sub1> says <S>Hello.<E>"
    two = prepare_prompt("character2 looks at character1", DREAMID, ["character1", "character2"], [1, 2])
    assert two.endswith("<sub2> looks at <sub1>") and "<img2>: A person, identified as <sub2>." in two


def test_voices_that_can_not_be_used() -> None:
    with pytest.raises(InputError, match="expected at least 1 s, got 0.50 s"):
        voice_second(AudioClip(torch.zeros(1, 8000), 16000), "best")
    with pytest.raises(InputError, match="expected at least 1.5 s, got 1.00 s"):
        voice_second(AudioClip(torch.zeros(1, 16000), 16000), "official")
    with pytest.raises(InputError, match="at 16000 Hz, got .* at 48000 Hz"):
        voice_second(AudioClip(torch.zeros(1, 48000), 48000), "best")
    with pytest.raises(InputError):
        voice_second(AudioClip(torch.zeros(1, 48000), 16000), "best")
