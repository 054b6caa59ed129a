"""`wan-r2v inspect`: what a weights file is; `wan-r2v verify`: whether a clip is tagged or marked as synthetic."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from ..checkpoints.describe import Description, describe
from ..errors import InputError
from ..media import read_video
from ..provenance import detect_mark, from_metadata, is_markable
from .console import Console

TAGGED, UNTAGGED = 0, 1
_MOST_FRAMES = 240
#: Endings of the files that `inspect` opens.
OPENED = (".safetensors", ".safetensors.index.json", ".gguf", ".pth", ".pt")


def run_inspect(options: argparse.Namespace, console: Console) -> None:
    """Say what a weights file is and what it takes to run it, from its header alone.

    Args:
        options: of `parser.build_parser`.
        console: where to say it.
    Raises:
        InputError: there is no such file, or one of a format that is not opened.
        CheckpointError: it is damaged, or nothing that is known here.
    """
    path: Path = options.file
    if not path.exists():
        raise InputError(f"inspect: expected a file or folder, got none at {path}. Check the path.")
    if path.is_file() and not path.name.endswith(OPENED):
        raise InputError(
            f"inspect: expected {', '.join(OPENED)} or a folder, got {path.name}. "
            "Other formats may hold programs and are not opened."
        )
    found = describe(path)
    lines = [
        f"{path}: {found.model}",
        f"  size: {found.parameters:,} parameters in {found.tensors} tensors, {_bytes(found.file_bytes)}",
        f"  dtype: {found.dtypes}",
        f"  quantisation: {found.quantisation}",
        *(f"  {name}: {text}" for name, text in _optional(found)),
        f"  taken by: {found.place}",
        *(f"  needs: {text}" for text in found.needs),
        *(f"  is not {name}: {reason}" for name, reason in found.rejected.items()),
        *(f"  {name} = {value}" for name, value in found.config.items()),
    ]
    console.show(lines, {"file": str(path), **found.to_json()})


def _optional(found: Description) -> list[tuple[str, str]]:
    """What only some files have."""
    told = (("keys", found.layout), ("not told by the header", found.note), ("file name says", found.hint))
    return [(name, text) for name, text in told if text is not None]


def _bytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"


def run_verify(options: argparse.Namespace, console: Console) -> int:
    """Say whether a clip carries the tag of synthetic media, and the mark in its picture.

    Args:
        options: of `parser.build_parser`.
        console: where to say it.
    Returns:
        0 where it carries one of them, 1 where it carries none.
    Raises:
        InputError: the clip can't be read.
    """
    clip = read_video(options.clip, max_frames=_MOST_FRAMES)
    tag = from_metadata(clip.metadata)
    height, width = clip.frames.shape[1:3]
    mark = detect_mark(clip.frames) if is_markable(height, width) else None
    if tag is None:
        lines = [f"{options.clip}: no tag of this project. That proves nothing: a tag can be removed."]
    else:
        ground = f", consent {tag.consent}" if tag.consent else ""
        lines = [
            f"{options.clip}: synthetic, made by Wan R2V {tag.version} ({tag.model}), seed {tag.seed}{ground}"
        ]
    if mark is None:
        lines.append(f"{options.clip}: too small ({width}x{height}) to look for the mark.")
    else:
        lines.append(f"{options.clip}: {mark.describe()}")
    has_mark = mark is not None and mark.is_marked
    content: dict[str, object] = {
        "clip": str(options.clip),
        "is_synthetic": True if tag is not None or has_mark else None,
        "has_tag": tag is not None,
        "mark": None
        if mark is None
        else {
            "found": has_mark,
            "score": round(mark.score, 3),
            "p_value": mark.p_value,
            "frames": mark.frames,
        },
    }
    console.show(lines, content | ({} if tag is None else asdict(tag)))
    return TAGGED if tag is not None or has_mark else UNTAGGED
