"""How does a chart leave the window? As PNG, SVG, PDF, CSV, or through the clipboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pyqtgraph import BarGraphItem, InfiniteLine, PlotCurveItem, mkPen
from pyqtgraph.exporters import ImageExporter, SVGExporter
from PySide6.QtCore import QMarginsF, QRectF, QSizeF
from PySide6.QtGui import QImage, QPageSize, QPainter, QPdfWriter, QPen
from PySide6.QtWidgets import QApplication

from qviz.core.problems import Problem
from qviz.files.atomic import atomic_write
from qviz.files.results import save_table
from qviz.files.writers import EXPORT_FORMATS
from qviz.gui.charts.base import Chart

DOTS_PER_METER_AT_SCALE_1 = 96 / 0.0254


def export_chart(chart: Chart, path: Path, *, scale: float = 2.0) -> list[Path]:
    """Write a chart to ``path`` in the format that its ending names.

    Parameters
    ----------
    scale : float
        Pixels of a PNG for each pixel on the screen; 1 is 96 dpi.

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
            "{file} cannot be written: end the name in one of .{endings}.", file=path.name, endings=", .".join(WRITERS)
        ) from None
    if not chart.tables():
        raise Problem("The chart “{chart}” is empty: there is nothing to export yet.", chart=chart.title())
    return write(chart, path, scale)


def chart_image(chart: Chart, scale: float = 2.0) -> QImage:
    """The chart with its title as a picture; lines keep their weight at every scale."""
    with _titled(chart), _pens(chart, scale):
        exporter = ImageExporter(chart.plot)
        source = QRectF(exporter.getSourceRect())
        image = QImage((source.size() * scale).toSize(), QImage.Format.Format_ARGB32_Premultiplied)
        image.setDevicePixelRatio(scale)
        image.fill(chart.theme.chart["background"] if chart.theme else "white")
        _paint(chart, exporter, source, image)
        image.setDevicePixelRatio(1)
        image.setDotsPerMeterX(round(DOTS_PER_METER_AT_SCALE_1 * scale))
        image.setDotsPerMeterY(round(DOTS_PER_METER_AT_SCALE_1 * scale))
        return image


def copy_chart(chart: Chart) -> None:
    """The picture to the clipboard."""
    QApplication.clipboard().setImage(chart_image(chart))


def _png(chart: Chart, path: Path, scale: float) -> list[Path]:
    image = chart_image(chart, scale)
    with atomic_write(path) as temporary:
        if not image.save(str(temporary)):
            raise OSError(f"Qt could not write {path.name}")
    return [path]


def _svg(chart: Chart, path: Path, scale: float) -> list[Path]:
    # Rectangles keep their transformation in pyqtgraph's SVG, and a pen would be stretched with it.
    with _titled(chart), _pens(chart, 1, bars=False):
        data = SVGExporter(chart.plot).export(toBytes=True)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)
    return [path]


def _pdf(chart: Chart, path: Path, scale: float) -> list[Path]:
    with _titled(chart), atomic_write(path) as temporary:
        exporter = ImageExporter(chart.plot)
        source = QRectF(exporter.getSourceRect())
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


def _csv(chart: Chart, path: Path, scale: float) -> list[Path]:
    written = []
    for suffix, table in chart.tables().items():
        target = path.with_name(f"{path.stem}-{suffix}{path.suffix}") if suffix else path
        save_table(target, table.columns)
        written.append(target)
    return written


WRITERS: dict[str, Callable[[Chart, Path, float], list[Path]]] = dict(
    zip(EXPORT_FORMATS, (_png, _svg, _pdf, _csv), strict=True)
)
"""A writer for every export format; a new one is a function and a row."""


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
def _titled(chart: Chart) -> Iterator[None]:
    """On the screen the title stands above the canvas; in a file it has to be inside."""
    title = f"{chart.title()} — {chart.note}" if chart.note else chart.title()
    color = chart.theme.chart["pointer"] if chart.theme else "black"
    shown = chart.canvas.isVisible()
    chart.plot.setTitle(title, size="13px", color=color)
    chart.plot.layout.activate()
    if not shown:
        chart.ensurePolished()
    try:
        yield
    finally:
        chart.plot.setTitle(None)
        chart.plot.layout.activate()
