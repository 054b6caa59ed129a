"""Files that are something else: the error says what, and where it belongs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_dit import wide_state
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from wan_core import load_dit
from wan_core.checkpoints.header import Header, TensorInfo
from wan_core.checkpoints.other_parts import EXTENDED, OTHER_PARTS, find_other_part
from wan_core.errors import UnknownCheckpointError

T5_SIZES = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 2, "num_heads": 2, "vocab_size": 16}


def header_of(*keys: str) -> Header:
    tensors = dict.fromkeys(keys, TensorInfo((1,), "F32"))
    return Header(tensors, dict.fromkeys(keys, Path("x")), {}, "x.safetensors")


def name_of(*keys: str) -> str | None:
    part = find_other_part(header_of(*keys))
    return None if part is None else part.name


def keys_of(model: torch.nn.Module) -> list[str]:
    return list(model.state_dict())


def test_parts_by_the_keys_that_they_are_published_with() -> None:
    with torch.device("meta"):
        umt5 = keys_of(UMT5EncoderModel(UMT5Config(**T5_SIZES)))
        t5 = keys_of(T5EncoderModel(T5Config(**T5_SIZES)))
        vision = keys_of(
            CLIPVisionModel(
                CLIPVisionConfig(
                    hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
                )
            )
        )
    vision = [key if key.startswith("vision_model.") else f"vision_model.{key}" for key in vision]
    assert name_of(*umt5) == "umT5 text encoder"
    assert name_of(*t5) == "T5 text encoder of another model"
    assert name_of(*vision) == "CLIP"
    original = ("token_embedding.weight", "blocks.0.attn.q.weight", "blocks.1.pos_embedding.embedding.weight")
    assert name_of(*original) == "umT5 text encoder"
    packed = ("token_embd.weight", "enc.blk.0.attn_q.weight", "enc.blk.1.attn_rel_b.weight")
    assert name_of(*packed) == "umT5 text encoder"
    assert name_of("visual.transformer.0.attn.to_qkv.weight") == "CLIP"
    assert name_of("decoder.middle.0.residual.0.gamma") == "Wan VAE"
    assert name_of("decoder.mid_block.resnets.0.norm1.gamma") == "Wan VAE"
    for ending in ("lora_down.weight", "lora_A.weight", "lora_B.default.weight", "lora.up.weight"):
        assert name_of(f"diffusion_model.blocks.0.ffn.0.{ending}") == "LoRA"
    assert name_of("blocks.0.norm3.diff_b") == "LoRA made of differences"
    assert name_of("0.to_k_ip.weight", "0.registers") == "Lynx identity adapter"
    assert name_of("0.to_k_ref.weight") == "Lynx reference adapter"
    assert name_of("latents", "layers.0.0.to_kv.weight") == "Lynx resampler"
    recogniser = name_of("input_layer.0.weight", "body.23.res_layer.5.fc2.weight")
    assert recogniser == "ArcFace, the face recogniser of Lynx"
    assert name_of("conv.weight") is None


@pytest.mark.parametrize("part", [*OTHER_PARTS, *EXTENDED], ids=lambda part: part.name)
def test_every_part_has_a_place(part: object) -> None:
    assert part.name and part.place and part.keys  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (
            ["blocks.0.self_attn.q.lora_down.weight"],
            r"got a file of the kind LoRA in .*It is taken by --lora",
        ),
        (["decoder.middle.0.residual.0.gamma"], r"kind Wan VAE in .*It is taken by --vae"),
        (["visual.transformer.0.attn.to_qkv.weight"], r"kind CLIP in .*It is taken by --clip-vision"),
    ],
)
def test_given_as_the_transformer(tmp_path: Path, keys: list[str], text: str) -> None:
    save_file({key: torch.zeros(2, 2) for key in keys}, tmp_path / "x.safetensors")
    with pytest.raises(UnknownCheckpointError, match=text):
        load_dit(tmp_path / "x.safetensors")


def test_extended_transformers_are_named(tmp_path: Path) -> None:
    state = {**wide_state(), "vace_patch_embedding.weight": torch.zeros(1)}
    save_file(state, tmp_path / "x.safetensors")
    with pytest.raises(UnknownCheckpointError, match="expected a plain Wan text- or .*, got Wan VACE in"):
        load_dit(tmp_path / "x.safetensors")
