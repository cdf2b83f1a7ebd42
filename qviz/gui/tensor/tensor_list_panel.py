"""Which tensors are open, and which one is shown?"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRect,
    QSize,
    QSortFilterProxyModel,
    Qt,
    QTimer,
    QUrl,
    Signal,
    Slot,
)
from PySide6.QtGui import QDesktopServices, QFontMetrics, QPainter
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QListView,
    QMenu,
    QPushButton,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from qviz.core.printable import printable
from qviz.gui.charts.drawing import saved
from qviz.gui.kit.fields import FilterBox
from qviz.gui.kit.names import Names
from qviz.gui.kit.theme import scaled_font
from qviz.gui.kit.widgets import column, named_label, plain_tip
from qviz.session.guard import guarded
from qviz.session.language import tr
from qviz.session.state import Item, Session, State

Index = QModelIndex | QPersistentModelIndex
ITEM_ROLE = Qt.ItemDataRole.UserRole
COMPARED_AT_ONCE = 500
"""Names."""


@guarded
class ItemsModel(QAbstractListModel):
    """The session's items as Qt sees them: those in whose names a text occurs.

    Of 100,000 names Qt's own filter would ask one by one, and hold the window for a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._all: tuple[Item, ...] = ()
        self._wanted = ""
        self.items: tuple[Item, ...] = ()
        self.names = Names(())
        self.shortened: dict[tuple[str, int], str] = {}
        """What was found for a name and a width; finding it takes a while."""
        self._to_compare: deque[str] = deque()
        self._turn = QTimer(self)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self._compare_more)

    def set_items(self, items: tuple[Item, ...]) -> None:
        """Other items; those that stay where they are, before and after what changes, stay as they are."""
        before, self._all = self._all, items
        if before == items:
            return
        if len(before) <= len(items) and before == items[: len(before)]:
            self._to_compare.extend(item.name for item in items[len(before) :])
        else:
            self.names = Names(())
            self._to_compare = deque(item.name for item in items)
        self._show(self._filtered())
        self.shortened = {}
        self._turn.start()
        self._compare_more()

    def set_filter(self, text: str) -> None:
        """Leave those in whose names this text occurs, in large letters or small."""
        self._wanted = text.casefold()
        self._show(self._filtered())

    def index_of(self, item: Item | None) -> QModelIndex:
        """Where an item stands; nowhere where the filter hides it."""
        return self.index(self.items.index(item)) if item in self.items else QModelIndex()

    def _filtered(self) -> tuple[Item, ...]:
        wanted = self._wanted
        return tuple(i for i in self._all if wanted in i.name.casefold()) if wanted else self._all

    def _show(self, items: tuple[Item, ...]) -> None:
        before, most = self.items, min(len(self.items), len(items))
        head = most if before[:most] == items[:most] else _alike(before, items)
        tail = _alike(reversed(before[head:]), reversed(items[head:]))
        gone, come = len(before) - head - tail, len(items) - head - tail
        nowhere = QModelIndex()
        if gone:
            self.beginRemoveRows(nowhere, head, head + gone - 1)
            self.items = before[:head] + before[head + gone :]
            self.endRemoveRows()
        if come:
            self.beginInsertRows(nowhere, head, head + come - 1)
            self.items = items
            self.endInsertRows()

    @Slot()
    def _compare_more(self) -> None:
        """See where some more names part; those of a large folder take several turns of the window."""
        self.names.add(self._to_compare.popleft() for _ in range(min(COMPARED_AT_ONCE, len(self._to_compare))))
        if self._to_compare:
            return
        self._turn.stop()
        if self.items:
            self.shortened = {}
            self.dataChanged.emit(self.index(0), self.index(len(self.items) - 1))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self.items)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        item = self.items[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return item.name
        if role == Qt.ItemDataRole.ToolTipRole:
            parts = (item.name, printable(tr(item.origin)), _about(item))
            return plain_tip("\n".join(part for part in parts if part))
        return item if role == ITEM_ROLE else None


def _alike(one: Iterable[Item], other: Iterable[Item]) -> int:
    """How many items both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], zip(one, other, strict=False)))


def _about(item: Item) -> str:
    shape = "" if item.shape is None else " × ".join(f"{n:,}" for n in item.shape)
    return " · ".join(part for part in (shape, item.dtype or "") if part)


@guarded
class ItemDelegate(QStyledItemDelegate):
    """The name, and under it what it is."""

    def __init__(self, model: ItemsModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._model = model

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(120, 42)

    def short(self, name: str, metrics: QFontMetrics, width: int) -> str:
        """A name in so many pixels, so that it can be told from the others in the list."""
        model, key = self._model, (name, width)
        if key not in model.shortened:
            short = model.names.short(name, lambda text: metrics.horizontalAdvance(text) <= width)
            model.shortened[key] = metrics.elidedText(short, Qt.TextElideMode.ElideMiddle, width)
        return model.shortened[key]

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        self.initStyleOption(option, index)
        item: Item = index.data(ITEM_ROLE)
        option.text = ""
        option.widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, option, painter, option.widget)
        chosen = bool(option.state & QStyle.StateFlag.State_Selected)
        palette = option.palette
        inside = option.rect.adjusted(8, 3, -6, -3)
        half = inside.height() // 2
        with saved(painter):
            painter.setPen(palette.highlightedText().color() if chosen else palette.text().color())
            painter.setFont(option.font)
            name = self.short(item.name, option.fontMetrics, inside.width())
            painter.drawText(
                QRect(inside.left(), inside.top(), inside.width(), half), Qt.AlignmentFlag.AlignVCenter, name
            )
            if not chosen:
                painter.setPen(palette.placeholderText().color())
            painter.setFont(scaled_font(option.font, 11))
            below = QRect(inside.left(), inside.top() + half, inside.width(), half)
            about = painter.fontMetrics().elidedText(_about(item), Qt.TextElideMode.ElideRight, inside.width())
            painter.drawText(below, Qt.AlignmentFlag.AlignVCenter, about)


@guarded
class TensorListPanel(QWidget):
    """Open, generate, filter, choose."""

    open_requested = Signal()
    generate_requested = Signal()
    item_chosen = Signal(object)
    item_closed = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.setObjectName("panel")
        self._session = session
        self.open_button = QPushButton(self.tr("Open…"))
        self.open_button.setToolTip(
            self.tr("Open .safetensors, .gguf, .npy, .npz, .csv or .txt files; or drop them anywhere on the window.")
        )
        self.generate_button = QPushButton(self.tr("Generate"))
        self.generate_button.setToolTip(self.tr("Make a synthetic tensor and shape it live."))
        self.filter = FilterBox(self.tr("Filter by name"), self.tr("Filter tensors by name"))
        self.model = ItemsModel()
        self.list = QListView()
        self._rows = QSortFilterProxyModel(self)  # a view asks for the count of rows before it looks at any one
        self._rows.setSourceModel(self.model)
        self.list.setModel(self._rows)
        self.list.setItemDelegate(ItemDelegate(self.model, self.list))
        self.list.setUniformItemSizes(True)
        self.list.setMouseTracking(True)
        self.list.setAccessibleName(self.tr("Open tensors"))
        self.list.setMinimumHeight(46)
        hint = self.tr("Drop .safetensors, .gguf, .npy or .csv files anywhere on the window.")
        self.hint = named_label(hint, "hint", wrap=True)
        buttons = QHBoxLayout()
        buttons.addWidget(self.open_button, 1)
        buttons.addWidget(self.generate_button, 1)
        layout = column(self)
        layout.addLayout(buttons)
        layout.addWidget(self.filter)
        layout.addWidget(self.list, 1)
        layout.addWidget(self.hint)
        self.setMinimumHeight(168)  # on a low screen the hint would lie under the list
        self.open_button.clicked.connect(self.open_requested)
        self.generate_button.clicked.connect(self.generate_requested)
        self.filter.textChanged.connect(self._on_filtered)
        self.filter.descended.connect(self._on_descended)
        self.filter.returnPressed.connect(self._on_entered)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._on_context_menu)
        self.list.selectionModel().currentChanged.connect(self._on_current_changed)
        session.changed.connect(self._on_changed)
        self._refreshing = False
        self._show(session.state)

    def keyPressEvent(self, event: Any) -> None:
        if event.key() == Qt.Key.Key_Delete and self._session.state.current is not None:
            self.item_closed.emit(self._session.state.current)
        else:
            super().keyPressEvent(event)

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        if new.items != old.items or new.current is not old.current:
            self._show(new)

    def _show(self, state: State) -> None:
        self._refreshing = True
        try:
            self.model.set_items(state.items)
            self.filter.setVisible(len(state.items) > 1)
            self.hint.setVisible(len(state.items) < 2)
            if state.current in state.items and not self._row_of(state.current).isValid():
                self.filter.clear()  # what is newly shown is not hidden by a filter
            self.list.setCurrentIndex(self._row_of(state.current))
        finally:
            self._refreshing = False

    def _row_of(self, item: Item | None) -> QModelIndex:
        """Where an item stands in the list; nowhere where the filter hides it."""
        return self._rows.mapFromSource(self.model.index_of(item))

    @Slot(str)
    def _on_filtered(self, text: str) -> None:
        """Looking for a name chooses nothing, even when the shown item goes out of sight."""
        before, self._refreshing = self._refreshing, True
        try:
            self.model.set_filter(text)
            self.list.setCurrentIndex(self._row_of(self._session.state.current))
        finally:
            self._refreshing = before

    @Slot()
    def _on_descended(self) -> None:
        """From the box into the list: to the item that is shown, else to the first that the filter leaves."""
        self.list.setFocus(Qt.FocusReason.OtherFocusReason)
        if not self.list.currentIndex().isValid():
            self.list.setCurrentIndex(self._rows.index(0, 0))

    @Slot()
    def _on_entered(self) -> None:
        """Show the first that the filter leaves."""
        first = self.model.index(0)
        if first.isValid():
            self.item_chosen.emit(first.data(ITEM_ROLE))

    def menu_of(self, item: Item) -> QMenu:
        """What can be done with one tensor; made when it is asked for."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Show")).triggered.connect(partial(self._choose, item))
        menu.addAction(self.tr("Close")).triggered.connect(partial(self._close, item))
        menu.addSeparator()
        menu.addAction(self.tr("Copy name")).triggered.connect(partial(_copy_name, item))
        folder = menu.addAction(self.tr("Show in folder"))
        folder.setEnabled(Path(item.origin).is_absolute())
        folder.triggered.connect(partial(_show_folder, item))
        return menu

    def _choose(self, item: Item, *_: object) -> None:
        self.item_chosen.emit(item)

    def _close(self, item: Item, *_: object) -> None:
        self.item_closed.emit(item)

    @Slot(QPoint)
    def _on_context_menu(self, position: QPoint) -> None:
        index = self.list.indexAt(position)
        if index.isValid():
            self.menu_of(index.data(ITEM_ROLE)).popup(self.list.viewport().mapToGlobal(position))

    def refresh(self) -> None:
        """Show again what the session says: a choice may have failed."""
        self._show(self._session.state)

    @Slot(QModelIndex, QModelIndex)
    def _on_current_changed(self, current: QModelIndex, previous: QModelIndex) -> None:
        if current.isValid() and not self._refreshing:
            self.item_chosen.emit(current.data(ITEM_ROLE))


def _show_folder(item: Item, *_: object) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(Path(item.origin).parent)))


def _copy_name(item: Item, *_: object) -> None:
    QApplication.clipboard().setText(item.name)
