"""How are the axes of charts written: indices, counts, and values as they are?"""

from __future__ import annotations

import math
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QLineF, QPointF, QRectF, QTimer, Slot
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from qviz.core.frozen import frozen
from qviz.gui.words.numbers import typographic
from qviz.session.guard import guarded

FILL_LIMITS = ((0, 0.8), (2, 0.6), (4, 0.4), (6, 0.2))
"""With so many texts on the axis, finer ones are written only while they fill less than this share."""

GRID_ALPHA = 0.25

TITLE_ROOM = 14
"""Pixels that the turned title of an axis takes."""

MOST_LAYOUTS = 32
"""Layouts that are kept: a slider that is dragged to and fro comes back to the same ranges."""

WIDER_BY = 8
"""Pixels: an axis that grew a little with each text would move its chart each time."""

BESIDE = 4
"""Pixels of an axis, next to the plot, in which there is no text."""


@frozen
class Ticks:
    """An axis laid out: lines by their colour, texts by where they begin, and pixels of the widest one."""

    lines: list[tuple[QColor, list[float]]]
    texts: list[tuple[QPointF, str]]
    widest: float = 0.0


@guarded
class ChartAxis(pg.AxisItem):
    """An axis that never scales its values to "m" or "k" units.

    Told so from its birth: an axis that may choose a prefix writes its title anew at every move.

    It is laid out when its range or size is another, and painted from that; a chart whose ``gridded``
    axis this is draws its `Ticks` across the plot itself.
    """

    gridded = False
    picture: Any
    _title: str | None = None

    def __init__(self, side: str) -> None:
        super().__init__(side)
        self.autoSIPrefix = False
        # Turned letters are drawn one by one: as slow as a whole chart.
        self.label.setCacheMode(self.CacheMode.DeviceCoordinateCache)
        self.setFlag(self.GraphicsItemFlag.ItemUsesExtendedStyleOption)  # to be told what is exposed
        self._laid_out: dict[Any, Ticks] = {}
        self._usual = self._needed = 0
        self._widths: dict[str, float] = {}

    def keep_width(self, width: int) -> None:
        """As wide as that, as charts above each other are; wider where a text would lie on the title."""
        self._usual = self._needed = width
        self.setWidth(width)

    def _make_room(self, widest: float) -> None:
        """For texts of that width; in the next turn of the loop, since this one paints."""
        if not self._usual:
            return
        title = TITLE_ROOM if self.label.isVisible() else 0
        lacking = title + widest + self.style["tickTextOffset"][0] - self._usual
        needed = self._usual + WIDER_BY * max(0, math.ceil(lacking / WIDER_BY))
        if needed != self._needed:
            self._needed = needed
            QTimer.singleShot(0, self, self._widen)

    @Slot()
    def _widen(self) -> None:
        self.setWidth(self._needed)

    def _updateLabel(self) -> None:
        # While an axis is made and dressed it is asked ten times to lay out its title, which is one at most.
        title = self.labelString() if self.labelText or self.labelUnits else None
        if title != self._title:
            self._title = title
            super()._updateLabel()
            self.resizeEvent()  # a text of another length has another middle
        self.update()

    def setStyle(self, **kwargs: Any) -> None:
        self._widths = {}
        super().setStyle(**kwargs)

    def boundingRect(self) -> QRectF:
        rect = QRectF(self.rect())
        inside = 0.0 if self.gridded else -min(0.0, self.style["tickLength"])
        if self.orientation == "left":
            return rect.adjusted(0, -1, inside, 1)
        if self.orientation == "bottom":
            return rect.adjusted(-1, -inside, 1, 0)
        return rect

    def setRange(self, mn: float, mx: float) -> None:
        picture = self.picture
        super().setRange(mn, mx)
        self.picture = picture  # another range is another layout, and the others stay

    def manner(self) -> Any:
        """What decides how values are written, beside their range; of all else the picture is dropped."""

    def ticks(self) -> Ticks:
        """Where the lines and texts are now, in pixels of the axis."""
        rect = self.rect()
        key = (*self.range, rect.width(), rect.height(), self._pen.color().rgba(), self.manner())
        # The picture is what pyqtgraph drops whenever anything else changes.
        if self.picture is None or len(self._laid_out) > MOST_LAYOUTS:
            self._laid_out = {}
            self.picture = True
        if key not in self._laid_out:
            self._laid_out[key] = self._lay_out(rect)
        found = self._laid_out[key]
        if self.orientation == "left":
            self._make_room(found.widest)
        return found

    def _lay_out(self, rect: QRectF) -> Ticks:
        upright = self.orientation in ("left", "right")
        length = rect.height() if upright else rect.width()
        low, high = self.range
        if length <= 0 or low == high:
            return Ticks([], [])
        scale = length / (high - low)
        if self._tickLevels is None:
            levels = [
                (values, self.tickStrings(values, self.scale, spacing))
                for spacing, values in self.tickValues(low, high, length)
            ]
        else:
            levels = [([v for v, _ in level], [s for _, s in level]) for level in self._tickLevels]
        font = self.style["tickFont"] or QFont()
        metrics = QFontMetricsF(font)
        height = metrics.height()
        lines: list[tuple[QColor, list[float]]] = []
        texts: list[tuple[QPointF, str]] = []
        filled, finished = 0.0, not self.style["showValues"]
        for depth, (values, strings) in enumerate(levels):
            alpha = 255 / (depth + 1)
            if self.gridded:
                alpha *= GRID_ALPHA * min(max(0.05 * length / (len(values) + 1), 0.0), 1.0)
            color = QColor(self._pen.color())
            color.setAlpha(int(alpha))
            places = [(high - v) * scale if upright else (v - low) * scale for v in values]
            inside = [0 <= place <= length for place in places]
            lines.append((color, [place for place, there in zip(places, inside, strict=True) if there]))
            sized = [
                (place, text, height * 0.8 if upright else self._width(text, metrics))
                for place, text, there in zip(places, strings, inside, strict=True)
                if there
            ]
            filled += sum(size for _, _, size in sized)
            if depth and any(len(texts) >= n and filled / length >= limit for n, limit in FILL_LIMITS):
                finished = True
            if finished:
                continue
            for place, text, size in sized:
                if place - size / 2 >= 0 and place + size / 2 <= length:
                    texts.append((self._start(rect, place, text, metrics), text))
        return Ticks(lines, texts, max((self._width(text, metrics) for _, text in texts), default=0.0))

    def _width(self, text: str, metrics: QFontMetricsF) -> float:
        width = self._widths.get(text)
        if width is None:
            if len(self._widths) > 500:
                self._widths.clear()
            width = self._widths[text] = metrics.horizontalAdvance(text)
        return width

    def _start(self, rect: QRectF, place: float, text: str, metrics: QFontMetricsF) -> QPointF:
        """Where a text begins, on its base line."""
        offset = self.style["tickTextOffset"][0 if self.orientation in ("left", "right") else 1]
        if self.orientation == "left":
            middle = round(place + (metrics.ascent() - metrics.descent()) / 2)
            return QPointF(rect.right() - offset - self._width(text, metrics), middle)
        return QPointF(place - self._width(text, metrics) / 2, rect.top() + offset + round(metrics.ascent()))

    def paint(self, p: QPainter, option: Any, widget: Any = None) -> None:
        rect, exposed = self.rect(), option.exposedRect
        if exposed.isEmpty():
            return
        ticks = self.ticks()
        p.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        p.setPen(self._pen)
        left = self.orientation == "left"
        if left:
            p.drawLine(QLineF(rect.right() - 1, rect.top() - 1, rect.right() - 1, rect.bottom() + 1))
        else:
            p.drawLine(QLineF(rect.left() - 1, rect.top() + 1, rect.right() + 1, rect.top() + 1))
        if not self.gridded and self.style["tickLength"]:
            for depth, (color, places) in enumerate(ticks.lines):
                if not places:
                    continue
                p.setPen(color)
                start, end = (rect.right() if left else rect.top()), self.style["tickLength"] / (depth * 0.5 + 1)
                if left:
                    p.drawLines([QLineF(start, place, start - end, place) for place in places])
                else:
                    p.drawLines([QLineF(place, start, place, start + end) for place in places])
        if exposed.left() > rect.right() - BESIDE if left else exposed.bottom() < rect.top() + BESIDE:
            return  # only what is beside the axis has changed: the texts are still there
        if self.style["tickFont"]:
            p.setFont(self.style["tickFont"])
        p.setPen(QPen(self._textPen))
        for start, text in ticks.texts:
            p.drawText(start, text)

    def tickStrings(self, values: Any, scale: float, spacing: float) -> list[str]:
        return [typographic(text) for text in super().tickStrings(values, scale, spacing)]

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Any:  # noqa: N803 - Qt's name
        low, high = sorted((minVal, maxVal))
        levels: list[tuple[float, list[float]]] = []
        coarser: list[float] = []
        for spacing, _ in self.tickSpacing(low, high, size):
            first, last = math.ceil(low / spacing), math.floor(high / spacing)
            values = [k * spacing for k in range(first, last + 1)]
            near = spacing * 0.01
            values = [v for v in values if not any(abs(v - other) < near for other in coarser)]
            coarser += values
            levels.append((spacing, values))
        return levels


class IndexAxis(ChartAxis):
    """Whole numbers, short while that tells neighbours apart."""

    def __init__(self) -> None:
        super().__init__("bottom")

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Any:  # noqa: N803 - Qt's name
        return [level for level in super().tickValues(minVal, maxVal, size) if level[0] >= 1]

    def tickStrings(self, values: Any, scale: float, spacing: float) -> list[str]:
        return [short_count(v) if spacing >= 1000 else f"{v:,.0f}" for v in values]


class CountAxis(ChartAxis):
    """Counts, linear or as powers of ten."""

    def __init__(self) -> None:
        super().__init__("left")
        self.logarithmic = False

    def manner(self) -> Any:
        return self.logarithmic

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Any:  # noqa: N803 - Qt's name
        if not self.logarithmic:
            return [level for level in super().tickValues(minVal, maxVal, size) if level[0] >= 1]  # whole elements
        every = max(1, math.ceil((maxVal - minVal) * 22 / max(size, 1)))
        powers = [float(v) for v in range(math.ceil(minVal), math.floor(maxVal) + 1) if v % every == 0]
        return [(1.0, powers)]

    def tickStrings(self, values: Any, scale: float, spacing: float) -> list[str]:
        if self.logarithmic:
            return [short_count(10**v) for v in values]
        return [short_count(v) for v in values]


class PowerAxis(ChartAxis):
    """Any values: as they are, or drawn as their decimal logarithms."""

    logarithmic = True

    def manner(self) -> Any:
        return self.logarithmic

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Any:  # noqa: N803 - Qt's name
        if not self.logarithmic:
            return super().tickValues(minVal, maxVal, size)
        each = 22 if self.orientation == "left" else 64
        room = max(1, int(size / each))
        decades = range(math.floor(minVal), math.ceil(maxVal) + 1)
        for steps in ((1, 2, 5), (1, 3), (1,)):
            values = [k + math.log10(m) for k in decades for m in steps]
            values = [v for v in values if minVal <= v <= maxVal]
            if len(values) <= room:
                break
        if len(values) < 2:  # a narrow view lies between them
            step = (maxVal - minVal) / 4 or 1.0
            return [(1.0, [minVal + step * i for i in range(1, 4)])]
        return [(1.0, values[:: max(1, -(-len(values) // room))])]

    def tickStrings(self, values: Any, scale: float, spacing: float) -> list[str]:
        if not self.logarithmic:
            strings: list[str] = super().tickStrings(values, scale, spacing)
            return strings
        return [_power_text(v) for v in values]


def _power_text(exponent: float) -> str:
    """0.01, 1, 20; 10⁻⁷ where that is shorter."""
    if -4 <= exponent <= 4:
        return f"{10.0**exponent:.3g}"
    whole = math.floor(exponent + 1e-9)
    power = "10" + "".join("⁻" if c == "-" else "⁰¹²³⁴⁵⁶⁷⁸⁹"[int(c)] for c in str(whole))
    factor = round(10.0 ** (exponent - whole))
    return power if factor == 1 else f"{factor}·{power}"


def both_axes(special: dict[str, pg.AxisItem]) -> dict[str, pg.AxisItem]:
    """The axes of a chart: those that are given, plain ones on the left and at the bottom if there are none."""
    return {side: special.get(side) or ChartAxis(side) for side in ("left", "bottom")} | special


def short_count(value: float) -> str:
    """1500 → 1.5k."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"
