"""How wide is the room that a page stands in? As wide as the window, or as the page needs: then it scrolls."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, Slot
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QDockWidget, QFrame, QMainWindow, QScrollArea, QStyle, QWidget

from qviz.gui.kit.docks import is_behind_a_tab
from qviz.session.guard import guarded


class Room(QScrollArea):
    """Where a page stands: it scrolls where a window is narrower than its docks are together, which would overlap."""

    def __init__(self, page: QWidget) -> None:
        super().__init__()
        self.setObjectName("room")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidget(page)


@guarded
class FirstRoom(Room):
    """That of the page that is laid out to fit: behind its tabs there are docks that ask for more than what is seen.

    It scrolls where such a one comes to the front, which would lie over its neighbours.
    """

    def __init__(self, page: QWidget) -> None:
        super().__init__(page)
        self._page = page
        self._docks = page.findChildren(QDockWidget)
        for dock in self._docks:
            dock.visibilityChanged.connect(self._fit_soon)
        page.installEventFilter(self)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest and watched is self._page:
            self._fit()
        return super().eventFilter(watched, event)

    @Slot()
    def _fit_soon(self) -> None:
        # All docks come and go with the page, one after the other; of these events Qt keeps one, and sends it
        # before it paints.
        QCoreApplication.postEvent(self._page, QEvent(QEvent.Type.LayoutRequest))

    def _fit(self) -> None:
        page = self._page
        if isinstance(page, QMainWindow):
            needed = _needed(page, self._docks)
            # Of itself it asks for its hint, and for no less.
            page.setMinimumWidth(1 if needed <= self.width() else max(needed, page.minimumSizeHint().width()))


def _needed(page: QMainWindow, docks: Sequence[QDockWidget]) -> int:
    """Pixels from left to right.

    Qt keeps the widest of all that share a place in mind. What is too much it takes from the widest place in the middle
    of a row, where what stands in front may do with less.
    """
    gap = page.style().pixelMetric(QStyle.PixelMetric.PM_DockWidgetSeparatorExtent, None, page)
    seen = [dock for dock in docks if dock.isVisible() and not dock.isFloating() and not is_behind_a_tab(dock)]
    seen.sort(key=lambda dock: dock.x())
    at_least = {dock: _least(dock) for dock in seen}
    shared = [max([at_least[dock], *map(_least, page.tabifiedDockWidgets(dock))]) for dock in seen]
    places = [dock.geometry() for dock in seen]
    lefts, rights = [place.x() for place in places], [place.right() for place in places]
    heights = [(place.y(), place.bottom()) for place in places]
    left = [at for at, x in enumerate(lefts) if x == min(lefts)]
    right = [at for at, x in enumerate(rights) if x == max(rights)]
    within = [at for at in range(len(seen)) if at not in left and at not in right]
    for column in (left, right):  # as wide as the widest that stand above each other
        for at in column:
            shared[at] = max(shared[i] for i in column)
    ends: list[int] = []
    for at, dock in enumerate(seen):
        top, bottom = heights[at]
        row = [i for i, (begin, end) in enumerate(heights) if top <= end and begin <= bottom]  # beside it
        gives = at in within and all(shared[at] >= shared[i] for i in row if i in within)
        before = [ends[i] + gap for i in row if i < at and lefts[i] < lefts[at]]
        ends.append(max(before, default=0) + (at_least[dock] if gives else shared[at]))
    return max(ends, default=0)


def _least(dock: QDockWidget) -> int:
    """Pixels that a dock asks for; none where it is closed."""
    return (
        0 if dock.isHidden() and not is_behind_a_tab(dock) else max(dock.minimumWidth(), dock.minimumSizeHint().width())
    )
