"""Which texts of a window are cut, covered, or shortened without saying what they were?"""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from PySide6.QtCore import QPoint, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QFontMetricsF
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QApplication,
    QCheckBox,
    QComboBox,
    QLabel,
    QScrollArea,
    QStyle,
    QStyleOptionComboBox,
    QTabBar,
    QTableView,
    QTextBrowser,
    QWidget,
)

from qviz.gui.charts.base import Chart
from qviz.gui.charts.drawing import Brush
from qviz.gui.kit.widgets import Line
from qviz.gui.tensor.value_table import CellsView
from qviz.gui.window.toasts import Toasts
from tests.gui.pictures import picture

SLACK = 1
"""Pixels that a text may lack: hints are rounded up."""


@dataclass(frozen=True)
class Written:
    """A text that a chart has painted, and where, in pixels of its view."""

    text: str
    place: QRectF


def cut_texts(root: QWidget) -> list[str]:
    """One sentence for each text in sight that cannot be read as it is."""
    found = []
    for widget in root.findChildren(QWidget):
        if widget.isVisible() and widget.width() > 0 and not _scrolled_away(widget):
            found += [f"{_named(widget)}: {what}" for what in _faults(widget)]
    return found


def _faults(widget: QWidget) -> Iterator[str]:  # noqa: PLR0912 - one branch a kind of widget
    if isinstance(widget, Line):
        wide = widget.fontMetrics().horizontalAdvance(widget.text())
        if wide > widget.width() + SLACK and not _tells(widget, widget.text()):
            yield f"“{widget.text()}” is {wide} wide in {widget.width()}"
    elif isinstance(widget, QLabel):
        yield from _label_faults(widget)
    elif isinstance(widget, QComboBox):
        option = QStyleOptionComboBox()
        widget.initStyleOption(option)
        room = widget.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, widget
        )
        wide = widget.fontMetrics().horizontalAdvance(widget.currentText())
        if wide > room.width() + SLACK and not _tells(widget, widget.currentText()):
            yield f"“{widget.currentText()}” is {wide} wide in {room.width()}"
    elif isinstance(widget, QAbstractButton):
        if widget.text() and _needed(widget).width() > widget.width() + SLACK:
            yield f"“{widget.text()}” needs {_needed(widget).width()} of {widget.width()}"
    elif isinstance(widget, QTabBar):
        for at in range(widget.count()):
            wide = widget.fontMetrics().horizontalAdvance(widget.tabText(at))
            if wide > widget.tabRect(at).width() and not widget.tabToolTip(at):
                yield f"tab “{widget.tabText(at)}” is {wide} wide in {widget.tabRect(at).width()}"
    elif isinstance(widget, CellsView):
        yield from _cells_faults(widget)
    elif isinstance(widget, QTableView):
        yield from _table_faults(widget)
    elif isinstance(widget, QTextBrowser):
        high = widget.document().size().height()
        if high > widget.viewport().height() + SLACK and not widget.verticalScrollBar().isVisible():
            yield f"{high:.0f} high in {widget.viewport().height()}"
    elif isinstance(widget, Chart) and not widget.empty and widget.canvas.isVisible():
        yield from _chart_faults(widget)
    if isinstance(widget, QAbstractButton | QComboBox) and (over := _covered_by(widget)):
        yield f"covered by {over}"
    if isinstance(widget, QLabel | QAbstractButton | QComboBox) and (lost := _hidden_at_the_side(widget)):
        yield f"{lost} pixels lie outside of what it is in"


def _covered_by(widget: QWidget) -> str:
    """What lies over the left or the right end of a widget that is not scrolled away; nothing in most cases."""
    window, middle = widget.window(), widget.height() // 2
    for x in (2, widget.width() - 3):
        over = window.childAt(widget.mapTo(window, QPoint(x, middle)))
        if not widget.visibleRegion().contains(QPoint(x, middle)) or over is None or _floats(over):
            continue
        if over is not widget and not widget.isAncestorOf(over):
            return f"“{_named(over)}” at {x} of {widget.width()}"
    return ""


def _floats(widget: QWidget) -> bool:
    """Whether it is a message over the page."""
    place: QWidget | None = widget
    while place is not None and not isinstance(place, Toasts):
        place = place.parentWidget()
    return place is not None


def _label_faults(label: QLabel) -> Iterator[str]:
    if label.wordWrap():
        if label.heightForWidth(label.width()) > label.height() + SLACK:
            yield f"“{label.text()}” is {label.heightForWidth(label.width())} high in {label.height()}"
    elif label.text() and label.sizeHint().width() > label.width() + SLACK and not _tells(label, label.text()):
        yield f"“{label.text()}” is {label.sizeHint().width()} wide in {label.width()}"


def _needed(button: QAbstractButton) -> QSize:
    """Without the margins that a style would like."""
    if isinstance(button, QCheckBox):
        return button.sizeHint()
    metrics = QFontMetrics(button.font())
    return QSize(metrics.horizontalAdvance(button.text().replace("&", "")) + 4, metrics.height())


def _table_faults(table: QTableView) -> Iterator[str]:
    model, header = table.model(), table.horizontalHeader()
    for column in range(model.columnCount()):
        if header.isSectionHidden(column):
            continue
        title = str(model.headerData(column, Qt.Orientation.Horizontal) or "")
        wide = QFontMetrics(header.font()).horizontalAdvance(title)
        if wide > header.sectionSize(column) and not model.headerData(
            column, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole
        ):
            yield f"heading “{title}” is {wide} wide in {header.sectionSize(column)}"
        for row in range(max(table.rowAt(0), 0), 1 + _last_row(table)):
            index = model.index(row, column)
            text = str(index.data() or "")
            wide = table.sizeHintForIndex(index).width()  # with all that a style sheet puts around it
            if text and wide > header.sectionSize(column) and not index.data(Qt.ItemDataRole.ToolTipRole):
                yield f"cell “{text}” is {wide} wide in {header.sectionSize(column)}"


def _last_row(table: QTableView) -> int:
    last = table.rowAt(table.viewport().height() - 1)
    return last if last >= 0 else table.model().rowCount() - 1


def _cells_faults(table: CellsView) -> Iterator[str]:
    model, header = table.model(), table.horizontalHeader()
    for column in range(model.columnCount()):
        for row in range(model.rowCount()):
            index = model.index(row, column)
            wide = table.fontMetrics().horizontalAdvance(str(index.data()))
            if wide > header.sectionSize(column) - 6 and not index.data(Qt.ItemDataRole.ToolTipRole):
                yield f"cell “{index.data()}” is {wide} wide in {header.sectionSize(column) - 6}"


def _chart_faults(chart: Chart) -> Iterator[str]:
    for side, axis in chart.plot.axes.items():
        if axis.isVisible() and axis.label.isVisible():
            wide = axis.label.boundingRect().width()
            room = axis.height() if side in ("left", "right") else axis.width()
            if wide > room + SLACK:
                yield f"“{axis.labelText}” is {wide:.0f} wide in {room:.0f}"
        if side == "left" and axis.isVisible() and axis.label.isVisible():
            yield from _texts_on_the_title(axis)
    written = texts_of(chart)
    inside = QRectF(0, 0, chart.view.width(), chart.view.height()).adjusted(-SLACK, -SLACK, SLACK, SLACK)
    for each in written:
        if not inside.contains(each.place):
            yield f"“{each.text}” leaves the chart: {each.place}"
    for at, one in enumerate(written):
        for other in written[at + 1 :]:
            if one.place.adjusted(1, 3, -1, -3).intersects(other.place.adjusted(1, 3, -1, -3)):
                yield f"“{one.text}” and “{other.text}” overlap"


def _texts_on_the_title(axis: Any) -> Iterator[str]:
    """Texts of an upright axis that reach as far as its turned title, on which they lie in one of many views."""
    title = axis.label.mapRectToParent(axis.label.boundingRect()).right() - 4  # a document has a margin
    for start, text in axis.ticks().texts:
        if start.x() < title:
            yield f"“{text}” reaches into the title “{axis.labelText}”"


def texts_of(chart: Chart) -> list[Written]:
    """Everything that a chart writes onto its data."""
    written: list[Written] = []
    write = Brush.write

    def note(brush: Brush, x: float, middle: float, text: str, color: Any) -> None:
        metrics = QFontMetricsF(brush.painter.font())
        wide, high = metrics.horizontalAdvance(text), metrics.height()
        if text:
            written.append(Written(text, QRectF(x, middle - high / 2, wide, high)))
        write(brush, x, middle, text, color)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Brush, "write", note)
        patched.setattr(Brush, "keep", lambda brush, name, of, paint, rows=None: paint(brush))
        chart.canvas.viewport().update()
        picture(chart.canvas)
    return list({(each.text, each.place.x(), each.place.y()): each for each in written}.values())


def _tells(widget: QWidget, text: str) -> bool:
    """Whether the tooltip has what does not fit."""
    return text in html.unescape(widget.toolTip())


def _scrolled_away(widget: QWidget) -> bool:
    """Whether it lies where a scroll bar has to be moved, or behind another tab."""
    return widget.visibleRegion().isEmpty()


def _hidden_at_the_side(widget: QWidget) -> int:
    """How many pixels of its width its ancestors hide; up and down there are scroll bars."""
    lost, place = 0, QRect(QPoint(0, 0), widget.size())
    parent = widget.parentWidget()
    while parent is not None and not widget.isWindow():
        if isinstance(parent, QAbstractItemView):
            return 0
        corner = widget.mapTo(parent, QPoint(0, 0))
        lost = max(lost, -corner.x(), corner.x() + place.width() - parent.width())
        if parent.isWindow():
            break
        parent = parent.parentWidget()
    return lost if lost > SLACK else 0


def _named(widget: QWidget) -> str:
    """Where a widget is found: its own name, and that of what it is in."""
    names = [widget.accessibleName() or widget.objectName() or type(widget).__name__]
    parent = widget.parentWidget()
    while parent is not None and len(names) < 3:
        if parent.objectName() not in ("", "panel", "qt_scrollarea_viewport"):
            names.append(parent.objectName())
        parent = parent.parentWidget()
    return " in ".join(names)


def scrolling(root: QWidget) -> list[str]:
    """Panels in sight that do not show all they hold at once."""
    areas = [area for area in root.findChildren(QScrollArea) if area.isVisible() and not _scrolled_away(area)]
    return [_named(area) for area in areas if area.verticalScrollBar().maximum() > 0]


def laid_out() -> None:
    """Let layouts settle: what follows from one follows in the next round."""
    for _ in range(4):
        QApplication.processEvents()
