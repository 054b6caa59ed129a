"""Requests that no model could serve are refused with what to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from wan_core.errors import InputError
from wan_core.pipelines import Character, GenerateRequest, Scales
from wan_core.pipelines.request import check_names

PHOTO = torch.zeros(8, 8, 3, dtype=torch.uint8)


def person(name: str) -> Character:
    return Character(name=name, photos=(PHOTO,))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seed": -1}, "seed: expected 0 to 18446744073709551615, got -1"),
        ({"steps": 0}, "steps: expected 1 to 1000, got 0"),
        ({"shot_type": "many"}, "shot type: expected single or multi, got 'many'"),
        (
            {"characters": (person("character1"), person("character1"))},
            "each name once, got character1 twice",
        ),
    ],
)
def test_requests(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        GenerateRequest(**values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "Anna", "photos": (PHOTO,)}, "expected character1, character2, ..., got 'Anna'"),
        ({"name": "character0", "photos": (PHOTO,)}, "got 'character0'"),
        ({"name": "character1"}, "character1: expected a photo or a voice clip, got neither"),
        ({"name": "character1", "photos": (PHOTO,) * 9}, "expected at most 8 photos, got 9"),
    ],
)
def test_characters(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Character(**values)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_scales(value: float) -> None:
    with pytest.raises(InputError, match="scale identity: expected a number of 0 or more, got"):
        Scales(identity=value)


def test_a_name_without_a_reference() -> None:
    with pytest.raises(
        InputError, match=r"for every character it names, got none for character2\. Give character2"
    ):
        check_names((person("character1"),), ("character1", "character2"))
    with pytest.raises(InputError, match="got none for character1"):
        check_names((), ("character1",))


def test_a_reference_that_is_not_named() -> None:
    two = (person("character1"), person("character2"))
    with pytest.raises(InputError, match="got no mention of character2"):
        check_names(two, ("character1",))
    with pytest.raises(InputError, match="got no mention of character1, character2"):
        check_names(two, ())
    check_names(two, ("character2", "character1"))
    check_names(two[:1], ())
    check_names((), ())
