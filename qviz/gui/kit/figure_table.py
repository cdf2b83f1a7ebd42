"""How are rows of figures shown, so that they can be sorted, compared, copied and acted on?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from PySide6.QtCore import (
    QEvent,
    QItemSelectionModel,
    QModelIndex,
    QPoint,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QFontMetrics, QKeyEvent, QPainter, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QMenu,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from qviz.gui.kit.copying import Excerpt, asks_to_copy
from qviz.gui.kit.fields import FilterBox
from qviz.gui.kit.figure_model import Column, FigureModel, Index, RowOrder
from qviz.gui.kit.theme import Theme, scaled_font
from qviz.session.guard import guarded
from qviz.session.language import tr

ROW_HEIGHT = 22
NARROW = 32
"""Pixels of a column that holds a sign."""

MEASURED_ROWS = 100
"""Columns are as wide as so many rows need: of thousands, to measure each would hold the window."""

LEAST_FILTER, FILTER_WIDTH = 72, 130
"""Pixels of a box to filter with: where there is little room, and otherwise."""


SQUEEZED = 0.12
"""Of the room: more than that is no space between columns."""


@guarded
class NameDelegate(QStyledItemDelegate):
    """A name that is too long for its cell keeps what tells it from those in the other rows."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        self.initStyleOption(option, index)
        proxy, style, metrics = index.model(), option.widget.style(), option.fontMetrics
        assert isinstance(proxy, RowOrder)
        place = style.subElementRect(QStyle.SubElement.SE_ItemViewItemText, option, option.widget)
        room = place.width() - 2 * (style.pixelMetric(QStyle.PixelMetric.PM_FocusFrameHMargin) + 1)
        names = proxy.figures.names_of(index.column())
        option.text = names.short(option.text, lambda text: metrics.horizontalAdvance(text) <= room)
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)


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
    export_requested(Excerpt)
        Its rows shall go to a file.
    """

    opened = Signal(object)
    acted = Signal(object, str)
    edited = Signal(object, str)
    pointed = Signal(object)
    removed = Signal(object)
    export_requested = Signal(object)

    def __init__(
        self, columns: Sequence[Column], name: str, *, sortable: bool = True, opening: str = "", spread: bool = False
    ) -> None:
        """``opening`` says what comes of opening a row; empty where nothing does.

        The columns that are ``spread`` share all the room there is, and give up the space between them as far as
        they can where there is little.
        """
        super().__init__()
        self.opening = opening
        self._spread = spread
        self._of_names = NameDelegate(self)
        self._fitted: list[int] = []
        self._squeezed = False
        self.figures = FigureModel(columns, self)
        self.proxy = RowOrder(self.figures, self)
        self.setModel(self.proxy)
        self.setObjectName("figures")
        self.setAccessibleName(name)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
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

    def filter_box(self, width: int = FILTER_WIDTH) -> FilterBox:
        """A box that leaves the rows in which what is typed occurs; for the title above the table."""
        box = FilterBox(tr("Filter"), tr("Filter {name}").format(name=self.accessibleName()))
        box.setMinimumWidth(LEAST_FILTER)
        box.setMaximumWidth(width)
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

    def menu_of(self, row: Any) -> QMenu:
        """What can be done with one row; made when it is asked for."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        if self.opening:
            menu.addAction(self.opening).triggered.connect(partial(self._open, row))
        for column in self.figures.columns:
            if column.action:
                menu.addAction(column.tip).triggered.connect(partial(self._act, row, column.action))
            elif column.editable:
                menu.addAction(tr("Rename…")).triggered.connect(partial(self._rename, row))
        if menu.actions():
            menu.addSeparator()
        menu.addAction(tr("Copy row")).triggered.connect(partial(self._copy_row, row))
        menu.addAction(tr("Copy table")).triggered.connect(self.copy)
        menu.addAction(tr("Export table…")).triggered.connect(self._export)
        return menu

    def _open(self, row: Any, *_: object) -> None:
        self.opened.emit(row)

    def _act(self, row: Any, action: str, *_: object) -> None:
        self.acted.emit(row, action)

    def _rename(self, row: Any, *_: object) -> None:
        at = next(at for at, column in enumerate(self.figures.columns) if column.editable)
        self.setFocus()
        self.edit(self.proxy.mapFromSource(self.figures.index(self._place_of(row), at)))

    def _place_of(self, row: Any) -> int:
        return next((i for i, each in enumerate(self.figures.rows) if each is row or each == row), -1)

    def _copy_row(self, row: Any, *_: object) -> None:
        self.excerpt([row]).copy()

    @Slot()
    def _export(self) -> None:
        self.export_requested.emit(self.excerpt())

    def excerpt(self, rows: Sequence[Any] | None = None) -> Excerpt:
        """What is copied and exported of these rows, or of all in sight in their order."""
        if rows is None:
            rows = [self._row(self.proxy.index(at, 0)) for at in range(self.proxy.rowCount())]
        shown = [column for column in self.figures.columns if not column.action]
        copied = [each for column in shown for each in column.copied]
        return Excerpt(
            self.accessibleName(),
            [[each.title for each in copied], *([each.of(row) for each in copied] for row in rows)],
            lambda: [[column.title for column in shown], *([column.read(row) for column in shown] for row in rows)],
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
                    (bold if self.figures.is_best(row, at) else usual).horizontalAdvance(column.read(row))
                    for row in self.figures.rows
                ),
                default=0,
            )
            for at, column in enumerate(self.figures.columns)
        ]

    def fit(self) -> None:
        """Columns as wide as what they hold; the first takes no more than a third."""
        for at, column in enumerate(self.figures.columns):
            self.setItemDelegateForColumn(at, self._of_names if column.names else self.itemDelegate())
        self.resizeColumnsToContents()
        self._fitted, self._squeezed = [], False
        most = max(160, self.viewport().width() // 3)
        for at, column in enumerate(self.figures.columns):
            if column.action or column.narrow:
                self.setColumnWidth(at, NARROW)
        if self.figures.columns and self.columnWidth(0) > most:
            self.setColumnWidth(0, most)
        self._squeeze()
        if self._spread:
            self._share_room()

    def _share_room(self) -> None:
        """As much more for each column, the last one to the edge."""
        header, count = self.horizontalHeader(), len(self.figures.columns)
        left = self.viewport().width() - header.length()
        for at in range(count if left > 0 else 0):
            self.setColumnWidth(at, self.columnWidth(at) + left // count + (at < left % count))

    def _squeeze(self) -> None:
        """Give up the space between columns where the last one would else be cut: half a number can be misread."""
        header, room = self.horizontalHeader(), self.viewport().width()
        lacking = header.length() - room
        if lacking <= 0 or not (self._spread or lacking <= room * SQUEEZED):
            return
        style, heads = self.style(), QFontMetrics(header.font())
        around = 2 * style.pixelMetric(QStyle.PixelMetric.PM_HeaderMargin)
        arrow = style.pixelMetric(QStyle.PixelMetric.PM_HeaderMarkSize)
        spare = []
        for at, column in enumerate(self.figures.columns):
            head = heads.horizontalAdvance(str(self.figures.headerData(at, Qt.Orientation.Horizontal) or "")) + around
            head += arrow if header.sortIndicatorSection() == at else 0
            fixed = column.action or column.narrow
            spare.append(0 if fixed else max(0, self.columnWidth(at) - max(head, self.sizeHintForColumn(at))))
        if sum(spare) < lacking:
            return
        self._squeezed = True
        for at, each in enumerate(spare):
            self.setColumnWidth(at, self.columnWidth(at) - math.ceil(each * lacking / sum(spare)))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if (self._squeezed or self._spread) and event.size().width() != event.oldSize().width():
            self.fit()
        elif event.size().width() < event.oldSize().width():
            self._squeeze()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange and self.figures.rows:
            self.fit()  # what is around a text belongs to the style: without one, columns are too narrow for another

    def current(self) -> Any:
        """The row that the keyboard is at; None for none."""
        index = self.currentIndex()
        return self._row(index) if index.isValid() else None

    def point_to(self, row: Any) -> None:
        """Make a row current, without telling anybody."""
        at = -1 if row is None else self._place_of(row)
        model = self.selectionModel()
        model.blockSignals(True)
        if at < 0:
            model.clear()
        else:
            index = self.proxy.mapFromSource(self.figures.index(at, 0))
            flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
            model.setCurrentIndex(index, flags)
            self.scrollTo(index)
        model.blockSignals(False)
        self.viewport().update()

    @Slot()
    def copy(self) -> None:
        """Everything in sight to the clipboard."""
        self.excerpt().copy()

    def apply_theme(self, theme: Theme) -> None:
        self.figures.set_theme(theme, self.font())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        row = self.current()
        if asks_to_copy(event):
            self.excerpt(None if row is None else [row]).copy()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and row is not None:
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
