"""Text of options to values."""

from __future__ import annotations

from pathlib import Path

import pytest

from wan_core.cli.arguments import parse_face, parse_named_files, parse_size
from wan_core.errors import InputError


@pytest.mark.parametrize("text", ["1280*720", "1280x720", " 1280 X 720", "1280\u00d7720"])
def test_sizes(text: str) -> None:
    assert parse_size(text) == (1280, 720)


@pytest.mark.parametrize("text", ["", "1280", "1280*", "-1*5", "1.5*2", "a*b"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError, match="expected width"):
        parse_size(text)


def test_faces() -> None:
    assert (parse_face("auto"), parse_face("WHOLE"), parse_face("3")) == ("auto", "whole", 3)
    for text in ("0", "-1", "1.5", "left"):
        with pytest.raises(InputError, match="expected auto, whole or a number"):
            parse_face(text)


def test_named_files_gather_by_name() -> None:
    files = parse_named_files(
        "--reference", ["character1=a.jpg", "character2=b=c.jpg", "character1=/d/e f.png"]
    )
    assert files == {"character1": [Path("a.jpg"), Path("/d/e f.png")], "character2": [Path("b=c.jpg")]}


@pytest.mark.parametrize("text", ["a.jpg", "character1=", "character0=a.jpg", "me=a.jpg", "=a.jpg"])
def test_files_without_a_proper_name(text: str) -> None:
    with pytest.raises(InputError, match="--voice: expected a name and a file"):
        parse_named_files("--voice", [text])
