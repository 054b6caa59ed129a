"""Where clips go, and what they say about the program that made them."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..media import plan_output


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
