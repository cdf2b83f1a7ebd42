"""What lies over the data of a chart? The grid, the legend, and chips that tell of what is out of sight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor

from qviz.gui.charts.drawing import Brush
from qviz.gui.kit.theme import Theme

if TYPE_CHECKING:
    from qviz.gui.charts.base import Chart

LEGEND_HEIGHT = 30
"""Pixels above the data that the legend has for itself."""

LABEL_MIDDLE = LEGEND_HEIGHT + 11
"""Pixels from the top to the words beside a line, under the legend."""

SWATCH, LEGEND_GAP = 24, 14
"""Pixels of the legend: from a colour to its name, and from a name to the next colour."""

CHIP_GAP = 3
"""Pixels between chips and around them."""


class Ornaments:
    """What one chart has over its data.

    Attributes
    ----------
    legend : dict of str to str
        Colour roles and their names.
    chips : dict of str to str
        What is said at the edges ``left``, ``right``, ``top`` and ``bottom``.
    """

    def __init__(self, chart: Chart) -> None:
        self._chart = chart
        self.legend: dict[str, str] = {}
        self.legend_in_the_middle = False
        self.chips: dict[str, str] = {}

    def paint(self, brush: Brush) -> None:
        """All of it; the view is told where chips can be clicked."""
        chart = self._chart
        for color, places in chart.plot.getAxis("left").ticks().lines:
            brush.levels(places, color)
        if not self.chips:
            chart.view.chips = {}
        # What is kept is as high as the words: the rest of a chart has none, and would be laid over it all the same.
        head, foot = bool(self.legend) or "top" in self.chips, bool(self.chips.keys() - {"top"})
        letters = chart.letters(11)
        looks = (chart.theme and chart.theme.name, letters, dict(self.legend), self.chips)
        if not brush.grain:
            self._paint_words(brush)
            return
        chip = letters.height + 6
        below, above = LABEL_MIDDLE + chip, brush.height - 2 * (chip + CHIP_GAP)
        if head and foot and above < below:
            brush.keep("words", looks, self._paint_words)
            return
        if head:
            brush.keep("head", looks, self._paint_words, (0.0, min(below, brush.height)))
        if foot:
            brush.keep("foot", looks, self._paint_words, (max(0.0, above), brush.height))

    def _paint_words(self, brush: Brush) -> None:
        theme = self._chart.theme
        brush.take(self._chart.letters(11))
        if self.legend and theme is not None:
            self._paint_legend(brush)
        places = {} if theme is None else self._paint_chips(brush, theme)
        if brush.grain:
            self._chart.view.chips = places

    def _paint_legend(self, brush: Brush) -> None:
        """On a ground of its own, or what is drawn beneath would run through the names."""
        color = self._chart.color
        widths = [SWATCH + brush.letters.width(name) for name in self.legend.values()]
        width = sum(widths) + LEGEND_GAP * (len(widths) - 1)
        x = (brush.width - width) / 2 if self.legend_in_the_middle else brush.width - width - LEGEND_GAP
        if x < 0:  # half a legend tells less than none
            return
        brush.rect(round(x) - 4, 10, width + 8, 21, color("background", 220))
        for (role, name), wide in zip(self.legend.items(), widths, strict=True):
            brush.rect(round(x), 18, 14, 5, color(role))
            brush.write(round(x) + SWATCH, 20.5, name, color("axis"))
            x += wide + LEGEND_GAP

    def _paint_chips(self, brush: Brush, theme: Theme) -> dict[str, QRectF]:
        """Left and right at the foot, over each other where they have no room beside each other; the others left.

        What is wider than the chart loses its middle.
        """
        places: dict[str, QRectF] = {}
        text_color, back = QColor(theme.ui["text"]), QColor(theme.ui["notice"])
        texts = {side: brush.fitting(text, brush.width - 2 * CHIP_GAP) for side, text in self.chips.items()}
        sizes = {side: brush.text_size(text) for side, text in texts.items()}
        crowded = sum(sizes[side][0] for side in ("left", "right") if side in sizes) > brush.width - 3 * CHIP_GAP
        for side, (width, height) in sizes.items():
            left = brush.width - width - CHIP_GAP if side == "right" else CHIP_GAP
            middle = brush.height - CHIP_GAP - height / 2
            if side == "top":
                middle = LABEL_MIDDLE
            elif side == "right" and crowded:
                middle -= height + CHIP_GAP
            brush.label(texts[side], left, middle, right=True, color=text_color, back=back)
            places[side] = QRectF(left, middle - height / 2, width, height)
        return places
