"""MMAudio's 16 kHz codec with few channels and the weights of a formula, in the layout of the published files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from formula_weights import formula_state
from safetensors.torch import save_file
from torch import Tensor

from wan_core.audio.mmaudio import MMAudioConfig, make_vocoder

HEADERS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "mmaudio_headers.json").read_text(encoding="utf-8")
)


def codec_states() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Tensors of the VAE and of the vocoder under upstream's names, as tests/golden/make_mmaudio.py fills them."""
    vae, vocoder = (
        formula_state({k: tuple(v) for k, v in HEADERS[part].items() if not k.endswith("filter")})
        for part in ("tiny VAE", "tiny vocoder")
    )
    vae["data_std"] += 1
    filters = make_vocoder(MMAudioConfig(vocoder_channels=64)).state_dict()
    vocoder |= {name: filters[name].clone() for name in HEADERS["tiny vocoder"] if name.endswith("filter")}
    return vae, vocoder


def write_codec(folder: Path) -> tuple[Path, Path]:
    """Write v1-16.pth and best_netG.pt as published: the vocoder's weights as length and direction, with a wrapper."""
    folder.mkdir(parents=True, exist_ok=True)
    vae, vocoder = codec_states()
    older = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): tensor
        for key, tensor in vocoder.items()
    }
    torch.save(vae, folder / "v1-16.pth")
    torch.save({"generator": older}, folder / "best_netG.pt")
    return folder / "v1-16.pth", folder / "best_netG.pt"


def write_codec_safetensors(folder: Path) -> tuple[Path, Path]:
    """Write the same as two .safetensors files, the vocoder under the newer names."""
    folder.mkdir(parents=True, exist_ok=True)
    vae, vocoder = codec_states()
    save_file(vae, folder / "mmaudio_vae_16k.safetensors")
    save_file(vocoder, folder / "mmaudio_vocoder_16k.safetensors")
    return folder / "mmaudio_vae_16k.safetensors", folder / "mmaudio_vocoder_16k.safetensors"
