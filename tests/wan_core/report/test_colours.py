from __future__ import annotations

import pytest
import torch

from wan_core.report.colours import compare_colours


def test_colours_of_zones() -> None:
    red, blue = torch.tensor([1.0, -1.0, -1.0]), torch.tensor([-1.0, -1.0, 1.0])
    same = compare_colours(red[:, None, None].expand(3, 64, 64), red[:, None, None].expand(3, 64, 64))
    assert set(same) == {"hair", "skin", "clothes"}
    assert all(match.difference == pytest.approx(0, abs=1e-3) for match in same.values())
    face = red[:, None, None].repeat(1, 64, 64)
    face[:, 55:] = blue[:, None, None]
    match = compare_colours(face, red[:, None, None].expand(3, 64, 64))
    assert match["clothes"].reference == (0, 0, 255)
    assert match["clothes"].clip == (255, 0, 0)
    # CIE 1976 distance of the sRGB primaries red and blue.
    assert match["clothes"].difference == pytest.approx(176.3, abs=1)
    assert match["hair"].difference == pytest.approx(0, abs=1e-3)
