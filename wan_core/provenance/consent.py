"""On what ground somebody's face or voice is used."""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal, get_args

from ..errors import InputError

Consent = Literal["own", "written", "fictional"]
"""The person is the user; gave written consent; or does not exist."""

CONSENT_MEANINGS = MappingProxyType(
    {
        "own": "the face and voice are your own",
        "written": "the person has agreed in writing",
        "fictional": "the person does not exist",
    }
)


def check_consent(consent: str | None, has_references: bool) -> Consent | None:
    """Check that a request with references says on what ground they are used.

    Args:
        consent: what the user stated, or None.
        has_references: whether a face or a voice is given.
    Returns:
        The consent, None where neither is needed nor stated.
    Raises:
        InputError: needed and not stated, or not one of the three words.
    """
    choices = "; ".join(f"{word}: {meaning}" for word, meaning in CONSENT_MEANINGS.items())
    if consent is None:
        if has_references:
            raise InputError(
                "consent: expected --consent own, written or fictional with a face or a voice, got none. "
                f"Say which holds ({choices})."
            )
        return None
    for word in get_args(Consent):
        if consent == word:
            return word
    raise InputError(
        f"consent: expected own, written or fictional, got {consent!r}. Say which holds ({choices})."
    )
