"""What does each byte of a checkpoint buy? Its size against the error of all its weights, the best choices in order."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from PySide6.QtCore import QPointF, Qt, Signal, Slot
from PySide6.QtGui import QPainter, QPolygonF

from qviz.core.sizes import byte_text
from qviz.gui.charts.base import Chart, LinkedCursor, Table
from qviz.gui.charts.drawing import Brush
from qviz.gui.kit.judgement import sqnr_heading
from qviz.gui.words.numbers import decibels
from qviz.session.checkpoint_budget import Budget

MEBI = float(1 << 20)
RADIUS = 6.5
MOST_DRAWN = 2000
"""Points of a curve: more than there are pixels."""

LAST = 0.96
"""Of the bytes: behind them nearly all is left as it is, and the error falls to nothing."""


def top_of(x: Any, y: Any) -> float:
    """Up to where the chart opens: where the last bytes alone buy as much as all others, they do not flatten these."""
    known = np.isfinite(y)
    most = float(y[known].max())
    before = y[known & (x <= x.min() + LAST * np.ptp(x))]
    if not before.size:
        return most
    return float(before.max()) if most - before.max() > np.ptp(before) / 2 else most


class BudgetChart(Chart):
    """The front of all choices, and the one that is chosen.

    Signals
    -------
    chosen(int)
        A click took a point.
    """

    name: ClassVar[str] = "budget"
    judged: ClassVar[bool] = False
    chosen = Signal(int)

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self.budget: Budget | None = None
        self.at = 0
        self.set_labels(self.tr("Bytes of the checkpoint (MiB)"), sqnr_heading())
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)

    def title(self) -> str:
        return self.tr("Budget")

    def description(self) -> str:
        return self.tr(
            "Each point gives every tensor the format that buys most for its bytes; what runtimes fuse shares one. No "
            "other choice of these formats has less squared error in as few bytes. Click to choose; the map shows the "
            "bits of each layer."
        )

    @property
    def empty(self) -> bool:
        return self.budget is None

    def show_budget(self, budget: Budget | None) -> None:
        """Another front."""
        self.budget, self.at = budget, 0
        self.canvas.setVisible(budget is not None)
        self.reset_view()
        self.repaint_marks()

    def choose(self, at: int) -> None:
        """Ring a point."""
        self.at = at
        self.repaint_marks()

    def _curve(self) -> tuple[Any, Any]:
        if self.budget is None:
            return np.zeros(0), np.zeros(0)
        y = self.budget.sqnr_db
        return self.budget.nbytes / MEBI, np.where(np.isfinite(y), y, np.nan)

    def paint_marks(self, brush: Brush) -> None:
        x, y = self._curve()
        if not x.size:
            return
        painter = brush.painter
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(self.pen("dequantized", width=2))
        drawn = np.flatnonzero(~np.isnan(y))
        drawn = drawn[np.unique(np.linspace(0, drawn.size - 1, min(drawn.size, MOST_DRAWN)).astype(int))]
        line = [QPointF(a, b) for a, b in zip(brush.x(x[drawn]), brush.y(y[drawn]), strict=True)]
        painter.drawPolyline(QPolygonF(line))
        if self.at < x.size and not np.isnan(y[self.at]):
            painter.setPen(self.pen("pointer", width=2))
            painter.drawEllipse(QPointF(float(brush.x(x[self.at])), float(brush.y(y[self.at]))), RADIUS, RADIUS)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, not brush.grain)

    def reset_view(self) -> None:
        x, y = self._curve()
        y = y[np.isfinite(y)]
        if not y.size:
            return
        across = float(np.ptp(x)) or float(x[0]) or 1.0
        low, high = float(y.min()), top_of(x, self._curve()[1])
        up = high - low or 1.0
        self.fit_to(
            x=(float(x.min()) - 0.06 * across, float(x.max()) + 0.06 * across),
            y=self.with_room(low, high + 0.04 * up, below=RADIUS + 2, above=RADIUS + 2),
        )

    def tables(self) -> dict[str, Table]:
        if self.budget is None:
            return {}
        return {"": Table({"bytes": self.budget.nbytes, "sqnr_db": self.budget.sqnr_db})}

    def nearest(self, point: QPointF) -> int | None:
        """The number of the point that is nearest along the bytes."""
        x, _ = self._curve()
        return int(np.abs(x - point.x()).argmin()) if x.size else None

    def hover(self, point: QPointF) -> None:
        at = self.nearest(point)
        if at is not None and self.budget is not None:
            size, error = float(self.budget.nbytes[at]), float(self.budget.sqnr_db[at])
            self.read_out.emit(f"{byte_text(round(size))}: {decibels(error)}")

    @Slot(object)
    def _on_clicked(self, event: Any) -> None:
        if event.double() or event.button() != Qt.MouseButton.LeftButton or self.budget is None:
            return
        if self.view.sceneBoundingRect().contains(event.scenePos()):
            at = self.nearest(self.view.mapSceneToView(event.scenePos()))
            if at is not None:
                self.chosen.emit(at)
