"""How is long work done that only the window's thread can begin? A step in each turn of its loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QThreadPool, QTimer, Signal, Slot

from qviz.core.problems import Problem

Step = Callable[[], Callable[[], object] | None]
_Task = tuple[Sequence[Step], Callable[[], object], Callable[[Problem], object]]


class Steps(QObject):
    """Does what it is given, in order; hands and paintings come between, and what is given meanwhile comes after.

    A step may return what is left to do of it in another thread; the next one waits for that.

    Signals
    -------
    began(), advanced(float), ended()
        It is under way, which share is done, and that nothing is left to do.
    """

    began = Signal()
    advanced = Signal(float)
    ended = Signal()
    _done = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._left: deque[Step] = deque()
        self._later: deque[_Task] = deque()
        self._count = 0
        self._beside: object = None
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._done.connect(self._on_done)
        self._then: Callable[[], object] | None = None
        self._failed: Callable[[Problem], object] | None = None
        self._turn = QTimer(self)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self._step)

    @property
    def busy(self) -> bool:
        """Whether steps are left."""
        return bool(self._left) or self._beside is not None

    def do(self, steps: Sequence[Step], then: Callable[[], object], failed: Callable[[Problem], object]) -> None:
        """Begin, at once with a single one; ``then`` comes after the last, or ``failed`` with what ended them."""
        self._later.append((steps, then, failed))
        if not self.busy:
            self._begin()

    def _begin(self) -> None:
        steps, self._then, self._failed = self._later.popleft()
        self._left, self._count = deque(steps), len(steps)
        self.began.emit()
        self._turn.start()
        if len(steps) == 1:
            self._step()

    def _begin_next(self) -> None:
        if self._later and not self.busy:
            self._begin()

    @Slot()
    def cancel(self) -> None:
        """Leave undone what is left."""
        self._later.clear()
        if self.busy:
            self._end()

    @Slot()
    def finish(self) -> None:
        """Do all that is left at once."""
        while self.busy:
            if self._beside is not None:
                self._pool.waitForDone()
                QCoreApplication.sendPostedEvents(self, QEvent.Type.MetaCall.value)  # how it went
            elif self._left:
                self._step(beside=False)

    @Slot()
    def _step(self, *, beside: bool = True) -> None:
        try:
            left = self._left.popleft()()
            if left is not None and not beside:
                left()
        except Exception as error:
            self._fail(error)
            return
        if left is not None and beside:
            self._turn.stop()
            self._beside = token = object()
            self._pool.start(partial(self._work, token, left))
        else:
            self._advance()

    def _work(self, token: object, left: Callable[[], object]) -> None:
        error: Exception | None = None
        try:
            left()
        except Exception as problem:  # carried to the window's thread, where it is told apart
            error = problem
        self._done.emit(token, error)

    @Slot(object, object)
    def _on_done(self, token: object, error: Exception | None) -> None:
        if token is not self._beside:
            return  # of what was cancelled
        self._beside = None
        if error is not None:
            self._fail(error)
        else:
            self._turn.start()
            self._advance()

    def _advance(self) -> None:
        self.advanced.emit(1 - len(self._left) / self._count)
        if not self._left:
            then = self._then
            self._end()
            assert then is not None
            try:
                then()
            finally:
                self._begin_next()

    def _fail(self, error: Exception) -> None:
        failed = self._failed
        self._end()
        try:
            if not isinstance(error, Problem):
                raise error
            assert failed is not None
            failed(error)
        finally:
            self._begin_next()

    def _end(self) -> None:
        self._beside = None
        self._turn.stop()
        self._left.clear()
        self._then = self._failed = None
        self.ended.emit()
