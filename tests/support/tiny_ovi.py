"""Ovi and DreamID-Omni with random weights, small, under the names of the published files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny_mmaudio import write_codec
from tiny_umt5 import spiece, tiny_umt5
from torch import Tensor
from wan_release import TEXT_DIM, tower, write_vae

from wan_core.dit.config import JointConfig
from wan_core.dit.joint import JointModel

#: As many blocks as it takes to leave the twelfth out, as Ovi does.
BLOCKS = 12


def ovi_config(text_dim: int = TEXT_DIM) -> JointConfig:
    video = replace(tower(in_channels=48, out_channels=48, num_layers=BLOCKS), text_dim=text_dim)
    audio = replace(video, in_channels=20, out_channels=20, patch_size=(1,))
    return JointConfig(video=video, audio=audio, fusion_window=None, audio_position_scale=0.19676)


def ovi_state(text_dim: int = TEXT_DIM, seed: int = 0) -> dict[str, Tensor]:
    """Tensors under Ovi's names, that keep what passes through them about as large as it was."""
    generator = torch.Generator().manual_seed(seed)
    model = JointModel(ovi_config(text_dim))
    state: dict[str, Tensor] = {}
    for name, parameter in model.state_dict().items():
        values = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1 and name.endswith("weight"):
            values = values / parameter[0].numel() ** 0.5
        else:
            values = 0.1 * values + float(parameter.ndim == 1 and name.endswith("weight"))
        if name.endswith(".modulation") and ".blocks." in name:
            name += ".modulation"
        state[name] = values
    return state


def write_ovi(folder: Path, name: str = "ovi.safetensors") -> Path:
    """Write all parts of a joint model into a folder; returns the path of the transformer."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(ovi_state(), folder / name)
    write_vae(folder / "Wan2.2_VAE.pth", "2.2")
    torch.save(tiny_umt5().to(torch.bfloat16).state_dict(), folder / "umt5.pth")
    (folder / "spiece.model").write_bytes(spiece())
    write_codec(folder)
    return folder / name


def part_options(folder: Path) -> list[str]:
    """Options of the command line that name the other parts."""
    parts = {"vae": "Wan2.2_VAE.pth", "text-encoder": "umt5.pth", "tokenizer": "spiece.model"}
    parts |= {"audio-vae": "v1-16.pth", "vocoder": "best_netG.pt"}
    return [text for option, file in parts.items() for text in (f"--{option}", str(folder / file))]
