from __future__ import annotations

import numpy as np

from wan_core.identity.strength import Strength, resolve_strength
from wan_core.identity.strength_picture import draw_table


def test_every_cell_has_the_colour_of_its_factor() -> None:
    strength = Strength(scale=2.0, steps=((0.0, 0.0), (1.0, 1.0)), layers=((0.0, 1.0), (1.0, 0.5)))
    table = resolve_strength(strength, [1.0, 0.5, 0.2], 2)
    picture = draw_table(table, 30, 20)
    assert picture.shape == (20, 30, 3) and picture.dtype == np.uint8
    # steps left to right: factors 0, 1, 2 in the first block, half of it in the second
    assert picture[0, 0].tolist() == picture[19, 9].tolist() == [24, 26, 38]
    assert picture[0, 10].tolist() == picture[19, 29].tolist() == [72, 168, 160]
    assert picture[9, 29].tolist() == [255, 214, 64]
    assert picture[10, 10].tolist() == [48, 97, 99]


def test_more_steps_than_pixels_are_all_shown() -> None:
    table = resolve_strength(Strength(), [1.0 - i / 60 for i in range(50)], 40)
    assert draw_table(table, 10, 10).shape == (40, 50, 3)
