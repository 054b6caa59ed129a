"""What a weights file is, and whether a clip is tagged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from wan_core.media import write_video
from wan_core.provenance import SyntheticTag, to_metadata

from .conftest import Run


def test_nano_parts(run: Run, weights: Path) -> None:
    code, out, _ = run("inspect", weights / "voice.safetensors", "--json")
    content = json.loads(out)
    assert (code, content["model"]) == (0, "nano, part voice")
    assert content["config"]["token_dim"] == 24
    code, out, _ = run("inspect", weights / "dit.safetensors")
    assert (code, "nano, part dit" in out, "F32" in out) == (0, True, True)


def test_unknown_weights_say_why(run: Run, tmp_path: Path) -> None:
    save_file({"something": torch.zeros(3)}, tmp_path / "odd.safetensors")
    code, _, err = run("inspect", tmp_path / "odd.safetensors")
    assert code == 1
    assert "odd.safetensors" in err and err.count("\n") == 1


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "nothing.safetensors"])
def test_files_that_are_not_opened(run: Run, tmp_path: Path, name: str) -> None:
    if not name.startswith("nothing"):
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    code, _, err = run("inspect", tmp_path / name)
    assert code == 2
    assert "got none" in err if name.startswith("nothing") else "not opened" in err


def test_verify(run: Run, tmp_path: Path) -> None:
    tag = SyntheticTag(model="nano", consent="written", seed=5, version="0.1.0")
    write_video(tmp_path / "ours.mp4", torch.zeros(3, 4, 32, 32), 8, metadata=to_metadata(tag))
    write_video(tmp_path / "bare.mp4", torch.zeros(3, 4, 32, 32), 8)
    code, out, _ = run("verify", "ours.mp4")
    assert (code, "synthetic, made by Wan R2V 0.1.0 (nano), seed 5, consent written" in out) == (0, True)
    code, out, _ = run("verify", "bare.mp4", "--json")
    assert (code, json.loads(out)["is_synthetic"]) == (1, None)
