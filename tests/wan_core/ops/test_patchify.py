from __future__ import annotations

import pytest
import torch
from tiny_dit import normal

from wan_core.errors import ShapeError
from wan_core.ops.patchify import patch_grid, unpatchify


def test_grid_counts_patches() -> None:
    assert patch_grid((5, 8, 6), (1, 2, 2)) == (5, 4, 3)
    assert patch_grid((9,), (1,)) == (9,)


@pytest.mark.parametrize("sizes", [(5, 7, 6), (5, 8), (0, 8, 6), (5, 8, 6, 1)])
def test_grid_refuses_what_does_not_divide(sizes: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"latents: expected 3 axes .* patch \(1, 2, 2\), got"):
        patch_grid(sizes, (1, 2, 2))


def test_unpatchify_puts_every_value_in_its_place() -> None:
    grid, patch, channels = (2, 2, 3), (1, 2, 2), 3
    video = normal(2, channels, 2, 4, 6)
    tokens = torch.empty(2, 12, 4 * channels)
    for f in range(2):
        for y in range(4):
            for x in range(6):
                token = f * 6 + y // 2 * 3 + x // 2
                start = (y % 2 * 2 + x % 2) * channels
                tokens[:, token, start : start + channels] = video[:, :, f, y, x]
    assert torch.equal(unpatchify(tokens, grid, patch), video)


def test_unpatchify_of_a_sequence_swaps_axes() -> None:
    tokens = normal(2, 7, 3)
    assert torch.equal(unpatchify(tokens, (7,), (1,)), tokens.transpose(1, 2))
