"""Who says what, and when."""

from __future__ import annotations

import pytest

from wan_core.errors import InputError
from wan_core.text.prompt import parse_prompt
from wan_core.text.script import Turn, assign_voices, parse_script


def said(script: str) -> list[tuple[str | None, str]]:
    return [(turn.name, turn.words) for turn in parse_script(script)]


def test_lines_with_names() -> None:
    script = """character1 says: "Did you hear that?"
    character2 looks up and says: "No. It's late."
    Character 1 whispers "Never mind.\""""
    assert said(script) == [
        ("character1", "Did you hear that?"),
        ("character2", "No. It's late."),
        ("character1", "Never mind."),
    ]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("character1 says: hello there, friend", "hello there, friend"),
        ("character1 waves at the beach and says \u201chello everyone\u201d", "hello everyone"),
        ("character1 walks up to character2 and stops. character1 says: 'hi'", "hi"),
    ],
)
def test_other_ways_to_write_a_line(script: str, words: str) -> None:
    assert said(script) == [("character1", words)]


def test_two_lines_without_quotes() -> None:
    assert said("character1 says: hello\ncharacter2 says: good morning") == [
        ("character1", "hello"),
        ("character2", "good morning"),
    ]


def test_words_alone_are_for_one_voice() -> None:
    assert parse_script("Hello everyone. How are you?") == (
        Turn(name=None, words="Hello everyone. How are you?"),
    )
    assert parse_script("[pause 2 s] Hello.") == (Turn(name=None, words="Hello.", pause=2.0),)
    assert said('"Hello." he thought. "Bye."') == [(None, "Hello."), (None, "Bye.")]


def test_times_and_pauses() -> None:
    turns = parse_script(
        'character1 says: "a" [pause 1.5 s] character2 says: "b" [0:07.25] character1 says: "c" '
        '[70s] character2 says "d"'
    )
    assert [(turn.start, turn.pause) for turn in turns] == [
        (None, None),
        (None, 1.5),
        (7.25, None),
        (70.0, None),
    ]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("  ", "expected words to say, got none"),
        ("character1 waves", "expected words in quotes after a name, got none in 'character1 waves'"),
        ('character1 says: ""', "expected words between the quotes, got none"),
        ('character1 says: "a" and then "b"', "expected a name for every line, got none for 'b'"),
        ('"a" character1 says: "b"', "expected a name for every line, got none for 'a'"),
        (
            'character1 and character2 say: "hi"',
            "one speaker at a time, got character1 and character2 for 'hi'",
        ),
        (
            '[2 s] character1 says: "a" [1 s] character2 says: "b"',
            "expected times that rise, got 1 s after 2 s",
        ),
        ('[2 s] [pause 1 s] character1 says: "a"', "expected a time or a pause before a line, got both"),
    ],
)
def test_errors(script: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_script(script)


def test_voices() -> None:
    turns = parse_script('character1 says: "a" character2 says: "b"')
    assert assign_voices(turns, ["character2", "character1"]) == ("character1", "character2")
    assert assign_voices(parse_script("hello"), ["character3"]) == ("character3",)
    with pytest.raises(
        InputError, match=r"expected a voice for everybody who speaks, got none for character2 \('b'\)"
    ):
        assign_voices(turns, ["character1"])
    with pytest.raises(InputError, match="expected a name for every line, got none for 'hello' and 2 voices"):
        assign_voices(parse_script("hello"), ["character1", "character2"])
    with pytest.raises(InputError, match="voices: expected at least one"):
        assign_voices(turns, [])


def test_the_prompts_of_nano_read_the_same() -> None:
    prompt = 'character1 waves at the beach and says "hello everyone"'
    assert said(prompt) == [("character1", "hello everyone")]
    assert parse_prompt(prompt).speech_words == ("hello", "everyone")
