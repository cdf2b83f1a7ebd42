"""What does each byte of a network buy? Size against the output's error: predicted, and measured."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal, Slot
from PySide6.QtGui import QPainter, QPen, QPolygonF

from qviz.core.sizes import byte_text
from qviz.gui.charts.base import Chart, LinkedCursor, Table
from qviz.gui.charts.drawing import Brush, saved
from qviz.gui.charts.ornaments import LEGEND_HEIGHT
from qviz.gui.kit.judgement import sqnr_heading
from qviz.gui.words.numbers import decibels
from qviz.models.frontier import FrontierPoint, adds_up
from qviz.session.network_frontier import Frontier, Measured

RADIUS = 4.5
RING = RADIUS + 3
MEBI = float(1 << 20)
MOST_DB = 90.0
"""What is drawn at first; beyond it nothing is lost that anybody would notice."""


class FrontierChart(Chart):
    """The predicted curve, the measured points, and the one that is chosen.

    Signals
    -------
    chosen(int)
        A click took the point of the curve with that number.
    """

    name: ClassVar[str] = "frontier"
    judged: ClassVar[bool] = False
    chosen = Signal(int)

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self.frontier: Frontier | None = None
        self.measured: list[Measured] = []
        self.at = 0
        self.set_labels(self.tr("Bytes of the weights (MiB)"), sqnr_heading())
        self.add_legend({"dequantized": self.tr("predicted"), "original": self.tr("measured")})
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)

    def title(self) -> str:
        return self.tr("Bits by what matters")

    def description(self) -> str:
        return self.tr(
            "Each point of the curve gives every group of layers the format that buys most for its bytes. The curve "
            "adds up what each loses alone; the dots were measured with all of them together. A dashed line leads to "
            "those that lie far from it: losses do not add up there. Click to choose."
        )

    @property
    def empty(self) -> bool:
        return self.frontier is None

    def show_frontier(self, frontier: Frontier | None) -> None:
        """Another curve, without measured points yet."""
        self.frontier, self.measured, self.at = frontier, [], 0
        self.canvas.setVisible(frontier is not None)
        self.set_note(self.tr("from random data") if frontier is not None and frontier.random else "")
        self.reset_view()
        self.repaint_marks()

    def add_measured(self, measured: Measured) -> None:
        """One point was run."""
        self.measured = [each for each in self.measured if each.point is not measured.point] + [measured]
        self.reset_view()
        self.repaint_marks()

    def choose(self, at: int) -> None:
        """Ring a point of the curve."""
        self.at = at
        self.repaint_marks()

    def measured_at(self, point: FrontierPoint) -> Measured | None:
        """What was measured at a point, where it was."""
        return next((each for each in self.measured if each.point is point), None)

    def _curve(self) -> tuple[Any, Any]:
        points = self.frontier.points if self.frontier is not None else ()
        x = np.array([point.bytes / MEBI for point in points])
        y = np.array([point.sqnr_db if math.isfinite(point.sqnr_db) else math.nan for point in points])
        return x, y

    def paint_marks(self, brush: Brush) -> None:
        if self.frontier is None:
            return
        with saved(brush.painter) as painter:  # what is beyond does not come to lie under the legend
            painter.setClipRect(QRectF(0, LEGEND_HEIGHT, brush.width, brush.height))
            self._paint_curve(brush)

    def _paint_curve(self, brush: Brush) -> None:
        painter = brush.painter
        x, y = self._curve()
        there = ~np.isnan(y)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(self.pen("dequantized", width=2))
        line = [QPointF(a, b) for a, b in zip(brush.x(x[there]), brush.y(y[there]), strict=True)]
        painter.drawPolyline(QPolygonF(line))
        painter.setPen(self.pen("bound", style=Qt.PenStyle.DashLine))
        for each in self.measured:
            if not adds_up(each.point.sqnr_db, each.sqnr_db):
                across = float(brush.x(each.point.bytes / MEBI))
                ends = (float(brush.y(each.point.sqnr_db)), float(brush.y(each.sqnr_db)))
                painter.drawLine(QPointF(across, ends[0]), QPointF(across, ends[1]))
        painter.setPen(QPen(self.color("background"), 1))
        painter.setBrush(self.color("original"))
        for each in self.measured:
            if math.isfinite(each.sqnr_db):
                middle = QPointF(float(brush.x(each.point.bytes / MEBI)), float(brush.y(each.sqnr_db)))
                painter.drawEllipse(middle, RADIUS, RADIUS)
        if self.at < x.size and there[self.at]:
            painter.setPen(self.pen("pointer", width=2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(QPointF(float(brush.x(x[self.at])), float(brush.y(y[self.at]))), RING, RING)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, not brush.grain)

    def reset_view(self) -> None:
        x, y = self._curve()
        measured = [each.sqnr_db for each in self.measured if each.sqnr_db <= MOST_DB]
        y = np.append(np.minimum(y, MOST_DB), measured)
        y = y[np.isfinite(y)]
        if not x.size or not y.size:
            return
        across = float(np.ptp(x)) or float(x[0]) or 1.0
        low, high = float(y.min()), float(y.max())
        if low == high:
            low, high = low - 0.5, high + 0.5
        self.fit_to(
            x=(float(x.min()) - 0.06 * across, float(x.max()) + 0.06 * across),
            y=self.with_room(low, high, below=RING + 2, above=LEGEND_HEIGHT + RING),
        )

    def tables(self) -> dict[str, Table]:
        if self.frontier is None:
            return {}
        points = self.frontier.points
        found = [self.measured_at(point) for point in points]
        return {
            "": Table(
                {
                    "bytes": np.array([point.bytes for point in points]),
                    "predicted_db": np.array([point.sqnr_db for point in points]),
                    "measured_db": np.array([each.sqnr_db if each is not None else math.nan for each in found]),
                }
            )
        }

    def nearest(self, point: QPointF) -> int | None:
        """The number of the point of the curve that is nearest along the bytes."""
        x, _ = self._curve()
        return int(np.abs(x - point.x()).argmin()) if x.size else None

    def hover(self, point: QPointF) -> None:
        at = self.nearest(point)
        if at is None or self.frontier is None:
            return
        there = self.frontier.points[at]
        known = self.measured_at(there)
        said = self.tr("{bytes}: predicted {predicted}").format(
            bytes=byte_text(round(there.bytes)), predicted=decibels(there.sqnr_db)
        )
        if known is not None:
            said += self.tr(", measured {measured}").format(measured=decibels(known.sqnr_db))
        self.read_out.emit(said)

    @Slot(object)
    def _on_clicked(self, event: Any) -> None:
        if event.double() or event.button() != Qt.MouseButton.LeftButton or self.frontier is None:
            return
        if self.view.sceneBoundingRect().contains(event.scenePos()):
            at = self.nearest(self.view.mapSceneToView(event.scenePos()))
            if at is not None:
                self.chosen.emit(at)
