"""What frames a chart or a panel, so that it can be moved, floated, closed and found again?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

from PySide6.QtCore import QByteArray, QChildEvent, QEvent, QObject, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QDockWidget, QHBoxLayout, QLabel, QMainWindow, QTabBar, QToolButton, QWidget

from qviz.gui.kit.panel_scroll import PanelScroll
from qviz.gui.kit.theme import Theme, icon
from qviz.gui.kit.widgets import Line, named_label, plain_tip
from qviz.session.guard import guarded

BESIDE_READOUT = 4
"""Pixels around a read-out that lies over the foot of a chart."""

AFTER_NOTE = 2
"""Where the read-out stands in a title's layout."""

SCROLL_BAR = 14
"""Pixels that a scroll bar takes from a panel."""


@guarded
class DockTitle(QWidget):
    """Name, a word on what is shown, the read-out under the pointer, and the buttons.

    Signals
    -------
    resize_requested()
        A double click: as large as the page, or back.
    """

    resize_requested = Signal()

    def __init__(self, dock: QWidget) -> None:
        super().__init__(dock)
        self._dock = dock
        self.setObjectName("dockTitle")
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)  # or the window is painted beneath it
        self.name = named_label(dock.windowTitle(), "dockName")
        self.note = Line("caption")
        self.note.stand_on_its_own()
        self.below: QLabel | None = None
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 4, 4, 4)
        layout.setSpacing(6)
        layout.addWidget(self.name)
        layout.addWidget(self.note, 1)
        self._layout = layout
        self.close_button = self.add_button(self.tr("Close {name}").format(name=dock.windowTitle()))
        self.close_button.clicked.connect(dock.close)
        self._theme: Theme | None = None
        self._icons: list[tuple[QToolButton, str]] = [(self.close_button, "close")]

    @cached_property
    def readout(self) -> Line:
        """What is under the pointer, which most docks never show."""
        line = Line("readout", Qt.AlignmentFlag.AlignRight)
        line.hide()
        self._layout.insertWidget(AFTER_NOTE, line, 1)
        return line

    def rename(self, title: str) -> None:
        """Another name, which the close button tells, too."""
        self.name.setText(title)
        tip = self.tr("Close {name}").format(name=title)
        self.close_button.setToolTip(tip)
        self.close_button.setAccessibleName(tip)

    @cached_property
    def restore_button(self) -> QToolButton:
        """The way back, made when there is one to go."""
        button = self._button(self.tr("Back to its place (double click)"))
        button.hide()
        button.clicked.connect(self.resize_requested)
        self._layout.insertWidget(self._layout.indexOf(self.readout) + 1, button)
        self._add_icon(button, "restore")
        return button

    def add_button(self, tip: str) -> QToolButton:
        """A button before the close button."""
        button = self._button(tip)
        at = self._layout.count() - (1 if hasattr(self, "close_button") else 0)
        self._layout.insertWidget(at, button)
        return button

    @staticmethod
    def _button(tip: str) -> QToolButton:
        button = QToolButton()
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setFixedSize(24, 22)
        return button

    def add_tool(self, icon_name: str, tip: str) -> QToolButton:
        """A button with an icon."""
        button = self.add_button(tip)
        self._add_icon(button, icon_name)
        return button

    def _add_icon(self, button: QToolButton, name: str) -> None:
        self._icons.append((button, name))
        if self._theme is not None:
            button.setIcon(icon(name, self._theme.ui["muted"]))

    def change_tool(self, button: QToolButton, icon_name: str, tip: str) -> None:
        """Another icon and another meaning for a button."""
        self._icons = [(b, icon_name if b is button else name) for b, name in self._icons]
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        if self._theme is not None:
            self.apply_theme(self._theme)

    def add_widget(self, widget: QWidget) -> None:
        """Something of the panel's own, before the buttons."""
        self._layout.insertWidget(self._layout.count() - 1, widget)

    @Slot(str)
    def set_note(self, text: str) -> None:
        """What part is shown; it gives way to the read-out."""
        if text != self.note.text():
            self.note.setText(text)
            self.note.setToolTip(plain_tip(text))

    @Slot(str)
    def set_readout(self, text: str) -> None:
        """What is under the pointer."""
        if not text and "readout" not in vars(self):
            return
        self.readout.setText(text)
        wide = self.readout.sizeHint().width()
        beside = not text or wide <= self._room()
        alone = not beside and wide <= self._room() + self.name.sizeHint().width()
        inside = bool(text) and (beside or alone)
        self.note.setVisible(not inside)
        self.readout.setVisible(inside)
        # A figure that is cut is a wrong one: the name gives way, and where even that is too little, the foot of the
        # chart does.
        self.name.setVisible(not alone)
        self._show_below(text if text and not inside else "")

    def _show_below(self, text: str) -> None:
        """A read-out that is too long for a title, in as many lines as it needs."""
        if not text and self.below is None:
            return
        dock = self._dock
        if self.below is None:
            self.below = named_label("", "readoutBelow", wrap=True)
            self.below.setTextFormat(Qt.TextFormat.PlainText)
            self.below.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
            self.below.setParent(dock)
        self.below.setText(text)
        self.below.setVisible(bool(text))
        if text:
            width = dock.width() - 2 * BESIDE_READOUT
            height = self.below.heightForWidth(width)
            self.below.setGeometry(BESIDE_READOUT, dock.height() - height - BESIDE_READOUT, width, height)
            self.below.raise_()

    def _room(self) -> int:
        """Pixels that the read-out has beside the name."""
        margins, taken, count = self._layout.contentsMargins(), 0, 0
        for at in range(self._layout.count()):
            item = self._layout.itemAt(at)
            widget = item.widget() if item is not None else None
            if widget is None or widget in (self.note, self.readout):
                continue
            if widget.isHidden() and widget is not self.name:
                continue
            taken += widget.sizeHint().width() if widget is self.name else widget.width()
            count += 1
        return self.width() - margins.left() - margins.right() - taken - count * self._layout.spacing()

    def set_alone(self, alone: bool) -> None:
        """Whether it has the page for itself, and offers a way back."""
        if alone or "restore_button" in vars(self):
            self.restore_button.setVisible(alone)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        event.accept()  # Qt's own would float the dock
        self.resize_requested.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(event.rect(), self.palette().window())
        painter.fillRect(0, self.height() - 1, self.width(), 1, self.palette().mid())

    def apply_theme(self, theme: Theme) -> None:
        self._theme = theme
        for button, name in self._icons:
            button.setIcon(icon(name, theme.ui["muted"]))


@guarded
class Dock(QDockWidget):
    """A dock with our title bar, whose content scrolls when it has to; it may be filled later, once."""

    def __init__(self, key: str, title: str, content: QWidget | None = None, *, scrolls: bool = False) -> None:
        super().__init__(title)
        self.setObjectName(key)
        self.content: QWidget | None = None
        self._area: PanelScroll | None = None
        self._theme: Theme | None = None
        self.title = DockTitle(self)
        self.setTitleBarWidget(self.title)
        self.setFeatures(
            QDockWidget.DockWidgetFeature.DockWidgetClosable
            | QDockWidget.DockWidgetFeature.DockWidgetMovable
            | QDockWidget.DockWidgetFeature.DockWidgetFloatable
        )
        if content is not None:
            self.fill(content, scrolls=scrolls)

    def fill(self, content: QWidget, *, scrolls: bool = False) -> None:
        """Give it what it holds."""
        self.content = content
        if content.objectName() == "panel":
            # Each figure that changes would have everything painted beneath it, down to the window.
            content.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
            content.installEventFilter(self)
        if scrolls:
            area = PanelScroll(content, self.windowTitle())
            # Narrower, and figures would be cut off: a cut exponent is a wrong number.
            area.setMinimumWidth(content.minimumSizeHint().width() + SCROLL_BAR)
            content.installEventFilter(self)
            self._area = area
            self.setWidget(area)
        else:
            self.setWidget(content)
        self._dress_content()

    def rename(self, title: str, *, tab: str = "") -> None:
        """Another name, in its title and on its tab, which may have a shorter one."""
        self.setWindowTitle(tab or title)
        self.title.rename(title)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        content = self.content
        if content is not None and watched is content:
            if isinstance(event, QPaintEvent):
                QPainter(content).fillRect(event.rect(), content.palette().window())
            elif event.type() == QEvent.Type.LayoutRequest and self._area is not None:
                # What another choice brings into the panel may be wider than what was there.
                self._area.setMinimumWidth(content.minimumSizeHint().width() + SCROLL_BAR)
        return super().eventFilter(watched, event)

    def apply_theme(self, theme: Theme) -> None:
        """The title's icons and, where it has colours of its own, the content."""
        self._theme = theme
        self.title.apply_theme(theme)
        self._dress_content()

    def _dress_content(self) -> None:
        apply: Any = getattr(self.content, "apply_theme", None)
        if apply is not None and self._theme is not None:
            apply(self._theme)


def is_behind_a_tab(widget: QWidget) -> bool:
    """Whether it is in a dock that another one stands before: Qt shows it, outside of the page."""
    place: QWidget | None = widget
    while place is not None and not isinstance(place, QDockWidget):
        place = place.parentWidget()
    page = place.parentWidget() if place is not None else None
    if place is None or page is None or place.isFloating():
        return False
    return not place.geometry().intersects(page.rect())


def _distance(below: QWidget, bar: QTabBar) -> int:
    """Pixels from the foot of a bar to the top left of what it may stand over."""
    foot = bar.geometry().bottomLeft() - below.geometry().topLeft()
    return foot.manhattanLength()


@guarded
class DockRoom(QObject):
    """The docks of one page: any of them may have it for itself for a while; the wheel turns none of their tabs.

    Signals
    -------
    restored()
        Every dock is where it was before one had the page for itself.
    """

    restored = Signal()

    def __init__(self, page: QMainWindow, docks: Sequence[Dock]) -> None:
        super().__init__(page)
        self._page, self._docks = page, docks
        self._before: QByteArray | None = None
        self.alone: Dock | None = None
        self._shown_before: list[Dock] = []
        self._alone_looks: list[tuple[object, ...]] = []
        for dock in docks:
            dock.title.resize_requested.connect(self._on_requested)
        for bar in page.findChildren(QTabBar):
            bar.installEventFilter(self)
        page.installEventFilter(self)

    @Slot()
    def _on_requested(self) -> None:
        title = self.sender()
        dock = next(each for each in self._docks if each.title is title)
        if self.alone is not None:
            self.restore()
        elif not dock.isFloating():
            self._give_page_to(dock)

    def _give_page_to(self, dock: Dock) -> None:
        self.alone, self._before = dock, self._page.saveState()
        self._shown_before = [each for each in self._docks if not each.isHidden()]
        for each in self._docks:
            if each is not dock and not each.isFloating():
                each.hide()
        dock.title.set_alone(True)
        self._alone_looks = self._looks()

    def _looks(self) -> list[tuple[object, ...]]:
        return [(dock.isFloating(), dock.isHidden(), self._page.dockWidgetArea(dock)) for dock in self._docks]

    def restore(self) -> None:
        """Every dock where it was."""
        alone, before = self.alone, self._before
        if alone is not None and before is not None:
            self.alone = self._before = None
            alone.title.set_alone(False)
            if self._looks() == self._alone_looks:
                self._page.restoreState(before)
            else:  # docks were opened, closed or moved since: Qt may end the process over a layout that is not its own
                for dock in self._shown_before:
                    dock.show()
            self.restored.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QChildEvent) and event.type() == QEvent.Type.ChildPolished:
            if isinstance(event.child(), QTabBar):
                event.child().installEventFilter(self)
        elif event.type() == QEvent.Type.Wheel and isinstance(watched, QTabBar):
            event.ignore()
            return True
        elif event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Show) and watched is self._page:
            QTimer.singleShot(0, self, self._hide_strays)
        return super().eventFilter(watched, event)

    @Slot()
    def _hide_strays(self) -> None:
        """Hide the bars that Qt leaves lying about, of groups that are not any more, or not yet."""
        groups: dict[frozenset[str], QDockWidget] = {}
        for dock in self._docks:
            together = [each for each in (dock, *self._page.tabifiedDockWidgets(dock)) if not each.isHidden()]
            front = next((each for each in together if not each.visibleRegion().isEmpty()), dock)
            groups[frozenset(each.windowTitle() for each in together)] = front
        bars: dict[frozenset[str], list[QTabBar]] = {}
        for bar in self._page.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
            if bar.isVisible():
                bars.setdefault(frozenset(bar.tabText(at) for at in range(bar.count())), []).append(bar)
        for titles, alike in bars.items():
            above = groups.get(titles)
            # Of two bars with the same titles, the one that stands over the group is its own.
            own = min(alike, key=partial(_distance, above)) if above is not None else None
            for bar in alike:
                if bar is not own:
                    bar.hide()
