"""3 x 3 convolutions of a picture with a quarter of the multiplications (Winograd's F(4 x 4, 3 x 3)).

Exact but for rounding: in float32 the relative error of a layer is 2e-6 to 4e-6 where the direct form's is 1e-6.
Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, arXiv 1509.09308 (the transforms).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

#: Outputs of a tile along one side, and inputs that it sees.
STEP, SIDE = 4, 6
#: Tiles that are worked on at once: few enough to stay in the processor's cache, enough to use a kernel well.
TILES = 128
#: Numbers of transformed kernels that are made at once; more output channels come in turns, but at least so many.
KERNEL_NUMBERS, LEAST_CHUNK = 2**22, 64

_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))

#: Writes rows of a picture, from the first number up to and without the second, into (rows, W, C).
Rows = Callable[[int, int, Tensor], None]
#: Gives several kernels for a range of output channels: (K, c', C, 3, 3), of any strides.
Kernels = Callable[[slice], Tensor]


class Goal(NamedTuple):
    """Where a convolution goes.

    picture: (H, W, C') of `padded_size`, of any strides.
    bias: (C'), added to the result, which overwrites the picture; None: the result is added to what the picture holds.
    """

    picture: Tensor
    bias: Tensor | None


class Winograd:
    """Convolves with working memory that later calls use again."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}
        self._input, self._kernel, self._output = (
            torch.kron(m, m)
            for m in (torch.tensor(rows, dtype=torch.float32) for rows in (_INPUT, _KERNEL, _OUTPUT))
        )

    def convolve(
        self, rows: Rows, size: tuple[int, int, int], kernels: Kernels, goals: Sequence[Goal]
    ) -> None:
        """Convolve one picture, float32, with several kernels, with one zero of padding around it.

        Args:
            rows: the picture, which a goal may overwrite.   size: its height, width and channels.
            goals: one for each kernel.
        """
        height, width, channels = size
        made, count = goals[0].picture.shape[2], len(goals)
        chunk = max(LEAST_CHUNK, KERNEL_NUMBERS // (SIDE * SIDE * count * channels) // 32 * 32)
        if made > chunk:
            whole = goals[0].picture.new_empty(size)
            rows(0, height, whole)
            rows = plain_rows(whole)
        high, wide = (-(-side // STEP) for side in (height, width))
        band = max(1, TILES // wide)
        padded = self._buffer("padded", STEP * band + 2, STEP * wide + 2, channels)
        padded[:, 0], padded[:, 1 + width :] = 0, 0
        for start in range(0, made, chunk):
            some = slice(start, min(start + chunk, made))
            kernel = self._transform(kernels(some))
            for first in range(0, high, band):
                tiles = min(band, high - first)
                self._fill(padded, rows, (height, width), (STEP * first - 1, STEP * tiles + 2))
                result = self._tiles(padded, kernel, tiles, wide, count)
                for number, (picture, bias) in enumerate(goals):
                    place = picture[STEP * first : STEP * (first + tiles), :, some]
                    place = place.unflatten(1, (wide, STEP)).unflatten(0, (tiles, STEP))
                    if bias is None:
                        place += result[..., number, :]
                    else:
                        torch.add(result[..., number, :], bias[some], out=place)

    def _fill(self, padded: Tensor, rows: Rows, size: tuple[int, int], span: tuple[int, int]) -> None:
        """Bring rows into the band (start and count), zeros for those outside the picture.

        The first two are those that the band before had last: in the picture they may be overwritten by now.
        """
        (height, width), (start, count) = size, span
        if start < 0:
            padded[0] = 0
        else:
            padded[:2] = padded[-2:]
        low, high = max(start + 2, 0) if start >= 0 else 0, min(start + count, height)
        padded[high - start : count] = 0
        rows(low, high, padded[low - start : high - start, 1 : 1 + width])

    def _tiles(self, padded: Tensor, kernel: Tensor, high: int, wide: int, count: int) -> Tensor:
        """A band of tiles, convolved: (high, STEP, wide, STEP, K, C')."""
        channels, tiles = padded.shape[2], high * wide
        down, right, _ = padded.stride()
        size, stride = (SIDE, SIDE, high, wide, channels), (down, right, STEP * down, STEP * right, 1)
        cut = self._buffer("tiles", SIDE * SIDE, tiles * channels)
        cut.view(size).copy_(padded.as_strided(size, stride))
        seen = torch.mm(self._input, cut, out=self._buffer("seen", SIDE * SIDE, tiles * channels))
        mixed = self._buffer("mixed", SIDE * SIDE, tiles, kernel.shape[1])
        torch.bmm(seen.view(-1, tiles, channels), kernel.transpose(1, 2), out=mixed)
        made = self._buffer("tiles", STEP * STEP, tiles * kernel.shape[1])
        torch.mm(self._output, mixed.flatten(1), out=made)
        return made.view(STEP, STEP, high, wide, count, -1).permute(2, 0, 3, 1, 4, 5)

    def _transform(self, kernels: Tensor) -> Tensor:
        """(K, c', C, 3, 3) to (36, K c', C)."""
        count, made, channels = kernels.shape[:3]
        flat = self._buffer("mixed", 9, count * made * channels)
        flat.view(3, 3, count, made, channels).copy_(kernels.permute(3, 4, 0, 1, 2))
        kernel = self._buffer("kernel", SIDE * SIDE, count * made * channels)
        return torch.mm(self._kernel, flat, out=kernel).view(-1, count * made, channels)

    def _buffer(self, name: str, *shape: int) -> Tensor:
        """Memory for a purpose, with anything in it."""
        length = math.prod(shape)
        if name not in self._buffers or self._buffers[name].numel() < length:
            self._buffers[name] = torch.empty(length)
        return self._buffers[name][:length].view(shape)


def plain_rows(picture: Tensor) -> Rows:
    """Rows of a picture (H, W, C) as they are."""

    def write(low: int, high: int, out: Tensor) -> None:
        out.copy_(picture[low:high])

    return write


def padded_size(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width, rounded up to whole tiles."""
    height, width = (-(-side // STEP) * STEP for side in size)
    return height, width
