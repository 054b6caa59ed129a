"""Wan transformers of every family with random weights, small, in the layout that ComfyUI's own loader reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny_umt5 import OFFICIAL_TO_HF, VOCABULARY, renamed, spiece, tiny_umt5
from torch import Tensor, nn

from wan_core.dit.config import WanConfig
from wan_core.dit.model import WanModel
from wan_core.text.umt5 import UMT5Config
from wan_core.vae.wan_config import WAN21_VAE, WAN22_VAE, WanVAEConfig
from wan_core.vae.wan_vae import WanVAE

TEXT_DIM = 4096
PREFIX = "model.diffusion_model."


def wan_config(**changes: object) -> WanConfig:
    """One head of 128, as wide as the published ones (ComfyUI derives their number from it), and two blocks."""
    fields: dict[str, object] = {
        "dim": 128, "ffn_dim": 64, "num_heads": 1, "num_layers": 2, "in_channels": 16, "out_channels": 16,
        "text_dim": TEXT_DIM,
    }  # fmt: skip
    return WanConfig(**{**fields, **changes})  # type: ignore[arg-type]


FAMILIES = {
    "t2v": wan_config(),
    "i2v": wan_config(in_channels=36, image_dim=1280),
    "flf2v": wan_config(in_channels=36, image_dim=1280, image_positions=514),
    "i2v_a14b": wan_config(in_channels=36),
    "ti2v": wan_config(in_channels=48, out_channels=48),
}


def random_state(config: WanConfig, seed: int) -> dict[str, Tensor]:
    """Weights that keep what passes through them about as large as it was."""
    generator = torch.Generator().manual_seed(seed)
    model = WanModel(config)
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        is_scale = parameter.ndim == 1 and name.endswith("weight")
        if is_scale:
            values = 1 + 0.1 * values
        elif parameter.ndim > 1 and name.endswith("weight"):
            values = values / parameter[0].numel() ** 0.5
        else:
            values = 0.1 * values
        nn.init.zeros_(parameter)
        parameter.data += values
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


def random_vae(config: WanVAEConfig) -> WanVAE:
    """Weights that keep what passes through them about as large as it was."""
    vae = WanVAE(config)
    generator = torch.Generator().manual_seed(4)
    for parameter in vae.parameters():
        values = torch.randn(parameter.shape, generator=generator)
        scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.1
        parameter.data = values * scale + (1.0 if parameter.ndim > 1 and parameter[0].numel() == 1 else 0.0)
    return vae


def write_tiny_vaes(folder: Path) -> None:
    """Write `tiny_vae` and `tiny_vae22`: the codecs of Wan 2.1 and 2.2, a tenth as wide, under original names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, config in (
        ("tiny_vae", replace(WAN21_VAE, encoder_width=8, decoder_width=8)),
        ("tiny_vae22", replace(WAN22_VAE, encoder_width=8, decoder_width=8)),
    ):
        state = {key: tensor.contiguous() for key, tensor in random_vae(config).state_dict().items()}
        save_file(state, folder / f"{name}.safetensors")


def write_tiny_text(folder: Path) -> None:
    """Write `tiny_umt5.safetensors` as ComfyUI's files are: transformers' names, and the tokenizer inside."""
    folder.mkdir(parents=True, exist_ok=True)
    config = UMT5Config(
        vocab_size=VOCABULARY, dim=TEXT_DIM, attention_dim=64, ffn_dim=16, num_heads=4, num_layers=1
    )
    state = renamed(dict(tiny_umt5(config).state_dict()), OFFICIAL_TO_HF)
    state["spiece_model"] = torch.frombuffer(bytearray(spiece()), dtype=torch.uint8)
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, folder / "tiny_umt5.safetensors")


def write_tiny_wan(folder: Path) -> None:
    """Write `tiny_FAMILY.safetensors` for every family, and a second expert of the 14B pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, config) in enumerate(FAMILIES.items()):
        save_file(random_state(config, seed), folder / f"tiny_{name}.safetensors")
    for name, seed in (("t2v", 50), ("i2v_a14b", 51)):
        state = {PREFIX + key: tensor for key, tensor in random_state(FAMILIES[name], seed).items()}
        save_file(state, folder / f"tiny_{name}_low.safetensors")


def write_wan_lora(path: Path, seed: int = 9) -> None:
    """Write a LoRA of rank 2 for attention and feed-forward, with differences of norms, biases and modulation."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {name: tensor.shape for name, tensor in random_state(FAMILIES["t2v"], 0).items()}
    tensors: dict[str, Tensor] = {}
    for layer in ("blocks.0.self_attn.q", "blocks.0.cross_attn.k", "blocks.1.cross_attn.v", "blocks.1.ffn.0"):
        height, width = shapes[f"{layer}.weight"]
        tensors[f"diffusion_model.{layer}.lora_down.weight"] = torch.randn(2, width, generator=generator) / 8
        tensors[f"diffusion_model.{layer}.lora_up.weight"] = torch.randn(height, 2, generator=generator) / 4
    for name, end in (
        ("blocks.0.self_attn.norm_q.weight", "diff"),
        ("blocks.1.norm3.weight", "diff"),
        ("blocks.1.self_attn.o.bias", "diff_b"),
    ):
        layer = name.rpartition(".")[0]
        tensors[f"diffusion_model.{layer}.{end}"] = torch.randn(shapes[name], generator=generator) / 4
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
