"""How is long work that only the window's thread can do done without holding it? A step in each turn of its loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qviz.core.problems import Problem


class Steps(QObject):
    """Does what it is given, in order; hands and paintings come between.

    Signals
    -------
    began(), advanced(float), ended()
        It is under way, which share is done, and that nothing is left to do.
    """

    began = Signal()
    advanced = Signal(float)
    ended = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._left: deque[Callable[[], object]] = deque()
        self._count = 0
        self._then: Callable[[], object] | None = None
        self._failed: Callable[[Problem], object] | None = None
        self._turn = QTimer(self)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self._step)

    @property
    def busy(self) -> bool:
        """Whether steps are left."""
        return bool(self._left)

    def do(
        self, steps: Sequence[Callable[[], object]], then: Callable[[], object], failed: Callable[[Problem], object]
    ) -> None:
        """Begin with them; ``then`` comes after the last, or ``failed`` with the problem that ended them."""
        self.finish()
        self._left, self._count = deque(steps), len(steps)
        self._then, self._failed = then, failed
        self.began.emit()
        self._turn.start()

    @Slot()
    def cancel(self) -> None:
        """Leave undone what is left."""
        if self._left:
            self._end()

    @Slot()
    def finish(self) -> None:
        """Do all that is left at once."""
        while self._left:
            self._step()

    @Slot()
    def _step(self) -> None:
        then, failed = self._then, self._failed
        assert then is not None
        assert failed is not None
        try:
            self._left.popleft()()
        except Problem as problem:
            self._end()
            failed(problem)
            return
        except BaseException:
            self._end()
            raise
        self.advanced.emit(1 - len(self._left) / self._count)
        if not self._left:
            self._end()
            then()

    def _end(self) -> None:
        self._turn.stop()
        self._left.clear()
        self._then = self._failed = None
        self.ended.emit()
