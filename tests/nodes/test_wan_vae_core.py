"""Our causal video VAEs equal ComfyUI's own, at full size with random weights."""

from __future__ import annotations

import pytest
from comfy_script import run_inside

pytestmark = [pytest.mark.comfy, pytest.mark.slow]


@pytest.mark.parametrize("kind", ["2.1", "2.2"])
def test_equals_cores(kind: str) -> None:
    """2.2 takes three gigabytes and a minute."""
    found = run_inside("comfy_vae", kind, limit=900)
    assert found["latents"] < 1e-5 and found["pixels"] < 1e-5
