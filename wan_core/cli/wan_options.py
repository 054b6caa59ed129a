"""What the options of `wan-r2v` for the published Wan models mean."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import torch

from ..checkpoints.lora import Lora
from ..errors import InputError
from ..identity.detectors import Detector
from ..pipelines.wan_files import WanFiles
from ..pipelines.wan_plan import WanOptions
from .faces import read_detector

#: Options that only a named model understands, and those that only nano does: attribute -> option.
WAN_ONLY = {
    "model_low": "--model-low",
    "vae": "--vae",
    "text_encoder": "--text-encoder",
    "tokenizer": "--tokenizer",
    "clip_vision": "--clip-vision",
    "lora": "--lora",
    "lora_high": "--lora-high",
    "lora_low": "--lora-low",
    "solver": "--solver",
    "guidance": "--guidance",
    "guidance_rule": "--guidance-rule",
    "guidance_interval": "--guidance-interval",
    "shift": "--shift",
    "preset": "--preset",
    "vram": "--vram",
    "device": "--device",
    "dtype": "--dtype",
    "safe": "--safe",
    "frames": "--frames",
    "last_frame": "--last-frame",
    "method": "--method",
    "adapter": "--adapter",
    "recogniser": "--recogniser",
    "reference_guidance": "--reference-guidance",
}
NANO_ONLY = {
    "voice": "--voice",
    "shot_type": "--shot-type",
    "audio": "--audio",
    "voice_scale": "--voice-scale",
    "text_scale": "--text-scale",
    "weights": "--weights",
}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_UNITS = {"": 1e9, "gb": 1e9, "g": 1e9, "gib": 2.0**30, "mb": 1e6, "mib": 2.0**20}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")


def check_options(options: argparse.Namespace) -> None:
    """Refuse options that the chosen model does not understand.

    Raises: InputError: one was given.
    """
    is_wan = options.model is not None
    for name, option in (NANO_ONLY if is_wan else WAN_ONLY).items():
        value = getattr(options, name)
        if value is None or value is False or value == []:
            continue
        if is_wan:
            remedy = "Leave it out; voices and sound are nano's."
            raise InputError(f"{option}: expected none with --model, got one. {remedy}")
        raise InputError(f"{option}: expected --model with it, got none. Name the Wan model with --model.")


def read_files(options: argparse.Namespace) -> WanFiles:
    """Files that the options name.

    Raises: InputError: a LoRA of another form.
    """
    # of other models than Lynx they judge the clip, and are no part of it
    is_judge = not options.adapter and bool(options.report or options.best_of)
    return WanFiles(
        model=options.model,
        model_low=options.model_low,
        vae=options.vae,
        text_encoder=options.text_encoder,
        tokenizer=options.tokenizer,
        clip_vision=options.clip_vision,
        loras=parse_loras("--lora", options.lora),
        loras_high=parse_loras("--lora-high", options.lora_high),
        loras_low=parse_loras("--lora-low", options.lora_low),
        method=options.method,
        adapter=tuple(
            Path(name).expanduser() for text in options.adapter for name in text.split(",") if name
        ),
        recogniser=None if is_judge else options.recogniser,
        detector=Detector() if is_judge else read_detector(options),
    )


def read_execution(options: argparse.Namespace) -> WanOptions:
    """Device, dtype and limits that the options name.

    Raises: InputError: one of another form.
    """
    device = parse_device(options.device)
    if options.dtype is not None and options.dtype not in DTYPES:
        raise InputError(
            f"--dtype: expected {', '.join(DTYPES)}, got {options.dtype!r}. Leave it out for the default."
        )
    return WanOptions(
        device=device,
        dtype=None if options.dtype is None else DTYPES[options.dtype],
        limit=None if options.vram is None else parse_bytes(options.vram),
        safe=options.safe,
    )


def parse_device(text: str | None) -> str:
    """Device by name; None for a GPU where there is one.

    Raises: InputError: unknown, or a GPU that is not there.
    """
    has_cuda = torch.cuda.is_available()
    if text is None:
        return "cuda" if has_cuda else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text):
        raise InputError(f"--device: expected cuda or cpu, got {text!r}. Leave it out for the default.")
    if text.startswith("cuda") and not has_cuda:
        raise InputError("--device: expected a CUDA device, got none on this machine. Use cpu.")
    return text


def parse_bytes(text: str) -> int:
    """Read a size of memory such as 24GB; GB are 10**9 bytes, GiB are 2**30.

    Raises: InputError: something else.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None or match[2] not in _UNITS or not float(match[1]) > 0:
        raise InputError(f"--vram: expected a size such as 24GB, got {text!r}. Write a number and GB.")
    return int(float(match[1]) * _UNITS[match[2]])


def parse_loras(option: str, texts: Sequence[str]) -> tuple[Lora, ...]:
    """Read arguments such as style.safetensors:0.8.

    Raises: InputError: a strength that is no number.
    """
    loras: list[Lora] = []
    for text in texts:
        path, colon, strength = text.rpartition(":")
        # A colon may belong to the path: C:\style.safetensors.
        if not colon or "/" in strength or "\\" in strength:
            path, strength = text, "1"
        try:
            loras.append(Lora(Path(path).expanduser(), float(strength)))
        except ValueError as error:
            raise InputError(
                f"{option}: expected FILE:STRENGTH with a number, got {text!r}. 1 is as trained."
            ) from error
    return tuple(loras)


def parse_guidance(text: str | None) -> tuple[float, float] | None:
    """Read a scale, or two for the low-noise and the high-noise expert.

    Raises: InputError: something else.
    """
    numbers = None if text is None else parse_numbers(text)
    if numbers is not None and len(numbers) not in (1, 2):
        raise InputError(
            f"--guidance: expected a number, or LOW,HIGH for two experts, got {text!r}. 1 follows the prompt alone."
        )
    return None if numbers is None else (numbers[0], numbers[-1])


def parse_interval(text: str | None) -> tuple[float, float] | None:
    """Read two noise levels.

    Raises: InputError: something else.
    """
    numbers = None if text is None else parse_numbers(text)
    if numbers is not None and len(numbers) != 2:
        raise InputError(
            f"--guidance-interval: expected LOW,HIGH such as 0.2,0.9, got {text!r}. Write two numbers."
        )
    return None if numbers is None else (numbers[0], numbers[1])


def parse_numbers(text: str) -> list[float]:
    """Numbers between commas; none where one is no number."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return []
