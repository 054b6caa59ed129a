"""Drafts of best-of-N on the command line: their list beside the clip, and what is kept of them when the work stops."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..media import plan_output, write_bytes
from ..pipelines.best_of import BestOf, Draft


def check_drafts(options: argparse.Namespace, output: Path) -> None:
    """Check before the work begins that drafts are asked for rightly and that their list can be written.

    Args: options: of `parser.build_parser`.   output: of the clip.
    Raises: InputError: steps of drafts without drafts, or a list that is there.   OutputError: see `plan_output`.
    """
    if options.draft_steps is not None and options.best_of is None:
        raise InputError("--draft-steps: expected --best-of with it, got none. Say how many seeds to try.")
    if options.best_of is not None:
        plan_output(drafts_path(output), overwrite=options.overwrite)


def drafts_path(clip: Path) -> Path:
    """Where the drafts of clip.mp4 are listed: clip.best_of.json."""
    return clip.with_name(f"{clip.name.removesuffix(clip.suffix)}.best_of.json")


def write_drafts(found: BestOf, clip: Path, *, overwrite: bool) -> str:
    """List the drafts beside the clip.

    Returns: a sentence about them.
    Raises: InputError, OutputError: see `write_bytes`.
    """
    text = json.dumps(found.to_content(), indent=2) + "\n"
    path = write_bytes(drafts_path(clip), text.encode(), overwrite=overwrite)
    best = found.best
    return (
        f"best of {len(found.drafts)}: seed {best.seed} with a score of {best.score:.3f} in {found.steps} steps; "
        f"all of them in {path}"
    )


def save_drafts(drafts: Sequence[Draft], steps: int, clip: Path, compared_by: str = "") -> str:
    """List what has been scored when the work stops before the end.

    Args: drafts: so far.   steps: of each.   clip: that was to be made.   compared_by: see `BestOf`.
    Returns: a sentence on the best and on the list, empty without a draft.
    """
    if not drafts:
        return ""
    found = BestOf(drafts=tuple(drafts), steps=steps, compared_by=compared_by)
    text = json.dumps(found.to_content(), indent=2) + "\n"
    path = write_bytes(drafts_path(clip), text.encode(), overwrite=True)
    return f"{len(drafts)} drafts were scored, the best has --seed {found.best.seed}: see {path}."
