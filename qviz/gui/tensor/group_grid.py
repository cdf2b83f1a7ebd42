"""Where does each group stand in an image of all of them, and which cells share a pixel?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.tensors.granularity import PerBlock, PerTile, PerToken

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

STRIP = 64
"""A list of up to so many groups is one row; a longer one is wrapped, or its cells would be hair-thin."""


@frozen
class Grid:
    """The groups as rows and columns: blocks beside each other where they are neighbours in the tensor.

    The array of scales is ``(before, along, after)``, with the blocks of one row ``along``. A mere
    list of groups is ``wrapped`` into rows.
    """

    before: int
    along: int
    after: int
    wrapped: bool = False

    @classmethod
    def of(cls, analysis: Analysis) -> Grid:
        granularity, shape = analysis.scheme.granularity, analysis.tensor.shape
        scales = granularity.scale_shape(shape)
        before, along, after = 1, math.prod(scales), 1
        if isinstance(granularity, PerBlock):
            axis = granularity.resolve(shape)
            before, along, after = math.prod(scales[:axis]), scales[axis], math.prod(scales[axis + 1 :])
        elif isinstance(granularity, PerTile):
            before, along = math.prod(scales[:-1]), scales[-1]
        elif isinstance(granularity, PerToken):
            before, along = math.prod(scales[:-2]), scales[-2] if len(scales) > 1 else 1
        rows = before * after
        if 1 in (rows, along):  # a list
            count = rows * along
            wide = count if count <= STRIP else 2 ** math.ceil(math.log2(math.sqrt(2 * count)))
            return cls(count, min(wide, count), 1, wrapped=True)
        return cls(before, along, after)

    @property
    def columns(self) -> int:
        return self.along

    @property
    def rows(self) -> int:
        return -(-self.before // self.along) if self.wrapped else self.before * self.after

    def image(self, values: Array) -> Array:
        """One value a group in its place, shape (rows, columns); NaN where there is no group."""
        if self.wrapped:
            missing = self.rows * self.columns - values.size
            if missing:
                values = np.concatenate((values, np.full(missing, np.nan, values.dtype)))
            return values.reshape(self.rows, self.columns)
        return values.reshape(self.before, self.along, self.after).swapaxes(1, 2).reshape(self.rows, self.columns)

    def group(self, row: int, column: int) -> int | None:
        """The group in a cell."""
        if not (0 <= row < self.rows and 0 <= column < self.columns):
            return None
        if self.wrapped:
            group = row * self.columns + column
            return group if group < self.before else None
        return (row // self.after * self.along + column) * self.after + row % self.after

    def cell(self, group: Any) -> tuple[Any, Any]:
        """The row and the column of a group, or of many."""
        if self.wrapped:
            row, column = divmod(group, self.columns)
            return row, column
        outer, rest = divmod(group, self.along * self.after)
        column, inner = divmod(rest, self.after)
        return outer * self.after + inner, column


@frozen(eq=False)
class Tiles:
    """What is in sight: cells joined until each is worth a pixel, by the worst of them."""

    first_row: int
    first_column: int
    tall: int
    wide: int
    worst: Array

    @property
    def joined(self) -> int:
        return self.tall * self.wide


def span(low: float, high: float, cells: int, pixels: float) -> tuple[int, int, int]:
    """The cells in sight, from … to, and how many are joined: the same ones wherever the view begins."""
    first = min(max(math.floor(low + 0.5), 0), cells - 1)
    last = max(min(math.ceil(high + 0.5), cells), first + 1)
    join = max(1, math.ceil((last - first) / max(pixels, 32)))
    first = first // join * join
    return first, min(-(-last // join) * join, cells), join


def worst_of(part: Array, tall: int, wide: int, worse: np.ufunc = np.fmax) -> Array:
    """The worst of each ``tall`` by ``wide`` cells, the largest or the smallest; NaN where there is none."""
    # Cell by cell of all tiles at once: NumPy reduces short runs one by one, a twentieth as fast.
    worst = part[::tall].copy()
    for at in range(1, min(tall, part.shape[0])):
        row = part[at::tall]
        worse(worst[: len(row)], row, out=worst[: len(row)])
    part, worst = worst, worst[:, ::wide].copy()
    for at in range(1, min(wide, part.shape[1])):
        column = part[:, at::wide]
        worse(worst[:, : column.shape[1]], column, out=worst[:, : column.shape[1]])
    return worst
