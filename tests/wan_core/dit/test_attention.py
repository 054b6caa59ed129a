from __future__ import annotations

import torch
from tiny_dit import normal, randomise, relative_error, tiny_config
from torch import Tensor, nn

from wan_core.dit.attention import CrossAttention, OtherTower, SelfAttention
from wan_core.ops.rope import rope_table, sequence_positions

CONFIG = tiny_config(image_dim=20)
X, CONTEXT, IMAGE = normal(2, 5, 48), normal(2, 7, 48, seed=2), normal(2, 3, 48, seed=3)
OTHER = normal(2, 6, 16, seed=4)
TABLE = rope_table(sequence_positions(5), 24)
OTHER_TABLE = rope_table(sequence_positions(6), 24)


class Constant:
    """An injection that gives the same for every token."""

    def attend(self, block_index: int, query: Tensor) -> Tensor | None:
        return torch.full_like(query, 0.5) if block_index == 1 else None


def make() -> CrossAttention:
    layer = CrossAttention(CONFIG, 16, operations=nn, device=None, dtype=None)
    randomise(layer)
    return layer


@torch.no_grad()
def test_parts_are_summed_before_the_output_layer() -> None:
    layer = make()
    other = OtherTower(OTHER, TABLE, OTHER_TABLE, None)

    def alone(image: Tensor | None, tower: OtherTower | None, index: int) -> Tensor:
        return layer(X, CONTEXT, image, tower, [Constant()], index)

    text = alone(None, None, 0)
    extra = [alone(IMAGE, None, 0) - text, alone(None, other, 0) - text, alone(None, None, 1) - text]
    assert relative_error(alone(IMAGE, other, 1), text + sum(extra)) < 1e-5
    assert all(float(part.norm()) > 1e-2 for part in extra)
    assert torch.allclose(extra[2], torch.full((48,), 0.5) @ layer.o.weight.T, atol=1e-4)


@torch.no_grad()
def test_what_is_masked_is_not_read() -> None:
    layer = make()
    mask = torch.ones(5, 6, dtype=torch.bool)
    mask[:, 4:] = False
    changed = OTHER.clone()
    changed[:, 4:] += 1
    seen = [layer(X, CONTEXT, None, OtherTower(y, TABLE, OTHER_TABLE, mask), [], 0) for y in (OTHER, changed)]
    assert torch.equal(seen[0], seen[1])


@torch.no_grad()
def test_self_attention_knows_the_order() -> None:
    layer = SelfAttention(CONFIG, operations=nn, device=None, dtype=None)
    randomise(layer)
    swapped = X.flip(1)
    assert not torch.allclose(layer(X, TABLE), layer(swapped, TABLE).flip(1), atol=1e-3)
    assert torch.allclose(layer(X, TABLE), layer(swapped, TABLE.flip(0)).flip(1), atol=1e-5)
