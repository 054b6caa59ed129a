"""The old .pth files: tensors are read, programs are refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from wan_core import load_dit
from wan_core.errors import CheckpointError


class Surprise:
    """Runs a command when it is unpickled without care."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_program_is_not_run(tmp_path: Path, is_zip: bool) -> None:
    path, marker = tmp_path / "w.pth", tmp_path / "was_run"
    content = {"a": torch.zeros(1), "b": Surprise(marker)}
    if is_zip:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps({"b": Surprise(marker)}))
    with pytest.raises(
        CheckpointError, match=r"expected tensors alone, got a file that asks to run code in .*w.pth"
    ):
        load_dit(path)
    assert not marker.exists()


def test_truncated_and_empty(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(CheckpointError, match="expected tensors saved by torch, got .* The file is damaged"):
        load_dit(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="expected tensors saved by torch, got 0 bytes"):
        load_dit(path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="expected named tensors, got none in"):
        load_dit(path)
    torch.save({"a": torch.zeros(1, dtype=torch.complex64)}, path)
    with pytest.raises(CheckpointError, match="expected named tensors, got torch.complex64 in"):
        load_dit(path)


@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".pkl"])
def test_other_pickled_files_are_not_opened(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(
        CheckpointError, match=rf"expected .safetensors, got {suffix} in .* Such a file can run code"
    ):
        load_dit(path)
