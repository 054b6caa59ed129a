"""Guidance chains with windows, rules and lists of scales in core's samplers, inside a real ComfyUI."""

from __future__ import annotations

from typing import Any

import pytest
from comfy_script import run_inside
from tiny_wan import write_tiny_wan

pytestmark = pytest.mark.comfy


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `comfy_guider` found: relative distances to the engine's own loop, and numbers of evaluations a step."""
    folder = tmp_path_factory.mktemp("guider")
    write_tiny_wan(folder / "diffusion_models")
    return run_inside("comfy_guider", folder)


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
