"""How are the tensors of a checkpoint shown as rows, that can be opened, copied and exported?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import QModelIndex, QPoint, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QKeyEvent, QPainter, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QMenu,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from qviz.gui.kit.copying import Excerpt, asks_to_copy
from qviz.gui.kit.theme import scaled_font
from qviz.gui.kit.widgets import quiet
from qviz.gui.model.weights_model import Index, WeightsModel
from qviz.models.moments import BINS
from qviz.session.guard import guarded

ROW_HEIGHT = 22
WIDEST_NAME = 420
SPARK_WIDTH = 96


@guarded
class SparkPainter(QStyledItemDelegate):
    """Paints the spread of a tensor's values: a bar for each bin; one that holds anything is seen."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        super().paint(painter, option, index)
        model = index.model()
        if not isinstance(model, WeightsModel) or model.theme is None:
            return
        bins = model.table.bins.get(int(model.shown[index.row()]), ())
        most = max(bins, default=0)
        area: Any = option.rect
        width, room = SPARK_WIDTH / BINS, area.height() - 8
        color = model.theme.color("original")
        for place, count in enumerate(bins):
            if count:
                height = max(1.0, room * count / most)
                left = area.left() + 6 + place * width
                painter.fillRect(QRectF(left, area.bottom() - 3 - height, max(1.0, width - 0.5), height), color)

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(SPARK_WIDTH + 12, ROW_HEIGHT)


@guarded
class WeightsView(QTableView):
    """The table of tensors.

    Signals
    -------
    opened(int)
        A row of the table: double-clicked, or Enter was pressed on it.
    export_requested(Excerpt)
        Its rows shall go to a file.
    """

    opened = Signal(int)
    export_requested = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.weights = WeightsModel(self)
        self._fitted = False
        self.setModel(self.weights)
        self.setObjectName("figures")
        self.setAccessibleName(self.tr("Tensors"))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self._sparks = SparkPainter(self)
        self._place_sparks()
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.setFont(scaled_font(self.font(), 12))
        header = self.horizontalHeader()
        header.setFont(self.font())
        header.setHighlightSections(False)
        header.setMinimumSectionSize(28)
        header.setResizeContentsPrecision(100)
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(True)
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.sortIndicatorChanged.connect(self._on_sorted)
        self.doubleClicked.connect(self._on_double_click)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._on_context_menu)

    def _place_sparks(self) -> None:
        for place, column in enumerate(self.weights.columns):
            self.setItemDelegateForColumn(place, self._sparks if column.key == "values" else self.itemDelegate())

    def set_others(self, names: Sequence[str]) -> None:
        """Columns for more schemes; the order, and the row that the keyboard is at, stay."""
        row, header = self.current_row(), self.horizontalHeader()
        section, order = header.sortIndicatorSection(), header.sortIndicatorOrder()
        before = self.weights.columns
        key = before[section].key if 0 <= section < len(before) else ""
        with quiet((header,)):
            self.weights.set_others(names)
            self._place_sparks()
            header.setSortIndicator(self.weights.column_of(key), order)
        if self.weights.column_of(key) != section:
            self._on_sorted(header.sortIndicatorSection(), order)
        self.fit()
        if row >= 0:
            self.point_to(row)

    def excerpt(self, rows: Sequence[int] | None = None) -> Excerpt:
        """What is copied and exported of these rows of the table, or of all in sight."""
        weights, table = self.weights, self.weights.table
        shown = weights.shown.tolist() if rows is None else rows
        head = [column.title for column in weights.columns]
        plain: list[list[Any]] = [
            [
                weights.text(row, column) if column.text is None else float(table.numbers[column.key][row])
                for column in weights.columns
            ]
            for row in shown
        ]

        def pretty() -> list[list[str]]:
            return [head, *([weights.text(row, column) for column in weights.columns] for row in shown)]

        return Excerpt(self.accessibleName(), [head, *plain], pretty)

    def menu_of(self, row: int) -> QMenu:
        """What can be done with one row; made when it is asked for."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Show on the Tensor page")).triggered.connect(partial(self._open, row))
        menu.addSeparator()
        menu.addAction(self.tr("Copy row")).triggered.connect(partial(self._copy_row, row))
        menu.addAction(self.tr("Copy table")).triggered.connect(self.copy)
        menu.addAction(self.tr("Export table…")).triggered.connect(self._export)
        return menu

    def _open(self, row: int, *_: object) -> None:
        self.opened.emit(row)

    def _copy_row(self, row: int, *_: object) -> None:
        self.excerpt([row]).copy()

    @Slot()
    def copy(self) -> None:
        """What is in sight, to the clipboard: figures to their last digit."""
        self.excerpt().copy()

    @Slot()
    def _export(self) -> None:
        self.export_requested.emit(self.excerpt())

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        index = self.indexAt(position)
        if index.isValid():
            self.menu_of(int(self.weights.shown[index.row()])).popup(self.viewport().mapToGlobal(position))

    def fit(self) -> None:
        """Columns as wide as what is in sight of them."""
        self._fitted = self.isVisible()
        self.resizeColumnsToContents()
        self.setColumnWidth(0, min(self.columnWidth(0), max(160, min(WIDEST_NAME, 2 * self.viewport().width() // 5))))

    def showEvent(self, event: QShowEvent) -> None:
        """How much room there is for names is known now."""
        super().showEvent(event)
        if not self._fitted:
            self.fit()

    def current_row(self) -> int:
        """The row of the table that the keyboard is at; −1 for none."""
        at = self.currentIndex().row()
        return int(self.weights.shown[at]) if 0 <= at < self.weights.shown.size else -1

    def point_to(self, row: int) -> None:
        """Make a row current, where it is in sight."""
        at = self.weights.place(row)
        if at >= 0:
            index = self.weights.index(at, 0)
            self.setCurrentIndex(index)
            self.scrollTo(index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        row = self.current_row()
        if asks_to_copy(event):
            self.excerpt([row] if row >= 0 else None).copy()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and row >= 0:
            self.opened.emit(row)
        else:
            super().keyPressEvent(event)

    @Slot(QModelIndex)
    def _on_double_click(self, index: QModelIndex) -> None:
        self.opened.emit(int(self.weights.shown[index.row()]))

    @Slot(int, Qt.SortOrder)
    def _on_sorted(self, column: int, order: Qt.SortOrder) -> None:
        self.weights.order_by(column, descending=order == Qt.SortOrder.DescendingOrder)
        if self.currentIndex().isValid():
            self.scrollTo(self.currentIndex())
        else:
            self.scrollToTop()
