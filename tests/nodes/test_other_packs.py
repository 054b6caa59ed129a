"""Lynx beside the real nodes of other packs: KJNodes' NAG and the GGUF loader, with random weights in a real ComfyUI.

They run where both packs lie in ComfyUI's custom_nodes. What stands in for them elsewhere is in `test_identity`.
"""

from __future__ import annotations

from typing import Any

import pytest
from comfy_script import run_inside
from comfy_server import missing_packs
from packed_files import write_gguf
from safetensors.torch import save_file
from tiny_adapter import write_lynx, write_recogniser
from tiny_wan import FAMILIES, random_state, write_tiny_text, write_tiny_vaes, write_wan_lora

pytestmark = pytest.mark.comfy

VARIANTS = pytest.mark.parametrize("variant", ["full", "lite"])
SAME = 1e-5
#: The GGUF loader unpacks weights to float16.
UNPACKED = 1e-3


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `comfy_packs` found: relative distances, and what errors say."""
    if missing_packs():
        pytest.skip(f"custom_nodes has no {' and no '.join(missing_packs())}")
    folder = tmp_path_factory.mktemp("packs")
    models = folder / "diffusion_models"
    models.mkdir()
    values = write_gguf(models / "tiny.gguf", random_state(FAMILIES["t2v"], 0), "Q8_0")
    save_file(
        {key: value.contiguous() for key, value in values.items()}, models / "tiny_unpacked.safetensors"
    )
    write_tiny_vaes(folder / "vae")
    write_tiny_text(folder / "text_encoders")
    write_wan_lora(folder / "loras" / "wan.safetensors")
    write_recogniser(folder / "wan_r2v" / "arcface.safetensors")
    for variant in ("full", "lite"):
        write_lynx(folder / "wan_r2v" / f"lynx_{variant}", variant)
    return run_inside("comfy_packs", folder)


def test_gguf_loader_keeps_its_weights_packed(found: dict[str, Any]) -> None:
    assert found["GGUF: packed layers"] > 0 and 0 < found["GGUF: as unpacked"] < UNPACKED


@VARIANTS
def test_a_face_acts_on_a_gguf_model(found: dict[str, Any], variant: str) -> None:
    assert found[f"{variant} GGUF: as unpacked"] < UNPACKED
    assert found[f"{variant} GGUF: effect"] > 0.1
    assert found[f"{variant} GGUF: left"] == 0, "the model of the loader is as it was"
    assert found[f"{variant} GGUF: off"] is True


@VARIANTS
def test_a_lora_acts_beside_it_on_a_gguf_model(found: dict[str, Any], variant: str) -> None:
    assert found[f"{variant} GGUF LoRA: as unpacked"] < UNPACKED < found[f"{variant} GGUF LoRA: changes"]


def test_nag_works_on_our_model(found: dict[str, Any]) -> None:
    assert found["NAG: ours/core"] < SAME and found["NAG: left on ours"] == 0


@VARIANTS
def test_nag_and_a_face_stack_on_both_models(found: dict[str, Any], variant: str) -> None:
    """Settings of NAG that do nothing are Lynx alone; others act beside it; a scale of 0 is NAG alone, bit for bit."""
    assert found[f"{variant} NAG off: as without"] < SAME
    assert found[f"{variant} NAG: changes"] > 0.01 and found[f"{variant} NAG: effect"] > 0.1
    assert found[f"{variant} NAG: off"] == 0
    assert found[f"{variant} NAG: ours/core"] < SAME


@VARIANTS
def test_nag_that_takes_a_batch_apart(found: dict[str, Any], variant: str) -> None:
    assert found[f"{variant} NAG: two clips"] < SAME


@VARIANTS
def test_nag_behind_the_face(found: dict[str, Any], variant: str) -> None:
    """On ComfyUI's own MODEL it hides the face, which is an error; on ours both act in either order."""
    assert "0 blocks that do" in found[f"{variant} NAG after"]
    assert "put Apply Identity behind it" in found[f"{variant} NAG after"]
    assert found[f"{variant} NAG after: ours/core"] < SAME


@VARIANTS
def test_gguf_lora_nag_face_and_cached_steps_together(found: dict[str, Any], variant: str) -> None:
    assert found[f"{variant} all: as unpacked"] < UNPACKED
    assert found[f"{variant} all: skips"] > 0.001 and found[f"{variant} all: order"] == 0
