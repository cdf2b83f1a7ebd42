"""Where do the elements that share a scale lie in memory?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from qviz.core.arrays import Counts, FloatArray
from qviz.core.frozen import frozen
from qviz.core.tensors.mapped_values import FlatValues, Source, as_float32, box_of

Flat = FloatArray | FlatValues

BLOCK = 1 << 18
"""Elements a block: fits the cache, and keeps two threads quicker than one."""


Block = tuple[slice, slice, slice]


@frozen
class Layout:
    """A C-ordered tensor seen as ``(outer, groups, inner)``: one scale a group.

    ``PerTensor`` is ``(1, 1, n)``; ``PerAxis(k)`` is the axes before ``k``, the axis,
    and the axes behind it.
    """

    outer: int
    groups: int
    inner: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.outer, self.groups, self.inner

    @property
    def ragged(self) -> bool:
        """Whether some groups are shorter than the others, so that what is taken ends in NaN."""
        return False

    def blocks(self, elements: int) -> Iterator[Block]:
        """Consecutive pieces of about ``elements`` elements, each contiguous in memory.

        Walking them in order visits the flat tensor from its first element to its last.
        """
        if self.inner >= elements:
            for o in range(self.outer):
                for g in range(self.groups):
                    for i in range(0, self.inner, elements):
                        yield slice(o, o + 1), slice(g, g + 1), slice(i, min(i + elements, self.inner))
        elif self.groups * self.inner >= elements:
            step = max(1, elements // self.inner)
            for o in range(self.outer):
                for g in range(0, self.groups, step):
                    yield slice(o, o + 1), slice(g, min(g + step, self.groups)), slice(0, self.inner)
        else:
            step = max(1, elements // (self.groups * self.inner))
            for o in range(0, self.outer, step):
                yield slice(o, min(o + step, self.outer)), slice(0, self.groups), slice(0, self.inner)

    def take(self, values: Flat, block: Block) -> FloatArray:
        """One of the `blocks` as an array of three axes; not to be written to."""
        outer, groups, inner = block
        start = (outer.start * self.groups + groups.start) * self.inner + inner.start
        shape = tuple(part.stop - part.start for part in block)
        return values[start : start + math.prod(shape)].reshape(shape)

    def runs(self, block: Block, taken: FloatArray) -> Iterator[tuple[int, FloatArray]]:
        """What was taken, as it lies in memory: flat pieces and where each starts."""
        outer, groups, inner = block
        yield (outer.start * self.groups + groups.start) * self.inner + inner.start, taken.reshape(-1)

    def group_of(self, index: Any) -> Any:
        """The group that the elements at flat ``index`` belong to."""
        return np.asarray(index) // self.inner % self.groups

    def sizes(self) -> Counts:
        """The elements of each group, shape (groups,)."""
        return np.full(self.groups, self.outer * self.inner)

    def gather(self, source: Source, first: int, last: int) -> FloatArray:
        """Some neighbouring groups of a flat source of any real type, shape (outer, last - first, inner)."""
        return as_float32(box_of(source, self.shape, (slice(None), slice(first, last))))


@frozen
class BlockLayout(Layout):
    """Blocks of ``inner`` neighbours along one axis that do not lie in one piece: one scale a block.

    The tensor is ``(before, length, after)``; its blocks are numbered as an array of shape
    ``(before, ceil(length / inner), after)`` in C order. What is taken of the last block of a
    ragged axis is filled up with NaN.
    """

    before: int
    length: int
    after: int

    @property
    def ragged(self) -> bool:
        return bool(self.length % self.inner)

    @property
    def _along(self) -> int:
        return -(-self.length // self.inner)

    def blocks(self, elements: int) -> Iterator[Block]:
        """Pieces of about ``elements`` elements: rows of the tensor, or blocks of one row, or a part of them."""
        whole = self._along * self.after
        if whole * self.inner <= elements:
            step = whole * (elements // (whole * self.inner))
        elif self.after * self.inner <= elements:
            step = self.after * (elements // (self.after * self.inner))
        else:
            step = max(1, elements // self.inner)
        limit = self.groups if step >= whole else whole if step >= self.after else self.after
        for row in range(0, self.groups, limit):
            for start in range(row, row + limit, step):
                yield slice(0, 1), slice(start, min(start + step, row + limit)), slice(0, self.inner)

    def take(self, values: Flat, block: Block) -> FloatArray:
        parts = [values[start:stop] for start, stop in self._pieces(block[1])]
        rows, columns = self._rows(block[1])
        flat = parts[0] if len(parts) == 1 else np.concatenate(parts)
        piece = flat.reshape(rows, -1, columns)
        along = -(-piece.shape[1] // self.inner)
        missing = along * self.inner - piece.shape[1]
        if missing:
            piece = np.concatenate((piece, np.full((rows, missing, columns), np.nan, np.float32)), axis=1)
        taken = piece.reshape(rows, along, self.inner, columns).swapaxes(2, 3)
        return np.ascontiguousarray(taken).reshape(1, -1, self.inner)

    def runs(self, block: Block, taken: FloatArray) -> Iterator[tuple[int, FloatArray]]:
        pieces = self._pieces(block[1])
        rows, columns = self._rows(block[1])
        whole = taken.reshape(rows, -1, columns, self.inner).swapaxes(2, 3).reshape(rows, -1, columns)
        elements = sum(stop - start for start, stop in pieces)
        flat = np.ascontiguousarray(whole[:, : elements // (rows * columns)]).reshape(-1)
        done = 0
        for start, stop in pieces:
            yield start, flat[done : done + stop - start]
            done += stop - start

    def _rows(self, groups: slice) -> tuple[int, int]:
        """How many rows of the tensor a piece covers, and how many columns of them."""
        whole, some = self._along * self.after, groups.stop - groups.start
        return max(1, some // whole), min(self.after, some)

    def _pieces(self, groups: slice) -> list[tuple[int, int]]:
        """The stretches of memory that one of the `blocks` lies in."""
        row, rest = divmod(groups.start, self._along * self.after)
        block, column = divmod(rest, self.after)
        rows, columns = self._rows(groups)
        start = (row * self.length + block * self.inner) * self.after
        if rows > 1 or groups.stop - groups.start == self._along * self.after:
            return [(start, start + rows * self.length * self.after)]
        along = -(-(groups.stop - groups.start) // self.after)
        length = min(along * self.inner, self.length - block * self.inner)
        if columns == self.after:
            return [(start, start + length * self.after)]
        return [(start + i * self.after + column, start + i * self.after + column + columns) for i in range(length)]

    def group_of(self, index: Any) -> Any:
        where = np.asarray(index)
        row, rest = np.divmod(where, self.length * self.after)
        along, column = np.divmod(rest, self.after)
        return (row * self._along + along // self.inner) * self.after + column

    def sizes(self) -> Counts:
        whole = np.full((self.before, self._along, self.after), self.inner)
        whole[:, -1] = self.length - (self._along - 1) * self.inner
        return whole.reshape(-1)

    def gather(self, source: Source, first: int, last: int) -> FloatArray:
        row, rest = np.divmod(np.arange(first, last), self._along * self.after)
        block, column = np.divmod(rest, self.after)
        along = block[:, None] * self.inner + np.arange(self.inner)
        inside = along < self.length
        where = (row[:, None] * self.length + np.where(inside, along, 0)) * self.after + column[:, None]
        return np.where(inside, as_float32(source[where]), np.float32(np.nan))[None]


@frozen
class TileLayout(Layout):
    """Rectangles of ``tall`` rows and ``wide`` columns of the last two axes: one scale a tile.

    The tensor is ``(before, height, width)``; its tiles are numbered as an array of shape
    ``(before, ceil(height / tall), ceil(width / wide))`` in C order. ``inner`` is ``tall * wide``; what is taken of
    tiles at the edges is filled up with NaN.
    """

    before: int
    height: int
    width: int
    tall: int
    wide: int

    @property
    def ragged(self) -> bool:
        return bool(self.height % self.tall or self.width % self.wide)

    @property
    def along(self) -> int:
        """Tiles beside each other."""
        return -(-self.width // self.wide)

    @property
    def down(self) -> int:
        """Tiles below each other."""
        return -(-self.height // self.tall)

    def blocks(self, elements: int) -> Iterator[Block]:
        """Pieces of about ``elements`` elements: bands of tiles, or a part of one band."""
        bands = elements // (self.along * self.inner)
        # Where bands end in a shorter one, a piece holds no other.
        most = self.down - bool(self.height % self.tall)
        step = max(1, min(bands, most)) * self.along if bands else max(1, elements // self.inner)
        for matrix in range(0, self.groups, self.along * self.down):
            for start, stop in ((0, most), (most, self.down)):
                limit = self.along * (stop - start) if bands else self.along
                for first in range(matrix + start * self.along, matrix + stop * self.along, max(1, limit)):
                    for at in range(first, first + limit, step):
                        yield slice(0, 1), slice(at, min(at + step, first + limit)), slice(0, self.inner)

    def _piece(self, groups: slice) -> tuple[int, int, int, int, int]:
        """Of one of the `blocks`: its first element, how many bands, rows of each, columns, and tiles beside."""
        band, tile = divmod(groups.start, self.along)
        matrix, below = divmod(band, self.down)
        tiles = groups.stop - groups.start
        bands, beside = (tiles // self.along, self.along) if tiles >= self.along else (1, tiles)
        rows = min(self.tall, self.height - below * self.tall)
        columns = min(beside * self.wide, self.width - tile * self.wide)
        start = (matrix * self.height + below * self.tall) * self.width + tile * self.wide
        return start, bands, rows, columns, beside

    def take(self, values: Flat, block: Block) -> FloatArray:
        start, bands, rows, columns, beside = self._piece(block[1])
        if columns == self.width:
            flat = values[start : start + bands * rows * self.width]
        else:
            lines = range(start, start + rows * self.width, self.width)
            flat = np.concatenate([values[line : line + columns] for line in lines])
        piece = flat.reshape(bands, rows, columns)
        if rows < self.tall or columns < beside * self.wide:
            whole = np.full((bands, self.tall, beside * self.wide), np.nan, np.float32)
            whole[:, :rows, :columns] = piece
            piece = whole
        taken = piece.reshape(bands, self.tall, beside, self.wide).swapaxes(1, 2)
        return np.ascontiguousarray(taken).reshape(1, -1, self.inner)

    def runs(self, block: Block, taken: FloatArray) -> Iterator[tuple[int, FloatArray]]:
        start, bands, rows, columns, beside = self._piece(block[1])
        whole = taken.reshape(bands, beside, self.tall, self.wide).swapaxes(1, 2)
        lines = whole.reshape(bands, self.tall, beside * self.wide)[:, :rows, :columns]
        if columns == self.width:
            yield start, np.ascontiguousarray(lines).reshape(-1)
            return
        for row in range(rows):
            yield start + row * self.width, np.ascontiguousarray(lines[0, row])

    def group_of(self, index: Any) -> Any:
        row, column = np.divmod(np.asarray(index), self.width)
        matrix, below = np.divmod(row, self.height)
        return (matrix * self.down + below // self.tall) * self.along + column // self.wide

    def sizes(self) -> Counts:
        tall, wide = np.full(self.down, self.tall), np.full(self.along, self.wide)
        tall[-1] = self.height - (self.down - 1) * self.tall
        wide[-1] = self.width - (self.along - 1) * self.wide
        return np.tile(np.outer(tall, wide).reshape(-1), self.before)

    def gather(self, source: Source, first: int, last: int) -> FloatArray:
        band, tile = np.divmod(np.arange(first, last), self.along)
        matrix, below = np.divmod(band, self.down)
        rows = below[:, None] * self.tall + np.arange(self.tall)
        columns = tile[:, None] * self.wide + np.arange(self.wide)
        inside = (rows < self.height)[:, :, None] & (columns < self.width)[:, None, :]
        lines = (matrix[:, None] * self.height + rows) * self.width
        where = np.where(inside, lines[:, :, None] + columns[:, None, :], 0).reshape(last - first, -1)
        values = as_float32(source[where.reshape(-1)]).reshape(where.shape)
        return np.where(inside.reshape(where.shape), values, np.float32(np.nan))[None]
