"""The doctor says what works, what does not, and what nano knows."""

from __future__ import annotations

import json
from pathlib import Path

from wan_release import write_release

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


def test_plans_of_the_models_in_a_folder(run: Run, weights: Path, tmp_path: Path) -> None:
    """Every family is planned at its usual size, experts as one; what is missing or does not fit is said."""
    for name in ("t2v", "i2v", "t2v_a14b"):
        write_release(tmp_path / "models" / name, name)
    write_release(tmp_path / "lone" / "i2v", "i2v")
    (tmp_path / "lone" / "i2v" / "Wan2.1_VAE.pth").unlink()
    (tmp_path / "lone" / "broken.safetensors").write_bytes(b"x" * 20)
    code, out, _ = run("doctor", "--weights", weights, "--models", "models", "--vram", "24GB")
    assert code == 0
    for name in ("Wan2.1-T2V-1.3B", "Wan2.1-I2V-14B", "Wan2.2-T2V-A14B"):
        assert out.count(f"{name} in") == 1
    assert out.count("limit 24.0 GB, peak") == 3
    assert "at 832*480, 81 frames:" in out and "each expert" in out
    code, out, _ = run("doctor", "--weights", weights, "--models", "lone", "--json")
    models = json.loads(out)["models"]
    assert [(model["name"], model["fits"]) for model in models] == [("Wan2.1-I2V-14B", False)]
    assert "missing: the VAE with 16 channels" in models[0]["lines"][1]
    code, out, _ = run("doctor", "--weights", weights, "--models", "models", "--vram", "500MB")
    assert (code, "expected at least" in out) == (0, True)
    (tmp_path / "empty").mkdir()
    assert "no Wan model in empty" in run("doctor", "--weights", weights, "--models", "empty")[1]
    assert "--models: expected a folder" in run("doctor", "--weights", weights, "--models", "nowhere")[2]
