"""Whole Wan releases with tiny random weights, in the folders and under the names of the published ones."""

from __future__ import annotations

from pathlib import Path

import torch
from formula_weights import formula_state
from safetensors.torch import save_file
from tiny_umt5 import spiece, tiny_umt5
from tiny_vae import TINY, randomise
from tiny_wan import random_state, wan_config
from torch import Tensor

from wan_core.dit.config import WanConfig
from wan_core.vae.wan_vae import WanVAE

#: Width of the tiny umT5 and of the tiny CLIP tower, and the tower's tokens of a picture.
TEXT_DIM, CLIP_DIM, CLIP_TOKENS = 32, 160, 17


def tower(**changes: object) -> WanConfig:
    return wan_config(text_dim=TEXT_DIM, freq_dim=32, **changes)


CONFIGS = {
    "t2v": tower(),
    "i2v": tower(in_channels=36, image_dim=CLIP_DIM),
    "flf2v": tower(in_channels=36, image_dim=CLIP_DIM, image_positions=2 * CLIP_TOKENS),
    "t2v_a14b": tower(num_layers=4),
    "i2v_a14b": tower(in_channels=36),
    "ti2v": tower(in_channels=48, out_channels=48),
}


def clip_state(dim: int = CLIP_DIM, layers: int = 3) -> dict[str, Tensor]:
    """Tensors of a picture tower under the names of Wan's .pth, the text half among them."""
    shapes: dict[str, tuple[int, ...]] = {
        "visual.patch_embedding.weight": (dim, 3, 7, 7),
        "visual.cls_embedding": (1, 1, dim),
        "visual.pos_embedding": (1, CLIP_TOKENS, dim),
        "visual.head": (dim, 8),
    }
    for norm in ("pre_norm", "post_norm"):
        shapes |= {f"visual.{norm}.weight": (dim,), f"visual.{norm}.bias": (dim,)}
    for i in range(layers):
        block = f"visual.transformer.{i}"
        for norm in ("norm1", "norm2"):
            shapes |= {f"{block}.{norm}.weight": (dim,), f"{block}.{norm}.bias": (dim,)}
        for name, size in {"attn.to_qkv": (3 * dim, dim), "attn.proj": (dim, dim)}.items():
            shapes |= {f"{block}.{name}.weight": size, f"{block}.{name}.bias": size[:1]}
        for name, size in {"mlp.0": (2 * dim, dim), "mlp.2": (dim, 2 * dim)}.items():
            shapes |= {f"{block}.{name}.weight": size, f"{block}.{name}.bias": size[:1]}
    state = formula_state(shapes)
    return state | {"textual.head.0.weight": torch.ones(2, 2), "log_scale": torch.tensor(2.6)}


def write_vae(path: Path, kind: str) -> None:
    """Write a tiny VAE of a kind ("2.1" or "2.2") as the original .pth."""
    vae = WanVAE(TINY[kind])
    randomise(vae, 3)
    torch.save(dict(vae.state_dict()), path)


def write_release(folder: Path, name: str) -> Path:
    """Write the folder of a release, as Wan's repositories lay it out.

    Args: name: a key of `CONFIGS`; those of A14B models have two experts.
    """
    folder.mkdir(parents=True)
    config = CONFIGS[name]
    if name.endswith("a14b"):
        for seed, expert in enumerate(("high_noise_model", "low_noise_model")):
            (folder / expert).mkdir()
            save_file(random_state(config, seed), folder / expert / "diffusion_pytorch_model.safetensors")
    else:
        save_file(random_state(config, 0), folder / "diffusion_pytorch_model.safetensors")
    kind = "2.2" if name == "ti2v" else "2.1"
    write_vae(folder / f"Wan{kind}_VAE.pth", kind)
    torch.save(tiny_umt5().to(torch.bfloat16).state_dict(), folder / "models_t5_umt5-xxl-enc-bf16.pth")
    (folder / "google" / "umt5-xxl").mkdir(parents=True)
    (folder / "google" / "umt5-xxl" / "spiece.model").write_bytes(spiece())
    if config.image_dim is not None:
        torch.save(clip_state(), folder / "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth")
    return folder
