"""How does the table of a checkpoint's tensors read its columns, so that 90,000 rows are filtered within a frame?"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QBrush, QColor

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.printable import printable
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.sizes import byte_text
from qviz.gui.kit.judgement import arrow, judged
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import plain_tip
from qviz.gui.words.numbers import NONE, fixed, number, percent, whole
from qviz.gui.words.schemes import range_word
from qviz.models.weight_table import OTHERS, Group, WeightTable
from qviz.session.guard import guarded
from qviz.session.language import told, tr

Index = QModelIndex | QPersistentModelIndex


@frozen
class TableColumn:
    """One column: by what the table orders it, its heading, and how a figure is read."""

    key: str
    title: str
    tip: str
    text: Callable[[float], str] | None = None
    better: int = 0


def _decibels(value: float) -> str:
    return tr("exact") if math.isinf(value) else fixed(value, 2)


def _share(value: float) -> str:
    return percent(value, 1.0)


def columns() -> tuple[TableColumn, ...]:
    """Of each tensor; those without ``text`` are texts themselves."""
    return (
        TableColumn("name", tr("Name"), tr("As the file has it.")),
        TableColumn("shape", tr("Shape"), tr("Elements along each axis.")),
        TableColumn("type", tr("Type"), tr("In which the file keeps the values.")),
        TableColumn("role", tr("Role"), tr("What it does in its layer, by its name.")),
        TableColumn("bytes", tr("Bytes"), tr("In the file."), lambda value: byte_text(int(value))),
        TableColumn("share", tr("Share"), tr("Of the bytes of all tensors."), _share),
        TableColumn(
            "sqnr", tr("SQNR (dB)"), tr("Of the weight itself: says little about the network's output."), _decibels, 1
        ),
        TableColumn("values", tr("Values"), tr("How many lie where, from the smallest to the largest.")),
        TableColumn("rmse", tr("Rel. RMSE"), tr("‖x − x̂‖ / ‖x‖."), lambda value: number(value, 3), -1),
        TableColumn("worst", tr("Worst group (dB)"), tr("The lowest SQNR of its groups."), _decibels, 1),
        TableColumn(
            "outlier",
            tr("Outlier ratio"),
            tr("The largest magnitude by the root of the mean square: how far min–max reaches beyond what is usual."),
            lambda value: number(value, 3),
            -1,
        ),
        TableColumn(
            "kurtosis",
            tr("Kurtosis"),
            tr("How heavy the tails are: 3 for a normal distribution."),
            lambda value: number(value, 3),
        ),
        TableColumn("saturated", tr("Saturated"), tr("Elements that are clipped."), _share, -1),
        TableColumn("bits", tr("Bits"), tr("An element, scales counted."), lambda value: number(value, 4), -1),
        TableColumn("estimator", tr("Best estimator"), tr("Of those that were tried, by squared error.")),
        TableColumn(
            "gain",
            tr("Gain (dB)"),
            tr("Of the best estimator over the scheme's own range."),
            lambda value: fixed(value, 2),
        ),
    )


AFTER = "sqnr"
"""The column behind which those of more schemes stand."""


def other_columns(names: Sequence[str]) -> tuple[TableColumn, ...]:
    """The SQNR under more schemes, each called after its own."""
    tip = tr("SQNR in dB under {scheme}; a filter calls it {word}.")
    return tuple(
        TableColumn(key, name, tip.format(scheme=name, word=key), _decibels, 1)
        for key, name in zip(OTHERS, names, strict=False)
    )


@guarded
class WeightsModel(QAbstractTableModel):
    """The rows of a `WeightTable` that a filter leaves, in the order of a column."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.columns = columns()
        self.table = WeightTable(())
        self.shown: Array = np.zeros(0, np.int64)
        self._kept: Array = self.shown
        self._by, self._descending = "", False
        self.theme: Theme | None = None

    def set_table(self, table: WeightTable) -> None:
        """Another checkpoint, all of it."""
        self.beginResetModel()
        self.table = table
        self._kept = np.arange(len(table))
        self.shown = table.order(self._kept, self._by, descending=self._descending)
        self.endResetModel()

    def set_others(self, names: Sequence[str]) -> None:
        """Columns for more schemes, in place of those that there were."""
        self.beginResetModel()
        base = columns()
        at = next(place for place, column in enumerate(base) if column.key == AFTER) + 1
        self.columns = (*base[:at], *other_columns(names), *base[at:])
        self.endResetModel()

    def column_of(self, key: str) -> int:
        """The place of a column; −1 where there is none."""
        return next((place for place, column in enumerate(self.columns) if column.key == key), -1)

    def keep(self, mask: Array) -> None:
        """Leave these rows in sight."""
        self._rearrange(np.flatnonzero(mask))

    def order_by(self, column: int, *, descending: bool) -> None:
        """In the order of a column; −1 for that of the file."""
        self._by = self.columns[column].key if 0 <= column < len(self.columns) else ""
        self._descending = descending
        self._rearrange(self._kept)

    def refresh(self) -> None:
        """Figures have changed, and with them the order perhaps."""
        self._rearrange(self._kept)

    def _rearrange(self, kept: Array) -> None:
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        rows = [int(self.shown[index.row()]) if index.row() < self.shown.size else -1 for index in before]
        self._kept = kept
        self.shown = self.table.order(kept, self._by, descending=self._descending)
        if before:
            after = [QModelIndex() if (at := self.place(row)) < 0 else self.index(at, index.column())
                     for row, index in zip(rows, before, strict=True)]  # fmt: skip
            self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()

    def place(self, row: int) -> int:
        """Where a row of the table is shown; −1 where the filter hides it."""
        found = np.flatnonzero(self.shown == row)
        return int(found[0]) if found.size else -1

    def text(self, row: int, column: TableColumn) -> str:
        """A cell as people read it."""
        if column.key == "name":
            return printable(self.table.names[row])
        if column.key == "values":
            return bins_text(self.table.bins.get(row, ()))
        if column.key == "estimator":
            kind = self.table.texts["estimator"][row]
            return range_word(RANGE_RULES[kind]()) if kind else NONE
        if column.text is None:
            return self.table.texts[column.key][row] or NONE
        value = float(self.table.numbers[column.key][row])
        mark = " !" if column.key == "sqnr" and row in self.table.remarks else ""
        return NONE if math.isnan(value) else column.text(value) + mark

    def set_theme(self, theme: Theme) -> None:
        """Other colours."""
        self.theme = theme
        self.layoutChanged.emit()

    # -- what Qt asks

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else int(self.shown.size)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.columns)

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

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not 0 <= index.row() < self.shown.size:
            return None
        row, column = int(self.shown[index.row()]), self.columns[index.column()]
        if role == Qt.ItemDataRole.DisplayRole:
            return "" if column.key == "values" else self.text(row, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(self._alignment(column))
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(row, column)
        if role == Qt.ItemDataRole.ForegroundRole and row in self.table.left and self.theme is not None:
            return QBrush(QColor(self.theme.ui["faint"]))
        return None

    def _tip(self, row: int, column: TableColumn) -> str | None:
        why, remark = self.table.left.get(row), self.table.remarks.get(row)
        if column.key != "name" and remark is not None:
            return plain_tip(told(remark))
        if column.key == "name" or why is None:
            return plain_tip(printable(self.table.names[row]))
        return plain_tip(tr("Left as it is: {why}").format(why=told(why)))

    def _alignment(self, column: TableColumn) -> Qt.AlignmentFlag:
        side = Qt.AlignmentFlag.AlignLeft if column.text is None else Qt.AlignmentFlag.AlignRight
        return side | Qt.AlignmentFlag.AlignVCenter


def bins_text(bins: tuple[int, ...]) -> str:
    """A spread of values in one word, for what is copied: a block as high as each bin is full.

    Examples
    --------
    >>> bins_text((0, 1, 4, 8, 4, 0))
    ' ▁▄█▄ '
    """
    most = max(bins, default=0)
    return "".join(" " if not count else "▁▂▃▄▅▆▇█"[math.ceil(8 * count / most) - 1] for count in bins)


def group_word(by: str, key: str) -> str:
    """What a group is called."""
    if not key:
        return tr("without a layer") if by == "layer" else tr("without a role")
    return tr("layer {number}").format(number=key) if by == "layer" else key


def group_filter(by: str, group: Group) -> str:
    """The filter that leaves the tensors of a group; empty where none does."""
    return f"{by} = {group.key}" if group.key else ""


def counted(rows: Array, table: WeightTable) -> str:
    """How many tensors are in sight, and their bytes."""
    total = float(np.nansum(table.numbers["bytes"][rows]))
    if rows.size == len(table) == 1:
        return tr("1 tensor, {bytes}").format(bytes=byte_text(int(total)))
    if rows.size == len(table):
        return tr("{count} tensors, {bytes}").format(count=whole(rows.size), bytes=byte_text(int(total)))
    return tr("{count} of {all} tensors, {bytes}").format(
        count=whole(rows.size), all=whole(len(table)), bytes=byte_text(int(total))
    )
