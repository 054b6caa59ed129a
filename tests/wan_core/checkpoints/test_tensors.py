from __future__ import annotations

from pathlib import Path

import pytest
import torch
from packed_files import write_comfy_quant, write_gguf, write_scaled_fp8
from safetensors.torch import save_file
from tiny_dit import normal

from wan_core.checkpoints.source import open_header
from wan_core.checkpoints.tensors import iterate_stored, read_tensors
from wan_core.ops.quantized import PackedWeight


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return {
        "patch.weight": normal(4, 2, 1, 2, 2),
        "layer.weight": normal(8, 256, seed=2),
        "layer.bias": normal(8, seed=3),
    }


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return set(found) == set(expected) and all(torch.equal(found[key], expected[key]) for key in expected)


def test_plain_files(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "wrapped.pth")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("w.safetensors", "w.pth", "wrapped.pth", "old.pth"):
        header = open_header(tmp_path / name)
        assert same(read_tensors(header), state), name
        assert header.shape("patch.weight") == (4, 2, 1, 2, 2) and not header.packing
    some = read_tensors(header, ["layer.bias"], dtype=torch.float16)
    assert list(some) == ["layer.bias"] and some["layer.bias"].dtype == torch.float16


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q4_0", "Q3_K"])
def test_gguf(tmp_path: Path, state: dict[str, torch.Tensor], kind: str) -> None:
    expected = write_gguf(tmp_path / "w.gguf", state, kind, reshaped=("patch.weight",))
    header = open_header(tmp_path / "w.gguf")
    assert header.metadata["general.architecture"] == "wan"
    assert header.tensors["layer.weight"] == ((8, 256), kind)
    assert same(read_tensors(header), expected)
    stored = dict(iterate_stored(header))
    assert isinstance(stored["layer.weight"], PackedWeight) == kind.startswith("Q")


@pytest.mark.parametrize("format", ["float8_e4m3fn", "float8_e5m2"])
def test_plain_fp8(tmp_path: Path, state: dict[str, torch.Tensor], format: str) -> None:
    rounded = {key: value.to(getattr(torch, format)) for key, value in state.items()}
    save_file(rounded, tmp_path / "w.safetensors")
    assert same(
        read_tensors(open_header(tmp_path / "w.safetensors"), dtype=None),
        {key: value.float() for key, value in rounded.items()},
    )


def test_layouts_with_scales_hide_them(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    write_scaled_fp8(tmp_path / "old.safetensors", state, "model.")
    write_comfy_quant(tmp_path / "new.safetensors", state, "model.")
    write_comfy_quant(tmp_path / "meta.safetensors", state, "model.", in_metadata=True)
    write_comfy_quant(tmp_path / "int8.safetensors", state, "model.", "int8_tensorwise")
    keys = {f"model.{key}" for key in state}
    results = {}
    for name in ("old", "new", "meta", "int8"):
        header = open_header(tmp_path / f"{name}.safetensors")
        assert set(header.tensors) == keys
        results[name] = read_tensors(header)
        assert torch.equal(results[name]["model.layer.bias"], state["layer.bias"])
    assert same(results["old"], results["new"]) and same(results["new"], results["meta"])
    weight = state["layer.weight"]
    assert ((results["new"]["model.layer.weight"] - weight).abs() <= weight.abs() / 16 + 1e-4).all()
    assert ((results["int8"]["model.layer.weight"] - weight).abs() <= weight.abs().max() / 250).all()
