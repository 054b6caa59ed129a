"""Consent is asked for where a face or a voice is given."""

from __future__ import annotations

import pytest

from wan_core.errors import InputError
from wan_core.provenance import CONSENT_MEANINGS, check_consent


@pytest.mark.parametrize("word", list(CONSENT_MEANINGS))
def test_grounds(word: str) -> None:
    assert check_consent(word, True) == word


def test_needed_only_with_references() -> None:
    assert check_consent(None, False) is None
    with pytest.raises(InputError, match="expected --consent own, written or fictional .* got none"):
        check_consent(None, True)
    for wrong in ("", "Own", "yes"):
        with pytest.raises(InputError, match="expected own, written or fictional"):
            check_consent(wrong, False)
