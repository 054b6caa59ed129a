from __future__ import annotations

import pytest

from wan_core.checkpoints.key_maps import DIFFUSERS_RULES, OVI_RULES, PLAIN_RULES, find_prefix, rename


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ("blocks.7.attn1.to_out.0.bias", "blocks.7.self_attn.o.bias"),
        ("blocks.12.attn2.norm_k.weight", "blocks.12.cross_attn.norm_k.weight"),
        ("blocks.0.attn2.add_v_proj.weight", "blocks.0.cross_attn.v_img.weight"),
        ("blocks.0.attn2.norm_added_k.weight", "blocks.0.cross_attn.norm_k_img.weight"),
        ("blocks.3.norm2.weight", "blocks.3.norm3.weight"),
        ("blocks.3.scale_shift_table", "blocks.3.modulation"),
        ("scale_shift_table", "head.modulation"),
        ("condition_embedder.image_embedder.pos_embed", "img_emb.emb_pos"),
    ],
)
def test_diffusers_names(stored: str, expected: str) -> None:
    assert rename([stored], "", DIFFUSERS_RULES) == {stored: expected}


def test_unknown_names_are_left_out() -> None:
    assert rename(["blocks.0.attn3.to_q.weight", "other"], "", DIFFUSERS_RULES) == {}
    assert rename(["vae.weight", "model.head.weight"], "model.", PLAIN_RULES) == {
        "model.head.weight": "head.weight"
    }


def test_ovi_modulation_loses_a_level_in_blocks_only() -> None:
    stored = "video_model.blocks.4.modulation.modulation"
    assert rename([stored], "", OVI_RULES) == {stored: "video_model.blocks.4.modulation"}
    head = "audio_model.head.modulation"
    assert rename([head], "", OVI_RULES) == {head: head}


def test_prefix_is_found_where_it_is() -> None:
    keys = ["model.diffusion_model.head.head.weight", "vae.x"]
    assert find_prefix(keys, "head.head.weight") == "model.diffusion_model."
    assert find_prefix(["head.head.weight"], "head.head.weight") == ""
    assert find_prefix(keys, "nothing") is None
