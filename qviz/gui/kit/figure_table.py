"""How are rows of figures shown, so that they can be sorted, compared, copied and acted on?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPoint,
    QSortFilterProxyModel,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QBrush, QColor, QFont, QFontMetrics, QIcon, QKeyEvent, QPainter, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QMenu, QTableView

from qviz.gui.kit.copying import copy_lines, is_number
from qviz.gui.kit.fields import FilterBox
from qviz.gui.kit.judgement import arrow, judged
from qviz.gui.kit.theme import Theme, scaled_font
from qviz.gui.kit.widgets import plain_tip
from qviz.session.guard import guarded
from qviz.session.language import tr

Index = QModelIndex | QPersistentModelIndex
ROW_HEIGHT = 22
SORT_ROLE = Qt.ItemDataRole.UserRole
NARROW = 32
"""Pixels of a column that holds a sign."""

MEASURED_ROWS = 200
"""Columns are as wide as so many rows need: of thousands, to measure each would hold the window."""

FILTER_WIDTH = 130
MARK = 12
"""Pixels of a colour mark."""


@dataclass(frozen=True)
class Column:
    """One column: how a row is read (``text``), ordered (``value``) and judged.

    ``better`` is 1 where more is better, -1 where less is, 0 where neither; the best are marked.
    ``unit`` is that of the value, which is copied without it.
    A column with an ``action`` is a button in every row; an ``editable`` one can be typed into.
    """

    title: str
    text: Callable[[Any], str]
    value: Callable[[Any], Any] | None = None
    tip: str = ""
    better: int = 0
    left: bool = False
    action: str = ""
    editable: bool = False
    narrow: bool = False
    cell_tip: Callable[[Any], str] | None = None
    faint: Callable[[Any], bool] | None = None
    unit: str = ""

    def copied(self, row: Any) -> Any:
        """What is copied: the figure itself in a column of figures, else what is read."""
        value = self.value(row) if self.value is not None and not (self.left or self.narrow) else None
        return value if is_number(value) else self.text(row)


@guarded
class FigureModel(QAbstractTableModel):
    """Rows of any kind, read through `Column`s."""

    edited = Signal(object, str)

    def __init__(self, columns: Sequence[Column], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.columns = tuple(columns)
        self.rows: list[Any] = []
        self.mark: Callable[[Any], str | None] = lambda row: None
        self.theme: Theme | None = None
        self._best: dict[int, float] = {}
        self.bold = QFont()
        self.bold.setWeight(QFont.Weight.DemiBold)
        self._marks: dict[str, QIcon] = {}

    def set_rows(self, rows: Sequence[Any], columns: Sequence[Column] | None = None) -> None:
        """Show other rows, through other columns where they are given."""
        self.beginResetModel()
        if columns is not None:
            self.columns = tuple(columns)
        self.rows = list(rows)
        self._judge()
        self.endResetModel()

    def change_rows(self, rows: Sequence[Any]) -> None:
        """Other figures in as many rows, each in its place."""
        self.rows = list(rows)
        self._judge()
        self._tell_all()

    def add_rows(self, rows: Sequence[Any]) -> None:
        """More rows, below those that there are."""
        if rows:
            self.beginInsertRows(QModelIndex(), len(self.rows), len(self.rows) + len(rows) - 1)
            self.rows += rows
            self._judge()
            self.endInsertRows()
            self._tell_all()

    def _judge(self) -> None:
        self._best = {}
        for at, column in enumerate(self.columns):
            if column.better and column.value is not None:
                values = [column.value(row) for row in self.rows]
                known = [v for v in values if isinstance(v, int | float) and not math.isnan(v)]
                if len(known) > 1 and min(known) < max(known):
                    self._best[at] = max(known) if column.better > 0 else min(known)

    def _tell_all(self) -> None:
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, len(self.columns) - 1))

    def set_theme(self, theme: Theme, font: QFont) -> None:
        """Other colours."""
        self.theme, self._marks = theme, {}
        self.bold = scaled_font(font, 12, weight=QFont.Weight.DemiBold)
        self._tell_all()

    def is_best(self, row: Any, column: int) -> bool:
        """Whether no other row has a better figure in a column."""
        value = self.columns[column].value
        return column in self._best and value is not None and value(row) == self._best[column]

    # -- what Qt asks

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.columns)

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
        return flags | Qt.ItemFlag.ItemIsEditable if self.columns[index.column()].editable else flags

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = 0) -> Any:
        if orientation != Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        column = self.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{column.title} {arrow(column.better)}".rstrip()
        if role == Qt.ItemDataRole.ToolTipRole:
            return judged(column.tip, column.better)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(self._alignment(column))
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:  # noqa: PLR0911
        row, column = self.rows[index.row()], self.columns[index.column()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return column.action or column.text(row)
        if role == SORT_ROLE:
            return column.value(row) if column.value is not None else column.text(row)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(self._alignment(column))
        if role == Qt.ItemDataRole.ToolTipRole:
            return (
                plain_tip(column.cell_tip(row))
                if column.cell_tip is not None
                else column.tip
                if column.action
                else None
            )
        if role == Qt.ItemDataRole.FontRole:
            return self.bold if self.is_best(row, index.column()) else None
        if role == Qt.ItemDataRole.ForegroundRole and self.theme is not None:
            if column.action or self.is_best(row, index.column()):
                return QBrush(QColor(self.theme.ui["accent"]))
            if column.faint is not None and column.faint(row):
                return QBrush(QColor(self.theme.ui["faint"]))
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0 and self.theme is not None:
            mark = self.mark(row)
            return self._icon(mark) if mark is not None else None
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.EditRole:
            return False
        self.edited.emit(self.rows[index.row()], str(value))
        return True

    def _alignment(self, column: Column) -> Qt.AlignmentFlag:
        if column.action:
            return Qt.AlignmentFlag.AlignCenter
        side = Qt.AlignmentFlag.AlignLeft if column.left else Qt.AlignmentFlag.AlignRight
        return side | Qt.AlignmentFlag.AlignVCenter

    def _icon(self, role: str) -> QIcon:
        if role not in self._marks:
            assert self.theme is not None
            pixmap = QPixmap(MARK, MARK)
            pixmap.fill(Qt.GlobalColor.transparent)
            painter = QPainter(pixmap)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.theme.color(role))
            painter.drawRoundedRect(0, 0, MARK, MARK, 3, 3)
            painter.end()
            self._marks[role] = QIcon(pixmap)
        return self._marks[role]


@guarded
class FigureTable(QTableView):
    """A `FigureModel` in sight.

    Signals
    -------
    opened(object)
        A row was double-clicked, or Enter was pressed on it.
    acted(object, str)
        The button of a row and of the column with that ``action`` was clicked.
    edited(object, str)
        A cell of an editable column got another text.
    pointed(object)
        Another row is current; None for none.
    removed(object)
        Delete was pressed on a row.
    """

    opened = Signal(object)
    acted = Signal(object, str)
    edited = Signal(object, str)
    pointed = Signal(object)
    removed = Signal(object)

    def __init__(self, columns: Sequence[Column], name: str, *, sortable: bool = True) -> None:
        super().__init__()
        self._fitted: list[int] = []
        self.figures = FigureModel(columns, self)
        self.proxy = QSortFilterProxyModel(self)
        self.proxy.setSortRole(SORT_ROLE)
        self.proxy.setSourceModel(self.figures)
        self.proxy.setFilterKeyColumn(-1)
        self.proxy.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.setModel(self.proxy)
        self.setObjectName("figures")
        self.setAccessibleName(name)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(28)
        header.setResizeContentsPrecision(MEASURED_ROWS)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.setSortingEnabled(sortable)
        if sortable:
            header.setSortIndicatorClearable(True)
            header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        self.setFont(scaled_font(self.font(), 12))
        header.setFont(self.font())
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_context_menu)
        self.doubleClicked.connect(self._on_double_click)
        self.clicked.connect(self._on_click)
        self.figures.edited.connect(self.edited)
        self.selectionModel().currentRowChanged.connect(self._on_current)

    def filter_box(self) -> FilterBox:
        """A box that leaves the rows in which what is typed occurs; for the title above the table."""
        box = FilterBox(tr("Filter"), tr("Filter {name}").format(name=self.accessibleName()))
        box.setFixedWidth(FILTER_WIDTH)
        box.textChanged.connect(self.proxy.setFilterFixedString)
        box.descended.connect(self._on_descended)
        box.returnPressed.connect(self._on_descended)
        return box

    @Slot()
    def _on_descended(self) -> None:
        """From the filter into the table."""
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        if not self.currentIndex().isValid():
            self.selectRow(0)

    def row_text(self, row: Any) -> str:
        """One row as a line of tab-separated cells, below the headings."""
        shown = [column for column in self.figures.columns if not column.action]
        lines = [[column.title for column in shown], [column.text(row) for column in shown]]
        return "\n".join("\t".join(line) for line in lines) + "\n"

    def menu_of(self, row: Any) -> QMenu:
        """What can be done with one row; made when it is asked for."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("Copy row")).triggered.connect(partial(self._copy_row, row))
        menu.addAction(tr("Copy table")).triggered.connect(self.copy)
        return menu

    def _copy_row(self, row: Any, *_: object) -> None:
        self._copy([row])

    def _copy(self, rows: Sequence[Any]) -> None:
        shown = [column for column in self.figures.columns if not column.action]
        heads = [f"{c.title} ({c.unit})" if c.unit else c.title for c in shown]
        copy_lines(
            [heads, *([column.copied(row) for column in shown] for row in rows)],
            [[c.title for c in shown], *([column.text(row) for column in shown] for row in rows)],
        )

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        index = self.indexAt(position)
        if index.isValid():
            self.menu_of(self._row(index)).popup(self.viewport().mapToGlobal(position))

    def set_rows(self, rows: Sequence[Any], columns: Sequence[Column] | None = None) -> None:
        """Show other rows; the same one stays current."""
        current = self.current()
        self.figures.set_rows(rows, columns)
        self.fit()
        self.point_to(current)

    def change_rows(self, rows: Sequence[Any]) -> None:
        """Other figures in the same columns, which only get wider: quicker than `set_rows` at each movement."""
        if len(rows) != len(self.figures.rows):
            self.set_rows(rows)
            return
        self.figures.change_rows(rows)
        widths = self._text_widths()
        if not self._fitted or any(now > before for now, before in zip(widths, self._fitted, strict=True)):
            self.fit()
            self._fitted = widths

    def _text_widths(self) -> list[int]:
        """Pixels of the longest text of each column."""
        usual, bold = QFontMetrics(self.font()), QFontMetrics(self.figures.bold)
        return [
            max(
                (
                    (bold if self.figures.is_best(row, at) else usual).horizontalAdvance(column.text(row))
                    for row in self.figures.rows
                ),
                default=0,
            )
            for at, column in enumerate(self.figures.columns)
        ]

    def fit(self) -> None:
        """Columns as wide as what they hold; the first takes no more than a third."""
        self.resizeColumnsToContents()
        self._fitted = []
        most = max(160, self.viewport().width() // 3)
        for at, column in enumerate(self.figures.columns):
            if column.action or column.narrow:
                self.setColumnWidth(at, NARROW)
        if self.figures.columns and self.columnWidth(0) > most:
            self.setColumnWidth(0, most)

    def current(self) -> Any:
        """The row that the keyboard is at; None for none."""
        index = self.currentIndex()
        return self._row(index) if index.isValid() else None

    def point_to(self, row: Any) -> None:
        """Make a row current, without telling anybody."""
        rows = self.figures.rows
        at = next((i for i, each in enumerate(rows) if each is row or each == row), None) if row is not None else None
        model = self.selectionModel()
        model.blockSignals(True)
        if at is None:
            model.clear()
        else:
            index = self.proxy.mapFromSource(self.figures.index(at, 0))
            flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
            model.setCurrentIndex(index, flags)
            self.scrollTo(index)
        model.blockSignals(False)
        self.viewport().update()

    def text(self) -> str:
        """Everything in sight as tab-separated lines."""
        shown = [i for i, c in enumerate(self.figures.columns) if not c.action]
        lines = [[self.figures.columns[i].title for i in shown]]
        for at in range(self.proxy.rowCount()):
            row = self._row(self.proxy.index(at, 0))
            lines.append([self.figures.columns[i].text(row) for i in shown])
        return "\n".join("\t".join(line) for line in lines) + "\n"

    @Slot()
    def copy(self) -> None:
        self._copy([self._row(self.proxy.index(at, 0)) for at in range(self.proxy.rowCount())])

    def apply_theme(self, theme: Theme) -> None:
        self.figures.set_theme(theme, self.font())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        row = self.current()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and row is not None:
            self.opened.emit(row)
        elif event.key() == Qt.Key.Key_Delete and row is not None:
            self.removed.emit(row)
        else:
            super().keyPressEvent(event)

    def _row(self, index: Index) -> Any:
        return self.figures.rows[self.proxy.mapToSource(index).row()]

    @Slot(QModelIndex)
    def _on_double_click(self, index: QModelIndex) -> None:
        column = self.figures.columns[index.column()]
        if column.editable:
            self.edit(index)
        elif not column.action:
            self.opened.emit(self._row(index))

    @Slot(QModelIndex)
    def _on_click(self, index: QModelIndex) -> None:
        action = self.figures.columns[index.column()].action
        if action:
            self.acted.emit(self._row(index), action)

    @Slot(QModelIndex, QModelIndex)
    def _on_current(self, now: QModelIndex, before: QModelIndex) -> None:
        self.pointed.emit(self._row(now) if now.isValid() else None)
