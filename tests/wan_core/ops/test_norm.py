from __future__ import annotations

import pytest
import torch
from tiny_dit import normal, relative_error
from torch import Tensor

from wan_core.ops.norm import RMSNorm, gated_residual, modulated_norm


def test_rms_norm_equals_the_formula() -> None:
    norm = RMSNorm(10, eps=1e-3)
    torch.nn.init.normal_(norm.weight)
    x = normal(2, 3, 10)
    expected = x.double() / (x.double().square().mean(-1, keepdim=True) + 1e-3).sqrt() * norm.weight.double()
    assert relative_error(norm(x), expected) < 1e-6
    assert norm(x.bfloat16()).dtype == torch.bfloat16


def spread(values: Tensor, tokens: int) -> Tensor:
    return values.repeat_interleave(tokens // values.shape[1], dim=1).double()


@pytest.mark.parametrize(("batch", "groups"), [(1, 1), (2, 1), (2, 3), (2, 6), (1, 3)])
def test_modulation_per_sample_frame_and_token(batch: int, groups: int) -> None:
    x, update = normal(batch, 6, 8), normal(batch, 6, 8, seed=2)
    shift, scale, gate = (normal(batch, groups, 8, seed=s) for s in (3, 4, 5))
    normed = torch.nn.functional.layer_norm(x.double(), (8,), eps=1e-4)
    expected = normed * (1 + spread(scale, 6)) + spread(shift, 6)
    assert relative_error(modulated_norm(x, shift, scale, 1e-4), expected) < 1e-6
    assert (
        relative_error(gated_residual(x, update, gate), x.double() + update.double() * spread(gate, 6)) < 1e-6
    )


def test_stretches_have_their_own_groups() -> None:
    layout = ((6, 3), (2, 1))
    x, update = normal(2, 8, 5), normal(2, 8, 5, seed=2)
    shift, scale, gate = (normal(2, 4, 5, seed=s) for s in (3, 4, 5))

    def each(values: Tensor) -> Tensor:
        return torch.cat((spread(values[:, :3], 6), spread(values[:, 3:], 2)), dim=1)

    normed = torch.nn.functional.layer_norm(x.double(), (5,), eps=1e-4)
    expected = normed * (1 + each(scale)) + each(shift)
    assert relative_error(modulated_norm(x, shift, scale, 1e-4, layout), expected) < 1e-6
    expected = x.double() + update.double() * each(gate)
    assert relative_error(gated_residual(x, update, gate, layout), expected) < 1e-6


def test_results_stay_in_float32() -> None:
    x, one = normal(1, 4, 8).bfloat16(), torch.zeros(1, 1, 8)
    assert modulated_norm(x, one, one, 1e-6).dtype == torch.float32
    assert gated_residual(x.float(), x, one).dtype == torch.float32
