"""How is all that an answer changes painted at once? A scene would have the whole window painted when it is done."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QWidget

from qviz.session.guard import guarded

_GATHERED = QEvent.Type(QEvent.registerEventType())


@guarded
class OnePainting(QObject):
    """Holds back the painting of a window until each of its charts knows what of it has changed.

    A graphics scene finds that out in an event of its own, and then has what is due painted, with whatever else is
    due in the window: as many paintings a frame as there are charts. Painting has a turn of the event loop to itself:
    what a hand does between an answer and its painting is heard before.

    Signals
    -------
    painted()
        All that was gathered is on the screen.
    """

    painted = Signal()

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._gathering = self._due = False
        self._turn = QTimer(self)  # of its own: a call after no time at all is an event of the same turn
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self._paint)

    def is_due(self) -> bool:
        """Whether what has changed is not painted yet."""
        return self._gathering

    def gather(self) -> None:
        """What has changed, and what changes in events that wait by now, is painted together."""
        if not self._gathering:
            self._gathering = True
            self._window.installEventFilter(self)
            QCoreApplication.postEvent(self, QEvent(_GATHERED), Qt.EventPriority.LowEventPriority.value)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.UpdateRequest:
            self._due = True
            return True
        return super().eventFilter(watched, event)

    def event(self, event: QEvent) -> bool:
        if event.type() != _GATHERED:
            return super().event(event)
        self._turn.start()
        return True

    @Slot()
    def _paint(self) -> None:
        self._gathering = False
        self._window.removeEventFilter(self)
        due, self._due = self._due, False
        if due:
            QCoreApplication.sendEvent(self._window, QEvent(QEvent.Type.UpdateRequest))
        self.painted.emit()
