"""How does a chart leave the window? As PNG, SVG, PDF, CSV, or through the clipboard."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from pyqtgraph import BarGraphItem, InfiniteLine, PlotCurveItem, mkPen
from pyqtgraph.exporters import ImageExporter
from PySide6.QtCore import QMarginsF, QRectF, QSize, QSizeF, Qt
from PySide6.QtGui import QColor, QFontMetrics, QImage, QPageSize, QPainter, QPdfWriter, QPen, QResizeEvent, QTextOption
from PySide6.QtWidgets import QApplication, QDockWidget, QGraphicsTextItem, QMainWindow, QWidget

from qviz.core.frozen import frozen
from qviz.core.printable import printable
from qviz.core.problems import Problem
from qviz.files.atomic import atomic_write
from qviz.files.results import save_table
from qviz.files.writers import TABLE_FORMATS
from qviz.gui.charts.base import Chart, Table
from qviz.gui.charts.svg import paint_items, svg
from qviz.gui.kit.theme import scaled_font

DOTS_PER_METER_AT_SCALE_1 = 96 / 0.0254

CAPTION_PIXELS, CAPTION_LINES = 11, 3
"""Of the words under an exported chart."""

USUAL_ROOM = QSize(640, 400)
"""Of a chart that nobody has looked at yet."""


LEAST_HEIGHT = 160.0
"""Of a picture: a lower chart has no room for its title, too."""

PACKED_AT_ONCE = 1 << 20
"""Pixels of a PNG that are packed in a moment, in whatever thread."""

FILLED_AT_ONCE = 1 << 22
"""Pixels of a PNG whose ground is."""

DRAWN_AT_ONCE = 1 << 16
"""Bytes of an SVG that are put together so."""

WRITTEN_AT_ONCE = 1 << 13
"""Numbers of a CSV that are written so."""

Beside = Callable[[Callable[[], None]], object]
"""Has something done that needs no window, in another thread."""


def export_chart(
    chart: Chart,
    path: Path,
    *,
    scale: float = 2.0,
    caption: str = "",
    beside: Beside | None = None,
    paper: QImage | None = None,
) -> list[Path]:
    """Write a chart to ``path`` in the format that its ending names.

    A chart that is out of sight, and may never have been laid out, is given the room that it would have.

    Parameters
    ----------
    scale : float
        Pixels of a PNG for each pixel on the screen; 1 is 96 dpi.
    caption : str
        Of what it is: a line under the title of a picture.
    beside : callable, optional
        Is given what is left to do of a large one: to pack and write it, which may raise `Problem`.
    paper : QImage, optional
        What `paper_for` made of a large PNG; another one is made where the chart has another size or ground by now.

    Returns
    -------
    list of Path
        What was written: a CSV of several tables makes several files.

    Raises
    ------
    Problem
        For another ending, a chart without data, or a file that cannot be written.
    """
    try:
        write = WRITERS[path.suffix.lower().removeprefix(".")]
    except KeyError:
        raise Problem(
            "{file} cannot be written: end the name in one of .{endings}.",
            file=printable(path.name),
            endings=", .".join(WRITERS),
        ) from None
    if not chart.tables():
        raise Problem("The chart “{chart}” is empty: there is nothing to export yet.", chart=chart.title())
    with _laid_out(chart), _titled(chart, caption) as below:
        return write(Sheet(chart, scale, below, beside, paper), path)


def is_large(chart: Chart, path: Path, scale: float) -> bool:
    """Whether a chart makes a PNG whose `paper_for` is made beside the window."""
    room = chart.size() if _is_seen(chart) else _room(chart)
    of_png = path.suffix.lower() == ".png"
    return of_png and room.width() * room.height() * scale * scale > FILLED_AT_ONCE


def paper_for(chart: Chart, *, scale: float, caption: str) -> Callable[[], QImage]:
    """What makes the paper that `export_chart` paints a PNG on: it takes a while, and needs no window."""
    with _laid_out(chart), _titled(chart, caption) as below:
        sheet = Sheet(chart, scale, below)
        return partial(_paper, sheet.dots(), sheet.ground())


def _paper(dots: QSize, ground: QColor) -> QImage:
    image = QImage(dots, QImage.Format.Format_ARGB32_Premultiplied)
    if not image.isNull():  # Qt's own filling would hold up every other thread
        np.frombuffer(image.bits(), np.uint32).fill(ground.rgba())
    return image


def paths_of(chart: Chart, path: Path) -> list[Path]:
    """The files that `export_chart` would write."""
    if path.suffix.lower().removeprefix(".") not in TABLE_FORMATS:
        return [path]
    return [path.with_name(f"{path.stem}-{suffix}{path.suffix}") if suffix else path for suffix in chart.tables()]


def same_tables(one: dict[str, Table], other: dict[str, Table]) -> bool:
    """Whether a chart draws the same data twice, NaN and all."""
    plain, plain_other = (
        {(suffix, name): column for suffix, table in tables.items() for name, column in table.columns.items()}
        for tables in (one, other)
    )
    return plain.keys() == plain_other.keys() and all(_same(plain[key], plain_other[key]) for key in plain)


def _same(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    numbers = one.dtype.kind in "fc" and other.dtype.kind in "fc"
    return one is other or np.array_equal(one, other, equal_nan=numbers)


def chart_image(chart: Chart, scale: float = 2.0, caption: str = "") -> QImage:
    """The chart with its title as a picture; lines keep their weight at every scale."""
    with _laid_out(chart), _titled(chart, caption) as below:
        return _image(Sheet(chart, scale, below))


@frozen
class Sheet:
    """A chart that is ready to be written: pixels of a PNG for each on the screen, and those of the caption below."""

    chart: Chart
    scale: float
    below: float
    beside: Beside | None = None
    paper: QImage | None = None

    def source(self) -> QRectF:
        """What is written, in the scene of the chart."""
        return QRectF(ImageExporter(self.chart.plot).getSourceRect()).adjusted(0, 0, 0, self.below)

    def dots(self) -> QSize:
        """How large it is as a picture."""
        return (self.source().size() * self.scale).toSize()

    def ground(self) -> QColor:
        """What everything is painted on."""
        return QColor(self.chart.theme.chart["background"] if self.chart.theme else "white")

    def leave(self, work: Callable[[], None], *, at_once: bool = False) -> None:
        """Have something done that needs no window: at once, or wherever there is time for it."""
        if self.beside is None or at_once:
            work()
        else:
            self.beside(work)


def _image(sheet: Sheet) -> QImage:
    chart, scale = sheet.chart, sheet.scale
    with _pens(chart, scale):
        exporter = ImageExporter(chart.plot)
        source, ground = sheet.source(), sheet.ground()
        image = sheet.paper
        if image is None or image.size() != sheet.dots() or image.pixelColor(0, 0) != ground:
            image = _paper(sheet.dots(), ground)
        image.setDevicePixelRatio(scale)
        _paint(chart, exporter, source, image)
        image.setDevicePixelRatio(1)
        image.setDotsPerMeterX(round(DOTS_PER_METER_AT_SCALE_1 * scale))
        image.setDotsPerMeterY(round(DOTS_PER_METER_AT_SCALE_1 * scale))
        return image


def copy_chart(chart: Chart, caption: str = "") -> None:
    """The picture to the clipboard."""
    QApplication.clipboard().setImage(chart_image(chart, caption=caption))


def _png(sheet: Sheet, path: Path) -> list[Path]:
    image = _image(sheet)
    sheet.leave(partial(_pack, image, path), at_once=image.width() * image.height() <= PACKED_AT_ONCE)
    return [path]


def _pack(image: QImage, path: Path) -> None:
    with atomic_write(path) as temporary:
        if not image.save(str(temporary)):
            raise OSError(f"Qt could not write {path.name}")


def _svg(sheet: Sheet, path: Path) -> list[Path]:
    chart = sheet.chart
    # Rectangles keep their transformation in Qt's SVG, and a pen would be stretched with it.
    with _pens(chart, 1, bars=False):
        painted = paint_items(chart.plot)
    room = chart.plot.boundingRect().size()
    size = QSizeF(room.width(), math.ceil(room.height() + sheet.below))
    work = partial(_save, partial(svg, painted, size, sheet.ground(), chart.title()), path)
    sheet.leave(work, at_once=painted.nbytes <= DRAWN_AT_ONCE)
    return [path]


def _save(data: Callable[[], bytes], path: Path) -> None:
    with atomic_write(path) as temporary:
        temporary.write_bytes(data())


def _pdf(sheet: Sheet, path: Path) -> list[Path]:
    chart = sheet.chart
    with atomic_write(path) as temporary:
        exporter = ImageExporter(chart.plot)
        source = sheet.source()
        # At any other resolution the axes, which are laid out in screen pixels, get the wrong size.
        dpi = chart.screen().logicalDotsPerInch()
        writer = QPdfWriter(str(temporary))
        writer.setTitle(chart.title())
        writer.setCreator("qviz")
        writer.setResolution(round(dpi))
        points = QSizeF(source.width(), source.height()) * (72 / dpi)
        writer.setPageSize(QPageSize(points, QPageSize.Unit.Point, matchPolicy=QPageSize.SizeMatchPolicy.ExactMatch))
        writer.setPageMargins(QMarginsF(0, 0, 0, 0))
        _paint(chart, exporter, source, writer)
    return [path]


def _csv(sheet: Sheet, path: Path) -> list[Path]:
    paths = paths_of(sheet.chart, path)
    for target, table in zip(paths, sheet.chart.tables().values(), strict=True):
        many = sum(column.size for column in table.columns.values()) > WRITTEN_AT_ONCE
        sheet.leave(partial(save_table, target, table.columns), at_once=not many)
    return paths


WRITERS: dict[str, Callable[[Sheet, Path], list[Path]]] = {"png": _png, "svg": _svg, "pdf": _pdf, "csv": _csv}
"""A writer for each of `EXPORT_FORMATS`."""


def _paint(chart: Chart, exporter: ImageExporter, source: QRectF, device: QImage | QPdfWriter) -> None:
    painter = QPainter(device)
    try:
        exporter.setExportMode(
            True, {"antialias": True, "background": None, "painter": painter, "resolutionScale": 1.0}
        )
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        chart.plot.scene().render(painter, QRectF(0, 0, source.width(), source.height()), source)
    finally:
        exporter.setExportMode(False)
        painter.end()


@contextmanager
def _pens(chart: Chart, scale: float, *, bars: bool = True) -> Iterator[None]:
    """Cosmetic pens are as wide as they say in pixels, whatever the resolution: widen them for it."""
    outlined = [item for item in chart.plot.items if isinstance(item, BarGraphItem | PlotCurveItem)]
    lines = [item for item in chart.plot.items if isinstance(item, InfiniteLine)]
    pens = [mkPen(item.opts["pen"]) for item in outlined]
    line_pens = [line.currentPen for line in lines]
    for item, pen in zip(outlined, pens, strict=True):
        _set_pen(item, _widened(pen, scale) if bars or isinstance(item, PlotCurveItem) else mkPen(None))
    for line, pen in zip(lines, line_pens, strict=True):
        line.currentPen = _widened(pen, scale)
    try:
        yield
    finally:
        for item, pen in zip(outlined, pens, strict=True):
            _set_pen(item, pen)
        for line, pen in zip(lines, line_pens, strict=True):
            line.currentPen = pen


def _widened(pen: QPen, scale: float) -> QPen:
    wide = QPen(pen)
    wide.setWidthF(pen.widthF() * scale)
    return wide


def _set_pen(item: BarGraphItem | PlotCurveItem, pen: QPen) -> None:
    if isinstance(item, BarGraphItem):
        item.setOpts(pen=pen)
    else:  # its setter would lay the whole chart out again
        item.opts["pen"] = pen


@contextmanager
def _titled(chart: Chart, caption: str) -> Iterator[float]:
    """On the screen the title stands above the canvas; in a file it has to be inside, and says of what it is.

    Yields the height of the caption, which stands below everything else and takes no room from it.
    """
    place = chart.plot.geometry()
    title = f"{chart.title()} — {chart.note}" if chart.note else chart.title()
    color = chart.theme.chart["pointer"] if chart.theme else "black"
    chart.plot.set_title(escape(title), size="13px", color=color)
    if place.height() < LEAST_HEIGHT:
        chart.plot.setGeometry(QRectF(place.x(), place.y(), place.width(), LEAST_HEIGHT))
    chart.plot.grid.activate()
    words = _caption(chart, caption) if caption else None
    try:
        yield 0.0 if words is None else math.ceil(words.boundingRect().height())
    finally:
        if words is not None:
            chart.plot.scene().removeItem(words)
        chart.plot.set_title(None)
        chart.plot.setGeometry(place)  # a title that is wider than the chart has widened it
        chart.plot.grid.activate()


def _caption(chart: Chart, caption: str) -> QGraphicsTextItem:
    """The words under a chart: as many lines as they need, up to a few."""
    font = scaled_font(chart.font(), CAPTION_PIXELS)
    width = chart.plot.boundingRect().width()
    fitting = QFontMetrics(font).elidedText(
        printable(caption), Qt.TextElideMode.ElideMiddle, round(CAPTION_LINES * 0.9 * width)
    )
    words = QGraphicsTextItem(chart.plot)
    words.setPlainText(fitting)
    words.setFont(font)
    words.setDefaultTextColor(chart.color("axis") if chart.theme else Qt.GlobalColor.black)
    words.setTextWidth(width)
    option = words.document().defaultTextOption()
    option.setAlignment(Qt.AlignmentFlag.AlignHCenter)
    option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
    words.document().setDefaultTextOption(option)
    words.setPos(0, chart.plot.boundingRect().height())
    return words


@contextmanager
def _laid_out(chart: Chart) -> Iterator[None]:
    """What is out of sight has the size of what is in sight in its place, or a usual one, while it is exported."""
    if _is_seen(chart):
        yield
        return
    before = chart.size()
    chart.ensurePolished()
    room = _room(chart)
    chart.resize(room)
    chart.grab()  # Qt tells no hidden widget of its size, unless it is asked for its picture
    if chart.size() != room:  # and for that it gives every hidden dock a place among the others
        _resize(chart, room)
    chart.plot.grid.activate()
    try:
        yield
    finally:
        chart.resize(before)


def _resize(chart: Chart, room: QSize) -> None:
    layout = chart.layout()
    assert layout is not None
    chart.resize(room)
    layout.setGeometry(chart.rect())
    for each in (chart.canvas, chart.canvas.viewport()):
        QApplication.sendEvent(each, QResizeEvent(each.size(), QSize()))


def _is_seen(chart: Chart) -> bool:
    return not chart.visibleRegion().isEmpty()  # what stands behind a tab is visible to Qt, far outside of the window


def _room(chart: Chart) -> QSize:
    place: QWidget | None = chart.parentWidget()
    while place is not None and not isinstance(place, QDockWidget):
        place = place.parentWidget()
    main = place.parentWidget() if place is not None else None
    if isinstance(place, QDockWidget) and isinstance(main, QMainWindow):
        for neighbour in main.tabifiedDockWidgets(place):
            shown = neighbour.widget()
            if shown is not None and not shown.visibleRegion().isEmpty():
                return shown.size()
    return chart.size() if chart.testAttribute(Qt.WidgetAttribute.WA_WState_Created) else USUAL_ROOM
