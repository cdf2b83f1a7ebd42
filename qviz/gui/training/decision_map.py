"""Where in the plane does a network answer what, and which digits does it take for others?"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QFontMetricsF

from qviz.gui.charts.axes import ChartAxis
from qviz.gui.charts.base import LinkedCursor, Table, pen
from qviz.gui.charts.drawing import Brush
from qviz.gui.kit.theme import Theme, scaled_font
from qviz.gui.training.run_chart import NAMES, ROLES, RunChart
from qviz.gui.words.numbers import fixed, number
from qviz.session.language import tr
from qviz.training.snapshot import Answers, Snapshot

POINTS = 300
"""Points of the test data that are drawn."""

CLASS_ROLES = ("class0", "class1", "class2", "class3")
"""Colours of the classes; more classes than these begin again."""

WRITTEN_UP_TO = 12
"""Classes: with more, counts are too small to be read."""


class ConfusionAxis(ChartAxis):
    """Whole numbers alone where the axis counts classes."""

    classes: tuple[str, ...] = ()

    def tickValues(self, minVal: float, maxVal: float, size: float) -> object:  # noqa: N803 - Qt's name
        if not self.classes:
            return super().tickValues(minVal, maxVal, size)
        every = max(1, round(len(self.classes) * 16 / max(size, 1)))
        sign = -1 if self.orientation == "left" else 1  # labels are read downwards
        places = [float(sign * v) for v in range(0, len(self.classes), every)]
        return [(1.0, [v for v in places if minVal <= v <= maxVal])]

    def tickStrings(self, values: list[float], scale: float, spacing: float) -> list[str]:
        if not self.classes:
            return [str(text) for text in super().tickStrings(values, scale, spacing)]
        return [self.classes[round(abs(v))] for v in values]


class BoundaryChart(RunChart):
    """The answers of one network: a map with the test data on it, or, for pictures, labels against answers."""

    of_cells: ClassVar[bool] = True

    def __init__(self, link: LinkedCursor, network: str) -> None:
        self.network = network
        self.name = f"{network}_answers"  # type: ignore[misc]
        self._axes = {"left": ConfusionAxis("left"), "bottom": ConfusionAxis("bottom")}
        super().__init__(link, axes=self._axes, gridded=False)
        self._map = pg.ImageItem(axisOrder="row-major")
        self._map.setZValue(-10)
        self._points = pg.ScatterPlotItem(size=5, pxMode=True)
        for item in (self._map, self._points):
            self.plot.addItem(item, ignoreBounds=True)
        self.plot.getAxis("left").keep_width(44)
        self._plane = True
        self._drawn: Answers | None = None

    def title(self) -> str:
        return self.tr("{network} answers").format(network=tr(NAMES[self.network]))

    def description(self) -> str:
        return self.tr(
            "What the network answers everywhere in the plane, with test data on it: a point on a ground of another "
            "colour is wrong. Of pictures and tables: how often each label (a row) gets each answer."
        )

    @property
    def answers(self) -> Answers | None:
        """What is shown; None as long as there is no such network."""
        return None if self.snapshot is None else self.snapshot.answers.get(self.network)

    def draw_snapshot(self, snapshot: Snapshot, fresh: bool) -> None:
        answers = self.answers
        self._plane = snapshot.dataset.features == 2
        self._map.setVisible(answers is not None and self._plane)
        if fresh:
            names = () if self._plane else snapshot.dataset.class_names
            for axis in self._axes.values():
                axis.classes = names
                axis.picture = None
            labels = (self.tr("x₁"), self.tr("x₂")) if self._plane else (self.tr("Answer"), self.tr("Label"))
            self.set_labels(*labels)
            self._show_points(snapshot)
            self.reset_view()
        accuracy = snapshot.last[f"{self.network}_accuracy"]
        if np.isfinite(accuracy):
            self.set_note(self.tr("{share} right").format(share=fixed(100 * accuracy, 1, "%")))
        else:
            self.set_note(self.tr("begins after float") if self.network == "qat" else "")
        if answers is self._drawn and not fresh:
            return
        self._drawn = answers
        if answers is not None and self._plane:
            self._map.setImage(self._colors()[answers.classes], autoLevels=False)
            left, right, bottom, top = snapshot.extent
            self._map.setRect(QRectF(left, bottom, right - left, top - bottom))
        self.repaint_marks()

    def _colors(self) -> np.ndarray:
        """The ground of each class, RGB."""
        found = [self.solid(role, 0.38) for role in CLASS_ROLES]
        colors = np.array([[c.red(), c.green(), c.blue()] for c in found], np.uint8)
        return np.resize(colors, (256, 3))

    def _show_points(self, snapshot: Snapshot) -> None:
        data = snapshot.dataset
        self._points.setVisible(self._plane)
        if self._plane and self.theme is not None:
            brushes = [pg.mkBrush(self.color(role)) for role in CLASS_ROLES]
            x, y = data.x_test[:POINTS], data.y_test[:POINTS]
            self._points.setData(
                x[:, 0],
                x[:, 1],
                brush=[brushes[k % len(brushes)] for k in y.tolist()],
                pen=pen(self.theme, "background"),
            )

    def paint_marks(self, brush: Brush) -> None:
        answers = self.answers
        if answers is None or self._plane:
            return
        count = answers.confusion
        share = count / np.maximum(count.sum(axis=1, keepdims=True), 1)
        classes = len(count)
        brush.painter.setFont(scaled_font(self.font(), 10))
        metrics = QFontMetricsF(brush.painter.font())
        edges = np.arange(classes + 1) - 0.5
        x, y = brush.x(edges), brush.y(-edges)
        for i, k in np.argwhere(count > 0).tolist():
            top, bottom = sorted((float(y[i]), float(y[i + 1])))
            left, width, height = float(x[k]), float(x[k + 1] - x[k]), bottom - top
            role = ROLES[self.network] if i == k else "axis"
            ground = self.solid(role, 0.15 + 0.75 * float(share[i, k]))
            brush.rect(left + 0.5, top + 0.5, width - 1, height - 1, ground)
            text = f"{int(count[i, k])}"
            wide = metrics.horizontalAdvance(text)
            if classes <= WRITTEN_UP_TO and wide < width and metrics.height() < height + 4:
                color = self.color("background" if share[i, k] > 0.5 else "pointer")
                brush.write(left + (width - wide) / 2, (top + bottom) / 2, text, color)

    def reset_view(self) -> None:
        if self.snapshot is None:
            return
        if self._plane:
            left, right, bottom, top = self.snapshot.extent
            self.view.move_to(x=(left, right), y=(bottom, top))
        else:
            end = self.snapshot.dataset.classes - 0.5
            self.view.move_to(x=(-0.5, end), y=(-end, 0.5))

    def tables(self) -> dict[str, Table]:
        answers = self.answers
        if answers is None or self.snapshot is None:
            return {}
        classes = len(answers.confusion)
        label, answer = np.divmod(np.arange(classes**2), classes)
        tables = {"": Table({"label": label, "answer": answer, "rows": answers.confusion.reshape(-1)})}
        if self._plane:
            left, right, bottom, top = self.snapshot.extent
            side = len(answers.classes)
            at = (np.arange(side) + 0.5) / side
            x, y = np.meshgrid(left + at * (right - left), bottom + at * (top - bottom))
            columns = {"x1": x.reshape(-1), "x2": y.reshape(-1), "answer": answers.classes.reshape(-1)}
            tables["map"] = Table(columns)
        return tables

    def restyle(self, theme: Theme) -> None:
        if self.snapshot is not None:
            self._show_points(self.snapshot)
            if self.answers is not None and self._plane:
                self._map.setImage(self._colors()[self.answers.classes], autoLevels=False)

    def hover(self, point: QPointF) -> None:
        answers = self.answers
        if answers is None or self.snapshot is None:
            return
        names = self.snapshot.dataset.class_names
        if self._plane:
            left, right, bottom, top = self.snapshot.extent
            side = len(answers.classes)
            column, row = (point.x() - left) / (right - left), (point.y() - bottom) / (top - bottom)
            if 0 <= column < 1 and 0 <= row < 1:
                name = names[int(answers.classes[int(row * side), int(column * side)])]
                text = self.tr("({x}, {y}) → class {answer}")
                self.read_out.emit(text.format(x=number(point.x(), 3), y=number(point.y(), 3), answer=name))
            return
        answer, label = round(point.x()), round(-point.y())
        if 0 <= answer < len(names) and 0 <= label < len(names):
            text = self.tr("label {label} → {answer}: {count}")
            count = int(answers.confusion[label, answer])
            self.read_out.emit(text.format(label=names[label], answer=names[answer], count=count))
