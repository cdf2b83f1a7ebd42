"""What happens to each single element, step by step?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtCore import (
    QAbstractTableModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QPointF,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QColor, QFontMetricsF, QKeyEvent, QPainter, QPaintEvent, QPalette, QWheelEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QScrollBar,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from qviz.core.arithmetic.element_trace import ElementTrace, trace_elements
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.printable import brief
from qviz.gui.kit.copying import Excerpt, asks_to_copy
from qviz.gui.kit.theme import Theme, scaled_font
from qviz.gui.kit.widgets import named_label
from qviz.gui.words.groups import code_text
from qviz.gui.words.numbers import number, typographic
from qviz.session.guard import guarded

if TYPE_CHECKING:
    from qviz.core.questions.analysis import Analysis

Index = QModelIndex | QPersistentModelIndex
ROW_HEIGHT = 22
CELL_MARGIN = 3

MOST_DIGITS = 18
"""Of an index; a longer one is of no element there is."""


@guarded
class StepsModel(QAbstractTableModel):
    """A window of rows onto the whole tensor: only what is in sight is ever computed.

    Qt keeps a record for each row of a table, which 10⁸ rows do not afford; so the model has as
    many rows as fit on the screen and a ``first`` element that moves.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.analysis: Analysis | None = None
        self.first = 0
        self._rows = 0
        self._steps: ElementTrace | None = None
        self._cells: dict[int, list[str]] = {}

    @property
    def elements(self) -> int:
        return self.analysis.tensor.elements if self.analysis else 0

    @property
    def is_flat(self) -> bool:
        """Whether a place is one number."""
        return self.analysis is None or len(self.analysis.tensor.shape) < 2

    def show_window(self, first: int, rows: int) -> None:
        """Move the window, clamped to the tensor."""
        rows = min(rows, self.elements)
        before, self.first = self.first, max(0, min(first, self.elements - rows))
        if rows != self._rows:
            self.beginResetModel()
            self._rows = rows
            try:
                self._compute()
            finally:  # its file may have changed: then there are no steps to show
                self.endResetModel()
            return
        self._compute()
        if rows:
            self.dataChanged.emit(self.index(0, 0), self.index(rows - 1, self.columnCount() - 1))
            if self.first != before:
                self.headerDataChanged.emit(Qt.Orientation.Vertical, 0, rows - 1)

    def set_analysis(self, analysis: Analysis) -> None:
        """Show another answer through the same window."""
        before = self.analysis
        self.analysis = analysis
        if before is None or (before.scheme.convention, before.scheme.symmetric) != (
            analysis.scheme.convention,
            analysis.scheme.symmetric,
        ):
            self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, self.columnCount() - 1)
        self.show_window(self.first, self._rows)
        if self._rows and (before is None or before.tensor is not analysis.tensor):
            self.headerDataChanged.emit(Qt.Orientation.Vertical, 0, self._rows - 1)

    def _compute(self) -> None:
        self._steps = None
        self._cells = {}
        if self.analysis is not None and self._rows:
            index = np.arange(self.first, self.first + self._rows)
            values = self.analysis.tensor.original(self.first, self.first + self._rows, drawn=True)
            groups = self.analysis.tensor.group_of(self.analysis.layout, index)
            self._steps = trace_elements(np.asarray(values), groups, self.analysis.qparams)

    def columns(self) -> list[tuple[str, str]]:
        """Headings and the steps they show, in the order of the convention's arithmetic."""
        shifts = self.analysis is not None and self.analysis.qparams.shift is not None
        titles = {
            "value": self.tr("R"),
            "divided": self.tr("(R−min)/S") if shifts else self.tr("R / S"),
            "shifted": self.tr("+ Z"),
            "rounded": self.tr("round"),
            "clipped": self.tr("clip"),
            "code": self.tr("Q"),
            "dequantized": self.tr("x̂"),
            "error": self.tr("error"),
        }
        return [(titles[name], name) for name in self._names]

    @property
    def _names(self) -> tuple[str, ...]:
        """The steps of the columns."""
        before = self.analysis is None or self.analysis.qparams.convention.zero_point_before_rounding
        middle = ("shifted", "rounded") if before else ("rounded", "shifted")
        return "value", "divided", *middle, "clipped", "code", "dequantized", "error"

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else self._rows

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else 8

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role not in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole) or self._steps is None:
            return None
        return self.cells(index.column())[index.row()]

    def cells(self, column: int) -> list[str]:
        """A column in words."""
        if self._steps is None:
            return []
        if column not in self._cells:
            name = self._names[column]
            values = getattr(self._steps, name)
            number_format = self.analysis.qparams.number_format if self.analysis is not None else IntFormat()
            coded = name == "code" and isinstance(number_format, FloatFormat)
            self._cells[column] = [code_text(number_format, v) if coded else _cell(v) for v in values]
        return self._cells[column]

    def figures(self) -> list[list[Any]]:
        """The columns in figures, to their last digit."""
        if self._steps is None:
            return [[None] * self._rows for _ in self._names]
        return [np.asarray(getattr(self._steps, name)).tolist() for name in self._names]

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        if orientation == Qt.Orientation.Horizontal:
            return self.columns()[section][0]
        return self.place(self.first + section)

    def place(self, index: int) -> str:
        """Where a flat index lies, as people write it."""
        if self.analysis is None or self.is_flat:
            return f"{index:,}"
        tensor = self.analysis.tensor
        return ", ".join(
            str(int(i) + first) for i, first in zip(np.unravel_index(index, tensor.shape), tensor.corner, strict=True)
        )

    def index_of(self, text: str) -> int | None:
        """The flat index of a place, or of a flat index; None where there is none."""
        words = re.findall(r"\d+", text)
        if self.analysis is None or not words or max(map(len, words)) > MOST_DIGITS:
            return None
        numbers = [int(word) for word in words]
        tensor = self.analysis.tensor
        if len(numbers) == len(tensor.shape) > 1:
            place = [n - first for n, first in zip(numbers, tensor.corner, strict=True)]
            inside = all(0 <= n < size for n, size in zip(place, tensor.shape, strict=True))
            return int(np.ravel_multi_index(place, tensor.shape)) if inside else None
        written = "".join(str(n) if i == 0 else f"{n:03}" for i, n in enumerate(numbers))
        flat = int(written[: MOST_DIGITS + 1])
        return flat if flat < tensor.elements and (len(numbers) == 1 or len(tensor.shape) == 1) else None


@guarded
class CellsView(QTableView):
    """Paints its cells itself: a style sheet takes as long for one as this does for all."""

    def __init__(self, model: StepsModel) -> None:
        super().__init__()
        self._model = model
        self._signs: dict[str, float] = {}
        self.theme: Theme | None = None
        self.setModel(model)
        self.viewport().setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        if self.theme is None:
            painter.fillRect(event.rect(), self.palette().color(QPalette.ColorRole.Base))
            return
        ui, header = self.theme.ui, self.horizontalHeader()
        painter.fillRect(event.rect(), QColor(ui["panel"]))
        chosen = {index.row() for index in self.selectionModel().selectedRows()}
        width = self.viewport().width()
        for row in chosen:
            painter.fillRect(0, self.rowViewportPosition(row), width, self.rowHeight(row), QColor(ui["accent"]))
        plain, bright = QColor(ui["text" if self.isEnabled() else "faint"]), QColor(ui["on_accent"])
        metrics = self.fontMetrics()
        base = (ROW_HEIGHT - metrics.height()) // 2 + metrics.ascent()
        for column in range(self._model.columnCount()):
            left, wide = header.sectionViewportPosition(column), header.sectionSize(column) - 2 * CELL_MARGIN
            if left + wide < 0 or left > width:
                continue
            for row, text in enumerate(self._model.cells(column)):
                shown, size = text, self._width(text)
                if size > wide:  # a cut exponent is a wrong number
                    shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, wide)
                    size = metrics.horizontalAdvance(shown)
                painter.setPen(bright if row in chosen else plain)
                painter.drawText(QPointF(left + CELL_MARGIN + wide - size, row * ROW_HEIGHT + base), shown)

    def _width(self, text: str) -> float:
        """Figures are as wide as each other, and each sign is measured once."""
        for sign in text:
            if sign not in self._signs:
                self._signs[sign] = QFontMetricsF(self.font()).horizontalAdvance(sign)
        return sum(map(self._signs.__getitem__, text))

    def changeEvent(self, event: QEvent) -> None:
        if event.type() == QEvent.Type.FontChange:
            self._signs = {}
        super().changeEvent(event)


@guarded
class ValueTable(QWidget):
    """The window with its scroll bar and a box to jump."""

    element_chosen = Signal(int)
    export_requested = Signal(object)
    problem = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.model = StepsModel(self)
        self.table = CellsView(self.model)
        self.table.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setShowGrid(False)
        self.table.setTabKeyNavigation(False)  # Tab goes on to what comes next in the window
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.table.customContextMenuRequested.connect(self._on_context_menu)
        self.table.setFont(scaled_font(self.font(), 12))
        self.table.setAccessibleName(self.tr("Elements, step by step"))
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setHighlightSections(False)
        header.setMinimumSectionSize(48)
        self._make_narrow(IntFormat())
        rows = self.table.verticalHeader()
        rows.setDefaultSectionSize(ROW_HEIGHT)
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.scroll_bar = QScrollBar(Qt.Orientation.Vertical)
        self.scroll_bar.setAccessibleName(self.tr("First element in sight"))
        self.jump = QLineEdit()
        self.jump.setAcceptDrops(False)  # a dropped file is opened, wherever it falls
        self.jump.setAccessibleName(self.tr("Go to element"))
        self.jump.setToolTip(self.tr("Its place, such as 3, 17, or its number row by row; then Enter."))
        self.jump.setFixedWidth(120)
        self._selected: int | None = None
        row = QHBoxLayout()
        row.setSpacing(0)
        row.addWidget(self.table)
        row.addWidget(self.scroll_bar)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 0, 4, 4)
        layout.setSpacing(0)
        layout.addLayout(row)
        self.tools = QWidget()
        tools = QHBoxLayout(self.tools)
        tools.setContentsMargins(0, 0, 0, 0)
        tools.addWidget(named_label(self.tr("Go to element"), "caption"))
        tools.addWidget(self.jump)
        self.scroll_bar.valueChanged.connect(self._on_scrolled)
        self.jump.returnPressed.connect(self._on_jump)
        self.table.clicked.connect(self._on_clicked)
        self.table.installEventFilter(self)
        self.table.viewport().installEventFilter(self)
        self.setMinimumHeight(90)

    def apply_theme(self, theme: Theme) -> None:
        """The colours of the cells."""
        self.table.theme = theme
        self.table.viewport().update()

    def present(self, analysis: Analysis) -> None:
        """Show another answer; another tensor begins at its first element."""
        fresh = self.model.analysis is None or self.model.analysis.tensor is not analysis.tensor
        self.model.set_analysis(analysis)
        self._make_narrow(analysis.scheme.number_format)
        if fresh:
            self.model.first = 0
            self.jump.setText(self.model.place(0))
            width = self.table.fontMetrics().horizontalAdvance(self.model.place(analysis.tensor.elements - 1))
            self.table.verticalHeader().setFixedWidth(width + 22)
            self._fit()
            self.point_to(self._selected)

    def _make_narrow(self, number_format: NumberFormat) -> None:
        """Numbers of a few digits need less room than others."""
        header = self.table.horizontalHeader()
        narrow = isinstance(number_format, IntFormat) or (
            isinstance(number_format, FloatFormat) and number_format.bits <= 6
        )
        mode = QHeaderView.ResizeMode.Fixed if narrow else QHeaderView.ResizeMode.Stretch
        for column in range(2, 6):
            if header.sectionResizeMode(column) != mode:
                header.setSectionResizeMode(column, mode)
                if narrow:
                    header.resizeSection(column, 56)

    def point_to(self, index: int | None) -> None:
        """Select one element, and bring it into sight."""
        self._selected = index
        if index is not None and index < self.model.elements:
            if not self.model.first <= index < self.model.first + self._visible_rows():
                self.scroll_bar.setValue(index - self._visible_rows() // 2)
            self.jump.setText(self.model.place(index))
        self._mark()

    def text(self) -> str:
        """The rows in sight as tab-separated lines, as a person reads them."""
        return "".join("\t".join(line) + "\n" for line in self.excerpt().pretty()).replace("−", "-")

    def excerpt(self, rows: Sequence[int] | None = None) -> Excerpt:
        """What is copied and exported of these rows in sight, or of all of them."""
        rows = range(self.model.rowCount()) if rows is None else rows
        columns = range(self.model.columnCount())
        head = [self.tr("index"), *(self.model.headerData(c, Qt.Orientation.Horizontal) for c in columns)]
        figures, flat = self.model.figures(), self.model.is_flat
        plain, pretty = [], []
        for row in rows:
            place = self.model.headerData(row, Qt.Orientation.Vertical)
            plain.append([self.model.first + row if flat else place, *(column[row] for column in figures)])
            pretty.append([place, *(self.model.data(self.model.index(row, c)) for c in columns)])
        return Excerpt(
            self.tr("Elements"), [[title.replace("−", "-") for title in head], *plain], lambda: [head, *pretty]
        )

    @Slot()
    def copy(self) -> None:
        """The rows in sight to the clipboard."""
        self.excerpt().copy()

    @Slot()
    def _export(self) -> None:
        self.export_requested.emit(self.excerpt())

    def menu_of(self, row: int) -> QMenu:
        """What can be done with one row in sight; made when it is asked for."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Copy row")).triggered.connect(partial(self._copy_row, row))
        menu.addAction(self.tr("Copy the rows in sight")).triggered.connect(self.copy)
        menu.addAction(self.tr("Export the rows in sight…")).triggered.connect(self._export)
        menu.addSeparator()
        show = menu.addAction(self.tr("Point at it in every chart"))
        show.triggered.connect(partial(self._choose_row, row))
        return menu

    def _copy_row(self, row: int, *_: object) -> None:
        self.excerpt([row]).copy()

    def _choose_row(self, row: int, *_: object) -> None:
        self.element_chosen.emit(self.model.first + row)

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        row = self.table.rowAt(position.y())
        if 0 <= row < self.model.rowCount():
            self.menu_of(row).popup(self.table.viewport().mapToGlobal(position))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and watched is self.table.viewport():
            self._fit()
        elif event.type() == QEvent.Type.Wheel and isinstance(event, QWheelEvent):
            self.scroll_bar.setValue(self.scroll_bar.value() - event.angleDelta().y() // 40)
            return True
        elif isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and watched is self.table:
            return self._on_key(event)
        return super().eventFilter(watched, event)

    def _on_key(self, event: QKeyEvent) -> bool:
        if asks_to_copy(event):
            row = -1 if self._selected is None else self._selected - self.model.first
            self.excerpt([row] if 0 <= row < self.model.rowCount() else None).copy()
            return True
        page = max(1, self._visible_rows() - 1)
        key = Qt.Key(event.key())
        moves = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1, Qt.Key.Key_PageUp: -page, Qt.Key.Key_PageDown: page}
        if self.model.elements and key in moves:
            here = self._selected if self._selected is not None else self.model.first
            self.element_chosen.emit(min(max(here + moves[key], 0), self.model.elements - 1))
            return True
        if self.model.elements and key in (Qt.Key.Key_Home, Qt.Key.Key_End):
            self.element_chosen.emit(0 if key == Qt.Key.Key_Home else self.model.elements - 1)
            return True
        return False

    def _visible_rows(self) -> int:
        return max(1, self.table.viewport().height() // ROW_HEIGHT)

    def _fit(self) -> None:
        rows = self._visible_rows()
        self.model.show_window(self.model.first, rows)
        self.scroll_bar.blockSignals(True)
        self.scroll_bar.setRange(0, max(0, min(self.model.elements - rows, 2**31 - 1)))
        self.scroll_bar.setPageStep(rows)
        self.scroll_bar.setValue(self.model.first)
        self.scroll_bar.blockSignals(False)
        self._mark()

    def _mark(self) -> None:
        row = -1 if self._selected is None else self._selected - self.model.first
        if 0 <= row < self.model.rowCount():
            self.table.selectRow(row)
        else:
            self.table.clearSelection()

    @Slot()
    def _on_jump(self) -> None:
        index = self.model.index_of(self.jump.text())
        if index is None:
            last = self.model.place(self.model.elements - 1) if self.model.elements else "0"
            self.problem.emit(
                self.tr("There is no element {text}: the last one is {last}.").format(
                    text=brief(self.jump.text()), last=last
                )
            )
            return
        self.table.setFocus()
        self.element_chosen.emit(index)

    @Slot(int)
    def _on_scrolled(self, first: int) -> None:
        self.model.show_window(first, self._visible_rows())
        self._mark()

    @Slot(QModelIndex)
    def _on_clicked(self, index: QModelIndex) -> None:
        self.element_chosen.emit(self.model.first + index.row())


def _cell(value: Any) -> str:
    if isinstance(value, np.integer):
        return typographic(int(value))
    return "NaN" if np.isnan(value) else number(float(value), 6)
