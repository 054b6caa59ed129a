"""The options of `wan-r2v generate` for HuMo; what they mean is in `humo_options`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_humo_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `generate` for a HuMo model."""
    group = command.add_argument_group(
        "HuMo",
        "a model that a recording drives: --reference gives the people's pictures, --speech what they say",
    )
    group.add_argument(
        "--speech", type=Path, metavar="SOUND", help="recording that the clip follows; it is as long as that"
    )
    group.add_argument(
        "--whisper",
        type=Path,
        metavar="PATH",
        help="whisper-large-v3: its folder, or whisper_large_v3_encoder_fp16.safetensors",
    )
    group.add_argument(
        "--say",
        metavar="TEXT",
        help="instead of --speech: what is said in the voice of --voice, such as \"character1 says: 'Hello.'\"",
    )
    group.add_argument(
        "--speech-model", type=Path, metavar="FOLDER", help="for --say: Pocket TTS in transformers' format"
    )
