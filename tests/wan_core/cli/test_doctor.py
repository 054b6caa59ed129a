"""The doctor says what works, what does not, and what nano knows."""

from __future__ import annotations

import json
from pathlib import Path

from tiny_ovi import write_ovi
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


def test_plans_of_joint_models_in_a_folder(run: Run, weights: Path, tmp_path: Path) -> None:
    """Towers, sound and prompt are planned; DreamID-Omni with a person; a part that is missing is named."""
    write_ovi(tmp_path / "models", "Ovi-960x960-5s.safetensors")
    write_ovi(tmp_path / "people", "dreamid_omni.safetensors")
    code, out, _ = run("doctor", "--weights", weights, "--models", "models", "--vram", "24GB")
    assert code == 0
    assert "Ovi 1.1 (960x960, 5 s) in models" in out and "at 1280*704, 121 frames:" in out
    assert all(out.count(phase) == 1 for phase in ("both towers", "sound decode", "VAE decode"))
    assert "VAE encode" not in out
    code, out, _ = run("doctor", "--weights", weights, "--models", "people", "--vram", "24GB", "--json")
    models = json.loads(out)["models"]
    assert [(model["name"], model["fits"]) for model in models] == [("DreamID-Omni", True)]
    assert any("VAE encode" in line for line in models[0]["lines"])
    (tmp_path / "models" / "best_netG.pt").unlink()
    code, out, _ = run("doctor", "--weights", weights, "--models", "models", "--json")
    models = json.loads(out)["models"]
    assert (len(models), models[0]["fits"]) == (1, False)
    assert models[0]["lines"][1] == "  missing: MMAudio's vocoder (best_netG.pt)"
