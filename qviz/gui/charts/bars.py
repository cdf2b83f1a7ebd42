"""How are a few named figures drawn? As horizontal bars with their texts beside them."""

from __future__ import annotations

import math

from qviz.core.frozen import frozen
from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.gui.charts.drawing import Brush

THICK = 0.56
"""Of a bar, as a share of its row."""

NAMES_WIDTH = 66
"""Pixels for the names of the bars, at least."""


@frozen
class Bar:
    """One row: its name, how long it is, the figure beside it, and what is added in a colour of its own."""

    name: str
    width: float
    text: str
    role: str
    extra: float = 0.0

    @property
    def end(self) -> float:
        return self.width + self.extra


class BarChart(Chart):
    """Named horizontal bars with their figures beside them."""

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, gridded=False)
        self.plot.hideAxis("bottom")
        self.view.setMouseEnabled(x=False, y=False)
        self.view.invertY(True)
        self.plot.getAxis("left").keep_width(NAMES_WIDTH)
        self.bars: tuple[Bar, ...] = ()
        self.view.sigResized.connect(self._make_room)
        self.setMinimumSize(160, 84)

    def draw_bars(self, *bars: Bar) -> None:
        """Bars from the top down."""
        if bars == self.bars:
            return
        self.bars = bars
        names = max(self.letters(11).width(bar.name) for bar in bars)
        self.plot.getAxis("left").keep_width(max(NAMES_WIDTH, math.ceil(names) + 10))
        self.plot.getAxis("left").setTicks([[(row, bar.name) for row, bar in enumerate(bars)]])
        self._make_room()
        self.repaint_marks()

    def _make_room(self) -> None:
        """As much of the width as each bar's label needs."""
        if not self.bars:
            return
        width = max(self.view.width(), 80.0)
        letters = self.letters(11)
        longest = max(bar.end for bar in self.bars) or 1.0
        needed = [bar.end / (1 - min(0.85, (letters.width(bar.text) + 18) / width)) for bar in self.bars]
        self.view.move_to(x=(0, max([longest, *needed])), y=(-0.6, len(self.bars) - 0.4))

    def paint_marks(self, brush: Brush) -> None:
        brush.take(self.letters(11))
        gap = brush.width * 0.01 + 4
        for row, bar in enumerate(self.bars):
            brush.bar(0, bar.width, row, THICK, self.color(bar.role, 210))
            if bar.extra > 0:
                brush.bar(bar.width, bar.end, row, THICK, self.color("bound"))
            brush.write(brush.at_x(bar.end) + gap, brush.at_y(row), bar.text, self.color("axis"))

    def reset_view(self) -> None:
        """Nothing can be moved here."""
