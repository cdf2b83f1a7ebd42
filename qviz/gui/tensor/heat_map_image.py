"""Which colour does each group get, and which groups share a pixel? Found in any thread, before it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
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

NO_LEVELS = 0.0, 1.0
"""Between which colours run where no number has a logarithm: what loses nothing has the first one."""


@frozen
class Quantity:
    """What the colours stand for.

    There may be half a million groups to a frame: their logarithms are found of what a pixel shows.

    Attributes
    ----------
    logarithmic : bool
        Whether people read the number itself, of powers of ten; or its decibels.
    steps : float
        How much worse a group is whose number is ten times as large; negative where less is worse.
    read : Callable[[Analysis], float array of shape (groups,)]
        One number a group, whose logarithm the colours follow.
    """

    title: str
    unit: str
    logarithmic: bool
    steps: float
    read: Callable[[Analysis], Array]

    def values(self, analysis: Analysis) -> Array:
        """One number a group; NaN where there is nothing in it."""
        assert analysis.groups is not None
        values, finite = self.read(analysis), analysis.groups.finite
        return np.where(finite == 0, np.nan, values) if finite.min() == 0 else values

    def badness(self, values: Array) -> Array:
        """The larger the worse."""
        with np.errstate(divide="ignore"):
            return np.multiply(np.log10(values), self.steps, dtype=np.float64)

    @property
    def worse(self) -> np.ufunc:
        """Of two numbers the one that is worse, and not NaN."""
        return np.fmax if self.steps > 0 else np.fmin

    def worst(self, values: Array) -> int:
        """Which of these numbers, one of which is not NaN, is the worst."""
        return int(np.nanargmax(values) if self.steps > 0 else np.nanargmin(values))

    def levels(self, values: Array) -> tuple[float, float]:
        """What the first and the last colour stand for."""
        low, high = sorted(self.badness(np.array([values.min(initial=np.inf), values.max(initial=0)])))
        if not (np.isfinite(low) and np.isfinite(high)):
            known = values[(values > 0) & (values < np.inf)]
            if not known.size:
                return NO_LEVELS
            low, high = sorted(self.badness(np.array([known.min(), known.max()])))
        low, high = float(max(low, high - DECADES) if self.logarithmic else low), float(high)
        return (low, high) if high > low else (low - 0.5, low + 0.5)

    def text(self, badness: float) -> str:
        """A number of `badness` as people read it."""
        return number(10**badness if self.logarithmic else -badness, 3)


QUANTITIES: dict[str, Quantity] = {
    "scale": Quantity("|S|", "", True, 1, lambda a: np.abs(a.qparams.scale.reshape(-1))),
    "mse": Quantity(N_("MSE"), "", True, 1, lambda a: a.groups.mse if a.groups else np.zeros(0)),
    "sqnr": Quantity(N_("SQNR"), "dB", False, -10, lambda a: a.groups.signal_to_noise if a.groups else np.zeros(0)),
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
        values = quantity.values(analysis)
        return GroupImage(analysis, quantity, grid, grid.image(values), quantity.levels(values)).seen(self)


@frozen(eq=False)
class GroupImage:
    """How bad each group of an answer is, in its place, and what is in sight of it.

    Attributes
    ----------
    quantity : Quantity
    cells : float array, shape (rows, columns)
        Its numbers; NaN where there is nothing.
    levels : (float, float)
        What the first and the last colour stand for.
    sight : Sight or None
        What ``tiles``, ``colours`` and ``absent`` are of.
    colours, absent : uint8 and bool arrays, the shape of the tiles
        The number of each tile's colour, and where there is none.
    """

    analysis: Analysis
    quantity: Quantity
    grid: Grid
    cells: Array
    levels: tuple[float, float]
    sight: Sight | None = None
    tiles: Tiles | None = None
    colours: Array | None = None
    absent: Array | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """What is said of both ends of the colours: `levels`, or what there is where no number has a logarithm."""
        if self.levels != NO_LEVELS:
            return self.levels
        badness = self.quantity.badness(self.cells[~np.isnan(self.cells)])
        if np.isfinite(badness).any():
            return self.levels
        return (float(badness.min()), float(badness.max())) if badness.size else (np.nan, np.nan)

    def seen(self, sight: Sight) -> GroupImage:
        """The same with another part of it in sight."""
        first_column, last_column, wide = span(*sight.columns, self.grid.columns, sight.width)
        first_row, last_row, tall = span(*sight.rows, self.grid.rows, sight.height)
        part = self.cells[first_row:last_row, first_column:last_column]
        worst = self.quantity.badness(worst_of(part, tall, wide, self.quantity.worse))
        low, high = self.levels
        shade = (worst - low) / (high - low) * (COLOURS - 1)
        absent = np.isnan(shade)
        colours = np.nan_to_num(shade, copy=False, nan=0).clip(0, COLOURS - 1).astype(np.uint8)
        tiles = Tiles(first_row, first_column, tall, wide, worst)
        return replace(self, sight=sight, tiles=tiles, colours=colours, absent=absent)
