"""Where does each dock of the Tensor page stand, and how large is it?"""

from __future__ import annotations

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QDockWidget, QMainWindow, QTabWidget

from qviz.gui.kit.docks import Dock
from qviz.session.guard import guarded

LAYOUT_VERSION = 3
SIDE_WIDTH = 272
RIGHT_WIDTH = 288
TITLE_HEIGHT, SEPARATOR = 32, 6
FORMULA_HEIGHT = 244
"""With its title; of the integers' four formulas, one of which takes two lines."""

GROUP_DOCKS = ("channels", "heat_map", "worst")
"""There when each group of elements has a scale of its own."""


@guarded
class DockedPage(QMainWindow):
    """A page of docks by their names; what they hold is made by the page."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowFlags(Qt.WindowType.Widget)
        self.docks: dict[str, Dock] = {}
        self._layout: QByteArray | None = None

    def _on_arranged(self) -> None:
        """Every dock was put where it is in the beginning: which of them are wanted now?"""
        raise NotImplementedError

    def _arrange(self) -> None:
        self.setDockNestingEnabled(True)
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        for dock in self.docks.values():
            dock.setParent(self)
        left, across, down = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        d = self.docks
        self.addDockWidget(left, d["tensors"])
        self.splitDockWidget(d["tensors"], d["values"], across)
        self.splitDockWidget(d["values"], d["metrics"], across)
        self.splitDockWidget(d["tensors"], d["generator"], down)
        self.splitDockWidget(d["generator"], d["scheme"], down)
        self.splitDockWidget(d["values"], d["error"], down)
        self.splitDockWidget(d["error"], d["table"], down)
        self.splitDockWidget(d["values"], d["distribution"], across)
        self.splitDockWidget(d["error"], d["transfer"], across)
        self.tabifyDockWidget(d["transfer"], d["loss"])
        self.tabifyDockWidget(d["loss"], d["channels"])
        self.tabifyDockWidget(d["channels"], d["heat_map"])
        self.tabifyDockWidget(d["error"], d["worst"])
        self.splitDockWidget(d["metrics"], d["formula"], down)
        self.splitDockWidget(d["formula"], d["memory"], down)
        self.splitDockWidget(d["memory"], d["speed"], down)
        for dock in d.values():
            dock.setFloating(False)
            dock.show()
        d["transfer"].raise_()
        d["error"].raise_()
        for name in GROUP_DOCKS:
            d[name].hide()
        d["generator"].hide()

    def size_up(self) -> None:
        """The sizes of a fresh layout, for the height there is."""
        d, across, down = self.docks, Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        height = self.height()
        gains = [122, 127]
        figures = d["metrics"].content
        metrics = TITLE_HEIGHT + (figures.sizeHint().height() if figures is not None else 0)
        rest = height - sum(gains) - len(gains) * SEPARATOR
        low = rest < metrics + SEPARATOR + FORMULA_HEIGHT  # a figure that has to be scrolled to is missed
        if low != (d["formula"] in self.tabifiedDockWidgets(d["metrics"])):
            if low:  # the formula stands behind the metrics, not under them
                self.tabifyDockWidget(d["metrics"], d["formula"])
                d["metrics"].raise_()
            else:  # beside a tab, Qt only ever adds another tab
                self._rearrange()
        middle = max(400, self.width() - SIDE_WIDTH - RIGHT_WIDTH)
        self.resizeDocks(
            [d["tensors"], d["values"], d["distribution"], d["metrics"]],
            [SIDE_WIDTH, middle // 2, middle // 2, RIGHT_WIDTH],
            across,
        )
        self.resizeDocks([d["error"], d["transfer"]], [middle // 2, middle // 2], across)
        table = 176 if height > 740 else 122
        chart = (height - table) // 2
        self.resizeDocks([d["values"], d["error"], d["table"]], [chart, chart, table], down)
        self.size_left()
        spare = max(0, rest - metrics - SEPARATOR - FORMULA_HEIGHT)
        parts = [rest] if low else [metrics + spare * 3 // 10, FORMULA_HEIGHT + spare * 7 // 10]
        names = ["metrics", "memory", "speed"] if low else ["metrics", "formula", "memory", "speed"]
        self.resizeDocks([d[name] for name in names], [*parts, *gains], down)

    def size_left(self) -> None:
        """The scheme gets what it needs, the list what is left."""
        d, height = self.docks, self.height()
        if d["generator"].isHidden():
            parts = {"tensors": max(140, height - 470), "scheme": 470}
        else:
            parts = {"tensors": max(130, height - 700), "generator": min(330, height // 3), "scheme": 370}
        there = {name: part for name, part in parts.items() if self._is_inside(d[name])}
        self.resizeDocks([d[name] for name in there], list(there.values()), Qt.Orientation.Vertical)

    def _is_inside(self, dock: QDockWidget) -> bool:
        """Whether a dock has a place on the page: Qt warns when it is to size one that floats, alone or with others."""
        inside = dock.parentWidget() is self and self.dockWidgetArea(dock) != Qt.DockWidgetArea.NoDockWidgetArea
        return inside and not dock.isFloating()

    def reset_layout(self) -> None:
        """Every dock where it was in the beginning."""
        self._rearrange()
        self.size_up()

    def _rearrange(self) -> None:
        for dock in self.docks.values():
            dock.setFloating(False)  # or it would be no part of the layout that others are placed in
            self.removeDockWidget(dock)
        self._arrange()
        self._on_arranged()

    def layout_state(self) -> QByteArray:
        """Where every dock is, for the settings."""
        return self.saveState(LAYOUT_VERSION) if self._layout is None else self._layout

    def restore_layout(self, state: QByteArray) -> None:
        """Put every dock where it was left, or in a fresh layout, as soon as the page is shown."""
        self._layout = state

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._layout is not None:  # not before: a hidden page has no room that could be shared out
            state, self._layout = self._layout, None
            if state.isEmpty() or not self.restoreState(state, LAYOUT_VERSION):
                self.size_up()
                QTimer.singleShot(0, self, self.size_up)  # once more, when the size is the real one
            self._let_paint()

    def _let_paint(self) -> None:
        """Docks that float: a page that is being brought to the front may not paint yet, and hands that on to them.

        It is taken back from what is part of the page by then, and not from what has become a window of its own.
        """
        for dock in self.docks.values():
            if dock.isFloating():
                dock.setUpdatesEnabled(True)
