"""What do windows keep that nobody sees? The pictures of lists and menus that were open, and of docks that floated."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtWidgets import QApplication, QDockWidget, QWidget

SMALLEST = QSize(1, 1)
"""Pixels: nothing at all some platforms do not take."""


def let_go_pictures() -> None:
    """Qt paints them anew, as large as they are then, when they are shown again."""
    tops = QApplication.topLevelWidgets()
    docks = [dock for top in tops if top.isVisible() for dock in top.findChildren(QDockWidget)]
    for widget in (*tops, *docks):
        _let_go(widget)


def _let_go(widget: QWidget) -> None:
    # A child answers with what its window is painted on: that one is in sight.
    store = widget.backingStore()
    window = store.window() if store is not None else None
    if window is not None and not window.isVisible() and store.size() != SMALLEST:
        store.resize(SMALLEST)
