"""Every format that weights are published in, against the plain file of the same model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from packed_files import write_comfy_quant, write_gguf, write_scaled_fp8
from safetensors.torch import save_file
from tiny_dit import normal, relative_error, wide_config, wide_state
from torch import Tensor

from wan_core import load_dit
from wan_core.dit.model import WanModel
from wan_core.errors import CheckpointError, CheckpointMismatchError
from wan_core.ops.quantized import QuantizedLinear

PREFIX = "model.diffusion_model."
#: Relative error of the velocity that each format may cause here: fp8 e4m3 keeps 4 significant bits (each weight within
#: 1/16 of itself), e5m2 3, int8 and Q8_0 a 254th of the largest of a tensor or of 32 values, Q4_0 a 16th of these.
BOUNDS = {"float8_e4m3fn": 0.05, "float8_e5m2": 0.1, "int8_tensorwise": 0.03, "Q8_0": 0.02, "Q4_0": 0.2}


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    # Rows of every matrix are whole blocks of 256 values.
    config = wide_config(ffn_dim=512, freq_dim=256, text_dim=256)
    return wide_state(config)


def velocity(model: torch.nn.Module) -> Tensor:
    with torch.no_grad():
        return model(normal(1, 4, 2, 4, 4), torch.tensor([500.0]), normal(1, 5, 256, seed=3) * 0.1)


@pytest.fixture(scope="module")
def plain(state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Tensor:
    path = tmp_path_factory.mktemp("plain") / "w.safetensors"
    save_file(state, path)
    return velocity(load_dit(path))


def expected_with(state: dict[str, Tensor]) -> Tensor:
    """What a model with plain weights of these values gives."""
    model = WanModel(wide_config(ffn_dim=512, freq_dim=256, text_dim=256))
    model.load_state_dict({key: value.float() for key, value in state.items()})
    return velocity(model)


def packed_layers(model: torch.nn.Module) -> int:
    return sum(isinstance(module, QuantizedLinear) for module in model.modules())


@pytest.mark.parametrize("name", ["w.pth", "w.gguf"])
def test_unpacked_formats_are_exact(
    tmp_path: Path, state: dict[str, Tensor], plain: Tensor, name: str
) -> None:
    if name == "w.pth":
        torch.save(state, tmp_path / name)
    else:
        write_gguf(tmp_path / name, state, "F32", reshaped=("patch_embedding.weight",))
    model = load_dit(tmp_path / name)
    assert packed_layers(model) == 0
    assert torch.equal(velocity(model), plain)


@pytest.mark.parametrize(
    "kind", ["F16", "BF16", "Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q4_0", "Q3_K", "Q5_0", "Q2_K"]
)
def test_gguf(tmp_path: Path, state: dict[str, Tensor], plain: Tensor, kind: str) -> None:
    values = write_gguf(tmp_path / "w.gguf", state, kind)
    model = load_dit(tmp_path / "w.gguf")
    assert packed_layers(model) == (16 if kind.startswith("Q") else 0)
    found = velocity(model)
    assert relative_error(found, expected_with(values)) < 1e-6
    if kind in BOUNDS:
        assert relative_error(found, plain) < BOUNDS[kind]


@pytest.mark.parametrize("format", ["float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_plain_fp8(tmp_path: Path, state: dict[str, Tensor], plain: Tensor, format: str, prefix: str) -> None:
    small = {key: value.to(getattr(torch, format)) for key, value in state.items()}
    save_file({prefix + key: value for key, value in small.items()}, tmp_path / "w.safetensors")
    model = load_dit(tmp_path / "w.safetensors")
    assert packed_layers(model) == 16
    found = velocity(model)
    assert relative_error(found, expected_with(small)) < 1e-6
    assert relative_error(found, plain) < 2 * BOUNDS[format]  # here norms and biases are rounded too


@pytest.mark.parametrize("prefix", ["", PREFIX])
@pytest.mark.parametrize("layout", ["scaled_fp8", "comfy_quant", "metadata"])
@pytest.mark.parametrize("format", ["float8_e4m3fn", "float8_e5m2"])
def test_scaled_fp8(
    tmp_path: Path, state: dict[str, Tensor], plain: Tensor, layout: str, format: str, prefix: str
) -> None:
    path = tmp_path / "w.safetensors"
    if layout == "scaled_fp8":
        write_scaled_fp8(path, state, prefix, format)
    else:
        write_comfy_quant(path, state, prefix, format, in_metadata=layout == "metadata")
    model = load_dit(path)
    assert packed_layers(model) == 16
    assert relative_error(velocity(model), plain) < BOUNDS[format]


def test_int8(tmp_path: Path, state: dict[str, Tensor], plain: Tensor) -> None:
    write_comfy_quant(tmp_path / "w.safetensors", state, format="int8_tensorwise")
    model = load_dit(tmp_path / "w.safetensors")
    assert packed_layers(model) == 16
    assert relative_error(velocity(model), plain) < BOUNDS["int8_tensorwise"]


def test_what_stays_packed_takes_its_own_bytes(tmp_path: Path, state: dict[str, Tensor]) -> None:
    write_scaled_fp8(tmp_path / "w.safetensors", state)
    model = load_dit(tmp_path / "w.safetensors", dtype=torch.bfloat16)
    held = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
    matrices = {key for key, value in state.items() if key.endswith("weight") and value.ndim == 2}
    count = sum(value.numel() * (1 if key in matrices else 2) for key, value in state.items())
    assert held == count + 4 * len(matrices)  # and one scale each


def test_dtype_of_the_work(tmp_path: Path, state: dict[str, Tensor], plain: Tensor) -> None:
    write_scaled_fp8(tmp_path / "w.safetensors", state)
    model = load_dit(tmp_path / "w.safetensors", dtype=None)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    found = velocity(model)  # float32 latents
    assert found.dtype == torch.float32 and relative_error(found, plain) < 2 * BOUNDS["float8_e4m3fn"]


@pytest.mark.parametrize("format", ["nvfp4", "mxfp8", "convrot_w4a4"])
def test_other_quantisations_are_named(tmp_path: Path, state: dict[str, Tensor], format: str) -> None:
    path = tmp_path / "w.safetensors"
    write_comfy_quant(path, state)
    from safetensors.torch import load_file

    content = load_file(path)
    text = f'{{"format": "{format}"}}'.encode()
    content["blocks.0.self_attn.q.comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)
    save_file(content, path)
    with pytest.raises(
        CheckpointError, match=f"quantisation of blocks.0.self_attn.q.weight: .* got {format} in"
    ):
        load_dit(path)


def test_a_scale_without_its_weight_is_left_over(tmp_path: Path, state: dict[str, Tensor]) -> None:
    save_file({**state, "blocks.7.ffn.0.scale_weight": torch.ones(())}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointMismatchError, match=r"1 unexpected \(blocks.7.ffn.0.scale_weight\)"):
        load_dit(tmp_path / "w.safetensors")
