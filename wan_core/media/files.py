"""Writing results so that nothing is lost and nothing half-written is left under a final name."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, OutputError

_MOST_NUMBERS = 10_000


def plan_output(path: str | Path, *, overwrite: bool = False, number: bool = False) -> Path:
    """Check where a result is to be written, before the work that makes it begins.

    Args:
        path: the file to be written.
        overwrite: an existing file may be replaced.
        number: where the file exists, take the next free name: clip.mp4, clip_001.mp4, clip_002.mp4.
    Returns:
        The path to give to `write_bytes`.
    Raises:
        InputError: the path is a folder, or the file exists and neither `overwrite` nor `number` is set.
        OutputError: the folder is missing or can't be written to.
    """
    path = Path(path)
    folder = path.parent
    try:
        if path.is_dir():
            raise InputError(
                f"output: expected a file name, got the folder {path}. Add a name such as clip.mp4."
            )
        if not folder.is_dir():
            what = "a file" if folder.exists() else "none"
            raise OutputError(
                f"output: expected a folder, got {what} at {folder}. Make it or choose another."
            )
        if path.exists() and not overwrite:
            if not number:
                raise InputError(
                    f"output: expected a new file, got an existing one at {path}. Add --overwrite or use another name."
                )
            path = _free_name(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=".part", dir=folder)
        os.close(handle)
        Path(name).unlink()
    except OSError as error:
        raise OutputError(_explain(error, path)) from error
    return path


def write_bytes(path: str | Path, data: bytes, *, overwrite: bool = False) -> Path:
    """Write a file at once or not at all.

    The data go to a temporary file in the same folder, are flushed to the disk and then renamed. A file that has
    appeared under the name since `plan_output` is not replaced unless `overwrite` is set; the result takes the next
    free number instead.

    Args:
        path: the file.
        data: its content.
        overwrite: replace an existing file.
    Returns:
        The path written.
    Raises:
        OutputError: folder missing, read-only, disk full, file in use; nothing is left behind.
    """
    with partial_file(path, overwrite=overwrite) as partial, partial.path.open("wb") as file:
        file.write(data)
    return partial.written


@dataclass(slots=True)
class PartialFile:
    """A file on its way.

    Attributes:
        path: where the content is written, beside the final name.
        written: the final name; before the end of the block, the one that was asked for.
    """

    path: Path
    written: Path


@contextmanager
def partial_file(path: str | Path, *, overwrite: bool = False) -> Generator[PartialFile, None, None]:
    """Give a temporary file in the same folder, and the final name to it when the block ends well.

    The content is flushed to the disk before. After an exception nothing is left behind.

    Args:
        path: the file.   overwrite: replace an existing file; otherwise the next free number is taken.
    Raises:
        OutputError: folder missing, read-only, disk full, file in use.
    """
    path = Path(path)
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=".part", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        partial = PartialFile(temporary, path)
        yield partial
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        _open_up(temporary)
        partial.written = _publish(temporary, path, overwrite)
    except OSError as error:
        raise OutputError(_explain(error, path)) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _publish(temporary: Path, path: Path, overwrite: bool) -> Path:
    """Give the finished file its name; without `overwrite` an existing file is never replaced."""
    if overwrite:
        os.replace(temporary, path)
        return path
    target = _free_name(path) if path.exists() else path
    for _ in range(_MOST_NUMBERS):
        try:
            os.link(temporary, target)
        except FileExistsError:
            target = _free_name(path)
        except OSError:
            # A file system without hard links (FAT, some network shares): the check and the rename are two steps there.
            target = _free_name(path) if target.exists() else target
            os.replace(temporary, target)
            return target
        else:
            return target
    raise OutputError(f"output: expected a free name beside {path}, got none. Clear the folder.")


def _free_name(path: Path) -> Path:
    for number in range(1, _MOST_NUMBERS):
        candidate = path.with_name(f"{path.stem}_{number:03d}{path.suffix}")
        if not candidate.exists():
            return candidate
    raise OutputError(f"output: expected a free name beside {path}, got none. Clear the folder.")


def _open_up(path: Path) -> None:
    """Give a temporary file, made for its owner alone, the rights that a new file has here."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def _explain(error: OSError, path: Path) -> str:
    folder = path.parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"output: expected room on the disk, got a full one at {folder}. Free some space or use another folder."
    if error.errno == errno.EFBIG:
        return f"output: expected a larger limit on file size, got too small a one at {folder}. Choose another folder."
    if error.errno == errno.EROFS:
        return f"output: expected a folder to write to, got a read-only file system at {folder}. Choose another folder."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EBUSY, errno.ETXTBSY):
        return (
            f"output: expected a folder and file that may be written, got {error.strerror} for {path}. "
            "Choose another folder, or close the program that has the file open."
        )
    if error.errno == errno.ENAMETOOLONG:
        return f"output: expected a shorter name, got {len(path.name)} characters for {path}. Choose a shorter name."
    if error.errno == errno.ENOENT:
        return f"output: expected a folder, got none at {folder}. Make the folder or choose another."
    return f"output: expected to write {path}, got {error.strerror or error}. Choose another folder."
