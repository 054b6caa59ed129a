"""HuMo on the pack's Wan MODEL and on ComfyUI's own, with random weights, inside a real ComfyUI."""

from __future__ import annotations

from typing import Any

import pytest
from comfy_script import run_inside
from safetensors.torch import save_file
from tiny_humo import FAMILIES, write_tiny_humo
from tiny_wan import write_tiny_vaes
from tiny_whisper import whisper_state

from wan_core.voice.whisper import WhisperConfig

pytestmark = pytest.mark.comfy

SIZES = pytest.mark.parametrize("size", FAMILIES)
SAME = 1e-4


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `comfy_humo` found: largest differences, and what errors say."""
    folder = tmp_path_factory.mktemp("humo")
    write_tiny_humo(folder / "diffusion_models")
    write_tiny_vaes(folder / "vae")
    (folder / "audio_encoders").mkdir()
    wide = WhisperConfig(dim=64, ffn_dim=4, num_heads=1)
    state = {f"model.encoder.{name}": tensor for name, tensor in whisper_state(wide).items()}
    save_file(state, folder / "audio_encoders" / "whisper.safetensors")
    return run_inside("comfy_humo", folder)


@SIZES
def test_same_latents_as_core(found: dict[str, Any], size: str) -> None:
    assert found[f"{size}: ours/core"] < SAME
    assert found[f"{size}: without a picture"] < SAME


@SIZES
def test_speech_and_picture_act(found: dict[str, Any], size: str) -> None:
    assert found[f"{size}: speech"] > 0.01 and found[f"{size}: picture"] > 0.01


def test_nobody_is_normalised_zeros_or_grey(found: dict[str, Any]) -> None:
    assert found["humo_1_7b: null size"] < 1e-5
    assert 1.0 < found["humo_17b: null size"] < 4.0


@SIZES
def test_a_clip_without_speech_is_no_crash(found: dict[str, Any], size: str) -> None:
    assert found[f"{size}: no speech"] == [1, 16, 3, 8, 8]


@SIZES
def test_guider_works_on_both_models_and_with_scales_of_one_is_no_guidance(
    found: dict[str, Any], size: str
) -> None:
    # sums of differences with scales up to 7.5 enlarge what the two models differ by
    assert found[f"{size}: guided ours/core"] < 20 * SAME
    assert found[f"{size}: scales of 1"] < SAME
    assert found[f"{size}: guidance"] > 0.1


@SIZES
def test_own_conditioning_is_as_long_as_the_speech(found: dict[str, Any], size: str) -> None:
    """15 frames of speech become 17; two pictures of another shape are fitted in."""
    assert found[f"{size}: own frames"] == 5
    assert found[f"{size}: own"] < 20 * SAME


@SIZES
def test_a_prompt_without_speech_says_what_is_missing(found: dict[str, Any], size: str) -> None:
    assert "expected speech and references on it" in found[f"{size}: bare prompt"]


def test_speech_is_encoded_as_core_nodes_want_it(found: dict[str, Any]) -> None:
    assert found["speech: layers"] == [33, 1, 24, 64, 8000]
