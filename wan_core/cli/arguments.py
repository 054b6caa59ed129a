"""Text of the command line to values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..identity.face import FaceChoice

_SIZE = re.compile(r"(\d+)\s*[*xX\u00d7]\s*(\d+)")
_NAMED = re.compile(r"(character[1-9]\d*)=(.+)", re.DOTALL)


def parse_size(text: str) -> tuple[int, int]:
    """Read a size such as 256*256 or 256x256 as width and height.

    Raises: InputError: something else.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InputError(f"--size: expected width*height such as 256*256, got {text!r}. Write two numbers.")
    return int(match[1]), int(match[2])


def parse_face(text: str) -> FaceChoice:
    """Read which face to use: auto, whole, or a number from 1.

    Raises: InputError: something else.
    """
    word = text.strip().lower()
    if word in ("auto", "whole"):
        return "whole" if word == "whole" else "auto"
    if word.isdecimal() and int(word) >= 1:
        return int(word)
    raise InputError(f"--face: expected auto, whole or a number from 1, got {text!r}. 1 is the largest face.")


def parse_named_files(option: str, texts: Sequence[str]) -> dict[str, list[Path]]:
    """Read arguments such as character1=photo.jpg; a name may come several times.

    Args:
        option: the option, named in errors.
        texts: its arguments.
    Returns:
        Files by name, in the order given.
    Raises:
        InputError: an argument of another form.
    """
    files: dict[str, list[Path]] = {}
    for text in texts:
        match = _NAMED.fullmatch(text)
        if match is None:
            raise InputError(
                f"{option}: expected a name and a file such as character1=FILE, got {text!r}. Add the name."
            )
        files.setdefault(match[1], []).append(Path(match[2]).expanduser())
    return files
