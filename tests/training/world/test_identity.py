from __future__ import annotations

import pytest
import torch

from training.world.identity import (
    BINARY_FACTORS,
    CLOTHING_FACTORS,
    FACTOR_NAMES,
    HAIR_STYLES,
    IdentityBatch,
    face_factors,
    factor_indices,
    sample_identities,
)
from wan_core.errors import ShapeError


def test_factors_lie_in_range_and_binary_ones_are_binary():
    people = sample_identities(500, torch.Generator().manual_seed(1))
    assert people.factors.shape == (500, len(FACTOR_NAMES))
    assert people.factors.abs().max() <= 1.0
    for name in BINARY_FACTORS:
        assert set(people.column(name).tolist()) == {-1.0, 1.0}


def test_each_person_has_exactly_one_hair_style_and_all_styles_occur():
    people = sample_identities(300, torch.Generator().manual_seed(2))
    styles = people.factors[:, factor_indices([f"style_{name}" for name in HAIR_STYLES])]
    assert torch.equal((styles > 0).sum(dim=1), torch.ones(300, dtype=torch.long))
    assert (styles > 0).any(dim=0).all()


def test_details_are_zero_where_nothing_shows_them():
    people = sample_identities(300, torch.Generator().manual_seed(3))
    assert (people.column("glasses_shape")[people.column("glasses") < 0] == 0).all()
    assert (people.column("beard_amount")[people.column("beard") < 0] == 0).all()


def test_factors_are_independent_and_hair_is_often_dark():
    people = sample_identities(4000, torch.Generator().manual_seed(4))
    free = [name for name in FACTOR_NAMES if not name.startswith(("style_", "hair_"))]
    table = torch.corrcoef(people.factors[:, factor_indices(free)].T) - torch.eye(len(free))
    assert table.abs().max() < 0.08
    assert 0.3 < (people.column("hair_red") < -0.5).float().mean() < 0.7


def test_same_seed_same_people_other_seed_other_people():
    first, again, other = (sample_identities(4, torch.Generator().manual_seed(s)).factors for s in (5, 5, 6))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_select_replace_and_concatenate():
    people = sample_identities(3, torch.Generator().manual_seed(7))
    changed = people.replace("glasses", 1.0)
    assert (changed.column("glasses") == 1).all()
    assert torch.equal(changed.select(torch.tensor([2, 0])).factors[1], changed.factors[0])
    assert len(IdentityBatch.concatenate([people, changed])) == 6


def test_clothing_is_no_part_of_the_face():
    assert not set(face_factors()) & set(CLOTHING_FACTORS)
    assert set(face_factors()) | set(CLOTHING_FACTORS) == set(FACTOR_NAMES)


def test_wrong_width_is_refused():
    with pytest.raises(ShapeError, match=r"expected \(N, 32\), got \(2, 5\)"):
        IdentityBatch(torch.zeros(2, 5))
