"""Which colour does each group get, and which groups share a pixel? Found in any thread, before it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.gui.tensor.group_grid import Grid, Tiles, span, worst_of
from qviz.gui.words.numbers import number

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

DECADES = 8
"""A logarithmic colour scale ends so many powers of ten below its largest value."""

COLOURS = 256


@frozen
class Quantity:
    """What the colours stand for; ``worse`` is 1 where more is worse, -1 where less is."""

    title: str
    unit: str
    logarithmic: bool
    worse: int
    read: Callable[[Analysis], Array]

    def badness(self, analysis: Analysis) -> Array:
        """One number a group, the larger the worse: decimal logarithms where the scale has them."""
        assert analysis.groups is not None
        values = np.asarray(self.read(analysis), np.float64)
        if self.logarithmic:
            with np.errstate(divide="ignore"):
                values = np.log10(values)
        badness: Array = np.multiply(values, self.worse, dtype=np.float64).astype(np.float32)
        if analysis.groups.finite.min() == 0:
            badness[analysis.groups.finite == 0] = np.nan
        return badness

    def text(self, badness: float) -> str:
        """A number of `badness` as people read it."""
        value = badness * self.worse
        return number(10**value if self.logarithmic else value, 3)


QUANTITIES: dict[str, Quantity] = {
    "scale": Quantity("|S|", "", True, 1, lambda a: np.abs(a.qparams.scale.reshape(-1))),
    "mse": Quantity(N_("MSE"), "", True, 1, lambda a: a.groups.mse if a.groups else np.zeros(0)),
    "sqnr": Quantity(N_("SQNR"), "dB", False, -1, lambda a: a.groups.sqnr_db if a.groups else np.zeros(0)),
    "max": Quantity(N_("Max |error|"), "", True, 1, lambda a: a.groups.max_abs_error if a.groups else np.zeros(0)),
}
"""What can be looked at; a new one is a row."""


@frozen
class Sight:
    """What of the map is looked at: asked of an answer, it gives the picture.

    Attributes
    ----------
    quantity : str
        A key of `QUANTITIES`.
    columns, rows : (float, float)
        From where to where.
    width, height : float
        Pixels that there are for them.
    """

    quantity: str
    columns: tuple[float, float]
    rows: tuple[float, float]
    width: float
    height: float

    def __call__(self, analysis: Analysis) -> GroupImage | None:
        """The picture of an answer; None where there is one scale only."""
        if analysis.groups is None:
            return None
        quantity, grid = QUANTITIES[self.quantity], Grid.of(analysis)
        badness = quantity.badness(analysis)
        return GroupImage(analysis, grid, grid.image(badness), levels(badness, quantity.logarithmic)).seen(self)


@frozen(eq=False)
class GroupImage:
    """How bad each group of an answer is, in its place, and what is in sight of it.

    Attributes
    ----------
    cells : float32 array, shape (rows, columns)
        NaN where there is nothing.
    levels : (float, float)
        What the first and the last colour stand for.
    sight : Sight or None
        What ``tiles``, ``colours`` and ``absent`` are of.
    colours, absent : uint8 and bool arrays, the shape of the tiles
        The number of each tile's colour, and where there is none.
    """

    analysis: Analysis
    grid: Grid
    cells: Array
    levels: tuple[float, float]
    sight: Sight | None = None
    tiles: Tiles | None = None
    colours: Array | None = None
    absent: Array | None = None

    def seen(self, sight: Sight) -> GroupImage:
        """The same with another part of it in sight."""
        first_column, last_column, wide = span(*sight.columns, self.grid.columns, sight.width)
        first_row, last_row, tall = span(*sight.rows, self.grid.rows, sight.height)
        part = self.cells[first_row:last_row, first_column:last_column]
        worst = worst_of(part, tall, wide)
        low, high = self.levels
        shade = (worst - low) / (high - low) * (COLOURS - 1)
        absent = np.isnan(shade)
        colours = np.nan_to_num(shade, copy=False, nan=0).clip(0, COLOURS - 1).astype(np.uint8)
        tiles = Tiles(first_row, first_column, tall, wide, worst)
        return GroupImage(self.analysis, self.grid, self.cells, self.levels, sight, tiles, colours, absent)


def levels(badness: Array, logarithmic: bool) -> tuple[float, float]:
    """What the first and the last colour stand for."""
    low, high = float(badness.min(initial=np.inf)), float(badness.max(initial=-np.inf))
    if not np.isfinite(high - low):
        finite = badness[np.isfinite(badness)]
        if not finite.size:
            return 0.0, 1.0
        low, high = float(finite.min()), float(finite.max())
    if logarithmic:
        low = max(low, high - DECADES)
    return (low, high) if high > low else (low - 0.5, low + 0.5)
