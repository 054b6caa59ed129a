from __future__ import annotations

import pytest
import torch
from tiny_dit import normal, randomise, relative_error
from torch import nn

from wan_core.ops.packed import CHUNK, PackedFeedForward, PackedLinear, can_pack


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
def test_equals_the_layer(bias: bool) -> None:
    layer = nn.Linear(24, 40, bias=bias)
    randomise(layer)
    x = normal(2, 5, 24)
    assert relative_error(PackedLinear(layer)(x), layer(x)) < 1e-6
    expected = nn.functional.gelu(layer(x), approximate="tanh")
    assert relative_error(PackedLinear(layer, "gelu_tanh")(x), expected) < 1e-6
    assert not list(PackedLinear(layer).parameters())


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tokens", [3, CHUNK + 7])
def test_feed_forward_in_chunks(tokens: int, dtype: torch.dtype) -> None:
    plain = nn.Sequential(nn.Linear(8, 24), nn.GELU(approximate="tanh"), nn.Linear(24, 8))
    randomise(plain)
    x = normal(2, tokens, 8)
    exact = plain(x)
    plain.to(dtype)
    if not can_pack(plain[0]):
        pytest.skip("this CPU has no bfloat16")
    found = PackedFeedForward(plain[0], plain[2])(x.to(dtype))
    assert found.dtype == dtype
    assert relative_error(found, exact) < max(1e-6, 1.1 * relative_error(plain(x.to(dtype)), exact))


def test_what_can_be_packed() -> None:
    class Other(nn.Linear):
        """Of another namespace."""

    assert can_pack(nn.Linear(3, 4))
    assert not can_pack(nn.Linear(3, 4, dtype=torch.float16))
    assert not can_pack(nn.Linear(3, 4, device="meta"))
    assert not can_pack(Other(3, 4)) and not can_pack(nn.LayerNorm(4))
