"""A table of strengths as a picture: steps from left to right, blocks from top to bottom."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .strength import StrengthTable

#: Colours of 0, of 1 (as trained) and of `TOP` and more.
_OFF, _TRAINED, _MORE = (24, 26, 38), (72, 168, 160), (255, 214, 64)
TOP = 2.0


def draw_table(table: StrengthTable, width: int = 480, height: int = 320) -> NDArray[np.uint8]:
    """Draw the factors: dark is off, green as trained, yellow twice as strong or more.

    Args:
        table: of one subject.   width, height: pixels; every step and block is at least one pixel.
    Returns:
        (height, width, 3) uint8 RGB, taller or wider where there are more blocks or steps than pixels.
    """
    factors = np.array(table.rows, dtype=np.float64).T
    low, high = (
        np.clip(factors, 0.0, 1.0)[..., None],
        np.clip((factors - 1.0) / (TOP - 1.0), 0.0, 1.0)[..., None],
    )
    off, trained, more = (np.array(colour, dtype=np.float64) for colour in (_OFF, _TRAINED, _MORE))
    cells = off + low * (trained - off) + high * (more - trained)
    rows = np.arange(max(height, cells.shape[0])) * cells.shape[0] // max(height, cells.shape[0])
    columns = np.arange(max(width, cells.shape[1])) * cells.shape[1] // max(width, cells.shape[1])
    return np.rint(cells[rows][:, columns]).astype(np.uint8)
