"""Where in the whole model do tensors suffer? Every layer and role as a cell, coloured by a figure."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from PySide6.QtCore import QPointF, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFont, QFontMetricsF

from qviz.core.sizes import byte_text
from qviz.gui.charts.axes import ChartAxis
from qviz.gui.charts.base import Chart, LinkedCursor, Table
from qviz.gui.charts.drawing import Brush
from qviz.gui.kit.judgement import lossless
from qviz.gui.kit.theme import Theme, scaled_font
from qviz.gui.kit.widgets import named_label
from qviz.gui.words.numbers import fixed, number, percent, whole
from qviz.models.weight_table import MAPPED, WeightMap
from qviz.session.guard import guarded
from qviz.session.language import tr

STOPS = 9
"""Colours in a theme file that the scale runs through."""

LEGEND = 26
"""Pixels above the cells, for the colours and what they stand for."""

BAR = 120

LEAST_APART, GAP = 34, 16
"""Pixels from the middle of one number to the next, and between them."""


@guarded
class RoleAxis(ChartAxis):
    """The names of the roles, a row each."""

    roles: tuple[str, ...] = ()

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Any:  # noqa: N803 - Qt's name
        low, high = sorted((minVal, maxVal))
        return [(1, [float(at) for at in range(len(self.roles)) if low <= at <= high])]

    def tickStrings(self, values: Any, scale: float, spacing: float) -> list[str]:
        return [self.roles[round(value)] for value in values if 0 <= round(value) < len(self.roles)]


@guarded
class LayerAxis(ChartAxis):
    """The numbers of the layers, as many as there is room for."""

    layers: tuple[int, ...] = ()

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Any:  # noqa: N803 - Qt's name
        metrics = QFontMetricsF(self.style["tickFont"] or QFont())
        widest = max(metrics.horizontalAdvance(f"{layer:,}") for layer in self.layers[-1:] or (0,))
        step = _round_step((maxVal - minVal) * max(LEAST_APART, widest + GAP) / max(1.0, size))
        return [(step, [float(at) for at in range(0, len(self.layers), step) if minVal <= at <= maxVal])]

    def tickStrings(self, values: Any, scale: float, spacing: float) -> list[str]:
        return [f"{self.layers[round(value)]:,}" for value in values if 0 <= round(value) < len(self.layers)]


def _round_step(least: float) -> int:
    """The first of 1, 2, 5, 10, 20, … that is no less."""
    if least <= 1:
        return 1
    power = 10 ** math.floor(math.log10(least))
    return next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= least)


class WeightMapChart(Chart):
    """Layer × role; a click leaves the tensors of a cell in the table.

    Signals
    -------
    chosen(int, str)
        A layer and a role.
    """

    name: ClassVar[str] = "weight_map"
    judged: ClassVar[bool] = False
    of_cells: ClassVar[bool] = True
    chosen = Signal(int, str)

    def __init__(self, link: LinkedCursor) -> None:
        self._roles, self._layers = RoleAxis("left"), LayerAxis("bottom")
        super().__init__(link, axes={"left": self._roles, "bottom": self._layers}, gridded=False)
        self._roles.setWidth(84)
        self.map: WeightMap | None = None
        self.figure = "bytes"
        self._stops: list[QColor] = []
        self.view.invertY(True)
        self.set_labels(self.tr("Layer"), "")
        self.hint = named_label(
            self.tr("Nothing to map: no name of a tensor tells both its layer and its role."), "hint", wrap=True
        )
        self.hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.hint.hide()
        layout = self.layout()
        assert layout is not None
        layout.addWidget(self.hint)
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)
        self.view.sigResized.connect(self._on_sized)

    @Slot()
    def _on_sized(self, *_: object) -> None:
        """The legend keeps its height."""
        self.reset_view()

    def title(self) -> str:
        return self.tr("Map")

    def description(self) -> str:
        return self.tr(
            "The whole model: every layer and role as a cell, coloured by the worst of its tensors; by bytes, as long "
            "as none is measured; by the bits of a choice of formats. Click a cell to see its tensors in the table."
        )

    @property
    def empty(self) -> bool:
        return self.map is None or not self.map.layers

    def show_map(self, found: WeightMap | None, figure: str) -> None:
        """Other cells."""
        before = self.map
        same = before is not None and found is not None and before.cells == found.cells
        self.map, self.figure = found, figure
        self.canvas.setVisible(not self.empty)
        self.hint.setVisible(found is not None and self.empty)
        if found is not None and not same:
            self._roles.roles, self._layers.layers = found.roles, found.layers
            for axis in (self._roles, self._layers):
                axis.picture = None
                axis.update()
            self.reset_view()
        self.repaint_marks()

    def reset_view(self) -> None:
        if self.map is not None and self.map.layers:
            height = max(2.0 * LEGEND, self.view.height())
            room = len(self.map.roles) * LEGEND / (height - LEGEND)
            self.view.move_to(x=(-0.5, len(self.map.layers) - 0.5), y=(-0.5 - room, len(self.map.roles) - 0.5))

    def tables(self) -> dict[str, Table]:
        if self.map is None or not self.map.layers:
            return {}
        rows, columns = np.nonzero(self.map.counts)
        return {
            "": Table(
                {
                    "layer": np.array(self.map.layers)[columns],
                    "role": np.array(self.map.roles)[rows],
                    "tensors": self.map.counts[rows, columns],
                    self.figure: self.map.values[rows, columns],
                }
            )
        }

    def restyle(self, theme: Theme) -> None:
        self._stops = [theme.color(f"heat{at + 1}") for at in range(STOPS)]
        self.set_labels(self.tr("Layer"), "")
        self.repaint_marks()

    # -- painting

    def _shade(self, share: float) -> QColor:
        """From the best (0) to the worst (1)."""
        place = min(max(share, 0.0), 1.0) * (STOPS - 1)
        at = min(int(place), STOPS - 2)
        one, two, part = self._stops[at], self._stops[at + 1], place - at
        channels = zip((one.red(), one.green(), one.blue()), (two.red(), two.green(), two.blue()), strict=True)
        return QColor(*(round(a + part * (b - a)) for a, b in channels))

    def _badness(self) -> np.ndarray[Any, Any]:
        """The larger the worse; infinite where a figure has no place between colours, NaN where there is none."""
        assert self.map is not None
        values = self.map.values
        if self.figure in ("bytes", "rmse"):
            with np.errstate(divide="ignore"):
                values = np.log10(values)
        return -values if self.figure in ("sqnr", "chosen") else values

    def text(self, value: float) -> str:
        """A figure of a cell."""
        if self.figure == "bytes":
            return byte_text(int(value))
        if self.figure == "saturated":
            return percent(value, 1.0)
        return fixed(value, 1, "dB") if self.figure == "sqnr" else number(value, 3)

    def paint_marks(self, brush: Brush) -> None:
        if self.map is None or not self._stops or not self.map.layers:
            return
        badness = self._badness()
        known = badness[np.isfinite(badness)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        best = low - 1.0 if low == high and np.isneginf(badness).any() else low  # what loses something is not the best
        span = high - best or 1.0
        x, y = brush.x(np.arange(len(self.map.layers) + 1) - 0.5), brush.y(np.arange(len(self.map.roles) + 1) - 0.5)
        gap = 1.0 if len(x) > 1 and x[1] - x[0] > 6 else 0.0
        none = self.color("grid", 150)
        for row, column in zip(*np.nonzero(self.map.counts), strict=True):
            value = badness[row, column]
            shade = none if math.isnan(value) else self._shade((value - best) / span)
            left, top = float(x[column]), float(y[row])
            brush.rect(left, top, float(x[column + 1]) - left - gap, float(y[row + 1]) - top - gap, shade)
        if known.size:
            self._paint_legend_of(brush, low if best == low else -math.inf, high)
        elif self.figure in ("sqnr", "rmse") and np.isneginf(badness).any():
            self._paint_legend_of(brush, -math.inf, -math.inf)

    def _paint_legend_of(self, brush: Brush, low: float, high: float) -> None:
        brush.painter.setFont(scaled_font(self.font(), 11))
        brush.rect(0, 0, brush.width, LEGEND - 4, self.color("background"))
        x = 6.0
        color = self.color("axis")
        first, last = self.legend_words(low, high)
        for part in (tr(MAPPED[self.figure]), first):
            brush.write(x, LEGEND / 2 - 2, part, color)
            x += brush.text_size(part)[0] + 4
        for at in range(BAR):
            brush.rect(x + at, LEGEND / 2 - 6, 1, 8, self._shade(at / (BAR - 1) if last else 0.0))
        brush.write(x + BAR + 6, LEGEND / 2 - 2, last, color)

    def legend_words(self, low: float, high: float) -> tuple[str, str]:
        """What is said of the first and the last colour; of the first alone where all that is known is lossless."""
        first, last = self.text(self._value(low)), self.text(self._value(high))
        return (lossless(first), "") if high == -math.inf else (first, last)

    def _value(self, badness: float) -> float:
        if self.figure in ("sqnr", "chosen"):
            return -badness
        return 10**badness if self.figure in ("bytes", "rmse") else badness

    # -- the pointer

    def cell_at(self, point: QPointF) -> tuple[int, int] | None:
        """Row and column of the cell under a point."""
        if self.map is None:
            return None
        row, column = math.floor(point.y() + 0.5), math.floor(point.x() + 0.5)
        inside = 0 <= row < len(self.map.roles) and 0 <= column < len(self.map.layers)
        return (row, column) if inside and self.map.counts[row, column] else None

    def hover(self, point: QPointF) -> None:
        cell = self.cell_at(point)
        if cell is None or self.map is None:
            self.read_out.emit("")
            return
        value = float(self.map.values[cell])
        self.read_out.emit(
            self.tr("layer {layer}, {role}: {figure}, {count} tensors").format(
                layer=self.map.layers[cell[1]],
                role=self.map.roles[cell[0]],
                figure=self.tr("not measured") if math.isnan(value) else self.text(value),
                count=whole(int(self.map.counts[cell])),
            )
        )

    @Slot(object)
    def _on_clicked(self, event: Any) -> None:
        if self.empty or event.double() or event.button() != Qt.MouseButton.LeftButton:
            return
        if self.view.sceneBoundingRect().contains(event.scenePos()):
            cell = self.cell_at(self.view.mapSceneToView(event.scenePos()))
            if cell is not None and self.map is not None:
                self.chosen.emit(self.map.layers[cell[1]], self.map.roles[cell[0]])
