"""The options of `wan-r2v generate` for Ovi and DreamID-Omni; what they mean is in `ovi_options`."""

from __future__ import annotations

import argparse
from pathlib import Path

VARIANTS = ("dreamid-omni", "ovi-960-10s", "ovi-960", "ovi-720")


def add_ovi_options(command: argparse.ArgumentParser) -> None:
    """Add the options that only joint models understand, beside those of the Wan models."""
    group = command.add_argument_group(
        "Ovi and DreamID-Omni",
        "joint models, which make picture and sound together; --model names their file",
    )
    group.add_argument("--audio-vae", type=Path, metavar="PATH", help="MMAudio's v1-16.pth")
    group.add_argument("--vocoder", type=Path, metavar="PATH", help="MMAudio's best_netG.pt")
    group.add_argument(
        "--variant",
        metavar="NAME",
        help=f"which model the file is: {', '.join(VARIANTS)} (default: by the file's name)",
    )
    group.add_argument(
        "--voice-span",
        metavar="WHICH",
        help="second of a recording that stands for the voice: best (default), or official (from 1 to 2 s)",
    )
    group.add_argument(
        "--negative-sound", metavar="TEXT", help="what the sound leads away from (default: the model's)"
    )
