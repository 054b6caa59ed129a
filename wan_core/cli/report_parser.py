"""The options of `wan-r2v` that measure clips: `report`, `generate --report` and `generate --best-of`."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_report_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `report`: what a clip is compared with, and by what."""
    command.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="NAME=PHOTO",
        help="photo of a person, such as character1=photo.jpg; the name may be left out where there is one",
    )
    command.add_argument(
        "--voice",
        action="append",
        default=[],
        metavar="NAME=SOUND",
        help="recording (or video) of the person's voice",
    )
    command.add_argument("--face", default="auto", metavar="WHICH", help="of the photos, as for generate")
    command.add_argument(
        "--recogniser",
        type=Path,
        metavar="FILE",
        help="ArcFace compares the faces: recognition_arcface_ir_se50 of facexlib as .pth or .safetensors (default: "
        "nano's own encoder)",
    )
    command.add_argument(
        "--detector",
        metavar="NAME",
        help="how faces are found: scrfd or yunet (with landmarks), cascade (frontal faces, boxes alone), or auto: "
        "scrfd for ArcFace, else cascade (default: auto for ArcFace; for nano's encoder one face where nano draws it)",
    )
    command.add_argument(
        "--detector-model", type=Path, metavar="FILE", help="model of the detector, where it needs one"
    )


def add_best_of_options(command: argparse.ArgumentParser) -> None:
    """Add the options of best-of-N."""
    command.add_argument(
        "--best-of",
        type=int,
        metavar="N",
        help="first try N seeds from --seed on with few steps, score likeness and lips, then make the best in full; "
        "CLIP.best_of.json lists every seed and its score (nano, Lynx; with --recogniser Phantom, Bernini-R, HuMo)",
    )
    command.add_argument(
        "--draft-steps",
        type=int,
        metavar="STEPS",
        help="of each try (default: 8 with nano, 10 with Wan; needs --best-of)",
    )


def add_report(command: argparse.ArgumentParser) -> None:
    """Add `--report`."""
    command.add_argument(
        "--report",
        action="store_true",
        help="also write CLIP.report.png and CLIP.report.json: likeness, lips, voice",
    )
