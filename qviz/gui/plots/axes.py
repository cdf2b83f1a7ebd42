"""How are the axes of charts written: indices, counts, and values as they are?"""

from __future__ import annotations

import math
from typing import Any

import pyqtgraph as pg


class ChartAxis(pg.AxisItem):
    """An axis that never scales its values to "m" or "k" units.

    Told so from its birth: an axis that may choose a prefix writes its title anew at every move.
    """

    def __init__(self, side: str) -> None:
        super().__init__(side)
        self.autoSIPrefix = False


class IndexAxis(ChartAxis):
    """Whole numbers, short while that tells neighbours apart."""

    def __init__(self) -> None:
        super().__init__("bottom")

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Any:  # noqa: N803 - Qt's name
        return [level for level in super().tickValues(minVal, maxVal, size) if level[0] >= 1]

    def tickStrings(self, values: Any, scale: float, spacing: float) -> list[str]:
        return [short_count(v) if spacing >= 1000 else f"{v:,.0f}" for v in values]


class CountAxis(ChartAxis):
    """Counts, linear or as powers of ten."""

    def __init__(self) -> None:
        super().__init__("left")
        self.logarithmic = False

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Any:  # noqa: N803 - Qt's name
        if not self.logarithmic:
            return [level for level in super().tickValues(minVal, maxVal, size) if level[0] >= 1]  # whole elements
        every = max(1, math.ceil((maxVal - minVal) * 22 / max(size, 1)))
        powers = [float(v) for v in range(math.ceil(minVal), math.floor(maxVal) + 1) if v % every == 0]
        return [(1.0, powers)]

    def tickStrings(self, values: Any, scale: float, spacing: float) -> list[str]:
        if self.logarithmic:
            return [short_count(10**v) for v in values]
        return [short_count(v) for v in values]


def four_axes(special: dict[str, pg.AxisItem]) -> dict[str, pg.AxisItem]:
    """The axes of a chart: those that are given, plain ones on the other sides."""
    return {side: special.get(side) or ChartAxis(side) for side in ("left", "bottom", "right", "top")}


def short_count(value: float) -> str:
    """1500 → 1.5k."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"
