"""HuMo of both sizes with tiny random weights, and what it takes to run it."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from tiny_umt5 import spiece, tiny_umt5
from tiny_wan import random_state
from tiny_whisper import write_whisper
from wan_release import TEXT_DIM, tower, write_vae

from wan_core.dit.config import SpeechConfig
from wan_core.pipelines.wan_files import WanFiles
from wan_core.types import AudioClip
from wan_core.voice.whisper import WhisperConfig

#: As wide as the tiny Whisper.
SPEECH = SpeechConfig(features=8, hidden=16, tokens=4, width=12)
CONFIGS = {"1.7B": tower(speech=SPEECH), "17B": tower(in_channels=36, speech=SPEECH)}


def write_humo(folder: Path) -> dict[str, Path]:
    """Write both transformers, the VAE, umT5 with its tokenizer, and Whisper; where each is."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"humo_{name}.safetensors" for name in CONFIGS}
    for seed, (name, config) in enumerate(CONFIGS.items()):
        save_file(random_state(config, seed), paths[name])
    paths |= {name: folder / file for name, file in (("vae", "Wan2.1_VAE.pth"), ("text", "umt5.pth"))}
    write_vae(paths["vae"], "2.1")
    torch.save(tiny_umt5().to(torch.bfloat16).state_dict(), paths["text"])
    paths["tokenizer"] = folder / "spiece.model"
    paths["tokenizer"].write_bytes(spiece())
    small = WhisperConfig(dim=8, ffn_dim=4, num_heads=1)
    paths["whisper"] = write_whisper(folder / "whisper-large-v3", small)
    assert tiny_umt5().config.dim == TEXT_DIM
    return paths


def humo_files(paths: dict[str, Path], size: str) -> WanFiles:
    """The parts as the pipeline is given them."""
    return WanFiles(
        model=paths[size], vae=paths["vae"], text_encoder=paths["text"], tokenizer=paths["tokenizer"]
    )


def talk(seconds: float) -> AudioClip:
    """A tone whose loudness comes and goes."""
    time = torch.arange(round(16000 * seconds)) / 16000
    sound = 0.4 * torch.sin(2 * torch.pi * 180 * time) * (1 + torch.sin(2 * torch.pi * 3 * time)) / 2
    return AudioClip(sound[None], 16000)
