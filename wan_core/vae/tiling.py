"""Pictures in tiles: which span every layer of a chain must see so that a tile comes out as if there were no tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ConfigError
from .layers import LocalLayer, Span
from .stream import Stream

#: Runs layers on a part of a picture, with the memory of its tile and the places that its layers see.
Step = Callable[[Tensor, Stream, "Sequence[Place] | None"], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """Work on large pictures piece by piece.

    size: height and width of a tile in video pixels; a multiple of the codec's spatial stride (checked by the codec).

    Every layer sees a tile with as much around it as its kernels reach and nothing is blended: results differ from the
    untiled ones by rounding only. Attention, which sees the whole picture, runs untiled at the size of the latents.

    Raises: ConfigError: not positive.
    """

    size: int = 256

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(
                f"tiling: expected a positive size, got {self.size}. Give the side of a tile in pixels, e.g. 256."
            )

    def spans(self, length: int, unit: int) -> list[Span]:
        """Cut `length` rows or columns of `unit` video pixels each.

        Raises: ConfigError: the tile is not a whole number of units.
        """
        if self.size % unit:
            raise ConfigError(
                f"tiling: expected a size that is a multiple of {unit}, got {self.size}. Round it to that grid."
            )
        step = self.size // unit
        return [Span(start, min(start + step, length)) for start in range(0, length, step)]


@dataclass(frozen=True, slots=True)
class Place:
    """A rectangle of a picture."""

    rows: Span
    columns: Span

    def of(self, x: Tensor, within: Place | None = None) -> Tensor:
        """Cut the rectangle out of x (..., H, W), which shows all of the picture or the rectangle `within` of it."""
        top, left = (within.rows.start, within.columns.start) if within else (0, 0)
        rows, columns = self.rows, self.columns
        return x[..., rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


class Chain:
    """Local layers in order, run on a whole picture or on a tile of it."""

    def __init__(self, layers: Sequence[LocalLayer]) -> None:
        self.layers = tuple(layers)

    def scale(self, span: Span) -> Span:
        """A span of the input in the picture that comes out."""
        for layer in self.layers:
            span = span.times(layer.up, layer.down)
        return span

    def places(self, place: Place, height: int, width: int) -> list[Place]:
        """What each layer must be given for a place of the output, and that place last.

        Args: place: in the output.   height, width: of the input.
        """
        rows = self._spans(place.rows, height)
        columns = self._spans(place.columns, width)
        return [Place(r, c) for r, c in zip(rows, columns, strict=True)]

    def _spans(self, span: Span, size: int) -> list[Span]:
        sizes = [size]
        for layer in self.layers:
            sizes.append(sizes[-1] * layer.up // layer.down)
        spans = [span]
        for layer, own_size in zip(reversed(self.layers), reversed(sizes[:-1]), strict=True):
            spans.append(layer.needs(spans[-1]).clamp(own_size))
        return spans[::-1]

    def run(self, x: Tensor, stream: Stream, places: Sequence[Place] | None) -> Tensor:
        """Run the layers on (B, C, T, H, W).

        Args: places: as `places` gives them, for an x cut to the first of them; None for whole pictures.
        """
        for number in range(len(self.layers)):
            x = self._layer(number, x, stream, places)
        return x

    def unfold(
        self, x: Tensor, stream: Stream, places: Sequence[Place] | None, start: int = 0
    ) -> list[Tensor]:
        """As `run` from layer `start` on, where layers double the number of frames but of a clip's first.

        Every frame that a layer makes goes through what follows before the next one, as far as the stream wants it.
        Returns: the output in portions.
        """
        for number in range(start, len(self.layers)):
            x = self._layer(number, x, stream, places)
            if not self.layers[number].changes_time:
                continue
            is_last = not any(layer.changes_time for layer in self.layers[number + 1 :])
            after, results, left = stream.following, list[Tensor](), x.shape[2]
            for piece in stream.pieces(x, is_large=is_last):
                left -= piece.shape[2]
                stream.following = None if after is None else 2 * after + left
                results += self.unfold(piece, stream, places, number + 1)
            return results
        return [x]

    def _layer(self, number: int, x: Tensor, stream: Stream, places: Sequence[Place] | None) -> Tensor:
        layer = self.layers[number]
        x = layer(x, stream)
        if places is None:
            return x
        before, after = places[number], places[number + 1]
        held = Place(before.rows.times(layer.up, layer.down), before.columns.times(layer.up, layer.down))
        return after.of(x, held)


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile and what its layers remember. places: as `Chain.places`; None for a whole picture."""

    stream: Stream
    places: list[Place] | None = None

    def cut(self, x: Tensor, scale: int) -> Tensor:
        """Cut the tile's input out of x (..., H, W), `scale` times as large as what the chain is given."""
        if self.places is None:
            return x
        first = self.places[0]
        return Place(first.rows.times(scale), first.columns.times(scale)).of(x)

    def paste(self, part: Tensor, whole: Tensor | None, height: int, width: int) -> Tensor:
        """Put the tile's output into the picture of `height` x `width`, made if it is None."""
        if self.places is None:
            return part
        if whole is None:
            whole = part.new_empty((*part.shape[:-2], height, width))
        self.places[-1].of(whole).copy_(part)
        return whole


class Tiles:
    """All tiles of a picture, through the pieces of a clip.

    Args:
        chain: the layers.   height, width: of what the chain is given.
        tiling: None for one tile, the whole picture.   unit: video pixels along a side of an output pixel.
        stream: fresh; every tile gets a twin of it.
    Raises: ConfigError: the tile is no multiple of `unit`.
    """

    def __init__(
        self, chain: Chain, height: int, width: int, tiling: Tiling | None, unit: int, stream: Stream
    ) -> None:
        self._height, self._width = (chain.scale(Span(0, side)).stop for side in (height, width))
        self._is_whole = tiling is None
        if tiling is None:
            self._tiles = [Tile(stream.twin())]
            return
        self._tiles = [
            Tile(stream.twin(), chain.places(Place(rows, columns), height, width))
            for rows in tiling.spans(self._height, unit)
            for columns in tiling.spans(self._width, unit)
        ]

    def run(
        self,
        step: Step,
        pieces: Sequence[Tensor],
        device: torch.device,
        scale: int,
        *,
        keep: bool,
        following: int | None = None,
    ) -> list[Tensor]:
        """Run pieces of a clip through every tile, one tile after the other.

        Args:
            step: runs the chain's layers on what was cut out of a piece.   pieces: (B, C, T, H, W) each.
            device: where the layers are.   scale: pixels of a piece along a side of what the chain is given.
            keep: more pieces will follow; what tiles remember waits on the CPU.
            following: how many, where that is known and pieces are single frames.
        Returns: the result of each piece.
        """
        results: list[Tensor | None] = [None] * len(pieces)
        for tile in self._tiles:
            tile.stream.move_memory(device)
            for number, piece in enumerate(pieces):
                if following is not None:
                    tile.stream.following = following + len(pieces) - 1 - number
                part = step(tile.cut(piece, scale), tile.stream, tile.places)
                results[number] = tile.paste(part, results[number], self._height, self._width)
                tile.stream.advance()
            if not keep:
                tile.stream.forget()
            elif not self._is_whole:
                tile.stream.move_memory("cpu")
        return [result for result in results if result is not None]
