from __future__ import annotations

import pytest
import torch
from tiny_dit import normal, randomise, relative_error
from torch import nn

from wan_core.ops.packed import (
    CHUNK,
    PackedBfloat16,
    PackedFloat32,
    TanhGELU,
    can_pack,
    pack_feed_forward,
    pack_linear,
)


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
def test_float32_equals_the_layer_before_and_after_packing(bias: bool) -> None:
    layer = nn.Linear(24, 40, bias=bias)
    randomise(layer)
    packed = pack_linear(layer)
    assert isinstance(packed, PackedFloat32) and not list(packed.parameters())
    x = normal(2, 5, 24)
    assert relative_error(packed(x), layer(x)) < 1e-6 and packed.packed is None
    assert relative_error(packed(x), layer(x)) < 1e-6 and packed.packed_rows == 10
    # Another number of rows once between is no reason to pack again.
    for rows, kept in ((3, 10), (5, 10), (4, 10), (4, 8)):
        assert relative_error(packed(x[:, :rows]), layer(x[:, :rows])) < 1e-6
        assert packed.packed_rows == kept


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
def test_bfloat16_is_no_less_exact_than_the_layer(bias: bool) -> None:
    layer, x = nn.Linear(24, 40, bias=bias), normal(2, 5, 24)
    randomise(layer)
    exact = layer(x)
    layer.bfloat16()
    if not can_pack(layer):
        pytest.skip("this CPU has no bfloat16")
    x = x.bfloat16()
    plain = relative_error(layer(x), exact)
    assert relative_error(pack_linear(layer)(x), exact) < 1.1 * plain
    found = PackedBfloat16(layer, gelu=True)(x)
    expected = nn.functional.gelu(exact, approximate="tanh")
    assert relative_error(found, expected) < 1.1 * relative_error(
        nn.functional.gelu(layer(x), approximate="tanh"), expected
    )


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [3, 2 * CHUNK + 7])
def test_feed_forward_in_parts(tokens: int, dtype: torch.dtype) -> None:
    plain = nn.Sequential(nn.Linear(8, 24), nn.GELU(approximate="tanh"), nn.Linear(24, 8))
    randomise(plain)
    x = normal(2, tokens, 8)
    exact = plain(x)
    plain.to(dtype)
    if not can_pack(plain[0]):
        pytest.skip("this CPU has no bfloat16")
    first, _, second = plain
    packed = pack_feed_forward(first, second)
    for _ in range(2):
        found = packed(x.to(dtype))
        assert found.dtype == dtype
        assert relative_error(found, exact) < max(1e-6, 1.1 * relative_error(plain(x.to(dtype)), exact))


@torch.no_grad()
def test_gelu_is_the_tanh_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wan_core.ops.packed.TILE", 64)
    x = torch.cat((torch.linspace(-12, 12, 4001), torch.tensor([-1e20, -0.0, 1e20]))).view(4, 1001)
    exact = nn.functional.gelu(x.double(), approximate="tanh")
    given = x.clone()
    found = TanhGELU()(given)
    assert found is given and relative_error(found, exact) < 1e-7
    assert float((found - exact).abs().max()) < 1e-6
    # Where 1 + tanh loses digits.
    tail = (x > -5.5) & (x < -4)
    torchs = nn.functional.gelu(x, approximate="tanh")
    assert relative_error(found[tail], exact[tail]) < 1e-5 < relative_error(torchs[tail], exact[tail])


def test_what_can_be_packed() -> None:
    class Other(nn.Linear):
        """Of another namespace."""

    assert can_pack(nn.Linear(3, 4))
    assert not can_pack(nn.Linear(3, 4, dtype=torch.float16))
    assert not can_pack(nn.Linear(3, 4, device="meta"))
    assert not can_pack(Other(3, 4)) and not can_pack(nn.LayerNorm(4))
