"""Our causal video VAEs equal ComfyUI's own, at full size with random weights."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from comfy_server import find_comfyui

pytestmark = [pytest.mark.comfy, pytest.mark.slow]


@pytest.mark.parametrize("kind", ["2.1", "2.2"])
def test_equals_cores(kind: str, root: Path) -> None:
    """2.2 takes three gigabytes and a minute."""
    comfyui = find_comfyui()
    assert comfyui is not None
    run = subprocess.run(
        [
            str(comfyui.python),
            str(root / "tests" / "support" / "comfy_vae.py"),
            str(comfyui.folder),
            str(root),
            kind,
        ],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["latents"] < 1e-5 and found["pixels"] < 1e-5
