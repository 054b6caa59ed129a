"""Nothing half-written, nothing lost: every way in which writing fails is really made to happen."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wan_core.errors import InputError, OutputError
from wan_core.media import plan_output, write_bytes

IS_ROOT = os.geteuid() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if not IS_ROOT or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("making a small disk needs the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody, not even root, can write to."""
    folder = tmp_path / "sealed"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(folder)]
    if IS_ROOT:
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("making a read-only disk needs the right to mount")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
    else:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)


def _limit_file_size(size: int) -> tuple[int, int]:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    return before


def test_writes_with_ordinary_rights_and_leaves_only_the_file(tmp_path: Path) -> None:
    path = write_bytes(plan_output(tmp_path / "clip.mp4"), b"content")
    assert path.read_bytes() == b"content"
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.mp4"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_disk_full(small_disk: Path) -> None:
    (small_disk / "clip.mp4").write_bytes(b"earlier")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="expected room on the disk, got a full one"):
            write_bytes(small_disk / "clip.mp4", bytes(200_000), overwrite=overwrite)
        assert [entry.name for entry in small_disk.iterdir()] == ["clip.mp4"]
        assert (small_disk / "clip.mp4").read_bytes() == b"earlier"


def test_write_that_stops_half_way(tmp_path: Path) -> None:
    before = _limit_file_size(50_000)
    try:
        with pytest.raises(OutputError, match="expected a larger limit on file size"):
            write_bytes(tmp_path / "clip.mp4", bytes(200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_read_only_folder_is_known_beforehand(read_only_disk: Path) -> None:
    with pytest.raises(OutputError, match="read-only|may be written"):
        plan_output(read_only_disk / "clip.mp4")
    with pytest.raises(OutputError, match="read-only|may be written"):
        write_bytes(read_only_disk / "clip.mp4", b"content")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="expected a folder, got none at .*nowhere. Make it"):
        plan_output(tmp_path / "nowhere" / "clip.mp4")
    with pytest.raises(OutputError, match="expected a folder, got none at .*nowhere"):
        write_bytes(tmp_path / "nowhere" / "clip.mp4", b"content")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="expected a folder, got a file"):
        plan_output(tmp_path / "file" / "clip.mp4")


def test_existing_file_is_refused_numbered_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"earlier")
    with pytest.raises(InputError, match="got an existing one .* Add --overwrite"):
        plan_output(path)
    assert plan_output(path, number=True) == tmp_path / "clip_001.mp4"
    assert plan_output(path, overwrite=True) == path
    assert write_bytes(path, b"new", overwrite=True) == path
    assert path.read_bytes() == b"new"
    with pytest.raises(InputError, match="got the folder"):
        plan_output(tmp_path, overwrite=True)


def test_file_that_appears_while_sampling_is_kept(tmp_path: Path) -> None:
    path = plan_output(tmp_path / "clip.mp4")
    path.write_bytes(b"somebody else's")
    (tmp_path / "clip_001.mp4").write_bytes(b"and another")
    written = write_bytes(path, b"mine")
    assert written.name == "clip_002.mp4"
    assert written.read_bytes() == b"mine"
    assert path.read_bytes() == b"somebody else's"


def test_disk_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "clip.mp4"
    assert write_bytes(path, b"first") == path
    assert write_bytes(path, b"second").name == "clip_001.mp4"
    assert path.read_bytes() == b"first"


def test_file_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only Windows refuses to replace an open file; there the error is this one."""

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "The process cannot access the file")

    monkeypatch.setattr(os, "replace", refuse)
    (tmp_path / "clip.mp4").write_bytes(b"playing")
    with pytest.raises(OutputError, match="close the program that has the file open"):
        write_bytes(tmp_path / "clip.mp4", b"new", overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["clip.mp4"]


def test_name_too_long(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="expected a shorter name, got 304 characters"):
        plan_output(tmp_path / f"{'x' * 300}.mp4")
