"""What waits until the window was painted for the first time?"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QTimer, Slot
from PySide6.QtWidgets import QWidget

from qviz.session.guard import guarded

PATIENCE_MILLISECONDS = 1000
"""A window that is shown where nobody sees it, minimized or behind another desktop, is not painted."""


@guarded
class FirstPainting(QObject):
    """Calls something once, after a window's first painting.

    A timer of no time is too early: it goes off before the system has asked for any painting.
    """

    def __init__(self, window: QWidget, then: Callable[[], None]) -> None:
        """Made before the window is shown; it goes with the window."""
        super().__init__(window)
        self._then: Callable[[], None] | None = then
        window.installEventFilter(self)
        QTimer.singleShot(PATIENCE_MILLISECONDS, self, self._call)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint:
            watched.removeEventFilter(self)
            QTimer.singleShot(0, self, self._flush)  # this is the request; the painting follows it
        return False

    @Slot()
    def _flush(self) -> None:
        QTimer.singleShot(0, self, self._call)  # painted, but the system may not have been shown it

    @Slot()
    def _call(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()
