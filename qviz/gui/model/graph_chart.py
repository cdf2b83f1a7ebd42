"""Where in the network is the loss made? Its layers as boxes, coloured by what each does to the output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF

from qviz.gui.charts.base import Chart, LinkedCursor, Table
from qviz.gui.charts.drawing import Brush
from qviz.gui.kit.names import Names
from qviz.gui.kit.theme import scaled_font
from qviz.gui.words.numbers import NONE, decibels
from qviz.models.graph_layout import BOX_HEIGHT, BOX_WIDTH, Box, Drawn

HEATS = 9
LEAST_SPAN, MOST_SPAN = 20.0, 45.0
"""dB between the lightest and the darkest box: small differences look small, and one lossless layer hides none."""

LARGEST, READABLE, LEGIBLE = 1.25, 0.8, 0.4
"""Pixels for each unit: the most, what is opened with where all would be smaller, and from where on there is text."""

MAP_SIZE, MAP_MARGIN = 120.0, 10.0
MARGIN = 12.0


class GraphChart(Chart):
    """Boxes and ways; a click chooses a layer, a double click opens its weight.

    Signals
    -------
    chosen(Box), opened(Box)
    """

    name: ClassVar[str] = "network"
    judged: ClassVar[bool] = False
    chosen = Signal(object)
    opened = Signal(object)

    def __init__(self, link: LinkedCursor) -> None:
        super().__init__(link, gridded=False)
        self.drawn: Drawn | None = None
        self.figures: dict[str, float] = {}
        self.marked: Box | None = None
        self._names = Names(())
        self._map: tuple[QRectF, float] | None = None
        for side in ("left", "bottom"):
            self.plot.hideAxis(side)
        self.view.setAspectLocked(True)
        self.view.sigRangeChanged.connect(self._on_moved)
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)

    def title(self) -> str:
        return self.tr("Network")

    def description(self) -> str:
        return self.tr(
            "The layers of the network. The darker a box, the more its quantization alone hurts the output; the dB in "
            "it are what is left of the output. Click a box to choose its layer, double-click it to see its weight on "
            "the Tensor page. Drag to move, turn the wheel to zoom."
        )

    @property
    def empty(self) -> bool:
        return self.drawn is None

    def show_graph(self, drawn: Drawn | None) -> None:
        """Another network, or other boxes of the same."""
        self.drawn, self.figures, self.marked = drawn, {}, None
        self._names = Names(box.name for box in (drawn.boxes if drawn is not None else ()))
        self.canvas.setVisible(drawn is not None)
        self.read_out.emit("")
        self.reset_view()
        self.repaint_marks()

    def show_figures(self, sqnr_db: Mapping[str, float]) -> None:
        """What is left of the output, in dB, with each unit quantized alone."""
        if sqnr_db != self.figures:
            self.figures = dict(sqnr_db)
            self.repaint_marks()

    def mark(self, unit: str) -> None:
        """Let the box of a unit stand out, and bring it into sight."""
        boxes = self.drawn.boxes if self.drawn is not None else ()
        self.marked = next((box for box in boxes if any(u.name == unit for u in box.units)), None)
        if self.marked is not None and self.drawn is not None:
            x, y = self.drawn.centers[self.drawn.boxes.index(self.marked)]
            (left, right), (bottom, top) = self.view.viewRange()
            scale = self.view.width() / (right - left)
            strip = self._strip(self.view.width(), self.view.height())
            if not (left < x < right - strip.width() / scale and bottom + strip.height() / scale < -y < top):
                self._center(x, -y)
        self.repaint_marks()

    def figure_of(self, box: Box) -> float:
        """The least of its units; NaN where none is known."""
        known = [self.figures[unit.name] for unit in box.units if unit.name in self.figures]
        return min(known) if known else math.nan

    # -- painting

    def paint_marks(self, brush: Brush) -> None:
        drawn = self.drawn
        if drawn is None:
            return
        painter = brush.painter
        painter.save()
        painter.setClipRect(QRectF(0, 0, brush.width, brush.height))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        left, right = self.view.viewRange()[0]
        scale = brush.width / (right - left)

        def place(x: float, y: float) -> QPointF:
            return QPointF((x - brush.left) * scale, (brush.top + y) * scale)

        strip = self._strip(brush.width, brush.height) if self._has_map(brush.width) else QSizeF(0, 0)
        painter.save()
        painter.setClipRect(QRectF(0, 0, brush.width - strip.width(), brush.height - strip.height()))
        self._paint_ways(painter, drawn, place, brush, scale)
        font = scaled_font(self.font(), max(6, min(14, round(11 * scale))))
        bold = scaled_font(font, font.pixelSize(), weight=QFont.Weight.DemiBold)
        ends = self._ends()
        for box, (x, y) in zip(drawn.boxes, drawn.centers, strict=True):
            center = place(x, y)
            rect = QRectF(0, 0, BOX_WIDTH * scale, BOX_HEIGHT * scale)
            rect.moveCenter(center)
            if rect.right() > 0 and rect.left() < brush.width and rect.bottom() > 0 and rect.top() < brush.height:
                self._paint_box(painter, box, rect, (font, bold), scale, ends)
        painter.restore()
        self._map = None
        if strip != QSizeF(0, 0):
            self._paint_map(painter, drawn, brush, strip)
        painter.restore()

    def _paint_ways(self, painter: QPainter, drawn: Drawn, place: Any, brush: Brush, scale: float) -> None:
        painter.setPen(QPen(self.color("unused"), max(1.0, 1.2 * scale)))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        seen = QRectF(0, 0, brush.width, brush.height)
        for way in drawn.ways:
            line = QPolygonF([place(x, y) for x, y in way])
            if len(way) > 1 and line.boundingRect().adjusted(-1, -1, 1, 1).intersects(seen):
                painter.drawPolyline(line)

    def _ends(self) -> tuple[float, float]:
        known = [value for value in self.figures.values() if math.isfinite(value)]
        low = min(known, default=0.0)
        return low, min(max(low + LEAST_SPAN, max(known, default=0.0)), low + MOST_SPAN)

    def fill_of(self, box: Box, ends: tuple[float, float]) -> QColor:
        """The darker, the more it hurts; without a figure, as the ground."""
        value = self.figure_of(box)
        if math.isnan(value):
            return self.solid("grid", 0.6 if box.units else 0.25)
        low, high = ends
        share = 0.0 if value >= high else (high - value) / (high - low)
        return QColor(self.color(f"heat{1 + min(HEATS - 1, int(share * HEATS))}"))

    def _paint_box(
        self,
        painter: QPainter,
        box: Box,
        rect: QRectF,
        fonts: tuple[QFont, QFont],
        scale: float,
        ends: tuple[float, float],
    ) -> None:
        fill = self.fill_of(box, ends)
        edge = self.pen("pointer", width=2) if box is self.marked else QPen(self.color("unused"), 1)
        painter.setPen(edge)
        painter.setBrush(fill)
        painter.drawRoundedRect(rect, 4 * scale, 4 * scale)
        if scale < LEGIBLE:
            return
        bright = 0.299 * fill.red() + 0.587 * fill.green() + 0.114 * fill.blue() > 140
        painter.setPen(QColor("#16191d" if bright else "#f4f6f8"))
        value = self.figure_of(box)
        inner = rect.adjusted(6 * scale, 2 * scale, -6 * scale, -2 * scale)
        upper, lower = QRectF(inner), QRectF(inner)
        upper.setHeight(inner.height() / 2)
        lower.setTop(upper.bottom())
        flags = Qt.AlignmentFlag.AlignVCenter
        figure = decibels(value) if not math.isnan(value) else ""
        metrics = QFontMetricsF(fonts[1])
        painter.setFont(fonts[1])
        painter.drawText(upper, Qt.AlignmentFlag.AlignRight | flags, figure)
        room = upper.width() - metrics.horizontalAdvance(figure) - 4
        operators = ", ".join(box.operators)
        painter.drawText(upper, flags, metrics.elidedText(operators, Qt.TextElideMode.ElideRight, room))
        painter.setFont(fonts[0])
        painter.drawText(lower, flags, self.short(box.name, QFontMetricsF(fonts[0]), lower.width()))

    def short(self, name: str, metrics: QFontMetricsF, room: float) -> str:
        """A name in so many pixels, so that its box can be told from the others."""
        short = self._names.short(name, lambda text: metrics.horizontalAdvance(text) <= room)
        return metrics.elidedText(short, Qt.TextElideMode.ElideMiddle, room)

    def _has_map(self, width: float) -> bool:
        """Whether not all is in sight, and there is room to show it in small."""
        assert self.drawn is not None
        left, top, right, bottom = self.drawn.bounds
        (x0, x1), (y0, y1) = self.view.viewRange()
        return width >= 2.5 * MAP_SIZE and not (x0 <= left and x1 >= right and -y1 <= top and -y0 >= bottom)

    def _strip(self, width: float, height: float) -> QSizeF:
        """What the map takes of a chart so large: at its right side or below the boxes, whichever is less."""
        map_size = self._map_size(height)
        wide, high = map_size.width() + 2 * MAP_MARGIN, map_size.height() + 2 * MAP_MARGIN
        return QSizeF(wide, 0) if wide * height <= high * width else QSizeF(0, high)

    def _paint_map(self, painter: QPainter, drawn: Drawn, brush: Brush, strip: QSizeF) -> None:
        """All of it in small, beside the boxes, with what is in sight."""
        left, top, _, _ = drawn.bounds
        (x0, x1), (y0, y1) = self.view.viewRange()
        scale = self._map_scale(brush.height)
        rect = QRectF(QPointF(0, 0), self._map_size(brush.height))
        rect.moveBottomRight(QPointF(brush.width - MAP_MARGIN, brush.height - MAP_MARGIN))
        self._map = rect, scale
        x1 -= strip.width() / brush.width * (x1 - x0)
        y0 += strip.height() / brush.height * (y1 - y0)
        painter.setPen(self.pen("grid"))
        edge = QPointF(brush.width - strip.width(), brush.height - strip.height())
        painter.drawLine(QPointF(0, edge.y()) if strip.height() else QPointF(edge.x(), 0), edge)
        painter.setBrush(self.color("background"))
        painter.drawRect(rect.adjusted(-5, -5, 5, 5))
        painter.setPen(Qt.PenStyle.NoPen)
        ends = self._ends()
        for box, (x, y) in zip(drawn.boxes, drawn.centers, strict=True):
            small = QRectF(0, 0, max(1.5, BOX_WIDTH * scale), max(1.5, BOX_HEIGHT * scale))
            small.moveCenter(QPointF(rect.left() + (x - left) * scale, rect.top() + (y - top) * scale))
            painter.setBrush(self.fill_of(box, ends))
            painter.drawRect(small)
        seen = QRectF((x0 - left) * scale, (-y1 - top) * scale, (x1 - x0) * scale, (y1 - y0) * scale)
        painter.setPen(self.pen("pointer"))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(seen.translated(rect.topLeft()).intersected(rect.adjusted(-5, -5, 5, 5)))

    def _map_scale(self, height: float) -> float:
        """Pixels of the map for each unit, in a chart so high."""
        assert self.drawn is not None
        left, top, right, bottom = self.drawn.bounds
        return min(MAP_SIZE / (right - left), min(MAP_SIZE, height / 2) / (bottom - top))

    def _map_size(self, height: float) -> QSizeF:
        assert self.drawn is not None
        left, top, right, bottom = self.drawn.bounds
        scale = self._map_scale(height)
        return QSizeF((right - left) * scale, (bottom - top) * scale)

    # -- the view

    def reset_view(self) -> None:
        """All of it where that is readable; else its beginning."""
        if self.drawn is None:
            return
        left, top, right, bottom = self.drawn.bounds
        wide, high = right - left + 2 * MARGIN, bottom - top + 2 * MARGIN
        width, height = max(self.view.width(), 50.0), max(self.view.height(), 50.0)
        whole = min(width / wide, height / high)
        scale = min(LARGEST, max(whole, READABLE))
        fits = wide * scale <= width and high * scale <= height
        strip = QSizeF(0, 0) if fits or width < 2.5 * MAP_SIZE else self._strip(width, height)
        room = width - strip.width(), height - strip.height()
        if wide * scale <= room[0]:
            middle = (left + right) / 2 + strip.width() / scale / 2
        else:  # around its first box
            first = min(self.drawn.centers, key=lambda center: center[1])[0]
            edge = max(left - MARGIN, min(first - room[0] / scale / 2, right + MARGIN - room[0] / scale))
            middle = edge + width / scale / 2
        y = -(top - MARGIN)
        if high * scale < room[1]:
            y += (room[1] / scale - high) / 2
        self.view.setRange(
            xRange=(middle - width / scale / 2, middle + width / scale / 2),
            yRange=(y - height / scale, y),
            padding=0,
        )

    def _center(self, x: float, y: float) -> None:
        (left, right), (bottom, top) = self.view.viewRange()
        wide, high = right - left, top - bottom
        self.view.setRange(xRange=(x - wide / 2, x + wide / 2), yRange=(y - high / 2, y + high / 2), padding=0)

    @Slot()
    def _on_moved(self, *_: object) -> None:
        self.repaint_marks()

    def tables(self) -> dict[str, Table]:
        if self.drawn is None:
            return {}
        boxes = self.drawn.boxes
        return {
            "": Table(
                {
                    "layer": np.array([box.name for box in boxes]),
                    "operators": np.array([" ".join(box.operators) for box in boxes]),
                    "bytes": np.array([box.bytes for box in boxes]),
                    "alone_db": np.array([self.figure_of(box) for box in boxes]),
                    "x": np.array([x for x, _ in self.drawn.centers]),
                    "y": np.array([y for _, y in self.drawn.centers]),
                }
            ),
            "edges": Table(
                {
                    "from": np.array([boxes[a].name for a, _ in self.drawn.edges], dtype=np.str_),
                    "to": np.array([boxes[b].name for _, b in self.drawn.edges], dtype=np.str_),
                }
            ),
        }

    # -- the pointer

    def box_at(self, point: QPointF) -> Box | None:
        """The box at a point of the chart; none where the map is."""
        if self.drawn is None or self._is_beside(point):
            return None
        for box, (x, y) in zip(self.drawn.boxes, self.drawn.centers, strict=True):
            if abs(point.x() - x) <= BOX_WIDTH / 2 and abs(-point.y() - y) <= BOX_HEIGHT / 2:
                return box
        return None

    def _is_beside(self, point: QPointF) -> bool:
        """Whether a point lies in the strip of the map."""
        width, height = self.view.width(), self.view.height()
        if not self._has_map(width):
            return False
        strip, here = self._strip(width, height), self.view.mapFromView(point)
        return bool(here.x() > width - strip.width() or here.y() > height - strip.height())

    def hover(self, point: QPointF) -> None:
        box = self.box_at(point)
        self.canvas.setCursor(Qt.CursorShape.ArrowCursor if box is None else Qt.CursorShape.PointingHandCursor)
        if box is None:
            self.read_out.emit("")
            return
        value = self.figure_of(box)
        self.read_out.emit(
            self.tr("{name} ({operators}): {figure}").format(
                name=box.name,
                operators=", ".join(box.operators),
                figure=decibels(value) if not math.isnan(value) else NONE,
            )
        )

    @Slot(object)
    def _on_clicked(self, event: Any) -> None:
        if event.button() != Qt.MouseButton.LeftButton or self.drawn is None:
            return
        if not self.view.sceneBoundingRect().contains(event.scenePos()):
            return
        here = self.view.mapFromScene(event.scenePos())
        if self._map is not None and self._map[0].contains(here):
            rect, scale = self._map
            left, top, _, _ = self.drawn.bounds
            self._center(left + (here.x() - rect.left()) / scale, -(top + (here.y() - rect.top()) / scale))
            return
        box = self.box_at(self.view.mapSceneToView(event.scenePos()))
        if box is None:
            return
        if event.double():
            event.accept()
            self.opened.emit(box)
        else:
            self.marked = box
            self.repaint_marks()
            self.chosen.emit(box)
