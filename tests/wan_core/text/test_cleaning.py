"""Prompts are cleaned as the official code cleans them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from wan_core.errors import InputError, MissingDependencyError
from wan_core.text.cleaning import clean_prompt

GOLDEN = Path(__file__).parents[2] / "golden" / "wan_umt5.safetensors"


def test_equals_the_official_cleaning() -> None:
    with safe_open(GOLDEN, "pt") as file:
        cleaned = json.loads(file.metadata()["cleaned"])
    assert len(cleaned) == 8
    assert {prompt: clean_prompt(prompt) for prompt in cleaned} == cleaned


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="prompt: expected a text, got int"):
        clean_prompt(3)  # type: ignore[arg-type]


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ftfy", None)
    with pytest.raises(MissingDependencyError, match="pip install ftfy"):
        clean_prompt("x")
