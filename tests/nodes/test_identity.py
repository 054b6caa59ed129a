"""Identity on the pack's Wan MODEL and on ComfyUI's own, with random weights, inside a real ComfyUI."""

from __future__ import annotations

from typing import Any

import pytest
from comfy_script import run_inside
from tiny_adapter import write_lynx, write_recogniser
from tiny_wan import write_tiny_text, write_tiny_vaes, write_tiny_wan, write_wan_lora

pytestmark = pytest.mark.comfy

VARIANTS = pytest.mark.parametrize("variant", ["full", "lite"])
SAME = 1e-5


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `comfy_identity` found: relative distances, and what errors say."""
    folder = tmp_path_factory.mktemp("identity")
    write_tiny_wan(folder / "diffusion_models")
    write_tiny_vaes(folder / "vae")
    write_tiny_text(folder / "text_encoders")
    write_wan_lora(folder / "loras" / "wan.safetensors")
    write_recogniser(folder / "wan_r2v" / "arcface.safetensors")
    for variant in ("full", "lite"):
        write_lynx(folder / "wan_r2v" / f"lynx_{variant}", variant)
    return run_inside("comfy_identity", folder)


@VARIANTS
@pytest.mark.parametrize("how", ["", " guided", " LoRA", " shaped", " region", " EasyCache"])
def test_lynx_gives_the_same_latents_on_both_models(found: dict[str, Any], variant: str, how: str) -> None:
    assert found[f"{variant}{how}: ours/core"] < SAME
    assert found[f"{variant}{how}: effect"] > 0.1


@VARIANTS
def test_scale_zero_is_the_model_itself(found: dict[str, Any], variant: str) -> None:
    assert found[f"{variant}: off on ours"] is True and found[f"{variant}: off on core"] is True


@VARIANTS
def test_base_is_restored_bit_for_bit(found: dict[str, Any], variant: str) -> None:
    assert found[f"{variant}: left on ours"] == 0 and found[f"{variant}: left on core"] == 0


@VARIANTS
def test_lora_acts_beside_it(found: dict[str, Any], variant: str) -> None:
    assert found[f"{variant} LoRA: changes"] > 0.005


def test_full_knows_the_weights_that_it_was_prepared_with(found: dict[str, Any]) -> None:
    assert "Put LoRA loaders before Apply Identity" in found["full LoRA after"]
    assert found["lite LoRA after"] == "", "lite's keys and values do not depend on the transformer"


@VARIANTS
def test_strength_shapes_it(found: dict[str, Any], variant: str) -> None:
    assert found[f"{variant} shaped: changes"] > 0.01


@VARIANTS
def test_regions_restrict_it(found: dict[str, Any], variant: str) -> None:
    """The whole picture as a region is no region; two people with a half each, here the same one twice, are one."""
    assert found[f"{variant} region: everywhere"] < SAME
    assert found[f"{variant} region: halves"] < SAME


@VARIANTS
def test_cached_steps_stack_on_either_side(found: dict[str, Any], variant: str) -> None:
    assert found[f"{variant} EasyCache: changes"] > 0.001, "no step was skipped"
    assert found[f"{variant} EasyCache: order"] == 0


@VARIANTS
def test_attention_of_another_node_is_kept(found: dict[str, Any], variant: str) -> None:
    """One that was there before is built upon; one that comes later and hides the identity is an error."""
    assert found[f"{variant} replaced before"] < SAME
    assert "0 blocks that do" in found[f"{variant} replaced after"]


@VARIANTS
def test_weights_are_never_read(found: dict[str, Any], variant: str) -> None:
    """Output layers of GGUF loaders hold no plain weight."""
    assert found[f"{variant} sealed"] < SAME


@VARIANTS
def test_model_without_wan_blocks_is_an_error(found: dict[str, Any], variant: str) -> None:
    assert "got Linear with 0 such attentions in 0 blocks" in found[f"{variant} no blocks"]


@VARIANTS
def test_prompt_that_is_not_marked_is_an_error(found: dict[str, Any], variant: str) -> None:
    assert "none of its marks" in found[f"{variant} unmarked"]


@VARIANTS
def test_nanos_nodes_say_which_node_to_use(found: dict[str, Any], variant: str) -> None:
    assert "Use Encode Face" in found[f"{variant} in nano's encoder"]
    assert "Use Apply Identity" in found[f"{variant} in nano's character"]


@VARIANTS
def test_weights_of_the_adapter_leave_memory(found: dict[str, Any], variant: str) -> None:
    assert found[f"{variant}: adapters left"] == 0
    assert "MiB of weights before" in found[f"{variant}: notes"]


def test_phantom_gives_the_same_latents_on_both_models(found: dict[str, Any]) -> None:
    assert found["phantom: ours/core"] < SAME < found["phantom: effect"]
    assert found["phantom: as DualCFGGuider"] < SAME, "the plain sum of three terms is core's own"


@pytest.mark.parametrize("size", ["1.3B", "14B (two experts)"])
@pytest.mark.parametrize("references", ["pictures", "mixed", "videos"])
def test_bernini_gives_the_same_latents_on_both_models(
    found: dict[str, Any], references: str, size: str
) -> None:
    assert found[f"bernini {references} {size}: effect"] > 0.01
    if found["bernini: core knows streams"]:
        assert found[f"bernini {references} {size}: ours/core"] < SAME
    else:
        assert "ComfyUI 0.25 or later" in found[f"bernini {references} {size}: refused"]


@pytest.mark.parametrize(("method", "whose"), [("phantom", "subjects"), ("bernini", "references")])
def test_references_need_a_consent(found: dict[str, Any], method: str, whose: str) -> None:
    assert (
        f"{whose}: expected a consent of own, written, fictional, got none" in found[f"{method}: no consent"]
    )


def test_bernini_mode_without_its_references_is_an_error(found: dict[str, Any]) -> None:
    assert "expected video and every for rv2v, got 0 videos" in found["bernini: no references"]


def test_tokens_of_references_count_as_much_as_they_should(found: dict[str, Any]) -> None:
    assert found["weights: references"] > 0.01 and found["weights: 2"] > 0.001
    assert found["weights: 1"] == 0, "as trained is bit for bit the model without the node"
    assert found["weights: 0"] < SAME, "0 is as if there were no references"
    assert "Use Load Wan Model" in found["weights: core"]
