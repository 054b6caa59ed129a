"""A clip on its way to its file: written frame by frame, what was sampled kept when that fails, and told in the end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import OutputError, WanCoreError
from ..media import open_video, write_bytes
from ..pipelines.wan_latents import LatentsInfo, latents_to_bytes
from ..provenance import SyntheticTag, to_metadata
from ..types import AudioClip
from .console import Console
from .output import describe_marks, marked

LATENTS_SUFFIX = ".latents.safetensors"


def write_clip(
    frames: Iterable[Tensor],
    output: Path,
    fps: int,
    tag: SyntheticTag,
    *,
    audio: AudioClip | None = None,
    overwrite: bool,
    has_mark: bool,
) -> tuple[Path, dict[str, Any]]:
    """Write frames as they come.

    Args:
        frames: (1, 3, f, H, W) in [-1, 1] each.   output: planned path.   fps: frames a second.
        tag: goes into the metadata.   audio: the clip's sound, or None.
        overwrite: an existing file may be replaced.   has_mark: False after `--no-watermark`.
    Returns: the path, and what was written, for machines.
    Raises: OutputError: it can't be written.
    """
    with open_video(output, fps, audio=audio, metadata=to_metadata(tag), overwrite=overwrite) as writer:
        for chunk in frames:
            writer.add(marked(chunk, has_mark))
    height, width = writer.size or (0, 0)
    return writer.path, {
        "output": str(writer.path),
        "frames": writer.frames,
        "width": width,
        "height": height,
        "fps": fps,
        "has_audio": audio is not None,
        "has_mark": has_mark,
        "model": tag.model,
        "seed": tag.seed,
    }


@contextmanager
def keeping(keep: Callable[[], str], console: Console) -> Generator[None]:
    """Lose nothing that was sampled when what follows fails or is interrupted.

    Args:
        keep: saves it, and says in a sentence where it is and what to do with it; "" where there was nothing to save.
        console: told on an interrupt.
    Raises: OutputError, or the error of this program that rose, with that sentence.
    """
    try:
        yield
    except BaseException as error:
        remedy = keep()
        if not remedy:
            raise
        if isinstance(error, WanCoreError):
            # the same error: some carry more than their text
            error.args = (f"{error} {remedy}", *error.args[1:])
            raise
        if isinstance(error, Exception):
            raise OutputError(
                f"clip: expected to finish it, got {type(error).__name__}: {error}. {remedy}"
            ) from error
        console.note(remedy)
        raise


def keep_latents(latents: Tensor, info: LatentsInfo, output: Path, vae: Path) -> str:
    """Save latents beside the clip that could not be written.

    Args: latents: of the picture, (1, C, F, H, W).   info: whose they are.   output: of the clip.   vae: decodes them.
    Returns: a sentence on where they are and what to do with them.
    """
    kept = save_beside(output, LATENTS_SUFFIX, latents_to_bytes(latents, info))
    return f"The sampled latents are in {kept}: decode them with `wan-r2v decode {kept} --vae {vae}`."


def save_beside(output: Path, suffix: str, data: bytes) -> Path:
    """Write a file beside the clip, or where that can not be, into the system's folder for temporary files."""
    name = f"{output.stem}{suffix}"
    try:
        return write_bytes(output.with_name(name), data)
    except OutputError:
        return write_bytes(Path(tempfile.gettempdir()) / name, data)


def show_clip(
    console: Console,
    content: dict[str, Any],
    started: float,
    notes: Sequence[str],
    more: Sequence[str] = (),
) -> None:
    """Say what was made.

    Args:
        content: of `write_clip`, and what else machines should know.   started: `time.monotonic` of the beginning.
        notes: for the user.   more: sentences after them.
    """
    seconds = time.monotonic() - started
    lines = [
        f"made {content['output']}: {content['frames']} frames of {content['width']}x{content['height']} at "
        f"{content['fps']} a second with {content['model']}, with{'' if content['has_audio'] else 'out'} sound, "
        f"in {seconds:.1f} s",
        describe_marks(bool(content["has_mark"]), content["height"], content["width"]),
        *(f"note: {note}" for note in notes),
        *more,
    ]
    console.show(lines, {**content, "seconds": round(seconds, 3), "notes": list(notes)})
