"""What nano can not make is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from wan_core.errors import InputError
from wan_core.pipelines import Character, GenerateRequest, NanoDefaults

PEOPLE = tuple(
    Character(name=f"character{n}", photos=(torch.zeros(8, 8, 3, dtype=torch.uint8),)) for n in (1, 2)
)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"size": (1280, 720)},
            r"size: expected one of 64\*64, 128\*128, 256\*256, got 1280\*720\. nano draws 64\*64",
        ),
        ({"size": (64, 128)}, r"got 64\*128"),
        ({"duration": 5}, r"duration: expected 2 seconds, got 5\. nano makes clips of 2\.125 seconds"),
        ({"shot_type": "multi"}, "shot type: expected single, got multi"),
        ({"characters": PEOPLE}, r"characters: expected at most one, got 2 \(character1, character2\)"),
    ],
)
def test_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        NanoDefaults().check(GenerateRequest(**values))


def test_allowed() -> None:
    for size in ((64, 64), (128, 128), (256, 256)):
        NanoDefaults().check(GenerateRequest(size=size, duration=2.125, characters=PEOPLE[:1]))
