"""How are many marks painted at once? In the pixels of the screen; in a file, as finely as it can tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyqtgraph as pg
from pyqtgraph.functions import arrayToQPolygonF
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import (
    QBrush,
    QColor,
    QPaintEngine,
    QPainter,
    QPen,
    QPixmap,
    QPolygonF,
    QTransform,
)
from PySide6.QtWidgets import QGraphicsRectItem

from qviz.gui.charts.letters import Letters
from qviz.session.guard import guard_library, guarded

guard_library("pyqtgraph")

Floats = np.ndarray[Any, Any]

BEYOND = 16
"""Pixels outside the view at which everything that lies further off is drawn."""

CORNERS, NARROWEST = 32, 16
"""How many steps of an area a slice of a picture has, and how many dots it is wide at least."""

LABEL_MARGIN = 4
"""Pixels of ground beside the words of a label."""

HAIR = 0.01
"""Pixels from the middle of a dot to where its stroke ends: Qt leaves out one that goes nowhere."""


@guarded
class Drawing(QGraphicsRectItem):
    """One item that paints all of a chart's marks.

    A scene asks each of its items about its place many times a frame, and moves them all when the
    view moves; this one covers the view and stays, and a rectangle of Qt's answers without asking Python.
    """

    def __init__(self, view: pg.ViewBox, paint: Callable[[Brush], None], *, level: float) -> None:
        super().__init__(view)
        self._view = view
        self._paint = paint
        self._kept: dict[str, tuple[Any, QPixmap]] = {}
        self.setPen(QPen(Qt.PenStyle.NoPen))  # which would make it wider
        self.setZValue(level)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)
        self.fit()

    def fit(self) -> None:
        """Cover the view, after its size changed."""
        self.setRect(self._view.rect())

    def renew(self) -> None:
        """Have it painted anew, and not what touches it, as a scene would."""
        self.update_between(0.0, self.rect().width())

    def update_between(self, x0: float, x1: float) -> None:
        """Have all between two places painted anew, given in pixels: one rectangle, since Qt clips to it at once."""
        if x1 <= x0:
            return
        place, height = self._view.pos(), self.rect().height()
        left, top = math.floor(place.x() + x0), math.floor(place.y())
        for canvas in self.scene().views():
            canvas.viewport().update(left, top, math.ceil(place.x() + x1) - left, math.ceil(place.y() + height) - top)

    def ruler(self) -> Brush:
        """One that tells where things are on the screen, and paints nothing."""
        canvases = self.scene().views()
        return Brush(None, self._view, canvases[0].devicePixelRatioF() if canvases else 1.0, {})

    def paint(self, painter: QPainter, option: Any, widget: Any = None) -> None:
        grain = widget.devicePixelRatioF() if widget is not None else 0.0
        self._paint(Brush(painter, self._view, grain, self._kept))


class Brush:
    """A painter that knows where a chart's values are.

    Parameters
    ----------
    painter : QPainter
        In pixels of the view; None where nothing is painted.
    view : ViewBox
    grain : float
        Dots of the screen in a pixel, to which everything is fitted; 0 in a file, which has finer
        ones.
    kept : dict
        What was painted before, for `keep`.
    """

    def __init__(self, painter: Any, view: pg.ViewBox, grain: float, kept: dict[str, tuple[Any, QPixmap]]) -> None:
        self.painter = painter
        self._view = view
        self._kept = kept
        (self.left, right), (bottom, self.top) = view.state["viewRange"]
        if view.state["yInverted"]:
            bottom, self.top = self.top, bottom
        self.width, self.height = view.width(), view.height()
        self._across = self.width / (right - self.left)
        self._down = self.height / (self.top - bottom)
        self.grain = grain
        self._letters: Letters | None = None

    def at_x(self, value: float) -> float:
        """Where one value is, from the left."""
        return self._fitted_one((value - self.left) * self._across, self.width)

    def at_y(self, value: float) -> float:
        """Where one value is, from the top."""
        return self._fitted_one((self.top - value) * self._down, self.height)

    def _fitted_one(self, place: float, length: float) -> float:
        if math.isnan(place):
            return place
        place = min(max(place, -BEYOND), length + BEYOND)
        return math.floor(place * self.grain + 0.5) / self.grain if self.grain else place

    def x(self, values: Any) -> Floats:
        """Where values are, from the left."""
        return self._fitted((np.asarray(values, np.float64) - self.left) * self._across, self.width)

    def y(self, values: Any) -> Floats:
        """Where values are, from the top."""
        return self._fitted((self.top - np.asarray(values, np.float64)) * self._down, self.height)

    def _fitted(self, places: Floats, length: float) -> Floats:
        places = np.minimum(np.maximum(places, -BEYOND), length + BEYOND)
        return np.floor(places * self.grain + 0.5) / self.grain if self.grain else places

    def keep(
        self, name: str, of: tuple[Any, ...], paint: Callable[[Brush], None], rows: tuple[float, float] | None = None
    ) -> None:
        """On the screen, paint anew only when the size or something in ``of`` is another.

        Only what is painted between ``rows`` is seen there, which are heights in pixels; by default all.
        """
        if not self.grain:
            paint(self)
            return
        top, bottom = rows or (0.0, self.height)
        top = math.floor(top * self.grain) / self.grain
        key = (of, self.width, top, bottom, self.grain)
        found = self._kept.get(name)
        if found is None or found[0] != key:
            if found is None or found[0][1:] != key[1:]:
                pixmap = QPixmap(math.ceil(self.width * self.grain), math.ceil((bottom - top) * self.grain))
                pixmap.setDevicePixelRatio(self.grain)
            else:
                pixmap = found[1]  # memory that is new costs more than painting on it
            pixmap.fill(Qt.GlobalColor.transparent)
            painter = QPainter(pixmap)
            painter.setTransform(QTransform.fromTranslate(0, -top))
            paint(Brush(painter, self._view, self.grain, self._kept))
            painter.end()
            found = self._kept[name] = key, pixmap
        self.painter.drawPixmap(QPointF(0, top), found[1])

    # -- many marks

    def area(self, edges: Floats, low: Floats, high: Floats, color: QColor) -> None:
        """Fill between two staircases, which are given in pixels."""
        self._fill(color)
        for first, last in _runs(low + high):
            for sides in self._sliced(edges[first : last + 1], low[first:last], high[first:last]):
                self._between(*sides)

    def _between(self, edges: Floats, low: Floats, high: Floats) -> None:
        x = np.repeat(edges, 2)[1:-1]
        y, back = np.repeat(high, 2), np.repeat(low, 2)[::-1]
        self.painter.drawPolygon(_polygon(np.concatenate((x, x[::-1])), np.concatenate((y, back))))

    def _sliced(self, edges: Floats, low: Floats, high: Floats) -> Iterator[tuple[Floats, Floats, Floats]]:
        """An area between two staircases, cut between columns of a picture's dots, which changes none of them.

        For each corner in a row of dots Qt looks through all those before it: a slice has few.
        """
        place = self.painter.deviceTransform()
        picture = not self.grain and self.painter.paintEngine().type() == QPaintEngine.Type.Raster
        if not picture or low.size < 2 * CORNERS or place.isRotating() or place.m11() <= 0:
            yield edges, low, high
            return
        left, right = (place.m11() * edges[[0, -1]] + place.dx()).tolist()
        wide = max(NARROWEST, round((right - left) / low.size * CORNERS))
        dots = np.arange(math.floor(left) + wide, right - 1, wide)
        cuts = (dots - place.dx()) / place.m11()
        firsts = np.append(0, np.searchsorted(edges, cuts, "right") - 1)  # the steps that are cut
        lasts = np.append(firsts[1:], low.size - 1)
        sides = np.concatenate((edges[:1], cuts, edges[-1:]))
        for first, last, start, end in zip(firsts, lasts, sides[:-1], sides[1:], strict=True):
            inner, steps = edges[first + 1 : last + 1], np.arange(first, last + 1)
            if first == last:  # Qt fills a rectangle in another way, with other dots at its sides
                inner, steps = np.array([(start + end) / 2]), np.array([first, first])
            yield np.concatenate(([start], inner, [end])), low[steps], high[steps]

    def band(self, edges: Floats, low: Floats, high: Floats, color: QColor) -> None:
        """Fill from the lowest to the highest under each dot; neighbours touch, as a line would run."""
        low, high = (low + 1 / self.grain, high) if self.grain else (low + 0.5, high - 0.5)  # as thick as a line
        touching = low.copy()
        touching[:-1] = np.fmax(low[:-1], high[1:])
        touching[1:] = np.fmax(touching[1:], high[:-1])
        if self.grain:
            self._rects(edges[:-1], high, np.maximum(np.diff(edges), 1 / self.grain), touching - high, color)
        else:
            self.area(edges, touching, high, color)

    def stairs(self, edges: Floats, heights: Floats, pen: QPen) -> None:
        """A staircase, which is given in pixels."""
        self._stroke(pen)
        for first, last in _runs(heights):
            x = np.repeat(edges[first : last + 1], 2)[1:-1]
            self.painter.drawPolyline(_polygon(x, np.repeat(heights[first:last], 2)))

    def bars(self, edges: Floats, base: float, tops: Floats, color: QColor) -> None:
        """Bars side by side, from a level up or down, which are given in pixels; NaN where there is none."""
        if self.grain:
            self._rects(edges[:-1], np.minimum(tops, base), np.diff(edges), np.abs(tops - base), color)
        else:
            self.area(edges, np.full(tops.size, base), tops, color)

    def columns(self, edges: Floats, heights: Floats, color: QColor) -> None:
        """Bars from the bottom: what is there is seen, as thin and as low as it may be.

        Parameters
        ----------
        edges : float array, shape (n + 1,)
            In pixels, ascending.
        heights : float array, shape (n,)
            Their tops, in pixels; NaN where there is none.
        """
        floor = np.full(heights.size, self.height)
        there = ~np.isnan(heights)
        tops = np.where(there, np.minimum(heights, self.height - 1), self.height)
        if self.grain and there.any():
            dots = 1 / self.grain
            first = edges[:-1][there]
            last = np.maximum(edges[1:][there], first + dots)
            if float((last - first).min()) <= dots:
                self._thin_columns(first, last, tops[there], color)
                return
        self.area(edges, floor, tops, color)

    def _thin_columns(self, first: Floats, last: Floats, tops: Floats, color: QColor) -> None:
        """Bars of a dot's width or less: the highest of each dot is drawn."""
        wide = math.ceil((self.width + 2 * BEYOND) * self.grain)
        start = ((first + BEYOND) * self.grain).astype(np.intp).clip(0, wide - 1)
        count = ((last - first) * self.grain).astype(np.intp).clip(1, wide)
        dot = np.repeat(start - np.concatenate(([0], np.cumsum(count)[:-1])), count) + np.arange(int(count.sum()))
        highest = np.full(wide, self.height)
        np.minimum.at(highest, dot.clip(0, wide - 1), np.repeat(tops, count))
        dot = np.flatnonzero(highest < self.height)
        top = highest[dot]
        self._rects(dot / self.grain - BEYOND, top, np.full(top.size, 1 / self.grain), self.height - top, color)

    def _rects(self, x: Floats, y: Floats, width: Floats, height: Floats, color: QColor) -> None:
        self._fill(color)
        found = np.column_stack((x, y, width, height))
        found = found[~np.isnan(found).any(axis=1)]
        room = pg.Qt.internals.PrimitiveArray(QRectF, 4)
        room.resize(len(found))
        room.ndarray()[:] = found
        if len(found):
            self.painter.drawRects(*room.drawargs())

    def dashes(self, x0: Floats, x1: Floats, y: Floats, pen: QPen) -> None:
        """Level lines, in pixels."""
        self._lines(x0, y, x1, y, pen)

    def stems(self, x: Floats, y0: Floats | float, y1: Floats, pen: QPen) -> None:
        """Upright lines, in pixels."""
        self._lines(x, y0, x, y1, pen)

    def _lines(self, x0: Floats, y0: Any, x1: Floats, y1: Any, pen: QPen) -> None:
        if not x0.size:
            return
        self._stroke(pen)
        lines = np.column_stack(np.broadcast_arrays(x0, y0, x1, y1))
        lines = lines[~np.isnan(lines).any(axis=1)]
        room = pg.Qt.internals.PrimitiveArray(QLineF, 4)
        room.resize(len(lines))
        room.ndarray()[:] = lines
        if len(lines):
            self.painter.drawLines(*room.drawargs())

    def curve(self, x: Floats, y: Floats, pen: QPen) -> None:
        """A line through many points for each dot, in pixels."""
        if not self.grain or x.size < 2:
            self._stroke(pen)
            for first, last in _runs(y):
                self.painter.drawPolyline(_polygon(x[first:last], y[first:last]))
            return
        column = np.floor(x * self.grain)
        starts = np.flatnonzero(np.concatenate(([True], column[1:] != column[:-1])))
        low, high = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
        # A rise from one dot to the next is drawn in both.
        low[1:], high[1:] = np.fmin(low[1:], y[starts[1:] - 1]), np.fmax(high[1:], y[starts[1:] - 1])
        before = y[starts[1:]]
        low[:-1], high[:-1] = np.fmin(low[:-1], before), np.fmax(high[:-1], before)
        half = pen.widthF() / 2
        edges = np.append(column[starts], column[-1] + 1) / self.grain
        self.area(edges, low - half, high + half, pen.color())

    def path(self, x: Floats, y: Floats, pen: QPen) -> None:
        """A smooth line through a few points, in pixels."""
        self._stroke(pen)
        self.painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.painter.drawPolyline(_polygon(x, y))
        if self.grain:
            self.painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def dots(self, x: Floats, y: Floats, size: float, color: QColor) -> None:
        """Dots that are ``size`` pixels wide around places of the chart; those in sight are drawn."""
        (left, right), (bottom, top) = (
            sorted((self.left, self.left + self.width / self._across)),
            sorted((self.top, self.top - self.height / self._down)),
        )
        seen = (x >= left) & (x <= right) & (y >= bottom) & (y <= top)
        x, y = self.x(x[seen]), self.y(y[seen])
        if self.grain:
            room = np.full(x.size, float(size))
            self._rects(x - size // 2, y - size // 2, room, room, color)
        elif x.size:
            self._stroke(QPen(QBrush(color), size, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            if self.painter.paintEngine().type() == QPaintEngine.Type.SVG:
                # One path of short strokes with round ends: a file has one element, and not one a dot.
                ends = np.column_stack((x - HAIR, x + HAIR)).ravel()
                self.painter.drawPath(pg.arrayToQPath(ends, np.repeat(y, 2), connect="pairs"))
            else:  # a path of so many strokes takes a picture 30 times as long
                self.painter.drawPoints(_polygon(x, y))

    # -- single ones

    def upright(self, value: float, pen: QPen) -> None:
        """A line from top to bottom."""
        self._stroke(pen)
        x = self.at_x(value)
        self.painter.drawLine(QLineF(x, 0, x, self.height))

    def across(self, value: float, pen: QPen) -> None:
        """A line from side to side."""
        self._stroke(pen)
        y = self.at_y(value)
        self.painter.drawLine(QLineF(0, y, self.width, y))

    def mark(self, x: float, y: float, size: float, color: QColor) -> None:
        """A triangle around a place of the chart that points down, so many pixels wide and high."""
        self._fill(color)
        at_x, at_y, half = self.at_x(x), self.at_y(y), size / 2
        self.painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        sides, ends = np.array([-half, 0.0, half]), np.array([-half, half, -half])
        self.painter.drawPolygon(_polygon(at_x + sides, at_y + ends))
        if self.grain:
            self.painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def line(self, x0: float, y0: float, x1: float, y1: float, pen: QPen) -> None:
        """A line between two points of the chart."""
        self._stroke(pen)
        self.painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        x, y = (np.array([x0, x1]) - self.left) * self._across, (self.top - np.array([y0, y1])) * self._down
        self.painter.drawLine(QLineF(float(x[0]), float(y[0]), float(x[1]), float(y[1])))
        if self.grain:
            self.painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def bar(self, x0: float, x1: float, y: float, thick: float, color: QColor) -> None:
        """A level bar between two values, seen however short it is."""
        left, right = self.at_x(x0), self.at_x(x1)
        top, bottom = sorted((self.at_y(y - thick / 2), self.at_y(y + thick / 2)))
        self.rect(left, top, max(right - left, 1.0), bottom - top, color)

    def rect(self, x: float, y: float, width: float, height: float, color: QColor) -> None:
        """Fill a rectangle, given in pixels."""
        rect = QRectF(x, y, width, height)
        if self.grain == 1:  # on whole pixels it is filled at once
            self.painter.fillRect(rect.toRect(), color)
        else:
            self.painter.fillRect(rect, color)

    def tint(self, x0: float, x1: float, color: QColor) -> None:
        """Colour everything between two places, given in pixels."""
        if x1 > x0:
            self.rect(x0, 0, x1 - x0, self.height, color)

    def levels(self, heights: list[float], color: QColor) -> None:
        """Fine lines across, at heights in pixels; one at the very bottom would lie on the axis."""
        thick = 1 / self.grain if self.grain else 1.0
        places = [place for y in heights if (place := self._fitted_one(y, self.height)) < self.height]
        if places:
            self._fill(color)
            self.painter.drawRects([QRectF(0, place, self.width, thick) for place in places])

    def take(self, letters: Letters) -> None:
        """Write in these from now on."""
        self._letters = letters
        self.painter.setFont(letters.font)

    @property
    def letters(self) -> Letters:
        """What is written in."""
        if self._letters is None:
            self._letters = Letters(self.painter.font())
        return self._letters

    def fitting(self, text: str, room: float) -> str:
        """A text, or what of it a `label` of so many pixels has room for."""
        return self.letters.shortened(text, room - 2 * LABEL_MARGIN)

    def text_size(self, text: str) -> tuple[float, float]:
        """How wide and high a `label` is, in pixels."""
        return self.letters.width(text) + 2 * LABEL_MARGIN, self.letters.height + 6

    def label(self, text: str, x: float, middle: float, *, right: bool, color: QColor, back: QColor) -> None:
        """A text beside ``x``, on a ground that keeps it legible."""
        width, height = self.text_size(text)
        left, top = x if right else x - width, round(middle - height / 2)
        self.rect(left, top, width, height, back)
        self.write(left + LABEL_MARGIN, top + height / 2, text, color)

    def write(self, x: float, middle: float, text: str, color: QColor) -> None:
        """A text that begins at ``x``."""
        self.painter.setPen(color)
        self.painter.drawText(QPointF(x, round(middle + self.letters.above_middle)), text)

    def _stroke(self, pen: QPen) -> None:
        if pen.isCosmetic() != bool(self.grain):  # in a file, lines grow with the picture
            pen = QPen(pen)
            pen.setCosmetic(bool(self.grain))
        self.painter.setPen(pen)
        self.painter.setBrush(Qt.BrushStyle.NoBrush)

    def _fill(self, color: QColor) -> None:
        self.painter.setPen(Qt.PenStyle.NoPen)
        self.painter.setBrush(QBrush(color))


def _runs(values: Floats) -> Iterator[tuple[int, int]]:
    """Where there are numbers, from … to."""
    gaps = np.isnan(values)
    if not gaps.any():
        if values.size:
            yield 0, values.size
        return
    turns = np.flatnonzero(np.diff(np.concatenate(([True], gaps, [True])).astype(np.int8)))
    yield from zip(turns[::2].tolist(), turns[1::2].tolist(), strict=True)


def _polygon(x: Floats, y: Floats) -> QPolygonF:
    return arrayToQPolygonF(x, y) if x.size else QPolygonF()  # pyqtgraph asks the first point of none


@contextmanager
def saved(painter: QPainter) -> Iterator[QPainter]:
    """A painter that is as it was afterwards, whatever fails between: others paint with it next."""
    painter.save()
    try:
        yield painter
    finally:
        painter.restore()
