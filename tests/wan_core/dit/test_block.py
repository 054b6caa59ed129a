from __future__ import annotations

import torch
from tiny_dit import normal, randomise, tiny_config
from torch import nn

from wan_core.dit.block import WanBlock
from wan_core.ops.rope import rope_table, sequence_positions

X = normal(2, 5, 48)


def make() -> WanBlock:
    block = WanBlock(tiny_config(), operations=nn, device=None, dtype=None)
    randomise(block)
    return block


@torch.no_grad()
def test_closed_gates_let_x_through() -> None:
    block = make()
    modulation = list(block.modulate(normal(2, 1, 6, 48)))
    modulation[2], modulation[5] = torch.zeros(2, 1, 48), torch.zeros(2, 1, 48)
    table = rope_table(sequence_positions(5), 24)
    assert torch.equal(block.attend_self(X.clone(), tuple(modulation), table, torch.float32, None), X)
    assert torch.equal(block.feed_forward(X.clone(), tuple(modulation), torch.float32, None), X)


@torch.no_grad()
def test_modulation_is_the_blocks_own_plus_that_of_the_time() -> None:
    block, projection = make(), normal(2, 3, 6, 48)
    for index, part in enumerate(block.modulate(projection)):
        assert torch.equal(part, block.modulation[0, index] + projection[:, :, index])


@torch.no_grad()
def test_cross_attention_is_not_gated() -> None:
    block, context = make(), normal(2, 7, 48, seed=2)
    expected = X + block.cross_attn(block.norm3(X), context, None, None, [], 0)
    assert torch.equal(block.attend_context(X, context, None, None, [], 0), expected)
