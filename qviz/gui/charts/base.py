"""What do all charts share? A title, words beside it, a table of data, a pointer and a theme."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QObject, QPointF, Qt, Signal, Slot
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QVBoxLayout, QWidget

from qviz.core.frozen import frozen
from qviz.gui.charts.axes import both_axes
from qviz.gui.charts.drawing import Brush, Drawing
from qviz.gui.charts.letters import Letters
from qviz.gui.charts.ornaments import Ornaments
from qviz.gui.charts.plot import Canvas, Plot
from qviz.gui.charts.view import ChartView
from qviz.gui.kit.theme import Theme, scaled_font
from qviz.gui.words.estimates import exactness_note
from qviz.session.guard import guarded

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis


LEAST_HEIGHT = 16
"""Pixels that the data of a chart keep, however low it is."""


@frozen
class Table:
    """A chart's own data: named columns of one length, and what they are of."""

    columns: dict[str, np.ndarray[Any, Any]]


class LinkedCursor(QObject):
    """Tells every chart which value the pointer is over, so that all of them can show it."""

    moved = Signal(object, object)  # the chart it is over, the value or None


@guarded
class Chart(QWidget):
    """A chart: built once, given an `Analysis` whenever there is a new one.

    Subclasses name themselves, draw in `present`, and give their data in `tables`.
    """

    name: ClassVar[str]
    judged: ClassVar[bool] = True
    """Whether what it shows is only about right in an estimate."""
    of_cells: ClassVar[bool] = False
    """Whether cells fill it, on which a tick of an axis would be read as a minus."""
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
        self._as_fitted: list[list[float]] | None = None
        self.link = link
        self.view = ChartView(wheel_axis)
        self.plot = Plot(self.view, both_axes(axes or {}))
        self.canvas = Canvas(self.plot)
        self.view.disableAutoRange()
        for frame in (self.view.background, self.view.borderRect):
            frame.hide()
        self._under = Drawing(self.view, self.paint_marks, level=-1)
        self.ornaments = Ornaments(self)
        self._over = Drawing(self.view, self._paint_over, level=0.5)
        self._over.setVisible(gridded)
        for side in ("left", "bottom"):
            self.plot.getAxis(side).setStyle(maxTickLevel=1)
        self.plot.getAxis("left").gridded = gridded
        self.plot.getAxis("left").keep_width(58)
        self.plot.getAxis("bottom").setHeight(38)  # whole pixels, on which the marks are drawn
        self.plot.getAxis("left").setTickDensity(0.7)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 8, 4)
        layout.addWidget(self.canvas)
        self.canvas.hide()  # axes without data would tell something that is not so
        self.setMinimumSize(160, 110)
        self.setAccessibleName(self.title())
        self.canvas.setAccessibleName(self.title())  # which has the focus
        self.setAccessibleDescription(self.description())
        self.view.reset_requested.connect(self.reset_view)
        self.view.sigResized.connect(self._on_resized)
        self.canvas.scene().sigMouseMoved.connect(self._on_mouse_moved)
        link.moved.connect(self._on_cursor_moved)
        self._pointer: pg.InfiniteLine | None = None
        self._pens: dict[tuple[Any, ...], QPen] = {}
        self._by_role: dict[tuple[str, int], QColor] = {}
        self._mixes: dict[tuple[str, float], QColor] = {}
        self._letters: dict[int, Letters] = {}
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

    def with_room(self, low: float, high: float, *, below: float = 0.0, above: float = 0.0) -> tuple[float, float]:
        """Heights from ``low`` to ``high``, and so many pixels below and above them: see `fit_to`."""
        each = (high - low) / max(self.view.height() - below - above, LEAST_HEIGHT)
        return low - below * each, high + above * each

    def fit_to(self, x: tuple[float, float], y: tuple[float, float]) -> None:
        """Show this, which depends on the size: until somebody moves it, another size is another `reset_view`."""
        self.view.move_to(x=x, y=y)
        self._as_fitted = self.view.viewRange()

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
        self._under.renew()

    @Slot()
    def _on_resized(self, *_: object) -> None:
        self._under.fit()
        self._over.fit()
        if self._as_fitted == self.view.viewRange():
            self.reset_view()

    # -- outliers

    def show_chips(self, chips: Mapping[str, str]) -> None:
        """Say at the edges (``left``, ``right``, ``top``, ``bottom``) what lies beyond; a click shows it."""
        if dict(chips) != self.ornaments.chips:
            self.ornaments.chips = dict(chips)
            self._over.renew()

    @property
    def has_outliers(self) -> bool:
        """Whether some lie so far away that it opens without them."""
        return bool(self.ornaments.chips)

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

    def add_legend(self, names: dict[str, str], *, middle: bool = False) -> None:
        """Colour roles and their names, in one row at the top."""
        self.ornaments.legend, self.ornaments.legend_in_the_middle = names, middle

    def _paint_over(self, brush: Brush) -> None:
        self.ornaments.paint(brush)

    def color(self, role: str, alpha: int = 255) -> QColor:
        """A chart role's colour in the theme there is."""
        key = (role, alpha)
        if key not in self._by_role:
            self._by_role[key] = self.pen(role, alpha=alpha).color()
        return self._by_role[key]

    def solid(self, role: str, share: float = 0.84) -> QColor:
        """What a share of a colour makes of the ground: it looks like glass, and is painted faster."""
        if (role, share) not in self._mixes:
            self._mixes[role, share] = self._mixed(role, share)
        return self._mixes[role, share]

    def _mixed(self, role: str, share: float) -> QColor:
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

    def letters(self, pixels: int = 0) -> Letters:
        """The chart's own letters, at another size if one is given."""
        font, found = self.font(), self._letters.get(pixels)
        if found is None or found.of != font:
            found = self._letters[pixels] = Letters(font, pixels)
        return found

    def add_pointer(self, angle: int = 90) -> None:
        """A line that follows the linked cursor."""
        self._pointer = pg.InfiniteLine(angle=angle)
        self._pointer.setZValue(20)
        self._pointer.hide()
        self.plot.addItem(self._pointer, ignoreBounds=True)

    def apply_theme(self, theme: Theme) -> None:
        """Change every colour, now."""
        self.theme = theme
        self._pens, self._by_role, self._mixes = {}, {}, {}
        self.canvas.setBackground(theme.chart["background"])
        font = scaled_font(self.font(), 11)
        for side in ("left", "bottom"):
            axis = self.plot.getAxis(side)
            axis.setPen(pen(theme, "grid"))
            axis.setStyle(tickFont=font, tickLength=0 if self.of_cells else -4)
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

    def write_heights(self, written: bool) -> None:
        """Whether the upright axis has numbers; where no mark has a finite height, these would tell something else."""
        axis = self.plot.getAxis("left")
        if (axis._tickLevels is None) != written:
            axis.setTicks(None if written else [])

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


def pen(theme: Theme, role: str, *, width: int = 1, alpha: int = 255, style: Any = Qt.PenStyle.SolidLine) -> QPen:
    """A cosmetic pen in a chart role's colour."""
    return pg.mkPen(theme.color(role, alpha), width=width, style=style)
