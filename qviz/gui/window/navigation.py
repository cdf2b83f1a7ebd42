"""Which page is shown? Tabs along the top; a page is made when it is first looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QFont, QFontMetrics, QKeySequence
from PySide6.QtWidgets import QDockWidget, QMenu, QStackedWidget, QWidget

from qviz.core.frozen import frozen
from qviz.gui.charts.page import Page
from qviz.gui.kit.fields import TabBar
from qviz.gui.kit.gc_pause import building
from qviz.gui.kit.theme import Theme, dress
from qviz.gui.window.rooms import FirstRoom, Room
from qviz.session.guard import guarded

TAB_PADDING = 28
"""Beside the word on a tab, in pixels: what the style sheet puts there, and a little air."""


@frozen
class PageRow:
    """A page before it is made: the word on its tab, the question that it answers, and how it is made."""

    title: str
    question: str
    make: Callable[[], Page]


@guarded
class PageBar(TabBar):
    """Tabs that are as wide as each is when it is the chosen one, in heavier letters: none is ever cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.setUsesScrollButtons(False)
        self.setElideMode(Qt.TextElideMode.ElideNone)

    def tabSizeHint(self, index: int) -> QSize:
        font = self.font()
        font.setWeight(QFont.Weight.DemiBold)
        room = QFontMetrics(font).horizontalAdvance(self.tabText(index))
        size = super().tabSizeHint(index)
        size.setWidth(room + TAB_PADDING)
        return size


class Pages(QStackedWidget):
    """The pages under their tabs; the first is made at once, the others when they are shown.

    Signals
    -------
    made(Page)
        A page was made after the first one; it comes to the front next.
    shown(str)
        The key of the page that came to the front.
    """

    made = Signal(object)
    shown = Signal(str)

    def __init__(self, rows: Mapping[str, PageRow]) -> None:
        super().__init__()
        self._rows = dict(rows)
        self._keys = list(rows)
        self._made: dict[str, Page] = {}
        self._theme: Theme | None = None
        self._undressed: set[str] = set()
        self.bar = PageBar()
        self.bar.setObjectName("pages")
        self.bar.setAccessibleName(self.tr("Pages"))
        self.bar.setDrawBase(False)
        self.bar.setExpanding(False)
        self.bar.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        for i, row in enumerate(self._rows.values()):
            self.bar.addTab(row.title)
            self.bar.setTabToolTip(i, f"{row.question}  ({_keys_of(i)})")
            self.bar.setAccessibleTabName(i, f"{row.title}: {row.question}")
            self.addWidget(QWidget())
        self.bar.setVisible(len(self._keys) > 1)
        self.bar.currentChanged.connect(self._on_tab)
        self._show(0)

    @property
    def current_key(self) -> str:
        """The page in front."""
        return self._keys[self.currentIndex()]

    @property
    def current(self) -> Page:
        """The page in front."""
        return self._made[self.current_key]

    @property
    def all_made(self) -> tuple[Page, ...]:
        """The pages that there are already."""
        return tuple(self._made.values())

    def show_page(self, key: str) -> None:
        """Bring a page to the front; nothing happens for one that there is not."""
        if key in self._rows:
            self.bar.setCurrentIndex(self._keys.index(key))

    def fill_menu(self, menu: QMenu) -> dict[str, QAction]:
        """An entry for each page, with its keys."""
        actions = {}
        for i, (key, row) in enumerate(self._rows.items()):
            action = menu.addAction(row.title)
            action.setShortcut(QKeySequence(_keys_of(i)))
            action.setData(key)
            action.triggered.connect(self._on_action)
            actions[key] = action
        return actions

    def apply_theme(self, theme: Theme) -> None:
        """Dress the page in front, and what floats of the others; they are dressed when they come to the front."""
        self._theme = theme
        self._undressed = set(self._made)
        for key in self._made:
            if key == self.current_key or self._floats(key):
                self._dress(key)

    def _dress(self, key: str) -> None:
        room = self.widget(self._keys.index(key))
        assert self._theme is not None and room is not None
        self._undressed.discard(key)
        dress(room, self._theme)
        self._made[key].apply_theme(self._theme)

    def _floats(self, key: str) -> bool:
        """Whether a part of a page can be seen that is not in front."""
        page = self._made[key]
        assert isinstance(page, QWidget)
        return any(dock.isFloating() and not dock.isHidden() for dock in page.findChildren(QDockWidget))

    @Slot()
    def _on_action(self) -> None:
        action = self.sender()
        assert isinstance(action, QAction)
        self.show_page(action.data())

    @Slot(int)
    def _on_tab(self, index: int) -> None:
        self._show(index)
        self.shown.emit(self._keys[index])

    def _show(self, index: int) -> None:
        key = self._keys[index]
        if key not in self._made:
            with building():
                page = self._made[key] = self._rows[key].make()
            self._undressed.add(key)
            assert isinstance(page, QWidget)
            place = self.widget(index)
            assert place is not None
            self.insertWidget(index, FirstRoom(page) if index == 0 else Room(page))
            self.removeWidget(place)
            place.deleteLater()
            self.made.emit(page)
        if key in self._undressed and self._theme is not None:
            self._dress(key)
        self.setCurrentIndex(index)


def _keys_of(index: int) -> str:
    return f"Ctrl+{index + 1}"
