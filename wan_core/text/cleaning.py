"""What the official code does to a prompt before it is tokenized."""

from __future__ import annotations

import html
import re

from ..errors import InputError, MissingDependencyError

_SPACES = re.compile(r"\s+")


def clean_prompt(text: str) -> str:
    """Repair, unescape and tidy a prompt.

    Wrongly decoded characters are repaired (ftfy), HTML entities are unescaped twice, runs of white space become one
    space, and white space at both ends goes. Case and punctuation stay.

    Args: text: the user's prompt, any length.
    Raises: InputError: not a text.   MissingDependencyError: ftfy is not installed.
    Source: Wan-Video/Wan2.1@9737cba wan/modules/tokenizers.py, clean="whitespace".
    """
    if not isinstance(text, str):
        raise InputError(f"prompt: expected a text, got {type(text).__name__}. Give a list of texts.")
    try:
        import ftfy
    except ImportError as error:
        raise MissingDependencyError(
            "ftfy: expected it for the cleaning of prompts, got no such package. Run: pip install ftfy"
        ) from error
    repaired = html.unescape(html.unescape(ftfy.fix_text(text)))
    return _SPACES.sub(" ", repaired.strip()).strip()
