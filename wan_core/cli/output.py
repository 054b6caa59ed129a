"""Where clips go, and what they say about the program that made them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from torch import Tensor

from ..media import plan_output
from ..provenance import is_markable, mark_video


def plan_clip(output: Path | None, default: str, *, overwrite: bool) -> Path:
    """Plan the file of a clip: a named one is used as it is or refused; without a name the next free one is taken.

    Args:
        output: as named, or None.   default: name to number from.   overwrite: an existing file may be replaced.
    Raises:
        InputError: it exists or is a folder.   OutputError: its folder is missing or can't be written to.
    """
    if output is None:
        return plan_output(Path(default), overwrite=overwrite, number=True)
    if not output.suffix and not output.is_dir():
        output = output.with_suffix(".mp4")
    return plan_output(output, overwrite=overwrite)


def package_version() -> str:
    """Return this package's version, "unknown" where it runs without being installed."""
    try:
        return version("wan-r2v")
    except PackageNotFoundError:
        return "unknown"


def marked(video: Tensor, has_mark: bool) -> Tensor:
    """Put the mark of synthetic media into frames that are about to be written, unless it was refused.

    Args:
        video: (1, 3, F, H, W) or (3, F, H, W) in [-1, 1]; smaller than 64 pixels a side it can not be marked.
        has_mark: False after `--no-watermark`.
    """
    return mark_video(video) if has_mark and is_markable(video.shape[-2], video.shape[-1]) else video


def describe_marks(has_mark: bool, height: int, width: int) -> str:
    """A sentence on how a written clip says that it is synthetic."""
    if not has_mark:
        return "the file carries a tag that says it is synthetic; the mark in the picture was refused."
    if not is_markable(height, width):
        return "the file carries a tag that says it is synthetic; the picture is too small for the mark."
    return "the file carries a tag, and its picture a mark, that say it is synthetic."
