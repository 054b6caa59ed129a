"""The options of `wan-r2v encode-voice`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..pipelines.voice_file import SUFFIX


def add_encode_voice_options(command: argparse.ArgumentParser) -> None:
    """Add what `encode-voice` takes, apart from the output and the weights."""
    command.add_argument(
        "sound",
        type=Path,
        help=f"recording or video of the person speaking; makes SOUND{SUFFIX} and its card",
    )
    command.add_argument(
        "--consent", metavar="GROUND", help="needed: own, written (by the person) or fictional"
    )
