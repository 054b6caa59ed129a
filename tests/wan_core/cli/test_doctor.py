"""The doctor says what works, what does not, and what nano knows."""

from __future__ import annotations

import json
from pathlib import Path

from wan_core.text import ACTIONS, SCENES

from .conftest import Run


def test_all_well(run: Run, weights: Path, tmp_path: Path) -> None:
    code, out, _ = run("doctor", "--weights", weights)
    assert (code, "all well" in out) == (0, True)
    for word in (*SCENES, *ACTIONS, "H.264", "scikit-image's cascade"):
        assert word in out
    assert list(tmp_path.iterdir()) == []


def test_missing_weights_are_found(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("doctor", "--weights", tmp_path / "nowhere", "--json")
    content = json.loads(out)
    assert (code, content["is_well"]) == (1, False)
    assert "expected 8 files" in content["checks"]["nano's weights"]["detail"]
    assert content["checks"]["AAC encoder"]["works"]
