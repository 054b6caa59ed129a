"""The options of `wan-r2v encode-voice` and `wan-r2v speak`."""

from __future__ import annotations

import argparse
from pathlib import Path

SUFFIX = ".voice.safetensors"


def add_encode_voice_options(command: argparse.ArgumentParser) -> None:
    """Add what `encode-voice` takes, apart from the output and the weights."""
    command.add_argument(
        "sound",
        type=Path,
        help=f"recording or video of the person speaking; makes SOUND{SUFFIX} and its card",
    )
    _add_consent(command)


def add_speak_options(command: argparse.ArgumentParser) -> None:
    """Add what `speak` takes, apart from the output."""
    command.add_argument(
        "--model", type=Path, required=True, metavar="FOLDER", help="Pocket TTS in transformers' format"
    )
    command.add_argument(
        "--voice",
        action="append",
        required=True,
        metavar="[NAME=]SOUND",
        help="recording of a voice; with several, each with the name that the script calls it by",
    )
    command.add_argument(
        "--script",
        metavar="TEXT",
        help="what is said, such as \"character1 says: 'Hello.'\", or the words alone",
    )
    command.add_argument("--script-file", type=Path, metavar="FILE", help="a text file instead")
    command.add_argument("--seed", type=int, default=0, help="of the noise; another seed says it another way")
    command.add_argument("--device", metavar="NAME", help="cuda or cpu (default: cuda where there is one)")
    _add_consent(command)


def _add_consent(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--consent", metavar="GROUND", help="needed: own, written (by the person) or fictional"
    )
