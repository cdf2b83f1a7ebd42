"""What is said of each row of a table of figures, and in which order do the rows stand?"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from PySide6.QtGui import QBrush, QColor, QFont, QIcon, QPainter, QPixmap

from qviz.core.frozen import frozen
from qviz.core.printable import printable
from qviz.gui.kit.copying import Copied, is_number
from qviz.gui.kit.judgement import arrow, judged
from qviz.gui.kit.names import Names
from qviz.gui.kit.theme import Theme, scaled_font
from qviz.gui.kit.widgets import plain_tip
from qviz.session.guard import guarded

Index = QModelIndex | QPersistentModelIndex
SORT_ROLE = Qt.ItemDataRole.UserRole
MOST = sys.float_info.max
MARK = 12
"""Pixels of a colour mark."""


@frozen
class Column:
    """One column: how a row is read (``text``), ordered (``value``) and judged.

    ``better`` is 1 where more is better, -1 where less is, 0 where neither; the best are marked.
    ``unit`` is that of the value, which is copied without it; ``copies`` says what is copied of a column
    that is more, or something else, than its value. What is NaN is not known, and comes last in every order.
    A column with an ``action`` is a button in every row; an ``editable`` one can be typed into. Of ``names`` that are
    too long, what tells each from the others stays.
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
    names: bool = False
    cell_tip: Callable[[Any], str] | None = None
    faint: Callable[[Any], bool] | None = None
    unit: str = ""
    copies: tuple[Copied, ...] = ()

    def read(self, row: Any) -> str:
        """The cell of a row: on one line, whatever characters a file's names have."""
        return printable(self.text(row))

    @property
    def copied(self) -> tuple[Copied, ...]:
        """What is copied: the figure itself in a column of figures, else what is read."""
        return self.copies or (Copied(f"{self.title} ({self.unit})" if self.unit else self.title, self._figure),)

    def _figure(self, row: Any) -> Any:
        value = self.value(row) if self.value is not None and not (self.left or self.narrow) else None
        return value if is_number(value) else self.read(row)


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
        self.descending = False
        self._best: dict[int, float] = {}
        self._names: dict[int, Names] = {}
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

    def names_of(self, column: int) -> Names:
        """All that stand in one column, to be told from each other."""
        if column not in self._names:
            self._names[column] = Names(self.columns[column].read(row) for row in self.rows)
        return self._names[column]

    def _judge(self) -> None:
        self._best, self._names = {}, {}
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
            return column.action or column.read(row)
        if role == SORT_ROLE:
            return self._order(column.value(row) if column.value is not None else column.text(row))
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(self._alignment(column))
        if role == Qt.ItemDataRole.ToolTipRole:
            return (
                plain_tip(column.cell_tip(row))
                if column.cell_tip is not None
                else plain_tip(column.read(row))
                if column.names
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

    def _order(self, value: Any) -> Any:
        """What a row is sorted by."""
        if not isinstance(value, float):
            return value
        unknown = -math.inf if self.descending else math.inf
        return unknown if math.isnan(value) else max(-MOST, min(value, MOST))

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
class RowOrder(QSortFilterProxyModel):
    """Rows in the order of a column, and those in which a text occurs."""

    def __init__(self, figures: FigureModel, parent: QObject) -> None:
        super().__init__(parent)
        self.figures = figures
        self.setSortRole(SORT_ROLE)
        self.setSourceModel(figures)
        self.setFilterKeyColumn(-1)
        self.setFilterCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self.figures.descending = order == Qt.SortOrder.DescendingOrder
        super().sort(column, order)
