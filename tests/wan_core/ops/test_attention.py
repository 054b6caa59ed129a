from __future__ import annotations

import pytest
import torch
from tiny_dit import normal, relative_error

from wan_core.ops import attention
from wan_core.ops.attention import add_attention, attend, merge_heads, split_heads


def naive(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, seen: torch.Tensor | None
) -> torch.Tensor:
    scores = query.double() @ key.double().transpose(-1, -2) / query.shape[-1] ** 0.5
    if seen is not None:
        scores = scores.masked_fill(~seen, float("-inf"))
    return scores.softmax(-1) @ value.double()


def test_equals_the_formula_with_and_without_mask() -> None:
    query, key, value = normal(2, 3, 5, 8), normal(2, 3, 7, 8, seed=2), normal(2, 3, 7, 8, seed=3)
    seen = torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) > 0.5
    seen[:, 0] = True
    assert relative_error(attend(query, key, value), naive(query, key, value, None)) < 1e-6
    assert relative_error(attend(query, key, value, seen), naive(query, key, value, seen)) < 1e-6


def test_one_reference_serves_a_batch() -> None:
    query, key, value = normal(3, 2, 5, 8), normal(1, 2, 4, 8, seed=2), normal(1, 2, 4, 8, seed=3)
    repeated = attend(query, key.repeat(3, 1, 1, 1), value.repeat(3, 1, 1, 1))
    assert torch.allclose(attend(query, key, value), repeated, atol=1e-6)


def test_heads_are_neighbouring_columns_and_come_back() -> None:
    x = normal(2, 5, 12)
    heads = split_heads(x, 3)
    assert heads.shape == (2, 3, 5, 4)
    assert torch.equal(heads[:, 1], x[..., 4:8])
    assert torch.equal(merge_heads(heads), x)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_keys_of_another_dtype_are_brought_to_that_of_the_query(dtype: torch.dtype) -> None:
    """A step that is done again in float32 reads what was prepared in a half."""
    query, key, value = normal(2, 3, 5, 8), normal(1, 3, 4, 8, seed=1), normal(1, 3, 4, 8, seed=2)
    found = attend(query, key.to(dtype), value.to(dtype))
    assert found.dtype == torch.float32
    assert torch.equal(found, attend(query, key.to(dtype).float(), value.to(dtype).float()))


@pytest.mark.parametrize("tiles", [(1024, 10), (4, 2)])
@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_sum_in_place_equals_the_formula(
    monkeypatch: pytest.MonkeyPatch, tiles: tuple[int, int], scale: float
) -> None:
    monkeypatch.setattr(attention, "TILE_TOKENS", tiles[0])
    monkeypatch.setattr(attention, "TILE_HEADS", tiles[1])
    total, query = (split_heads(normal(2, 11, 24, seed=seed), 3) for seed in (4, 5))
    key, value = normal(1, 3, 7, 8, seed=2), normal(1, 3, 7, 8, seed=3)
    expected = total.double() + scale * naive(query, key, value, None)
    with_gradients = add_attention(total, query, key, value, scale)
    assert with_gradients is not total and relative_error(with_gradients, expected) < 1e-6
    with torch.no_grad():
        assert add_attention(total, query, key, value, scale) is total
    assert relative_error(total, expected) < 1e-6


@torch.no_grad()
def test_sum_in_a_half_reads_a_query_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "TILE_TOKENS", 4)
    total, query = (split_heads(normal(2, 11, 24, seed=seed), 3) for seed in (4, 5))
    key, value = (normal(2, 3, 7, 8, seed=seed).bfloat16() for seed in (2, 3))
    low = query.bfloat16()
    expected = (total.bfloat16().float() + attend(low, key, value).float()).bfloat16()
    assert torch.equal(add_attention(total.bfloat16(), query, key, value), expected)
