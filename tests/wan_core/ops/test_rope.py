from __future__ import annotations

import math

import pytest
import torch
from tiny_dit import normal

from wan_core.ops import rope
from wan_core.ops.rope import apply_rope, axis_dims, grid_positions, rope_table, sequence_positions


@pytest.mark.parametrize(
    ("head_dim", "expected"), [(128, (22, 21, 21)), (24, (4, 4, 4)), (12, (2, 2, 2)), (40, (8, 6, 6))]
)
def test_pairs_are_divided_as_upstream(head_dim: int, expected: tuple[int, int, int]) -> None:
    assert axis_dims(head_dim) == expected


def test_rotation_equals_a_loop_over_pairs() -> None:
    frames, height, width, head_dim = 2, 3, 2, 16
    x = normal(1, 1, frames * height * width, head_dim)
    rotated = apply_rope(x, rope_table(grid_positions(frames, height, width), head_dim))
    pairs = axis_dims(head_dim)
    for token in range(frames * height * width):
        place = (token // (height * width), token // width % height, token % width)
        pair = 0
        for axis, count in enumerate(pairs):
            for i in range(count):
                angle = place[axis] * 10000 ** (-i / count)
                a, b = (float(x[0, 0, token, 2 * pair + n]) for n in (0, 1))
                expected = (
                    a * math.cos(angle) - b * math.sin(angle),
                    a * math.sin(angle) + b * math.cos(angle),
                )
                assert rotated[0, 0, token, 2 * pair : 2 * pair + 2].tolist() == pytest.approx(
                    expected, abs=1e-5
                )
                pair += 1
        assert pair == head_dim // 2


def test_scores_depend_on_distance_only() -> None:
    query, key = normal(1, 1, 1, 24), normal(1, 1, 1, 24, seed=2)

    def score(a: list[float], b: list[float]) -> float:
        first = apply_rope(query, rope_table(torch.tensor([a], dtype=torch.float64), 24))
        second = apply_rope(key, rope_table(torch.tensor([b], dtype=torch.float64), 24))
        return float((first * second).sum())

    assert score([5.0, 2.0, 3.0], [3.5, 4.0, 1.0]) == pytest.approx(
        score([1.5, -2.0, 2.0], [0.0, 0.0, 0.0]), abs=1e-4
    )
    assert score([5.0, 2.0, 3.0], [3.5, 4.0, 1.0]) != pytest.approx(
        score([0.0, 0.0, 0.0], [0.0, 0.0, 0.0]), abs=1e-2
    )


def test_sound_turns_the_time_pairs_only() -> None:
    x = normal(1, 2, 5, 24)
    positions = sequence_positions(5, scale=0.5, offset=0.25)
    assert positions[:, 0].tolist() == [0.25, 0.75, 1.25, 1.75, 2.25]
    rotated = apply_rope(x, rope_table(positions, 24))
    time = 2 * axis_dims(24)[0]
    assert torch.equal(rotated[..., time:], x[..., time:])
    assert not torch.allclose(rotated[..., :time], x[..., :time], atol=1e-2)


def test_a_stream_number_turns_every_pair_further() -> None:
    positions = grid_positions(1, 2, 2)
    numbered = torch.nn.functional.pad(positions, (0, 1), value=3.0)
    plain, turned = rope_table(positions, 16), rope_table(numbered, 16)
    extra = torch.exp(1j * torch.tensor([3.0 * 10000 ** (-2 * d / 16) for d in range(8)]))
    expected = torch.view_as_complex(plain) * extra
    assert torch.allclose(torch.view_as_complex(turned), expected, atol=1e-6)
    unnumbered = torch.nn.functional.pad(positions, (0, 1))
    assert torch.equal(rope_table(unnumbered, 16), plain)


def test_dtype_is_kept_and_the_compiled_form_agrees() -> None:
    x, table = normal(1, 2, 6, 16), rope_table(grid_positions(1, 2, 3), 16)
    assert apply_rope(x.bfloat16(), table).dtype == torch.bfloat16
    compiled = torch.compile(apply_rope, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(x, table), apply_rope(x, table), atol=1e-6)


@pytest.mark.parametrize("overwrite", [False, True])
@torch.no_grad()
def test_tiles_of_a_half_equal_the_whole(monkeypatch: pytest.MonkeyPatch, overwrite: bool) -> None:
    x, table = normal(2, 7, 48).view(2, 7, 2, 24).transpose(1, 2), rope_table(sequence_positions(7), 24)
    expected = apply_rope(x, table).bfloat16()
    monkeypatch.setattr(rope, "TILE_TOKENS", 3)
    found = apply_rope(x.clone(), table, torch.bfloat16, overwrite=overwrite)
    assert found.dtype == torch.bfloat16 and found.stride() == x.stride() and torch.equal(found, expected)
