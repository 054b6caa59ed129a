"""GGUF headers, and files that are damaged."""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from packed_files import write_gguf
from tiny_dit import normal

from wan_core import load_dit
from wan_core.checkpoints.gguf_file import read_gguf_entries, read_gguf_header
from wan_core.errors import CheckpointError, MissingDependencyError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    state = {"patch.weight": normal(4, 2, 1, 2, 2), "layer.weight": normal(8, 256)}
    write_gguf(tmp_path / "w.gguf", state, "Q4_0", reshaped=("patch.weight",))
    return tmp_path / "w.gguf"


def test_header(path: Path) -> None:
    header = read_gguf_header(path)
    assert header.tensors == {"patch.weight": ((4, 2, 1, 2, 2), "F32"), "layer.weight": ((8, 256), "Q4_0")}
    assert header.places["layer.weight"].size == 8 * 8 * 18 and header.packing["layer.weight"] == (
        "Q4_0",
        None,
    )
    assert header.metadata["general.architecture"] == "wan"
    assert "comfy.gguf.orig_shape.patch.weight" not in header.metadata
    entry = read_gguf_entries(path, ["comfy.gguf.orig_shape.patch.weight", "nothing"])
    assert entry == {"comfy.gguf.orig_shape.patch.weight": [4, 2, 1, 2, 2]}


@pytest.mark.parametrize("kept", [0, 3, 20, 200, -1])
def test_truncated(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="expected a complete GGUF file, got '.*The file is damaged"):
        load_dit(path)


def test_cut_between_header_and_reading(path: Path) -> None:
    from wan_core.checkpoints.tensors import read_tensors

    header = read_gguf_header(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match="expected 1152 bytes at .*, got fewer in"):
        read_tensors(header, ["layer.weight"])


def test_header_equals_that_of_the_packages_reader(path: Path) -> None:
    reader = gguf.GGUFReader(path)
    header = read_gguf_header(path)
    assert {t.name: (int(t.data_offset), int(t.n_bytes)) for t in reader.tensors} == header.places
    for name, field in reader.fields.items():
        if not name.startswith("GGUF."):
            assert read_gguf_entries(path, [name]) == {name: field.contents()}


def test_metadata_of_every_type(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "w.gguf", "wan")
    values = {"text": "ä", "yes": True, "u8": 7, "i32": -5, "u64": 2**40, "f64": 0.25}
    writer.add_string("text", values["text"])
    writer.add_bool("yes", True)
    writer.add_uint8("u8", 7)
    writer.add_int32("i32", -5)
    writer.add_uint64("u64", 2**40)
    writer.add_float64("f64", 0.25)
    lists = {"words": ["a", "", "xyz"], "numbers": [1, -2, 3], "floats": [0.5, 1.5]}
    for name, value in lists.items():
        writer.add_array(name, value)
    writer.add_custom_alignment(64)
    writer.add_tensor("a", np.arange(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = read_gguf_entries(tmp_path / "w.gguf", [*values, *lists])
    assert found == {**values, **lists}
    header = read_gguf_header(tmp_path / "w.gguf")
    assert header.places["a"].start % 64 == 0 and header.metadata["u64"] == str(2**40)
    from wan_core.checkpoints.tensors import read_tensors

    assert torch.equal(read_tensors(header)["a"], torch.arange(8.0))


def test_known_by_its_first_bytes(path: Path) -> None:
    other = path.with_suffix(".weights")
    path.rename(other)
    with pytest.raises(CheckpointError, match="expected a known layout of tensors, got none of them"):
        load_dit(other)


def test_an_original_shape_that_does_not_fit(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "w.gguf", "wan")
    writer.add_array("comfy.gguf.orig_shape.a", [3, 3])
    writer.add_tensor("a", np.zeros(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(
        CheckpointError, match=r"tensor a: expected 8 values, got the original shape \(3, 3\)"
    ):
        read_gguf_header(tmp_path / "w.gguf")


def test_types_that_are_not_read(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "w.gguf", "wan")
    from tiny_dit import wide_state

    for key, value in wide_state().items():
        writer.add_tensor(key, value.numpy())
    writer.add_tensor(
        "extra.weight", np.zeros((1, 50), dtype=np.uint8), raw_dtype=gguf.GGMLQuantizationType.IQ1_S
    )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(
        CheckpointError, match="quantisation of extra.weight: expected one of .*, got IQ1_S in"
    ):
        load_dit(tmp_path / "w.gguf")


def test_without_the_package(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(
        MissingDependencyError, match="expected the package gguf, got none .* Run: pip install gguf"
    ):
        load_dit(path)


def test_tensors_of_five_axes_without_a_note(tmp_path: Path) -> None:
    value = normal(4, 2, 1, 2, 2)
    write_gguf(tmp_path / "w.gguf", {"patch.weight": value}, "F16")
    from wan_core.checkpoints.tensors import read_tensors

    assert torch.equal(read_tensors(read_gguf_header(tmp_path / "w.gguf"))["patch.weight"], value)
