"""What does each bit buy? Every scheme by its bits per element and what it keeps; none beats those on the line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal, Slot
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from qviz.core.arrays import Floats
from qviz.core.frozen import frozen
from qviz.core.questions.figures import Figures
from qviz.core.questions.sweep import pareto
from qviz.gui.charts.axes import PowerAxis
from qviz.gui.charts.base import Chart, LinkedCursor, Table
from qviz.gui.charts.drawing import Brush, saved
from qviz.gui.kit.judgement import lossless
from qviz.gui.words.measures import Measure
from qviz.gui.words.numbers import number
from qviz.session.language import tr

DB_PER_BIT = 20 * math.log10(2)
"""Each bit halves the step, which is worth so much: 6.02 dB."""

RADIUS, NEAR = 4.5, 14.0
"""Pixels: half a mark; how near the pointer has to be."""

LANE = 40
"""Pixels at the better edge for what loses nothing: it has no place along the axis."""

LANE_WORDS, LANE_MARKS = 10, 26
"""Pixels from that edge to the middle of what is said there, and to the marks."""

KEY_ROW, KEY_NAME, KEY_GAP = 17, 24, 10
"""Pixels of the key: how high a row is, where its name begins, and around all of it."""

MOST_KEY = 0.4
"""Share of the width that the key may take."""

BESIDE_MARKS = 0.05
"""Share of the width that is left free beside the marks."""

SHAPES = ("circle", "square", "diamond", "triangle", "cross")
SERIES = 6


@frozen(eq=False)
class Point:
    """One scheme: its figures, its name, and the groups that its colour and its shape tell."""

    metrics: Figures
    name: str
    color: str
    shape: str


class LaneAxis(PowerAxis):
    """One that says nothing beside the lane: 1 at the top, -1 at the bottom, 0 without one."""

    lane = 0

    def manner(self) -> Any:
        return self.logarithmic, self.lane

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Any:  # noqa: N803 - Qt's name
        room = (maxVal - minVal) * LANE / max(size, LANE)
        low, high = minVal + (self.lane < 0) * room, maxVal - (self.lane > 0) * room
        levels = super().tickValues(minVal, maxVal, size)
        return [(gap, [v for v in values if low <= v <= high]) for gap, values in levels]


class ParetoChart(Chart):
    """A mark for each scheme; the front that no other one beats; a click takes a scheme."""

    name: ClassVar[str] = "sweep"
    chosen = Signal(object)
    pointed = Signal(object)

    def __init__(self, link: LinkedCursor, measure: Measure) -> None:
        super().__init__(link, axes={"left": LaneAxis("left")})
        self.measure = measure
        self.points: tuple[Point, ...] = ()
        self.front = np.zeros(0, np.intp)
        self.marked: object = None
        self.current: object = None
        self._colors: dict[str, str] = {}
        self._shapes: dict[str, str] = {}
        self._x = self._y = np.zeros(0)
        self._fitted: tuple[float, ...] = ()
        self.set_measure(measure)
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)

    def title(self) -> str:
        return self.tr("What each bit buys")

    def description(self) -> str:
        return self.tr(
            "Every scheme by the bits that an element takes, scales and zero points counted, and by what is left of "
            "the tensor. No scheme beats those on the line; what loses nothing stands at the edge. Colours tell the "
            "range, shapes who shares a scale. "
            "Click a mark to see its scheme on the Tensor page."
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show yet."""
        return not self.points

    def set_measure(self, measure: Measure) -> None:
        """Another figure."""
        self.measure = measure
        self.plot.getAxis("left").logarithmic = measure.logarithmic
        self.plot.getAxis("left").picture = None
        self.set_labels(self.tr("Bits per element, scales and zero points counted"), tr(measure.label))
        self.show_points(self.points, anew=True)

    def show_points(self, points: Sequence[Point], *, anew: bool = False) -> None:
        """Show these, and move the view only when that is needed."""
        if self.points and (not points or points[0].metrics is not self.points[0].metrics):
            self.read_out.emit("")  # what the pointer read was of another sweep
        self.points = tuple(points)
        self.canvas.setVisible(bool(points))
        metrics: list[Any] = [p.metrics for p in points]
        self._x = np.array([m.storage.bits_per_element for m in metrics])
        self._y = np.array([self.measure.height(m) for m in metrics])
        self.front = pareto(self._x, [self.measure.worth(m) for m in metrics])
        axis, side = self.plot.getAxis("left"), 1 if self.measure.higher_is_better else -1
        axis.lane = side if self._lossless else 0
        self.write_heights(bool(np.isfinite(self._y).any()) or not points)
        for group, names in ((self._colors, [p.color for p in points]), (self._shapes, [p.shape for p in points])):
            for name in dict.fromkeys(names):
                if name not in group:
                    group[name] = self._next(group)
        if not points:
            self._colors.clear()
            self._shapes.clear()
        self.set_note("" if all(m.exact for m in metrics) else self.tr("some are estimates"))
        span, key = self._span(), self.key_place()
        fitted = (*span, 0.0 if key is None else key.width())
        if anew or fitted != self._fitted:
            self._fitted = fitted
            self.reset_view()
        self.repaint_marks()

    def _next(self, group: dict[str, str]) -> str:
        if group is self._colors:
            return f"series{len(group) % SERIES + 1}"
        return SHAPES[len(group) % len(SHAPES)]

    def mark(self, metrics: object) -> None:
        """Let one stand out."""
        if metrics is not self.marked:
            self.marked = metrics
            self.repaint_marks()

    def point_to_scheme(self, scheme: object) -> None:
        """Ring the scheme that the Tensor page shows."""
        if scheme != self.current:
            self.current = scheme
            self.repaint_marks()

    # -- painting

    def paint_marks(self, brush: Brush) -> None:
        if not self.points:
            return
        self._paint_reference(brush)
        painter = brush.painter
        self._paint_lane(brush)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        front, (across, down) = self.front, self._places(brush)
        if front.size > 1:
            # From each to the next: up where the next one starts to pay.
            x, y = np.repeat(across[front], 2)[1:], np.repeat(down[front], 2)[:-1]
            painter.setPen(self.pen("unused", width=2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(QPolygonF([QPointF(a, b) for a, b in zip(x, y, strict=True)]))
        on_front = set(front.tolist())
        order = sorted(range(len(self.points)), key=lambda i: (i in on_front, self.points[i].metrics is self.marked))
        for at in order:
            if not math.isnan(down[at]):
                self._paint_point(brush, at, QPointF(across[at], down[at]), at in on_front)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, not brush.grain)
        self._paint_key(brush)

    def _places(self, brush: Brush) -> tuple[Floats, Floats]:
        """Where the marks are, in pixels; those beyond the axis at the edges, however the view is moved."""
        best, worst = (LANE_MARKS, brush.height - LANE_MARKS)[:: 1 if self.measure.higher_is_better else -1]
        y = np.where(self._y == self.measure.perfect, best, np.where(np.isinf(self._y), worst, brush.y(self._y)))
        return brush.x(self._x), y

    @property
    def _lossless(self) -> list[Figures]:
        """Those that lose nothing, by the figure that is shown."""
        return [p.metrics for p, y in zip(self.points, self._y, strict=True) if y == self.measure.perfect]

    def _paint_lane(self, brush: Brush) -> None:
        """The ground of those that lose nothing, and what the figure says of them."""
        these = self._lossless
        if not these:
            return
        top, words = 0.0, float(LANE_WORDS)
        if not self.measure.higher_is_better:
            top, words = brush.height - LANE, brush.height - LANE_WORDS
        brush.rect(0, top, brush.width, LANE, self.color("unused", 40))
        brush.take(self.letters(11))
        brush.write(LANE_WORDS / 2, words, self.lane_text(these), self.color("axis"))

    def lane_text(self, these: Sequence[Figures]) -> str:
        """What is said of those that lose nothing, by the figure that is shown."""
        figure = self.measure.text(self.measure.read(these[0]))
        if any(m.mse for m in these):  # a cosine is 1 wherever x̂ is a multiple of x
            return figure
        return lossless(figure)

    def _paint_point(self, brush: Brush, at: int, center: QPointF, on_front: bool) -> None:
        point, painter = self.points[at], brush.painter
        color = QColor(self.color(self._colors[point.color]))
        if point.metrics is self.marked or point.metrics.scheme == self.current:
            painter.setPen(self.pen("pointer", width=2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(center, RADIUS + 4, RADIUS + 4)
        painter.setPen(QPen(self.color("background"), 1))
        if not on_front:
            color.setAlpha(150)
        if not point.metrics.exact:
            painter.setPen(QPen(color, 1.5))
            color = QColor(self.color("background"))
        painter.setBrush(color)
        _draw_shape(painter, self._shapes[point.shape], center, RADIUS if on_front else RADIUS - 1)

    def _reference(self) -> tuple[float, float] | None:
        """Through where it leads what others would keep if each bit were worth 6.02 dB: the cheapest of the front."""
        known = self.front[np.isfinite(self._y[self.front])]
        if self.measure.key != "sqnr" or not known.size:
            return None
        return float(self._x[known[0]]), float(self._y[known[0]])

    def _paint_reference(self, brush: Brush) -> None:
        """Up to the key and the lane, not through them."""
        through, key = self._reference(), self.key_place()
        if through is None or key is None:  # a line that nobody explains
            return
        x0, y0 = through
        left, right = self.view.viewRange()[0]
        ends = [(x, y0 + DB_PER_BIT * (x - x0)) for x in (left, right)]
        top = LANE if self._lossless else 0
        with saved(brush.painter) as painter:
            painter.setClipRect(QRectF(0, top, key.left(), brush.height - top))
            brush.line(*ends[0], *ends[1], self.pen("bound", style=Qt.PenStyle.DashLine))

    def _key(self) -> list[tuple[str, str, str]]:
        """What is explained: a name, a colour and a shape, which none is for the dashed line."""
        rows = [(name, role, "circle") for name, role in self._colors.items()]
        if len(self._shapes) > 1:
            rows += [(name, "axis", shape) for name, shape in self._shapes.items()]
        if self._reference() is not None:
            rows.append((self.tr("6.02 dB per bit"), "bound", ""))
        return rows

    def key_place(self) -> QRectF | None:
        """Where the key is, in pixels: in a column of its own on the right; None where there is no room for it.

        Its rows are beside each other where they are too many for the height.
        """
        rows, laned = self._key(), bool(self._lossless)
        top = KEY_GAP + (LANE if laned and self.measure.higher_is_better else 0)
        fitting = int((self.view.height() - top - KEY_GAP - (LANE if laned else 0)) // KEY_ROW)
        if not rows or fitting < 1:
            return None
        columns = -(-len(rows) // fitting)
        width = columns * self._key_width(rows)
        if width + KEY_GAP > MOST_KEY * self.view.width():
            return None
        return QRectF(self.view.width() - width - KEY_GAP, top, width, KEY_ROW * -(-len(rows) // columns))

    def _key_width(self, rows: list[tuple[str, str, str]]) -> float:
        letters = self.letters(11)
        return math.ceil(max(letters.width(name) for name, _, _ in rows)) + KEY_NAME + KEY_GAP

    def _paint_key(self, brush: Brush) -> None:
        """Colours, shapes and the dashed line."""
        place, rows, painter = self.key_place(), self._key(), brush.painter
        if place is None:
            return
        brush.take(self.letters(11))
        brush.rect(place.left(), place.top() - 4, place.width(), place.height() + 6, self.color("background", 215))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        each, wide = round(place.height() / KEY_ROW), self._key_width(rows)
        for at, (name, role, shape) in enumerate(rows):
            left = place.left() + at // each * wide
            middle = place.top() + (at % each + 0.5) * KEY_ROW
            if shape:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(self.color(role))
                _draw_shape(painter, shape, QPointF(left + KEY_NAME / 2, middle), RADIUS)
            else:
                painter.setPen(self.pen(role, style=Qt.PenStyle.DashLine))
                painter.drawLine(QPointF(left + 3, middle), QPointF(left + KEY_NAME - 4, middle))
            brush.write(left + KEY_NAME, middle, name, self.color("axis"))

    # -- the view

    def _span(self) -> tuple[float, ...]:
        """The ends of the marks along both axes, and whether some are beyond the upright one."""
        there, known = ~np.isnan(self._y), np.isfinite(self._y)
        if not there.any():
            return ()
        x, y = self._x[there], self._y[known] if known.any() else np.zeros(1)
        return (*(float(v) for v in (x.min(), x.max(), y.min(), y.max())), bool(self._lossless))

    def reset_view(self) -> None:
        span = self._span()
        if not span:
            return
        left, right, bottom, top, laned = span
        if left == right:
            left, right = left - 0.5, right + 0.5
        up = (top - bottom) or 1.0
        below, above = bottom - 0.1 * up, top + 0.12 * up
        if laned:
            lane = {"above": LANE} if self.measure.higher_is_better else {"below": LANE}
            below, above = self.with_room(below, above, **lane)
        key, width = self.key_place(), self.view.width()
        free = BESIDE_MARKS * width
        used = free if key is None else free + width - key.left()
        across = (right - left) / (width - free - used)
        self.fit_to(x=(left - free * across, right + used * across), y=(below, above))

    def tables(self) -> dict[str, Table]:
        if not self.points:
            return {}
        front = np.zeros(len(self.points), np.int64)
        front[self.front] = 1
        return {
            "": Table(
                {
                    "scheme": np.array([p.name for p in self.points]),
                    "bits_per_element": self._x,
                    "sqnr_db": np.array([p.metrics.sqnr_db for p in self.points]),
                    "mse": np.array([p.metrics.mse for p in self.points]),
                    "max_abs_error": np.array([p.metrics.max_abs_error for p in self.points]),
                    "cosine": np.array([p.metrics.cosine for p in self.points]),
                    "unbeaten": front,
                }
            )
        }

    # -- the pointer

    def _nearest(self, point: QPointF) -> int | None:
        if not self.points:
            return None
        ruler = self._under.ruler()
        across, down = self._places(ruler)
        distance = np.hypot(across - ruler.at_x(point.x()), down - ruler.at_y(point.y()))
        distance = np.where(np.isnan(distance), np.inf, distance)
        at = int(np.argmin(distance))
        return at if distance[at] <= NEAR else None

    def hover(self, point: QPointF) -> None:
        at = self._nearest(point)
        self.canvas.setCursor(Qt.CursorShape.ArrowCursor if at is None else Qt.CursorShape.PointingHandCursor)
        self.mark(None if at is None else self.points[at].metrics)
        self.pointed.emit(None if at is None else self.points[at].metrics)
        if at is None:
            self.read_out.emit("")
            return
        metrics = self.points[at].metrics
        self.read_out.emit(
            self.tr("{name}: {figure} at {bits} bits").format(
                name=self.points[at].name,
                figure=self.measure.text(self.measure.read(metrics)),
                bits=number(metrics.storage.bits_per_element, 4),
            )
        )

    def leave(self) -> None:
        super().leave()
        self.mark(None)

    @Slot(object)
    def _on_clicked(self, event: Any) -> None:
        if event.double() or event.button() != Qt.MouseButton.LeftButton:
            return
        if self.view.sceneBoundingRect().contains(event.scenePos()):
            at = self._nearest(self.view.mapSceneToView(event.scenePos()))
            if at is not None:
                self.chosen.emit(self.points[at].metrics)


def _draw_shape(painter: QPainter, shape: str, center: QPointF, radius: float) -> None:
    x, y = center.x(), center.y()
    if shape == "circle":
        painter.drawEllipse(center, radius, radius)
        return
    r = radius
    corners = {
        "square": [(-r, -r), (r, -r), (r, r), (-r, r)],
        "diamond": [(0, -1.3 * r), (1.3 * r, 0), (0, 1.3 * r), (-1.3 * r, 0)],
        "triangle": [(0, -1.2 * r), (1.2 * r, r), (-1.2 * r, r)],
        "cross": [(-r, -r / 3), (-r / 3, -r / 3), (-r / 3, -r), (r / 3, -r), (r / 3, -r / 3), (r, -r / 3),
                  (r, r / 3), (r / 3, r / 3), (r / 3, r), (-r / 3, r), (-r / 3, r / 3), (-r, r / 3)],
    }[shape]  # fmt: skip
    painter.drawPolygon(QPolygonF([QPointF(x + dx, y + dy) for dx, dy in corners]))
