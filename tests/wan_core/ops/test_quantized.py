from __future__ import annotations

import gguf
import pytest
import torch
from packed_files import pack, scaled
from tiny_dit import normal
from torch import nn

from wan_core.errors import CheckpointError, ShapeError
from wan_core.ops.quantized import PackedWeight, QuantizedEmbedding, QuantizedLinear, packed_bytes, put_packed


def float8(value: torch.Tensor, format: str = "F8_E4M3", scale: torch.Tensor | None = None) -> PackedWeight:
    dtype = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}[format]
    data = value.to(dtype).flatten().view(torch.uint8)
    return PackedWeight(format, tuple(value.shape), data, scale)


def blocks(value: torch.Tensor, kind: str) -> tuple[PackedWeight, torch.Tensor]:
    """A packed weight and gguf's own idea of what it holds."""
    own = gguf.GGMLQuantizationType[kind]
    packed = pack(value.numpy(), own)
    expected = torch.from_numpy(gguf.quants.dequantize(packed, own)).view(value.shape)
    return PackedWeight(kind, tuple(value.shape), torch.from_numpy(packed).flatten()), expected


@pytest.mark.parametrize("format", ["F8_E4M3", "F8_E5M2"])
def test_fp8_is_exact(format: str) -> None:
    values = float8(normal(6, 8), format)
    stored = normal(6, 8).to({"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}[format])
    for dtype in (torch.float32, torch.bfloat16):
        assert torch.equal(values.unpack(dtype), stored.to(dtype))


def test_scales_of_a_weight_and_of_its_rows() -> None:
    value = normal(6, 8)
    stored, scale = scaled(value, "float8_e4m3fn")
    one = PackedWeight("F8_E4M3", (6, 8), stored.flatten().view(torch.uint8), scale)
    assert torch.equal(one.unpack(), stored.float() * scale)
    # e4m3 keeps four significant bits: half a step is a sixteenth of the value
    assert ((one.unpack() - value).abs() <= value.abs() / 16 + scale * 2**-9).all()
    rows = torch.arange(1.0, 7.0)
    many = PackedWeight("F8_E4M3", (6, 8), stored.flatten().view(torch.uint8), rows)
    assert torch.equal(many.unpack(), stored.float() * rows[:, None])
    assert torch.equal(
        many.rows(torch.tensor([[4, 1]])), (stored.float() * rows[:, None])[torch.tensor([[4, 1]])]
    )
    whole, factor = scaled(value, "int8_tensorwise")
    eight = PackedWeight("I8", (6, 8), whole.flatten().view(torch.uint8), factor)
    assert ((eight.unpack() - value).abs() <= 0.501 * factor).all()


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_0", "Q3_K", "Q4_K", "Q5_K", "Q6_K"])
def test_blocks_in_pieces_and_rows(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    packed, expected = blocks(normal(12, 512), kind)
    assert torch.equal(packed.unpack(), expected)
    assert torch.equal(packed.unpack(torch.bfloat16), expected.bfloat16())
    monkeypatch.setattr("wan_core.ops.quantized.CHUNK", 1024)
    assert torch.equal(packed.unpack(), expected)
    index = torch.tensor([[3, 3], [11, 0]])
    assert torch.equal(packed.rows(index), expected[index])


def test_blocks_across_rows() -> None:
    packed, expected = blocks(normal(6, 256), "Q4_K")
    crossing = PackedWeight("Q4_K", (12, 128), packed.data)
    assert torch.equal(crossing.unpack(), expected.view(12, 128))
    assert torch.equal(crossing.rows(torch.tensor([5])), expected.view(12, 128)[5:6])


def test_linear_equals_the_plain_layer_and_survives_moves() -> None:
    packed, expected = blocks(normal(16, 256), "Q5_K")
    bias = normal(16, seed=2)
    layer = QuantizedLinear(packed, bias)
    x = normal(3, 5, 256, seed=3)
    plain = nn.functional.linear(x, expected, bias)
    assert torch.equal(layer(x), plain)
    again = layer.to(torch.bfloat16).to(torch.float32)
    assert again.packed.dtype == torch.uint8
    assert torch.allclose(again(x), plain, atol=0.02)  # the bias was rounded, the weight was not
    assert layer(x.bfloat16()).dtype == torch.bfloat16
    scale = QuantizedLinear(float8(normal(4, 4), scale=torch.tensor(1 / 3))).to(torch.bfloat16)
    assert scale.packed_weight.scale == torch.tensor(1 / 3)
    state = layer.state_dict()
    assert sorted(state) == ["bias", "packed"] and "Q5_K" in repr(layer)
    assert sum(p.numel() * p.element_size() for p in (state["packed"],)) == packed_bytes("Q5_K", (16, 256))


def test_embedding() -> None:
    packed, expected = blocks(normal(10, 256), "Q8_0")
    layer = QuantizedEmbedding(packed)
    index = torch.tensor([[1, 9, 0]])
    assert torch.equal(layer(index), expected[index])
    assert QuantizedEmbedding(packed, torch.bfloat16)(index).dtype == torch.bfloat16


def test_putting_layers_into_a_model() -> None:
    model = nn.Sequential(nn.Linear(256, 4), nn.LayerNorm(4), nn.Embedding(8, 256), nn.Conv1d(4, 4, 1))
    linear, table = blocks(normal(4, 256), "Q4_0")[0], blocks(normal(8, 256), "Q4_0")[0]
    bias = model[0].bias
    assert put_packed(model, "0.weight", linear, torch.float32)
    assert put_packed(model, "2.weight", table, torch.float16)
    assert isinstance(model[0], QuantizedLinear) and torch.equal(model[0].bias, bias)
    assert isinstance(model[2], QuantizedEmbedding) and model[2].dtype == torch.float16
    for name, shape in (("1.weight", (4,)), ("0.bias", (4,)), ("3.weight", (4, 4, 1))):
        assert not put_packed(model, name, float8(torch.zeros(shape)), torch.float32)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(
        CheckpointError, match="expected 128 bytes, got torch.uint8 .100,.. The file is damaged"
    ):
        PackedWeight("F8_E4M3", (8, 16), torch.zeros(100, dtype=torch.uint8))
    with pytest.raises(CheckpointError, match="expected one of F8_E4M3, .*, got IQ1_S. Use another version"):
        packed_bytes("IQ1_S", (1, 256))
    with pytest.raises(CheckpointError, match="Q4_K: expected a multiple of 256 values, got .3, 5."):
        packed_bytes("Q4_K", (3, 5))
    with pytest.raises(CheckpointError, match="scale of a packed weight: expected 1 or 8 numbers, got 3"):
        float8(torch.zeros(8, 4), scale=torch.ones(3))
    with pytest.raises(
        ShapeError, match="expected a weight .out, in. and a bias .out,., got .8, 4. and .4,."
    ):
        QuantizedLinear(float8(torch.zeros(8, 4)), torch.zeros(4))
