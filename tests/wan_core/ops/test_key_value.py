from __future__ import annotations

import pytest
import torch
from tiny_dit import normal, randomise, relative_error

from wan_core.errors import ConfigError, ShapeError
from wan_core.ops.key_value import KeyValueAdapter, KeyValueConfig, PreparedInjection, add_injections
from wan_core.ops.norm import RMSNorm

HEADS, DIM, TOKEN_DIM, LAYERS = 2, 16, 6, 3


def make(registers: int = 0) -> tuple[KeyValueAdapter, list[RMSNorm]]:
    adapter = KeyValueAdapter(TOKEN_DIM, DIM, LAYERS, num_registers=registers)
    norms = [RMSNorm(DIM) for _ in range(LAYERS)]
    for seed, module in enumerate((adapter, *norms)):
        randomise(module, seed)
    return adapter, norms


@pytest.mark.parametrize("registers", [0, 2])
def test_prepared_equals_the_plain_formula(registers: int) -> None:
    adapter, norms = make(registers)
    tokens, query = normal(2, 5, TOKEN_DIM), normal(2, HEADS, 7, DIM // HEADS, seed=3)
    injection = adapter.prepare(tokens, norms, HEADS).with_scale(0.7)
    for index in range(LAYERS):
        layer = adapter.layers[index]
        seen = tokens
        if registers:
            seen = torch.cat((tokens, layer.registers.repeat(2, 1, 1)), dim=1)
        key = norms[index](seen @ layer.to_k_ip.weight.T + layer.to_k_ip.bias)
        value = seen @ layer.to_v_ip.weight.T + layer.to_v_ip.bias
        key, value = (x.view(2, -1, HEADS, DIM // HEADS).transpose(1, 2) for x in (key, value))
        expected = 0.7 * (query @ key.transpose(-1, -2) / (DIM // HEADS) ** 0.5).softmax(-1) @ value
        found = injection.attend(index, query)
        assert found is not None and relative_error(found, expected) < 1e-5


def test_parameter_names_are_those_of_lynx() -> None:
    adapter, _ = make(registers=1)
    names = {f"to_{x}_ip.{p}" for x in "kv" for p in ("weight", "bias")} | {"registers"}
    assert set(adapter.state_dict()) == {f"layers.{i}.{name}" for i in range(LAYERS) for name in names}


def test_scale_zero_leaves_a_block_alone() -> None:
    adapter, norms = make()
    injection = adapter.prepare(normal(1, 4, TOKEN_DIM), norms, HEADS)
    query = normal(1, HEADS, 3, DIM // HEADS)
    assert all(injection.with_scale(0.0).attend(i, query) is None for i in range(LAYERS))
    scaled = injection.with_scale([0.0, 1.0, 0.5])
    whole = [injection.attend(i, query) for i in range(LAYERS)]
    parts = [scaled.attend(i, query) for i in range(LAYERS)]
    assert parts[0] is None
    assert parts[1] is not None and whole[1] is not None and torch.equal(parts[1], whole[1])
    assert parts[2] is not None and whole[2] is not None and torch.equal(parts[2], whole[2] * 0.5)


def test_scale_per_sample_drops_one_reference() -> None:
    adapter, norms = make()
    injection = adapter.prepare(normal(2, 4, TOKEN_DIM), norms, HEADS)
    query = normal(2, HEADS, 3, DIM // HEADS)
    found = injection.with_batch_scale(torch.tensor([0.0, 1.0])).attend(0, query)
    whole = injection.attend(0, query)
    assert found is not None and whole is not None
    assert not found[0].any() and torch.equal(found[1], whole[1])


class Foreign:
    """An injection of another kind."""

    def attend(self, block_index: int, query: torch.Tensor) -> torch.Tensor | None:
        return query * 2 if block_index == 1 else None


@pytest.mark.parametrize("kind", ["plain", "region", "samples"])
@torch.no_grad()
def test_sum_of_references_equals_each_by_itself(kind: str) -> None:
    adapter, norms = make()
    injection = adapter.prepare(normal(2, 4, TOKEN_DIM), norms, HEADS).with_scale([0.0, 0.5, 1.0])
    if kind == "region":
        injection = injection.with_regions(torch.tensor([0.0, 1.0, 0.5]))
    if kind == "samples":
        injection = injection.with_batch_scale(torch.tensor([0.0, 1.0]))
    query, total = normal(2, HEADS, 3, DIM // HEADS), normal(2, HEADS, 3, DIM // HEADS, seed=2)
    for index in range(LAYERS):
        parts = [own.attend(index, query) for own in (injection, Foreign())]
        expected = sum((part for part in parts if part is not None), total)
        found = add_injections(total.clone(), (injection, Foreign()), index, query)
        assert relative_error(found, expected) < 1e-6
        assert (index == 0) == torch.equal(found, total)


def test_block_without_keys_is_left_alone() -> None:
    nothing, total = torch.zeros(1, HEADS, 0, 8), normal(1, HEADS, 3, 8)
    injection = PreparedInjection(keys=(nothing,), values=(nothing,), scales=(2.0,))
    assert injection.attend(0, total) is None and add_injections(total, (injection,), 0, total) is total


def test_starts_as_a_no_op_and_learns() -> None:
    adapter, norms = make()
    adapter.init_weights(torch.Generator().manual_seed(0))
    query = normal(1, HEADS, 3, DIM // HEADS)
    found = adapter.prepare(normal(1, 4, TOKEN_DIM), norms, HEADS).attend(1, query)
    assert found is not None and not found.any()
    found.sum().backward()
    assert adapter.layers[1].to_v_ip.weight.grad.abs().sum() > 0


def test_goes_to_another_dtype() -> None:
    adapter, norms = make()
    injection = adapter.prepare(normal(1, 4, TOKEN_DIM), norms, HEADS).with_batch_scale(torch.ones(1))
    moved = injection.to(dtype=torch.bfloat16)
    assert {tensor.dtype for tensor in (*moved.keys, *moved.values)} == {torch.bfloat16}


def test_config_describes_and_rebuilds() -> None:
    adapter, _ = make(registers=2)
    assert adapter.config == KeyValueConfig(token_dim=TOKEN_DIM, dim=DIM, num_layers=LAYERS, num_registers=2)
    rebuilt = KeyValueAdapter.from_config(adapter.config)
    assert {k: v.shape for k, v in rebuilt.state_dict().items()} == {
        k: v.shape for k, v in adapter.state_dict().items()
    }


def test_misfits_are_named() -> None:
    adapter, norms = make()
    injection = adapter.prepare(normal(2, 4, TOKEN_DIM), norms, HEADS)
    with pytest.raises(ShapeError, match=r"reference tokens: expected \(batch, tokens, 6\), got \(1, 4, 7\)"):
        adapter.prepare(normal(1, 4, 7), norms, HEADS)
    with pytest.raises(ShapeError, match="expected a model of 3 blocks, got 2"):
        adapter.prepare(normal(1, 4, TOKEN_DIM), norms[:2], HEADS)
    with pytest.raises(ShapeError, match="expected 3 numbers, one per block, got 2"):
        injection.with_scale([1.0, 1.0])
    with pytest.raises(ShapeError, match="expected a block number below 3, got 3"):
        injection.attend(3, normal(2, HEADS, 3, 8))
    with pytest.raises(ShapeError, match="expected 4 heads of 4, got 2 heads of 8"):
        injection.attend(0, normal(2, 4, 3, 4))
    with pytest.raises(ShapeError, match=r"expected batch 3 \(as the latents\) or 1, got 2"):
        injection.attend(0, normal(3, HEADS, 3, 8))
    with pytest.raises(ConfigError, match="expected positive sizes"):
        KeyValueAdapter(0, 4, 1)
