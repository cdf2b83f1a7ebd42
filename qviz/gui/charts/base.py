"""What do all charts share? One view, one header's worth of words, one table of data, one theme."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QVBoxLayout, QWidget

from qviz.gui.charts.axes import CountAxis, both_axes
from qviz.gui.charts.drawing import Brush, Drawing
from qviz.gui.charts.plot import Canvas, Plot
from qviz.gui.kit.theme import Theme, scaled_font
from qviz.gui.words.estimates import exactness_note
from qviz.session.guard import guarded

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

HALF = math.log10(0.5)
"""Where the floor of a logarithmic count axis lies: a single element still stands out."""

LEGEND_HEIGHT = 30
"""Pixels above the data that the legend has for itself."""

LABEL_MIDDLE = LEGEND_HEIGHT + 11
"""Pixels from the top to the words beside a line, under the legend."""

SWATCH, LEGEND_GAP = 24, 14
"""Pixels of the legend: from a colour to its name, and from a name to the next colour."""

CHIP_GAP = 3
"""Pixels between chips and around them."""

RUNGS = 20
"""Ends that an axis may have in each power of ten: what grows a little does not move the axis."""


@dataclass(frozen=True)
class Table:
    """A chart's own data: named columns of one length, and what they are of."""

    columns: dict[str, np.ndarray[Any, Any]]


class LinkedCursor(QObject):
    """Tells every chart which value the pointer is over, so that all of them can show it."""

    moved = Signal(object, object)  # the chart it is over, the value or None


@guarded
class ChartView(pg.ViewBox):
    """Pan by dragging, zoom by the wheel, back by a double click."""

    reset_requested = Signal()
    chip_clicked = Signal(str)

    def __init__(self, wheel_axis: int | None = None) -> None:
        super().__init__(enableMenu=False)
        self.chips: dict[str, QRectF] = {}
        """What can be clicked at the edges, and where it was painted, in pixels."""
        self._wheel_axis = wheel_axis

    def updateViewRange(self, forceX: bool = False, forceY: bool = False) -> None:  # noqa: N803 - Qt's names
        super().updateViewRange(forceX, forceY)
        # Not left until it is painted: what moves while it is painted has to be painted twice.
        self.updateMatrix()

    def setRange(
        self,
        rect: QRectF | None = None,
        xRange: Sequence[float] | None = None,  # noqa: N803
        yRange: Sequence[float] | None = None,  # noqa: N803
        **how: Any,
    ) -> None:
        """Show this; an axis stays as it is where an end is infinite or no number, as where a scale overflows."""
        wanted = [ends if ends is not None and all(map(math.isfinite, ends)) else None for ends in (xRange, yRange)]
        if rect is not None or wanted != [None, None]:
            super().setRange(rect, xRange=wanted[0], yRange=wanted[1], **how)

    def paint(self, *_: Any) -> None:
        """There is no frame."""

    def move_to(self, x: tuple[float, float] | None = None, y: tuple[float, float] | None = None) -> None:
        """Show exactly this, and do nothing when it is shown already."""
        now = self.state["viewRange"]
        wanted = [None if new is None or list(new) == old else new for new, old in zip((x, y), now, strict=True)]
        if wanted != [None, None]:
            self.setRange(xRange=wanted[0], yRange=wanted[1], padding=0)

    def wheelEvent(self, ev: Any, axis: int | None = None) -> None:
        if axis is None and not ev.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            axis = self._wheel_axis
        super().wheelEvent(ev, axis)

    def mouseDragEvent(self, ev: Any, axis: int | None = None) -> None:
        if axis is None and not ev.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            axis = self._wheel_axis
        super().mouseDragEvent(ev, axis)

    def mouseClickEvent(self, ev: Any) -> None:
        chip = next((name for name, place in self.chips.items() if place.contains(ev.pos())), None)
        if chip is not None and ev.button() == Qt.MouseButton.LeftButton:
            ev.accept()
            self.chip_clicked.emit(chip)
        elif ev.double() and ev.button() == Qt.MouseButton.LeftButton:
            ev.accept()
            self.reset_requested.emit()
        else:
            super().mouseClickEvent(ev)


@guarded
class Chart(QWidget):
    """A chart: built once, given an `Analysis` whenever there is a new one.

    Subclasses name themselves, draw in `present`, and give their data in `tables`.
    """

    name: ClassVar[str]
    judged: ClassVar[bool] = True
    """Whether what it shows is only about right in an estimate."""
    read_out = Signal(str)
    note_changed = Signal(str)

    def __init__(
        self, link: LinkedCursor, *, wheel_axis: int | None = None, axes: Any = None, gridded: bool = True
    ) -> None:
        super().__init__()
        self._analysis: Analysis | None = None
        self.theme: Theme | None = None
        self.note = self._own_note = self._caveat = ""
        self._drawing = False
        self.link = link
        self.view = ChartView(wheel_axis)
        self.plot = Plot(self.view, both_axes(axes or {}))
        self.canvas = Canvas(self.plot)
        self.view.disableAutoRange()
        for frame in (self.view.background, self.view.borderRect):
            frame.hide()
        self._under = Drawing(self.view, self.paint_marks, level=-1)
        self._over = Drawing(self.view, self._paint_over, level=0.5)
        self._over.setVisible(gridded)
        for side in ("left", "bottom"):
            self.plot.getAxis(side).setStyle(maxTickLevel=1)
        self.plot.getAxis("left").gridded = gridded
        self.plot.getAxis("left").setWidth(58)
        self.plot.getAxis("bottom").setHeight(38)  # whole pixels, on which the marks are drawn
        self.plot.getAxis("left").setTickDensity(0.7)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 8, 4)
        layout.addWidget(self.canvas)
        self.canvas.hide()  # axes without data would tell something that is not so
        self.setMinimumSize(160, 110)
        self.setAccessibleName(self.title())
        self.setAccessibleDescription(self.description())
        self.view.reset_requested.connect(self.reset_view)
        self.view.sigResized.connect(self._on_resized)
        self.canvas.scene().sigMouseMoved.connect(self._on_mouse_moved)
        link.moved.connect(self._on_cursor_moved)
        self._pointer: pg.InfiniteLine | None = None
        self._legend: dict[str, str] = {}
        self._legend_in_the_middle = False
        self._pens: dict[tuple[Any, ...], QPen] = {}
        self._chips: dict[str, str] = {}
        self.whole = False
        """Whether outliers are in sight, where there are some: a chart opens without them."""
        self.canvas.installEventFilter(self)
        self.view.chip_clicked.connect(self._on_chip)

    @property
    def analysis(self) -> Analysis | None:
        """The answer that is shown; None as long as there is none."""
        return self._analysis

    @analysis.setter
    def analysis(self, analysis: Analysis) -> None:
        if self._analysis is None:
            self.canvas.show()
        elif self._analysis.tensor is not analysis.tensor:
            self.read_out.emit("")  # what the pointer read was of another tensor, or an estimate
        self._analysis = analysis

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show yet."""
        return self._analysis is None

    # -- what a subclass says of itself

    def title(self) -> str:
        """What stands above the chart."""
        raise NotImplementedError

    def description(self) -> str:
        """What it shows and how to read it: the tooltip that teaches."""
        raise NotImplementedError

    def present(self, analysis: Analysis) -> None:
        """Show a new answer; only hands ready points to the items."""
        raise NotImplementedError

    def tables(self) -> dict[str, Table]:
        """The data that is drawn, by the suffix of the file it goes to ("" for the main one)."""
        raise NotImplementedError

    def restyle(self, theme: Theme) -> None:
        """Give every item its pen."""

    def paint_marks(self, brush: Brush) -> None:
        """Paint the data; asked for by `repaint_marks`."""

    def hover(self, point: QPointF) -> None:
        """The pointer is at ``point``, in the chart's own units."""

    def point_at(self, value: float | None) -> None:
        """Another chart's pointer is over ``value``."""
        if self._pointer is not None:
            self._pointer.setVisible(value is not None)
            if value is not None:
                self._pointer.setValue(value)

    def reset_view(self) -> None:
        """Everything in sight again."""
        self.view.autoRange()

    # -- shared

    def set_note(self, note: str) -> None:
        """A word beside the title, on what part is shown; an estimate always says that it is one."""
        self._own_note = note
        if self._caveat:
            note = self._caveat
        elif self.judged and self.analysis is not None and not self.analysis.exact:
            note = exactness_note(False, note)
        if note != self.note:
            self.note = note
            self.note_changed.emit(note)

    def set_caveat(self, caveat: str) -> None:
        """What must be known of all that is shown stands in the note's place until it is taken back with ""."""
        self._caveat = caveat
        self.set_note(self._own_note)

    def follow_view(self) -> None:
        """Call `draw` whenever another stretch, or another number of pixels, is in sight."""
        self.view.sigXRangeChanged.connect(self._on_view_changed)
        self.view.sigResized.connect(self._on_view_changed)

    @Slot()
    def _on_view_changed(self, *_: object) -> None:
        if not self.empty and not self._drawing:
            self._drawing = True  # fitting the other axis may move this one by a rounding
            try:
                self.draw()
            finally:
                self._drawing = False

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Move the view as often as needed, then draw once."""
        self._drawing = True
        try:
            yield
        finally:
            self._drawing = False
        self.draw()

    def draw(self) -> None:
        """Hand the items what is in sight of the present answer."""

    def pixels(self) -> int:
        """How many columns there are to draw in."""
        return max(64, min(4000, int(self.view.width())))

    def repaint_marks(self) -> None:
        """What `paint_marks` paints has changed."""
        self._under.update()

    @Slot()
    def _on_resized(self, *_: object) -> None:
        self._under.fit()
        self._over.fit()

    # -- outliers

    def show_chips(self, chips: Mapping[str, str]) -> None:
        """Say at the edges (``left``, ``right``, ``top``, ``bottom``) what lies beyond; a click shows it."""
        if dict(chips) != self._chips:
            self._chips = dict(chips)
            self._over.update()

    @property
    def has_outliers(self) -> bool:
        """Whether some lie so far away that it opens without them."""
        return bool(self._chips)

    def show_whole(self, whole: bool) -> None:
        """Bring the outliers into sight, or nearly everything but them."""
        self.whole = whole
        self.fit_view()

    def fit_view(self) -> None:
        """What a chart shows before it is moved, with the outliers or without them."""
        self.reset_view()

    @Slot(str)
    def _on_chip(self, chip: str) -> None:
        self.show_whole(not self.whole)

    def _paint_chips(self, brush: Brush) -> None:
        """Left and right at the foot, over each other where they have no room beside each other; the others left."""
        places: dict[str, QRectF] = {}
        if self.theme is not None:
            brush.painter.setFont(scaled_font(self.font(), 11))
            text_color, back = QColor(self.theme.ui["text"]), QColor(self.theme.ui["notice"])
            sizes = {side: brush.text_size(text) for side, text in self._chips.items()}
            crowded = sum(sizes[side][0] for side in ("left", "right") if side in sizes) > brush.width - 3 * CHIP_GAP
            for side, (width, height) in sizes.items():
                left = brush.width - width - CHIP_GAP if side == "right" else CHIP_GAP
                middle = brush.height - CHIP_GAP - height / 2
                if side == "top":
                    middle = LABEL_MIDDLE
                elif side == "right" and crowded:
                    middle -= height + CHIP_GAP
                brush.label(self._chips[side], left, middle, right=True, color=text_color, back=back)
                places[side] = QRectF(left, middle - height / 2, width, height)
        if brush.grain:
            self.view.chips = places

    def add_legend(self, names: dict[str, str], *, middle: bool = False) -> None:
        """Colour roles and their names, in one row at the top."""
        self._legend = names
        self._legend_in_the_middle = middle

    def _paint_over(self, brush: Brush) -> None:
        """The grid and the legend."""
        axis = self.plot.getAxis("left")
        brush.keep("over", (self.theme and self.theme.name, axis.ticks(), self._chips), self._paint_over_anew)
        if not self._chips:
            self.view.chips = {}

    def _paint_over_anew(self, brush: Brush) -> None:
        for color, places in self.plot.getAxis("left").ticks().lines:
            for place in places:
                brush.level(place, color)
        if self._legend and self.theme is not None:
            font = scaled_font(self.font(), 11)
            brush.painter.setFont(font)
            metrics = QFontMetricsF(font)
            widths = [SWATCH + metrics.horizontalAdvance(name) for name in self._legend.values()]
            width = sum(widths) + LEGEND_GAP * (len(widths) - 1)
            x = (brush.width - width) / 2 if self._legend_in_the_middle else brush.width - width - LEGEND_GAP
            if x >= 0:  # half a legend tells less than none
                self._paint_legend(brush, x, widths)
        self._paint_chips(brush)

    def _paint_legend(self, brush: Brush, x: float, widths: list[float]) -> None:
        """On a ground of its own, or what is drawn beneath would run through the names."""
        width = sum(widths) + LEGEND_GAP * (len(widths) - 1)
        brush.rect(round(x) - 4, 10, width + 8, 21, self.color("background", 220))
        for (role, name), wide in zip(self._legend.items(), widths, strict=True):
            brush.rect(round(x), 18, 14, 5, self.color(role))
            brush.write(round(x) + SWATCH, 20.5, name, self.color("axis"))
            x += wide + LEGEND_GAP

    def color(self, role: str, alpha: int = 255) -> QColor:
        """A chart role's colour in the theme there is."""
        return self.pen(role, alpha=alpha).color()

    def solid(self, role: str, share: float = 0.84) -> QColor:
        """What a share of a colour makes of the ground: it looks like glass, and is painted faster."""
        over, under = self.color(role), self.color("background")
        channels = [(over.red(), under.red()), (over.green(), under.green()), (over.blue(), under.blue())]
        return QColor(*(round(share * a + (1 - share) * b) for a, b in channels))

    def pen(self, role: str, *, width: int = 1, alpha: int = 255, style: Any = Qt.PenStyle.SolidLine) -> QPen:
        """A pen in a chart role's colour in the theme there is."""
        key = (role, width, alpha, style)
        if key not in self._pens:
            assert self.theme is not None
            self._pens[key] = pen(self.theme, role, width=width, alpha=alpha, style=style)
        return self._pens[key]

    def add_pointer(self, angle: int = 90) -> None:
        """A line that follows the linked cursor."""
        self._pointer = pg.InfiniteLine(angle=angle)
        self._pointer.setZValue(20)
        self._pointer.hide()
        self.plot.addItem(self._pointer, ignoreBounds=True)

    def apply_theme(self, theme: Theme) -> None:
        """Change every colour, now."""
        self.theme = theme
        self._pens = {}
        self.canvas.setBackground(theme.chart["background"])
        font = scaled_font(self.font(), 11)
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(pen(theme, "grid"))
            axis.setStyle(tickFont=font, tickLength=-4)
            axis.setTextPen(theme.chart["axis"])
        if self._pointer is not None:
            self._pointer.setPen(pen(theme, "pointer", style=Qt.PenStyle.DotLine))
        self.restyle(theme)

    def set_labels(self, bottom: str, left: str) -> None:
        """Axis titles, with their units."""
        style = {"font-size": "11px"}
        if self.theme is not None:
            style["color"] = self.theme.chart["axis"]
        self.plot.setLabel("bottom", bottom, **style)
        self.plot.setLabel("left", left, **style)

    @Slot(object)
    def _on_mouse_moved(self, position: QPointF) -> None:
        if self.empty or not self.view.sceneBoundingRect().contains(position):
            self.leave()
            return
        self.hover(self.view.mapSceneToView(position))

    def leave(self) -> None:
        """The pointer is elsewhere."""
        self.read_out.emit("")
        self.link.moved.emit(self, None)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.FocusIn, QEvent.Type.FocusOut):
            self.update()
        return super().eventFilter(watched, event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """A ring in the margin around what has the focus."""
        if self.canvas.hasFocus() and self.theme is not None:
            painter = QPainter(self)
            painter.setPen(QPen(QColor(self.theme.ui["accent"]), 1))
            painter.drawRoundedRect(self.rect().adjusted(1, 1, -2, -2), 4, 4)

    def leaveEvent(self, event: Any) -> None:
        self.leave()
        super().leaveEvent(event)

    @Slot(object, object)
    def _on_cursor_moved(self, source: object, value: float | None) -> None:
        if source is not self or value is None:
            self.point_at(value)


class CountChart(Chart):
    """A chart of counts over values, whose counts can be drawn as logarithms."""

    def __init__(self, link: LinkedCursor, **options: Any) -> None:
        super().__init__(link, axes={"left": CountAxis()}, wheel_axis=0, **options)
        self.logarithmic = False

    def set_logarithmic(self, logarithmic: bool) -> None:
        """Counts as powers of ten, which shows the tails."""
        self.logarithmic = logarithmic
        self.plot.getAxis("left").logarithmic = logarithmic
        if self.analysis is not None:
            self.present(self.analysis)

    def heights(self, counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Counts as they are drawn."""
        if not self.logarithmic:
            return np.asarray(counts, np.float64)
        return np.where(counts > 0, np.log10(np.maximum(counts, 0.5)), HALF)

    @property
    def floor(self) -> float:
        """Where bars stand."""
        return HALF if self.logarithmic else 0.0

    def fit_counts(self, largest: float) -> None:
        """The count axis from its floor to a rung that leaves the legend its room above ``largest``, as drawn."""
        room = 1 - LEGEND_HEIGHT / max(self.view.height(), 100)
        self.view.move_to(y=(self.floor, self.floor + rung(max(largest - self.floor, 1e-9) / room)))


def rung(length: float) -> float:
    """The first of the few ends that an axis may have, from ``length`` on."""
    return 10 ** (math.ceil(math.log10(length) * RUNGS - 1e-6) / RUNGS) if length > 0 else 0.0


def pen(theme: Theme, role: str, *, width: int = 1, alpha: int = 255, style: Any = Qt.PenStyle.SolidLine) -> QPen:
    """A cosmetic pen in a chart role's colour."""
    return pg.mkPen(theme.color(role, alpha), width=width, style=style)


def step_curve(**options: Any) -> pg.PlotCurveItem:
    """A staircase: n + 1 edges and n values."""
    return pg.PlotCurveItem([0, 1], [0], stepMode="center", **options)
