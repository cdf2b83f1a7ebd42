"""Where in the tensor are the scales large, and where are the errors? Each group as a cell of an image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal, Slot
from PySide6.QtGui import QColor, QFontMetricsF, QImage, QPainter

from qviz.core.arrays import Array
from qviz.core.tensors.granularity import PerBlock, PerTile
from qviz.gui.charts.axes import ChartAxis
from qviz.gui.charts.base import Chart, LinkedCursor, Table
from qviz.gui.charts.drawing import Brush, saved
from qviz.gui.kit.judgement import lossless
from qviz.gui.kit.theme import Theme, scaled_font
from qviz.gui.tensor.group_grid import Grid, Tiles
from qviz.gui.tensor.heat_map_image import COLOURS, NO_LEVELS, QUANTITIES, GroupImage, Sight
from qviz.gui.words.estimates import about
from qviz.gui.words.groups import group_columns, group_words, place_text
from qviz.gui.words.numbers import decibels, number
from qviz.session.guard import guarded
from qviz.session.language import tr

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

STOPS = 9
"""Colours in a theme file that the scale runs through."""

BAR_HEIGHT, BAR_ROOM = 10, 30

SMALLEST_MARK = 9
"""Pixels of the outline of the chosen group, however small its cell is."""


class CellAxis(ChartAxis):
    """Whole numbers, each standing for ``each`` of what it counts."""

    each = 1

    def manner(self) -> Any:
        return self.each

    def tickValues(self, minVal: float, maxVal: float, size: float) -> Any:  # noqa: N803 - Qt's name
        return [level for level in super().tickValues(minVal, maxVal, size) if level[0] >= 1]

    def tickStrings(self, values: Any, scale: float, spacing: float) -> list[str]:
        return [f"{round(v) * self.each:,}" for v in values]


@guarded
class ColourBar(ChartAxis):
    """The colours above the map, from the best to the worst, and what their ends stand for."""

    def __init__(self) -> None:
        super().__init__("top")
        self.colours: list[QColor] = []
        self.best = self.worst = self.heading = ""

    def paint(self, p: QPainter, option: Any, widget: Any = None) -> None:
        rect = self.rect()
        font = self.style["tickFont"] or p.font()
        p.setFont(font)
        metrics = QFontMetricsF(font)
        middle = rect.top() + rect.height() / 2
        base = round(middle + (metrics.ascent() - metrics.descent()) / 2)
        gap = 6.0
        words = (self.heading, self.best, self.worst)
        heading, best, worst = (metrics.horizontalAdvance(word) for word in words)
        left = rect.left() + heading + 2 * gap + best + gap
        right = rect.right() - worst - 2 * gap
        if right - left < 20 or not self.colours:
            return
        p.setPen(self._textPen)
        p.drawText(QPointF(rect.left(), base), self.heading)
        p.drawText(QPointF(rect.left() + heading + 2 * gap, base), self.best)
        p.drawText(QPointF(right + gap, base), self.worst)
        width = (right - left) / len(self.colours)
        for at, colour in enumerate(self.colours if self.worst else self.colours[:1] * len(self.colours)):
            p.fillRect(QRectF(left + at * width, middle - BAR_HEIGHT / 2, width + 0.5, BAR_HEIGHT), colour)


class HeatMapChart(Chart):
    """Scale or error of each channel, block or token in colours; a click looks at one alone."""

    name: ClassVar[str] = "heat_map"
    of_cells: ClassVar[bool] = True
    channel_clicked = Signal(int)
    sight_changed = Signal(object)

    def __init__(self, link: LinkedCursor) -> None:
        self._rows, self._columns, self._bar = CellAxis("left"), CellAxis("bottom"), ColourBar()
        axes = {"left": self._rows, "bottom": self._columns, "top": self._bar}
        super().__init__(link, axes=axes, gridded=False)
        self.quantity = "sqnr"
        self._image: GroupImage | None = None
        self._foreseen: GroupImage | None = None
        self._key: Any = None
        self._told: Sight | None = None
        self._joined = 1
        self._picture = QImage()
        self._palette = np.zeros((COLOURS, 3))
        self._chosen: int | None = None
        self._pointed: int | None = None
        self.view.invertY(True)
        self._bar.setHeight(BAR_ROOM)
        self._over.setVisible(True)
        self.canvas.scene().sigMouseClicked.connect(self._on_clicked)
        self.follow_view()
        self.view.sigYRangeChanged.connect(self._on_view_changed)

    def title(self) -> str:
        return self.tr("Heat map")

    def description(self) -> str:
        return self.tr(
            "Each channel, block or token as a cell, coloured by its scale or its error: the worse, the further from "
            "the ground. Click a cell to see it alone in every chart; click it again to see all."
        )

    def choose_quantity(self, name: str) -> None:
        """What the colours stand for: a key of `QUANTITIES`."""
        self.quantity = name
        if self.analysis is not None:
            self.present(self.analysis)

    def present(self, analysis: Analysis) -> None:
        self.analysis = analysis
        foreseen, self._foreseen = self._foreseen, None
        if analysis.groups is None:
            self._image = self._key = self._pointed = None
            self.set_note(self.tr("one scale only"))
            self._picture = QImage()
            self.repaint_marks()
            return
        made = foreseen is not None and foreseen.analysis is analysis and foreseen.sight == self.sight()
        self._image = image = foreseen if made else self.sight()(analysis)
        assert image is not None
        key = (image.grid, analysis.scheme.granularity, analysis.tensor.shape)
        if key != self._key:
            self._key, self._joined = key, 1
            self._pointed = None  # of other groups, of which there may have been more
            self._label(analysis)
            with self.moving():
                self.reset_view()
        else:
            self.draw()
        self._dress_bar()

    def sight(self) -> Sight:
        """What is looked at: of an answer that was asked for it before, the picture is there."""
        (left, right), (top, bottom) = self.view.viewRange()
        return Sight(self.quantity, (left, right), (top, bottom), self.view.width(), self.view.height())

    def foresee(self, image: GroupImage) -> None:
        """This is the picture of the answer that is presented next."""
        self._foreseen = image

    @property
    def _grid(self) -> Grid | None:
        return None if self._image is None else self._image.grid

    @property
    def _tiles(self) -> Tiles | None:
        return None if self._image is None else self._image.tiles

    def _words(self, analysis: Analysis) -> tuple[str, str]:
        """The titles of both axes."""
        granularity, shape, grid = analysis.scheme.granularity, analysis.tensor.shape, self._grid
        words = group_words(granularity)
        assert grid is not None
        if grid.wrapped and grid.rows == 1:
            return words.title, ""
        if grid.wrapped:
            return (
                self.tr("{group} within its row").format(group=words.title),
                self.tr("First {group} of the row").format(group=words.one),
            )
        if isinstance(granularity, PerBlock):
            axis = granularity.resolve(shape)
            bottom = self.tr("Block of {size} along axis {axis}").format(size=granularity.block_size, axis=axis)
            others = [at for at in range(len(shape)) if at != axis]
        elif isinstance(granularity, PerTile):
            return (
                self.tr("Tile of {size} along axis {axis}").format(size=granularity.columns, axis=len(shape) - 1),
                self.tr("Tile of {size} along axis {axis}").format(size=granularity.rows, axis=len(shape) - 2),
            )
        else:
            others = list(range(len(shape) - 2))
            bottom = self.tr("Token (axis {axis})").format(axis=len(shape) - 2)
        if len(others) == 1:
            return bottom, self.tr("Index of axis {axis}").format(axis=others[0])
        listed = ", ".join(str(at) for at in others)
        return bottom, self.tr("Index of axes {axes}, row by row").format(axes=listed)

    def _label(self, analysis: Analysis) -> None:
        grid = self._grid
        assert grid is not None
        self._rows.each = grid.columns if grid.wrapped else 1
        self._rows.setStyle(showValues=grid.rows > 1)
        bottom, left = self._words(analysis)
        if self._joined > 1:  # the title of a small window has no room for it
            bottom = self.tr("{cells} · a pixel: worst of {count}").format(cells=bottom, count=f"{self._joined:,}")
        self.set_labels(bottom, left)

    def choose(self, channel: int | None) -> None:
        """Mark the group that is looked at alone."""
        self._chosen = channel
        self._over.renew()

    def reset_view(self) -> None:
        if self._grid is not None:
            self.view.move_to(x=(-0.5, self._grid.columns - 0.5), y=(-0.5, self._grid.rows - 0.5))

    def tables(self) -> dict[str, Table]:
        if self.analysis is None or self._grid is None:
            return {}
        columns = group_columns(self.analysis)
        first, *others = columns
        cells = self._grid.cell(columns[first])
        return {
            "": Table(
                {
                    first: columns[first],
                    **dict(zip(("row", "column"), cells, strict=True)),
                    **{name: columns[name] for name in others},
                }
            )
        }

    def restyle(self, theme: Theme) -> None:
        stops = [theme.color(f"heat{i + 1}") for i in range(STOPS)]
        channels = np.array([[c.red(), c.green(), c.blue()] for c in stops], np.float64)
        at = np.linspace(0, STOPS - 1, COLOURS)
        self._palette = np.column_stack([np.interp(at, np.arange(STOPS), channels[:, i]) for i in range(3)])
        self._bar.colours = [QColor(*(round(c) for c in self._palette[i])) for i in range(0, COLOURS, 5)]
        self._bar.setStyle(tickFont=scaled_font(self.font(), 11))
        self._bar.setTextPen(theme.chart["axis"])
        if self.analysis is not None and self._grid is not None:
            self._label(self.analysis)
            self._paint_picture()
        self._dress_bar()

    def _dress_bar(self) -> None:
        quantity = QUANTITIES[self.quantity]
        best, worst = NO_LEVELS if self._image is None else self._image.ends
        self._bar.heading = tr(quantity.title) + (f" ({quantity.unit})" if quantity.unit else "")
        if quantity.logarithmic:
            self._bar.heading += ", " + self.tr("log")
        each = about(self.analysis is None or self.analysis.exact)
        self._bar.best, self._bar.worst = each + quantity.text(best), each + quantity.text(worst)
        if best == worst == -math.inf:  # nothing is lost, or every scale is 0
            self._bar.worst = ""
            if self.quantity != "scale":
                self._bar.best = lossless(self._bar.best)
        self._bar.update()

    # -- what is in sight

    def draw(self) -> None:
        if self._image is None:
            return
        sight = self.sight()
        if self._image.sight != sight:
            self._image = self._image.seen(sight)
        if sight != self._told:
            self._told = sight
            self.sight_changed.emit(sight)
        assert self._tiles is not None
        joined = self._tiles.joined
        if self.analysis is not None and joined != self._joined:
            self._joined = joined
            self._label(self.analysis)
        self.set_note("" if joined == 1 else self.tr("a pixel is the worst of {count}").format(count=f"{joined:,}"))
        self._paint_picture()

    def _paint_picture(self) -> None:
        if self._image is None or self._image.colours is None or self._image.absent is None:
            return
        red, green, blue = self._palette.round().astype(np.uint32).T
        colours: Array = np.uint32(0xFF000000) | red << 16 | green << 8 | blue
        pixels = colours[self._image.colours]
        pixels[self._image.absent] = 0
        rows, columns = pixels.shape
        format_ = QImage.Format.Format_ARGB32_Premultiplied
        self._picture = QImage(pixels.tobytes(), columns, rows, 4 * columns, format_).copy()
        self.repaint_marks()

    def paint_marks(self, brush: Brush) -> None:
        if self._tiles is None or self._picture.isNull():
            return
        t = self._tiles
        x0, x1 = (
            self._x(brush, t.first_column - 0.5),
            self._x(brush, t.first_column - 0.5 + t.wide * self._picture.width()),
        )
        y0 = self._y(brush, t.first_row - 0.5)
        y1 = self._y(brush, t.first_row - 0.5 + t.tall * self._picture.height())
        with saved(brush.painter) as painter:
            painter.setClipRect(QRectF(0, 0, brush.width, brush.height))
            painter.drawImage(QRectF(x0, y0, x1 - x0, y1 - y0), self._picture)

    def _x(self, brush: Brush, value: float) -> float:
        left, right = self.view.viewRange()[0]
        return (value - left) / (right - left) * brush.width

    def _y(self, brush: Brush, value: float) -> float:
        top, bottom = self.view.viewRange()[1]
        return (value - top) / (bottom - top) * brush.height

    def _paint_over(self, brush: Brush) -> None:
        """The outline of the chosen group, and what the pointer reads."""
        if self._grid is None or self.analysis is None or self.theme is None:
            return
        if self._chosen is not None and self._chosen < self.analysis.qparams.groups:
            row, column = self._grid.cell(self._chosen)
            x0, x1 = self._x(brush, column - 0.5), self._x(brush, column + 0.5)
            y0, y1 = self._y(brush, row - 0.5), self._y(brush, row + 0.5)
            wide, tall = max(x1 - x0, SMALLEST_MARK), max(y1 - y0, SMALLEST_MARK)
            rect = QRectF((x0 + x1 - wide) / 2, (y0 + y1 - tall) / 2, wide, tall)
            brush.painter.setBrush(Qt.BrushStyle.NoBrush)
            for role, width in (("background", 5), ("pointer", 2)):
                brush.painter.setPen(self.pen(role, width=width))
                brush.painter.drawRect(rect)
        if self._pointed is not None:
            self._paint_box(brush, self._lines(self._pointed))

    def _paint_box(self, brush: Brush, lines: list[tuple[str, str]]) -> None:
        """What is known of the cell under the pointer, in the corner furthest from it."""
        assert self._grid is not None and self._pointed is not None
        row, column = self._grid.cell(self._pointed)
        font = scaled_font(self.font(), 11)
        brush.painter.setFont(font)
        metrics = QFontMetricsF(font)
        names = max(metrics.horizontalAdvance(name) for name, _ in lines)
        values = max(metrics.horizontalAdvance(value) for _, value in lines)
        wide, tall = names + values + 26, metrics.height() * len(lines) + 10
        x = 6.0 if self._x(brush, column) > brush.width / 2 else brush.width - wide - 6
        y = 6.0 if self._y(brush, row) > brush.height / 2 else brush.height - tall - 6
        brush.rect(x, y, wide, tall, self.color("background", 235))
        for at, (name, value) in enumerate(lines):
            middle = y + 5 + metrics.height() * (at + 0.5)
            brush.write(x + 8, middle, name, self.color("axis"))
            brush.write(x + wide - 8 - metrics.horizontalAdvance(value), middle, value, self.color("pointer"))

    # -- the pointer

    def group_at(self, point: QPointF) -> int | None:
        """The worst of the groups under a pixel."""
        if self._grid is None or self._tiles is None or self._image is None:
            return None
        row, column = math.floor(point.y() + 0.5), math.floor(point.x() + 0.5)
        if self._grid.group(row, column) is None and self._tiles.joined == 1:
            return None
        t = self._tiles
        if t.joined > 1 and 0 <= row < self._grid.rows and 0 <= column < self._grid.columns:
            row = t.first_row + (row - t.first_row) // t.tall * t.tall
            column = t.first_column + (column - t.first_column) // t.wide * t.wide
            tile = self._image.cells[row : row + t.tall, column : column + t.wide]
            if np.isnan(tile).all():
                return None
            down, across = divmod(self._image.quantity.worst(tile), tile.shape[1])
            row, column = row + down, column + across
        return self._grid.group(row, column)

    def _lines(self, group: int) -> list[tuple[str, str]]:
        """What is known of a group."""
        assert self.analysis is not None and self.analysis.groups is not None
        groups, q, granularity = self.analysis.groups, self.analysis.qparams, self.analysis.scheme.granularity
        scale, finite = float(q.scale.reshape(-1)[group]), int(groups.finite[group])
        each = about(self.analysis.exact)
        lines = [
            (f"#{group:,}", place_text(granularity, self.analysis.tensor.shape, group)),
            (self.tr("scale"), each + number(scale)),
            (self.tr("SQNR"), each + decibels(groups.sqnr_db_of(group))),
            (self.tr("MSE"), each + number(float(groups.mse[group]))),
            (self.tr("max |error|"), each + number(float(groups.max_abs_error[group]))),
            (self.tr("saturated"), f"{each}{int(groups.saturated[group]):,} / {finite:,}"),
        ]
        return lines if finite else [lines[0], (self.tr("elements"), self.tr("none finite"))]

    def hover(self, point: QPointF) -> None:
        group = self.group_at(point)
        if group is None:
            self.leave()
            return
        if group != self._pointed:
            self._pointed = group
            self._over.renew()
        (_, place), *figures = self._lines(group)
        self.read_out.emit("  ".join([place, *(f"{name} {value}" for name, value in figures)]))

    def leave(self) -> None:
        if self._pointed is not None:
            self._pointed = None
            self._over.renew()
        super().leave()

    @Slot(object)
    def _on_clicked(self, event: Any) -> None:
        if event.double() or event.button() != Qt.MouseButton.LeftButton:
            return
        if self.view.sceneBoundingRect().contains(event.scenePos()):
            group = self.group_at(self.view.mapSceneToView(event.scenePos()))
            if group is not None:
                self.channel_clicked.emit(group)
