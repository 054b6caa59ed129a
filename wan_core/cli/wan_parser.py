"""The options of `wan-r2v` for the published Wan models; what they mean is in `wan_options`."""

from __future__ import annotations

import argparse
from pathlib import Path

from .humo_parser import add_humo_options
from .ovi_parser import add_ovi_options


def add_wan_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `generate` for a Wan2.1 or Wan2.2 model."""
    group = command.add_argument_group(
        "published Wan models", "without --model the clip is made with nano, which is part of this program"
    )
    files = {
        "--model": "transformer, or the folder of a whole release; of an A14B model the high-noise expert",
        "--model-low": "low-noise expert of an A14B model",
        "--vae": "Wan 2.1 VAE, or Wan 2.2 VAE for TI2V-5B",
        "--text-encoder": "umT5-xxl",
        "--tokenizer": "its tokenizer, where the encoder's file has none",
        "--clip-vision": "CLIP picture tower, for Wan2.1 image-to-video",
        "--last-frame": "picture that the clip ends with (Wan2.1-FLF2V)",
        "--recogniser": "facexlib's ArcFace: for Lynx (default: the file beside the adapter), and for --report "
        "and --best-of of Phantom, Bernini-R and HuMo, and --report of DreamID-Omni",
    }
    for name, text in files.items():
        group.add_argument(name, type=Path, metavar="PATH", help=text)
    for name, text in {
        "--lora": "LoRA to add; again for more",
        "--lora-high": "LoRA for the high-noise expert alone",
        "--lora-low": "LoRA for the low-noise expert alone",
    }.items():
        group.add_argument(name, action="append", default=[], metavar="FILE[:STRENGTH]", help=text)
    group.add_argument(
        "--method", metavar="NAME", help="phantom or bernini: the model's weights are those of that method"
    )
    group.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="FILE[,FILE]",
        help="Lynx for Wan2.1-T2V-14B: its folder, or its files",
    )
    group.add_argument(
        "--reference-guidance", type=float, metavar="X", help="by the references (default: the model's)"
    )
    group.add_argument("--frames", type=int, metavar="N", help="4k + 1, instead of --duration")
    group.add_argument("--solver", metavar="NAME", help="unipc (default), dpm++ or euler")
    group.add_argument(
        "--guidance", metavar="X", help="by the prompt; LOW,HIGH for two experts (default: the model's)"
    )
    group.add_argument("--guidance-rule", metavar="NAME", help="plain (default), zero-star or apg")
    group.add_argument(
        "--guidance-interval", metavar="LOW,HIGH", help="noise levels at which it acts, 0 to 1 (default: all)"
    )
    group.add_argument("--shift", type=float, metavar="X", help="of the noise levels (default: the model's)")
    group.add_argument("--preset", metavar="NAME", help="distil: settings for a few-step LoRA or model")
    group.add_argument("--vram", metavar="SIZE", help="memory of the device that may be used, such as 24GB")
    group.add_argument("--device", metavar="NAME", help="cuda or cpu (default: cuda where there is one)")
    group.add_argument(
        "--dtype", metavar="NAME", help="float32, bfloat16 or float16 (default: bfloat16, on the CPU float32)"
    )
    group.add_argument("--safe", action="store_true", help="repeat a step that gives NaN in float32")
    add_ovi_options(command)
    add_humo_options(command)


def add_decode_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `decode`."""
    command.add_argument("latents", type=Path, help="a .latents.safetensors file that generate has saved")
    command.add_argument("--vae", type=Path, metavar="PATH", required=True, help="VAE of the model")
    command.add_argument("--device", metavar="NAME", help="cuda or cpu (default: cuda where there is one)")
