"""Weights that do not all fit: partial loads and LoRA patches, inside ComfyUI's own memory management on the CPU."""

from __future__ import annotations

import pytest
from comfy_script import run_inside
from packed_files import write_gguf
from tiny_wan import FAMILIES, random_state, write_tiny_wan, write_wan_lora

pytestmark = pytest.mark.comfy


@pytest.fixture(scope="module")
def distance(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Relative distances between all results of `comfy_inside`."""
    folder = tmp_path_factory.mktemp("inside")
    write_tiny_wan(folder / "diffusion_models")
    write_wan_lora(folder / "loras" / "wan.safetensors")
    write_gguf(folder / "diffusion_models" / "tiny_t2v.gguf", random_state(FAMILIES["t2v"], 0), "Q8_0")
    return run_inside("comfy_inside", folder)


@pytest.mark.parametrize("state", ["", "_partial", "_lora", "_lora_partial", "_after"])
def test_whole_weights_equal_cores_in_every_state(distance: dict[str, float], state: str) -> None:
    assert distance[f"whole{state}/core{state}"] < 1e-5


@pytest.mark.parametrize("name", ["whole", "packed"])
def test_partial_load_changes_nothing(distance: dict[str, float], name: str) -> None:
    assert distance[f"{name}/{name}_partial"] < 1e-6
    assert distance[f"{name}_lora/{name}_lora_partial"] < 1e-5


@pytest.mark.parametrize("name", ["whole", "packed"])
def test_lora_acts_and_leaves_no_trace(distance: dict[str, float], name: str) -> None:
    assert distance[f"{name}/{name}_lora"] > 0.01
    assert distance[f"{name}/{name}_after"] == 0


def test_packed_weights_with_a_lora_stay_near_whole_ones(distance: dict[str, float]) -> None:
    """Q8_0 rounds each block of 32 numbers to 255 steps: under one percent of the result."""
    assert 0 < distance["packed/whole"] < 0.01
    assert 0 < distance["packed_lora/whole_lora"] < 0.01


def test_prompts_are_read_once_in_a_run(distance: dict[str, float]) -> None:
    """Two prompts, four steps: keys and values are made once for each prompt, not once for each step."""
    assert distance["text embeddings in a run"] == 2


def test_interrupt_acts_within_a_step(distance: dict[str, float]) -> None:
    assert distance["blocks before an interruption"] == 1
