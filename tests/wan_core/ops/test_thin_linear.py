"""The linear layer for few rows gives what torch's gives, and steps aside where it can't."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from wan_core.ops.thin_linear import MAX_ROWS, THIN_OPERATIONS, ThinLinear


@pytest.mark.parametrize("shape", [(1,), (30,), (2, 7), (MAX_ROWS,), (MAX_ROWS + 1,), (0,)])
@pytest.mark.parametrize("bias", [True, False])
def test_equals_torch(shape: tuple[int, ...], bias: bool) -> None:
    layer = THIN_OPERATIONS.Linear(48, 24, bias=bias)
    x = torch.randn(*shape, 48)
    with torch.no_grad():
        got, expected = layer(x), functional.linear(x, layer.weight, layer.bias)
    assert got.shape == expected.shape and torch.allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes_are_torchs(dtype: torch.dtype) -> None:
    layer = ThinLinear(16, 8, dtype=dtype).requires_grad_(False)
    x = torch.randn(3, 16, dtype=dtype)
    assert torch.equal(layer(x), functional.linear(x, layer.weight, layer.bias))


def test_few_rows_go_through_onednn_and_gradients_through_torch() -> None:
    layer, x = ThinLinear(16, 8), torch.randn(3, 16)
    with torch.profiler.profile(acc_events=True) as trace, torch.no_grad():
        layer(x)
    names = {event.key for event in trace.key_averages()}
    assert ("mkldnn::_linear_pointwise" in names) == torch.backends.mkldnn.is_available()
    layer(x).sum().backward()
    assert layer.weight.grad is not None and torch.allclose(
        layer.weight.grad, x.sum(0).expand(8, 16), atol=1e-5
    )
