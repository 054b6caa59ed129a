"""Names in prompts are checked and said as each family needs."""

from __future__ import annotations

import pytest

from wan_core.errors import ConfigError, InputError
from wan_core.text.characters import CharacterFamily, bind, names_in

TWO = ("character1", "character2")


@pytest.mark.parametrize("family", ["lynx", "phantom", "humo"])
def test_one_person_is_described(family: CharacterFamily) -> None:
    found = bind("Character1 waves. The hat is character1's; @character1 smiles", TWO[:1], family)
    assert found == "A person waves. The hat is the person's; the person smiles"


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (
            "phantom",
            "At dusk the second person (in red) hugs the first person. The second person's hat falls",
        ),
        (
            "bernini",
            "At dusk the person in image 2 (in red) hugs the person in image 1. The person in image 2's hat falls",
        ),
        (
            "dreamid",
            "<img1>: A person, identified as <sub1>.\n<img2>: A person, identified as <sub2>.\n\n"
            "At dusk <sub2> (in red) hugs <sub1>. <sub2>'s hat falls",
        ),
    ],
)
def test_two_people_keep_the_order_of_their_references(family: CharacterFamily, expected: str) -> None:
    prompt = "At dusk character2 (in red) hugs character1. Character2's hat falls"
    assert bind(prompt, TWO, family) == expected


def test_pictures_are_counted_as_the_model_counts_them() -> None:
    prompt = "character1 and character2 dance"
    assert (
        bind(prompt, TWO, "bernini", pictures=(2, 4))
        == "The person in image 2 and the person in image 4 dance"
    )
    with pytest.raises(ConfigError, match="a picture for each of 2 names, got 'bernini' and 1"):
        bind(prompt, TWO, "bernini", pictures=(2,))
    with pytest.raises(ConfigError, match="expected none, lynx"):
        bind(prompt, TWO, "sora")  # pyright: ignore[reportArgumentType]


def test_prompt_with_dreamid_tags_counts_as_naming() -> None:
    prompt = "<img1>: a man, <sub1>. <img2>: a woman, <sub2>.\n<sub1> says <S>hello character2<E>"
    assert bind(prompt, TWO, "dreamid") == prompt
    with pytest.raises(InputError, match="got no mention of character2"):
        bind("<sub1> waves", TWO, "dreamid")
    with pytest.raises(InputError, match="got none for <sub3>"):
        bind("<sub1> <sub2> <sub3>", TWO, "dreamid")


def test_what_is_spoken_stays() -> None:
    prompt = 'character1 says "I am character2" and \u201ccharacter3\u201d'
    assert bind(prompt, TWO[:1], "lynx") == 'A person says "I am character2" and \u201ccharacter3\u201d'


@pytest.mark.parametrize("family", ["none", "lynx", "phantom", "humo", "bernini", "dreamid"])
def test_unbound_names_and_unused_references_are_refused(family: CharacterFamily) -> None:
    with pytest.raises(
        InputError, match="expected a reference for every character it names, got none for character2"
    ):
        bind("character1 meets Character 2", TWO[:1], family)
    with pytest.raises(
        InputError, match="expected each to be named in the prompt, got no mention of character2"
    ):
        bind("character1 waves", TWO, family)
    with pytest.raises(InputError, match="got no mention of character1, character2"):
        bind("two people wave", TWO, family)
    with pytest.raises(InputError, match="got none for character1"):
        bind("character1 waves", (), family)
    with pytest.raises(InputError, match="at most 5, got 6"):
        bind("x", tuple(f"character{n}" for n in range(1, 7)), family)


def test_prompt_without_names_is_kept() -> None:
    assert bind("a cat, uncharacter1 and character1x", (), "none") == "a cat, uncharacter1 and character1x"
    assert bind("somebody waves", TWO[:1], "lynx") == "somebody waves"
    assert names_in("Character 2, character1 and @character2") == ("character2", "character1")
