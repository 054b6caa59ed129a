"""A reference acts where its boxes are; every other token is as without it, bit for bit."""

from __future__ import annotations

import pytest
import torch

from wan_core.dit.config import WanConfig
from wan_core.dit.model import WanModel
from wan_core.errors import ConfigError, InputError, ShapeError
from wan_core.identity.regions import Region, mask_weights, refuse_regions, region_weights, restrict
from wan_core.identity.strength import ShapedInjection, StrengthTable
from wan_core.ops.key_value import KeyValueAdapter, PreparedInjection

GRID = (3, 4, 4)


def injection(seed: int = 0, blocks: int = 2) -> PreparedInjection:
    generator = torch.Generator().manual_seed(seed)
    keys = tuple(torch.randn(1, 2, 5, 8, generator=generator) for _ in range(blocks))
    values = tuple(torch.randn(1, 2, 5, 8, generator=generator) for _ in range(blocks))
    return PreparedInjection(keys=keys, values=values, scales=(1.0,) * blocks)


def test_boxes_cover_tokens_by_their_share() -> None:
    weights = region_weights([Region(left=0.0, top=0.0, right=0.375, bottom=0.5)], GRID, 1.0).view(GRID)
    assert torch.equal(weights[0], weights[2])
    assert torch.equal(weights[0, :2], torch.tensor([[1.0, 0.5, 0.0, 0.0]]).expand(2, 4))
    assert not weights[0, 2:].any()
    both = region_weights(
        [
            Region(left=0.0, top=0.0, right=0.375, bottom=0.5),
            Region(left=0.25, top=0.0, right=1.0, bottom=1.0),
        ],
        GRID,
        1.0,
    ).view(GRID)
    assert torch.equal(both[0, 0], torch.ones(4)) and both.max() == 1.0


def test_boxes_move_over_time() -> None:
    left = Region(left=0.0, top=0.0, right=0.5, bottom=1.0, start=0.0, end=0.34)
    right = Region(left=0.5, top=0.0, right=1.0, bottom=1.0, start=0.34, end=1.0)
    weights = region_weights([left, right], GRID, 1.0).view(GRID)
    assert weights[0, 0].tolist() == [1, 1, 0, 0]
    assert weights[1, 0].tolist() == weights[2, 0].tolist() == [0, 0, 1, 1]
    with pytest.raises(
        InputError, match="at least half a latent frame .0.17 s. within the clip of 1 s, got 0 s to 0.1 s"
    ):
        region_weights([Region(left=0, top=0, right=1, bottom=1, start=0.0, end=0.1)], GRID, 1.0)


def test_masks_are_averaged() -> None:
    mask = torch.zeros(8, 8)
    mask[:, 4:] = 1.0
    assert mask_weights(mask, GRID).view(GRID)[2, 3].tolist() == [0, 0, 1, 1]
    moving = torch.stack((mask, mask, mask, mask.flip(1), mask.flip(1), mask.flip(1)))
    found = mask_weights(moving, (2, 4, 4)).view(2, 4, 4)
    assert found[0, 0].tolist() == [0, 0, 1, 1] and found[1, 0].tolist() == [1, 1, 0, 0]
    with pytest.raises(InputError, match="expected some white, got none"):
        mask_weights(torch.zeros(4, 4), GRID)
    with pytest.raises(InputError, match=r"from 0 to 1, got \(4, 4\)"):
        mask_weights(torch.full((4, 4), 2.0), GRID)


@pytest.mark.parametrize(
    ("box", "what"), [((0.5, 0.0, 0.5, 1.0), "0.5,0,0.5,1"), ((0.0, 0.0, 1.5, 1.0), "0,0,1.5,1")]
)
def test_boxes_that_are_none_are_refused(box: tuple[float, float, float, float], what: str) -> None:
    with pytest.raises(InputError, match=f"got {what} from 0 s to inf s"):
        Region(left=box[0], top=box[1], right=box[2], bottom=box[3])
    with pytest.raises(ConfigError, match="expected a box and a grid, got 0"):
        region_weights([], GRID, 1.0)


def test_attention_inside_is_the_plain_one_and_outside_is_nothing() -> None:
    own, query = injection(), torch.randn(2, 2, 48, 8, generator=torch.Generator().manual_seed(1))
    weights = region_weights([Region(left=0.0, top=0.0, right=0.375, bottom=1.0)], GRID, 1.0)
    found, plain = own.with_regions(weights).attend(1, query), own.attend(1, query)
    assert found is not None and plain is not None
    assert not found[:, :, weights == 0].any()
    torch.testing.assert_close(found, plain * weights[:, None], rtol=1e-6, atol=1e-7)
    assert torch.equal(own.with_regions(weights).with_regions(None).attend(1, query), plain)
    half = own.with_regions(weights).with_scale(0.5).attend(1, query)
    assert half is not None
    torch.testing.assert_close(half, found * 0.5)
    assert own.with_regions(torch.zeros(48)).attend(0, query) is None
    with pytest.raises(ShapeError, match="expected 40 tokens .* got 48"):
        own.with_regions(weights).attend(0, query[:, :, :40])
    with pytest.raises(ShapeError, match="a finite weight >= 0"):
        own.with_regions(-weights)


def test_region_goes_with_a_table_of_strengths() -> None:
    weights = region_weights([Region(left=0.0, top=0.0, right=0.5, bottom=1.0)], GRID, 1.0)
    table = StrengthTable(timesteps=(900.0, 100.0), rows=((0.0, 0.0), (0.5, 0.5)))
    shaped = restrict(ShapedInjection(injection=injection(), table=table), weights)
    assert isinstance(shaped, ShapedInjection) and shaped.at(900.0) is None
    acting = shaped.at(100.0)
    query = torch.randn(1, 2, 48, 8, generator=torch.Generator().manual_seed(2))
    assert acting is not None and acting.region is not None
    found = acting.attend(0, query)
    assert found is not None and not found[:, :, weights == 0].any() and found[:, :, weights > 0].all()


def test_streams_refuse_regions() -> None:
    refuse_regions((), "Phantom")
    with pytest.raises(InputError, match="expected none for Phantom, got 1"):
        refuse_regions((Region(left=0, top=0, right=1, bottom=1),), "Phantom")


def test_tokens_outside_of_a_block_are_bit_equal_to_no_reference() -> None:
    """One cross-attention of a real transformer block, and two people in two halves of the picture."""
    config = WanConfig(
        dim=16,
        ffn_dim=16,
        num_heads=2,
        num_layers=1,
        in_channels=4,
        out_channels=4,
        text_dim=8,
        text_len=4,
        freq_dim=8,
    )
    torch.manual_seed(3)
    model = WanModel(config).requires_grad_(False)
    adapter = KeyValueAdapter(8, 16, 1).requires_grad_(False)
    for parameter in (*model.parameters(), *adapter.parameters()):
        torch.nn.init.normal_(parameter, std=0.4)
    left, right = (
        region_weights([Region(left=a, top=0.0, right=a + 0.5, bottom=1.0)], GRID, 1.0) for a in (0.0, 0.5)
    )
    first, second = (adapter.prepare(torch.randn(1, 3, 8), model.key_norms(), 2) for _ in range(2))
    attention = model.blocks[0].get_submodule("cross_attn")
    x, context = torch.randn(1, 48, 16), torch.randn(1, 4, 16)

    def run(*given: PreparedInjection) -> torch.Tensor:
        return attention(x, context, None, None, given, 0)

    plain, one = run(), run(first.with_regions(left))
    assert torch.equal(one[:, left == 0], plain[:, left == 0])
    assert not torch.isclose(one[:, left > 0], plain[:, left > 0]).all(dim=-1).any()
    both = run(first.with_regions(left), second.with_regions(right))
    assert torch.equal(both[:, left > 0], one[:, left > 0])
    torch.testing.assert_close(both[:, right > 0], run(second)[:, right > 0])
