"""When is all that an answer changes on the screen? A few turns of the event loop after it was told."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qviz.session.guard import guarded

TURNS = 3
"""An answer is painted in the turn after it, or in that one; what was painted may ask for more: labels that grew."""


@guarded
class AfterPainting(QObject):
    """Tells once that every update of the screen which is due by now has been done.

    Parameters
    ----------
    due : Callable[[], bool]
        Whether a window holds back some of it; however many turns that takes, they are waited for.

    Signals
    -------
    painted()
    """

    painted = Signal()

    def __init__(self, parent: QObject | None = None, due: Callable[[], bool] = lambda: False) -> None:
        super().__init__(parent)
        self._due = due
        self._left = 0
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self._on_turn)

    def wait(self) -> None:
        """Tell it, some turns from now."""
        self._left = TURNS
        self._turn.start()

    @Slot()
    def _on_turn(self) -> None:
        self._left -= 1
        if self._left > 0 or self._due():
            self._turn.start()
        else:
            self.painted.emit()
