"""The options of `wan-r2v encode-identity`, and those of the detector that other commands share."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_encode_identity_options(command: argparse.ArgumentParser) -> None:
    """Add what `encode-identity` takes, apart from the output and the weights."""
    command.add_argument(
        "photos",
        type=Path,
        nargs="+",
        metavar="PHOTO",
        help="1 to 8 photos of one person, or a video; makes PHOTO.identity.safetensors and its picture",
    )
    command.add_argument(
        "--consent", metavar="GROUND", help="needed: own, written (by the person) or fictional"
    )
    command.add_argument(
        "--recogniser",
        type=Path,
        metavar="FILE",
        help="encode for Lynx with its recogniser, recognition_arcface_ir_se50 (default: for nano)",
    )
    command.add_argument("--face", metavar="WHICH", help="as for generate")
    command.add_argument(
        "--frames", type=int, default=4, metavar="N", help="to take of a video, 1 to 8 (default: 4)"
    )
    add_detector_options(command)


def add_detector_options(command: argparse.ArgumentParser) -> None:
    """Add --detector and --detector-model."""
    command.add_argument(
        "--detector",
        metavar="NAME",
        help="finds the face: auto (default), cascade (bundled), scrfd (insightface) or yunet (OpenCV)",
    )
    command.add_argument(
        "--detector-model",
        type=Path,
        metavar="PATH",
        help="file of yunet; file or folder of scrfd (default: .insightface/models in your home folder)",
    )
