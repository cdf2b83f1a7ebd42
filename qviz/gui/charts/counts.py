"""How are counts drawn? From a floor up, plain or as powers of ten, under the legend."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qviz.gui.charts.axes import CountAxis
from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.gui.charts.ornaments import LEGEND_HEIGHT

HALF = math.log10(0.5)
"""Where the floor of a logarithmic count axis lies: a single element still stands out."""

RUNGS = 20
"""Ends that an axis may have in each power of ten: what grows a little does not move the axis."""


class CountChart(Chart):
    """A chart of counts over values, whose counts can be drawn as logarithms."""

    def __init__(self, link: LinkedCursor, **options: Any) -> None:
        super().__init__(link, axes={"left": CountAxis()}, wheel_axis=0, **options)
        self.logarithmic = False

    def set_logarithmic(self, logarithmic: bool) -> None:
        """Counts as powers of ten, which shows the tails."""
        self.logarithmic = logarithmic
        self.plot.getAxis("left").logarithmic = logarithmic
        if self.analysis is not None:
            self.present(self.analysis)

    def heights(self, counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Counts as they are drawn."""
        if not self.logarithmic:
            return np.asarray(counts, np.float64)
        return np.where(counts > 0, np.log10(np.maximum(counts, 0.5)), HALF)

    @property
    def floor(self) -> float:
        """Where bars stand."""
        return HALF if self.logarithmic else 0.0

    def fit_counts(self, largest: float) -> None:
        """The count axis from its floor to a rung that leaves the legend its room above ``largest``, as drawn."""
        self.view.move_to(y=self.ends_for(largest))

    def ends_for(self, largest: float) -> tuple[float, float]:
        """Of that axis."""
        _, top = self.with_room(0.0, max(largest - self.floor, 1e-9), above=LEGEND_HEIGHT)
        return self.floor, self.floor + rung(top)


def rung(length: float) -> float:
    """The first of the few ends that an axis may have, from ``length`` on."""
    return 10 ** (math.ceil(math.log10(length) * RUNGS - 1e-6) / RUNGS) if length > 0 else 0.0
