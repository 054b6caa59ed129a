"""Where the speech of a prompt is, and which speech nano can say."""

from __future__ import annotations

import pytest

from wan_core.errors import InputError
from wan_core.text.speech import parse_speech, split_speech


@pytest.mark.parametrize(
    "prompt",
    [
        'she waves "hello everyone" at the beach',
        "she waves 'hello everyone' at the beach",
        "she waves \u201chello everyone\u201d at the beach",
        "she waves \u201ehello everyone\u201c at the beach",
        "she waves \u2018hello everyone\u2019 at the beach",
        "she waves \u00abhello everyone\u00bb at the beach",
    ],
)
def test_quotes(prompt: str) -> None:
    split = split_speech(prompt)
    assert split.speech == "hello everyone"
    assert split.description.split() == ["she", "waves", "at", "the", "beach"]
    assert split.notes == ()


def test_two_quotes_are_joined() -> None:
    assert split_speech('"hello" she nods "my friend"').speech == "hello my friend"


def test_apostrophes_are_no_quotes() -> None:
    prompt = "character1's hand waves, it's the sailors' beach"
    assert split_speech(prompt) == (prompt, "", ())


def test_says_with_a_colon_takes_the_rest() -> None:
    split = split_speech("character1 waves in the forest and says: Thank you, everyone!")
    assert split.speech.strip() == "Thank you, everyone!"
    assert split.description == "character1 waves in the forest and "


def test_says_without_a_colon_takes_the_longest_trained_sentence_only() -> None:
    split = split_speech("character1 says hello everyone at the beach")
    assert split.speech == "hello everyone"
    assert split.description == "character1  at the beach"
    assert split_speech("character1 says nothing at the beach").speech == ""


def test_unclosed_quote_runs_to_the_end_with_a_note() -> None:
    split = split_speech('beach "hello my friend')
    assert split.speech == "hello my friend"
    assert "never closed" in split.notes[0]


def test_punctuation_case_and_contraction() -> None:
    assert parse_speech("I'm ready, TODAY!") == (("i", "am", "ready", "today"), ())


def test_unknown_word_is_an_error_with_near_sentences() -> None:
    with pytest.raises(InputError, match=r"expected words that nano can say, got 'dear', 'banana'") as error:
        parse_speech("hello dear banana")
    assert '"hello' in str(error.value)
    assert "good morning" in str(error.value)


def test_untrained_order_is_a_note() -> None:
    words, notes = parse_speech("tomorrow hello")
    assert words == ("tomorrow", "hello")
    assert '"hello tomorrow"' in notes[0]


def test_too_many_words() -> None:
    with pytest.raises(InputError, match=r"expected at most 5 words .* got 6"):
        parse_speech("hello my friend hello my friend")
