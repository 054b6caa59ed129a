"""Prompts to scene, action, speech, names and token ids."""

from __future__ import annotations

import pytest

from wan_core.errors import InputError
from wan_core.text import encode_words, parse_prompt
from wan_core.text.vocabulary import ACTION_FORMS, SCENE_SYNONYMS, SILENCE_ID, action_id, scene_id, speech_id


def test_a_full_prompt() -> None:
    parsed = parse_prompt('Character1 is waving at the Seaside and says "Hello, my friend!"')
    assert (parsed.scene, parsed.action) == ("beach", "waves")
    assert parsed.speech_words == ("hello", "my", "friend")
    assert parsed.characters == ("character1",)
    assert parsed.unknown == () and parsed.notes == ()
    assert parsed.token_ids == (
        scene_id("beach"),
        action_id("waves"),
        speech_id("hello"),
        speech_id("my"),
        speech_id("friend"),
    )


@pytest.mark.parametrize(
    ("scene", "word"), [(key, word) for key, more in SCENE_SYNONYMS.items() for word in (key, *more)]
)
def test_scene_words(scene: str, word: str) -> None:
    assert parse_prompt(f"a person, {word.upper()}.").scene == scene


@pytest.mark.parametrize(
    ("action", "word"), [(key, word) for key, more in ACTION_FORMS.items() for word in (key, *more)]
)
def test_action_words(action: str, word: str) -> None:
    assert parse_prompt(f"she {word}!").action == action


def test_no_speech_gives_the_silence_token_and_an_empty_prompt_nothing() -> None:
    assert parse_prompt("forest").token_ids == (scene_id("forest"), SILENCE_ID)
    assert parse_prompt("character1").token_ids == (SILENCE_ID,)
    assert parse_prompt("  \n").token_ids == ()
    assert encode_words(None, None, ("hello",)) == (speech_id("hello"),)


def test_order_of_the_description_does_not_matter() -> None:
    assert (
        parse_prompt('"hello" at night she nods').token_ids == parse_prompt('nods, night: "hello"').token_ids
    )


@pytest.mark.parametrize(
    "text", ["character2", "Character 2", "@character2", "<character2>", "CHARACTER2's hand"]
)
def test_names_of_characters(text: str) -> None:
    parsed = parse_prompt(f"{text} in the snow with character1 and character2")
    assert parsed.characters == ("character2", "character1")
    assert parsed.unknown == ()


def test_a_name_inside_a_quote_is_not_a_reference() -> None:
    with pytest.raises(InputError, match="character1"):
        parse_prompt('"hello character1"')


def test_unknown_words_are_reported_once_with_what_is_known() -> None:
    parsed = parse_prompt("a purple dragon waves, purple, at the beach")
    assert parsed.unknown == ("purple", "dragon")
    assert "nano does not know purple, dragon" in parsed.notes[0]
    assert "kitchen" in parsed.notes[0]


def test_second_scene_is_reported() -> None:
    parsed = parse_prompt("a beach at night")
    assert parsed.scene == "beach"
    assert "names 2 scenes (beach, night)" in parsed.notes[0]


def test_hyphens_and_full_width_letters() -> None:
    assert parse_prompt("sea-side").scene == "beach"
    assert parse_prompt("snow-covered").unknown == ("covered",)
    assert parse_prompt("\uff42\uff45\uff41\uff43\uff48").scene == "beach"


@pytest.mark.parametrize("text", ["a dragon", "the", "!!!", "\u6d77"])
def test_nothing_known_lists_the_known_words(text: str) -> None:
    with pytest.raises(
        InputError, match=r"expected at least one word that nano knows, got .*beach.*stands.*hello"
    ):
        parse_prompt(text)
