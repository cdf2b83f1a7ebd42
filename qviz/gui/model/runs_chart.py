"""Which way of deploying the network is worth it? What is left of the output, against the time that it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt, Signal, Slot
from PySide6.QtGui import QFontMetricsF, QPainter, QPen

from qviz.core.sizes import byte_text
from qviz.gui.charts.base import Chart, LinkedCursor, Table
from qviz.gui.charts.drawing import Brush
from qviz.gui.kit.judgement import sqnr_heading
from qviz.gui.kit.theme import scaled_font
from qviz.gui.words.numbers import NONE, decibels, number
from qviz.session.network_state import DeployedRun

LEAST_RADIUS, MOST_RADIUS, NEAR, GAP = 4.0, 11.0, 14.0, 4.0
"""Pixels: half of the smallest and of the largest mark, how near the pointer has to be, and before a word."""

TIME, SIZE = "time", "size"
ACROSS = (TIME, SIZE)
"""What a run may stand over."""

MOST_DB = 140.0
"""Where an output without any difference is drawn."""


def _ratio(run: DeployedRun) -> float:
    return math.nan if run.latency is None else run.latency.ratio


def _share_of_bytes(run: DeployedRun) -> float:
    return run.outcome.bytes / max(1, run.outcome.original_bytes)


def beside(marks: Sequence[QRectF], sizes: Sequence[QSizeF], width: float) -> list[QRectF]:
    """Where the words of marks stand: right of them, else left, below or above, where nothing else is yet."""
    taken = list(marks)
    found = []
    for mark, size in zip(marks, sizes, strict=True):
        middle = mark.center()
        corners = (
            QPointF(mark.right() + GAP, middle.y() - size.height() / 2),
            QPointF(mark.left() - GAP - size.width(), middle.y() - size.height() / 2),
            QPointF(middle.x() - size.width() / 2, mark.bottom()),
            QPointF(middle.x() - size.width() / 2, mark.top() - size.height()),
        )
        places = [QRectF(corner, size) for corner in corners]
        free = (
            place
            for place in places
            if place.left() >= 0 and place.right() <= width and not any(place.intersects(each) for each in taken)
        )
        place = next(free, places[0])
        taken.append(place)
        found.append(place)
    return found


class RunsChart(Chart):
    """A mark for each run: its time or its bytes by the float network's, its dB, and its bytes as its area.

    Signals
    -------
    chosen(DeployedRun)
    """

    name: ClassVar[str] = "runs"
    judged: ClassVar[bool] = False
    chosen = Signal(object)

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link)
        self.all_runs: tuple[DeployedRun, ...] = ()
        self.across = TIME
        self.marked: DeployedRun | None = None
        self.set_labels(self._label(), sqnr_heading())
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)

    def title(self) -> str:
        return self.tr("Cost and gain")

    def description(self) -> str:
        return self.tr(
            "Every quantized network by what is left of its output and by how long it takes beside the float one, "
            "measured in turn on this computer, or by how large its file is. Right of the line it is slower, or "
            "larger. The larger a mark, the larger the file."
        )

    def _label(self) -> str:
        if self.across == SIZE:
            return self.tr("File ÷ the float one's (lower is smaller)")
        return self.tr("Time ÷ the float one's (lower is faster)")

    @property
    def runs(self) -> tuple[DeployedRun, ...]:
        """Those that have a place."""
        return tuple(
            run for run in self.all_runs if run.sqnr_db is not None and (self.across == SIZE or run.latency is not None)
        )

    @property
    def empty(self) -> bool:
        return not self.runs

    def show_runs(self, runs: Sequence[DeployedRun]) -> None:
        """All that were measured."""
        self.all_runs = tuple(runs)
        self._show_runs()

    @Slot(object)
    def show_across(self, across: str) -> None:
        """Over their times, or over their bytes."""
        self.across = across
        self.set_labels(self._label(), sqnr_heading())
        self._show_runs()

    def _show_runs(self) -> None:
        self.canvas.setVisible(bool(self.runs))
        self.set_note(self.tr("some from random data") if any(run.random for run in self.runs) else "")
        self.reset_view()
        self.repaint_marks()

    def mark(self, run: DeployedRun | None) -> None:
        """Ring one of them."""
        self.marked = run
        self.repaint_marks()

    def _places(self) -> tuple[Any, Any]:
        x = np.array([_share_of_bytes(run) if self.across == SIZE else _ratio(run) for run in self.runs])
        y = np.array([min(MOST_DB, run.sqnr_db) for run in self.runs if run.sqnr_db is not None])
        return x, y

    def paint_marks(self, brush: Brush) -> None:
        if not self.runs:
            return
        x, y = self._places()
        painter = brush.painter
        painter.setFont(scaled_font(self.font(), 11))
        brush.upright(1.0, self.pen("bound", style=Qt.PenStyle.DashLine))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        largest = max(run.outcome.bytes for run in self.runs)
        marks = []
        for number_, (run, a, b) in enumerate(zip(self.runs, brush.x(x), brush.y(np.nan_to_num(y)), strict=True)):
            share = math.sqrt(run.outcome.bytes / largest)
            radius = LEAST_RADIUS + (MOST_RADIUS - LEAST_RADIUS) * share
            marks.append(QRectF(float(a) - radius, float(b) - radius, 2 * radius, 2 * radius))
            painter.setPen(self.pen("pointer", width=2) if run is self.marked else QPen(self.color("background"), 1))
            painter.setBrush(self.color(f"series{number_ % 6 + 1}", 200))
            painter.drawEllipse(marks[-1])
        words = [run.outcome.recipe.method for run in self.runs]
        metrics = QFontMetricsF(painter.font())
        sizes = [QSizeF(metrics.horizontalAdvance(word), metrics.height()) for word in words]
        for word, place in zip(words, beside(marks, sizes, brush.width), strict=True):
            brush.write(place.left(), place.center().y(), word, self.color("axis"))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, not brush.grain)

    def reset_view(self) -> None:
        x, y = self._places()
        y = y[np.isfinite(y)]
        if not x.size or not y.size:
            return
        low, high = float(y.min()), float(y.max())
        up = max(high - low, 10.0)
        y_ends = self.with_room(low - 0.1 * up, high + 0.1 * up, below=MOST_RADIUS, above=MOST_RADIUS)
        self.fit_to(x=(0.0, max(1.2, 1.35 * float(x.max()))), y=y_ends)

    def tables(self) -> dict[str, Table]:
        if not self.runs:
            return {}
        y = self._places()[1]
        return {
            "": Table(
                {
                    "file": np.array([run.outcome.path.name for run in self.runs]),
                    "method": np.array([run.outcome.recipe.method for run in self.runs]),
                    "bytes": np.array([run.outcome.bytes for run in self.runs]),
                    "float_bytes": np.array([run.outcome.original_bytes for run in self.runs]),
                    "sqnr_db": y,
                    "time_ratio": np.array([_ratio(run) for run in self.runs]),
                }
            )
        }

    def _nearest(self, point: QPointF) -> DeployedRun | None:
        if not self.runs:
            return None
        x, y = self._places()
        (left, right), (bottom, top) = self.view.viewRange()
        across, up = self.view.width() / (right - left), self.view.height() / (top - bottom)
        distance = np.hypot((x - point.x()) * across, (y - point.y()) * up)
        at = int(np.nanargmin(distance))
        return self.runs[at] if distance[at] <= NEAR else None

    def hover(self, point: QPointF) -> None:
        run = self._nearest(point)
        if run is None or run.sqnr_db is None:
            self.read_out.emit("")
            return
        self.read_out.emit(
            self.tr("{name}: {db}, {ratio} × the time, {bytes}").format(
                name=run.outcome.path.name,
                db=decibels(run.sqnr_db),
                ratio=NONE if run.latency is None else number(run.latency.ratio, 3),
                bytes=byte_text(run.outcome.bytes),
            )
        )

    @Slot(object)
    def _on_clicked(self, event: Any) -> None:
        if event.double() or event.button() != Qt.MouseButton.LeftButton:
            return
        if self.view.sceneBoundingRect().contains(event.scenePos()):
            run = self._nearest(self.view.mapSceneToView(event.scenePos()))
            if run is not None:
                self.chosen.emit(run)
