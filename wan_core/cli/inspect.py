"""`wan-r2v inspect`: what a weights file is; `wan-r2v verify`: whether a clip is tagged as synthetic."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

from ..checkpoints.config_json import config_to_json
from ..checkpoints.families import detect
from ..checkpoints.header import Header
from ..checkpoints.nano import METADATA_KEY, read_part_config
from ..checkpoints.source import open_source
from ..errors import CheckpointError, InputError, UnknownCheckpointError
from ..media import read_video
from ..provenance import from_metadata
from .console import Console

TAGGED, UNTAGGED = 0, 1


def run_inspect(options: argparse.Namespace, console: Console) -> None:
    """Say what a weights file is, from its header alone.

    Args:
        options: of `parser.build_parser`.
        console: where to say it.
    Raises:
        InputError: there is no such file.
        CheckpointError: it is damaged or no weights file.
    """
    path: Path = options.file
    if not path.exists():
        raise InputError(f"inspect: expected a file or folder, got none at {path}. Check the path.")
    if path.is_file() and not path.name.endswith((".safetensors", ".json")):
        raise InputError(
            f"inspect: expected .safetensors, .safetensors.index.json or a folder, got {path.name}. "
            "Other formats may hold programs and are not opened."
        )
    source = open_source(path)
    content = _describe_tensors(source.header)
    if METADATA_KEY in source.header.metadata:
        kind, config = read_part_config(source.header)
        content |= {"model": f"nano, part {kind}", "config": config_to_json(config)}
    else:
        try:
            found = detect(source)
        except UnknownCheckpointError as error:
            raise CheckpointError(str(error)) from error
        content |= {"model": found.family, "config": asdict(found.config)}
    lines = [
        f"{path}: {content['model']}",
        f"{content['tensors']} tensors, {content['parameters']:,} parameters ({content['dtypes']})",
        *(f"  {name}: {value}" for name, value in content["config"].items()),
    ]
    console.show(lines, {"file": str(path), **content})


def run_verify(options: argparse.Namespace, console: Console) -> int:
    """Say whether a clip carries the tag of synthetic media.

    Args:
        options: of `parser.build_parser`.
        console: where to say it.
    Returns:
        0 where it does, 1 where it doesn't.
    Raises:
        InputError: the clip can't be read.
    """
    tag = from_metadata(read_video(options.clip, max_frames=1).metadata)
    if tag is None:
        lines = [f"{options.clip}: no tag of this project. That proves nothing: a tag can be removed."]
        console.show(lines, {"clip": str(options.clip), "is_synthetic": None})
        return UNTAGGED
    ground = f", consent {tag.consent}" if tag.consent else ""
    lines = [
        f"{options.clip}: synthetic, made by Wan R2V {tag.version} ({tag.model}), seed {tag.seed}{ground}"
    ]
    console.show(lines, {"clip": str(options.clip), "is_synthetic": True, **asdict(tag)})
    return TAGGED


def _describe_tensors(header: Header) -> dict[str, Any]:
    counts = Counter[str]()
    for info in header.tensors.values():
        counts[info.dtype] += prod(info.shape)
    kinds = ", ".join(f"{dtype} {count:,}" for dtype, count in counts.most_common())
    return {"tensors": len(header.tensors), "parameters": counts.total(), "dtypes": kinds}
