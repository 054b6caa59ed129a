"""Guidance chains with windows, rules and lists of scales in core's samplers, inside a real ComfyUI."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from comfy_server import find_comfyui
from tiny_wan import write_tiny_wan

pytestmark = pytest.mark.comfy


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, root: Path) -> dict[str, Any]:
    """What `comfy_guider` found: relative distances to the engine's own loop, and numbers of evaluations a step."""
    comfyui = find_comfyui()
    assert comfyui is not None
    folder = tmp_path_factory.mktemp("guider")
    write_tiny_wan(folder / "diffusion_models")
    script = root / "tests" / "support" / "comfy_guider.py"
    run = subprocess.run(
        [str(comfyui.python), str(script), str(comfyui.folder), str(root), str(folder)],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("name", "evaluations"),
    [
        ("plain", "2222"),
        ("window", "1221"),
        ("zero star", "222"),
        ("projected", "2222"),
        ("projected, base", "2222"),
    ],
)
def test_chain_in_a_core_sampler_equals_the_engines_loop(
    found: dict[str, Any], name: str, evaluations: str
) -> None:
    assert found[name] < 1e-5 and found[f"{name}: effect"] > 0.01
    assert found[f"{name}: evaluations"] == evaluations


def test_a_sampler_that_looks_twice_in_a_step(found: dict[str, Any]) -> None:
    """A second look belongs to the step whose schedule it reaches, and a run leaves nothing behind for the next."""
    assert found["heun: evaluations"] == "2222222" and found["heun: repeatable"] == 0.0
