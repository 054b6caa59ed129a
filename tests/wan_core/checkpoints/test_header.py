from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from wan_core.checkpoints.header import TensorInfo, read_header
from wan_core.errors import CheckpointError


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.safetensors"
    save_file({"a": torch.ones(2, 3), "b.c": torch.zeros(4).bfloat16()}, path, metadata={"note": "hello"})
    return path


def test_reads_shapes_dtypes_metadata(good: Path) -> None:
    header = read_header(good)
    assert header.tensors == {"a": TensorInfo((2, 3), "F32"), "b.c": TensorInfo((4,), "BF16")}
    assert header.files == {"a": good, "b.c": good}
    assert header.metadata == {"note": "hello"} and header.name == str(good)
    assert header.shape("a") == (2, 3)


def test_reads_no_tensor(tmp_path: Path) -> None:
    """A terabyte that exists in the header only (a sparse file) is read at once."""
    text = json.dumps({"w": {"dtype": "F16", "shape": [2**20, 2**19], "data_offsets": [0, 2**40]}}).encode()
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + 2**40)
    assert read_header(path).shape("w") == (2**20, 2**19)


@pytest.mark.parametrize("kept", [0, 5, 60, 200])
def test_truncated(good: Path, kept: int) -> None:
    data = good.read_bytes()
    good.write_bytes(data[: min(kept, len(data) - 1)])
    with pytest.raises(CheckpointError, match=r"good\.safetensors\. The file is damaged or incomplete"):
        read_header(good)


def test_truncated_by_one_byte_names_both_sizes(good: Path) -> None:
    size = good.stat().st_size
    good.write_bytes(good.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=f"expected {size} bytes, as its header says, got {size - 1}"):
        read_header(good)


@pytest.mark.parametrize(
    "entries",
    [
        ["a", "list"],
        {"a": {"dtype": "F32", "shape": [2]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}},
        {"a": {"dtype": "F32", "shape": "no", "data_offsets": [0, 8]}},
        {"a": 5},
    ],
)
def test_nonsense_in_the_header(tmp_path: Path, entries: object) -> None:
    text = json.dumps(entries).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    with pytest.raises(CheckpointError, match="expected a safetensors header, got unreadable text in"):
        read_header(path)


def test_other_things(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a file, got nothing at .*none.safetensors"):
        read_header(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="expected a file, got the folder"):
        read_header(tmp_path)
    (tmp_path / "old.ckpt").write_bytes(bytes(100))
    with pytest.raises(CheckpointError, match=r"expected \.safetensors, got \.ckpt .* can run code"):
        read_header(tmp_path / "old.ckpt")
    (tmp_path / "text.safetensors").write_bytes(b"this is no weights file, just words")
    with pytest.raises(CheckpointError, match="got 35 bytes of something else"):
        read_header(tmp_path / "text.safetensors")
