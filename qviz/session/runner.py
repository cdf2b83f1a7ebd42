"""How does work leave the window's thread and come back? One request running, at most one waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QCoreApplication, QEvent, QObject, QThreadPool, Signal, Slot

from qviz.core.frozen import frozen
from qviz.core.work import Cancelled, IsCancelled, Progress
from qviz.session.guard import guarded

PROGRESS_SECONDS = 0.05
"""Progress is told no more often: each telling takes time from the window's thread."""

AFTER_PAINTING = -1000
"""An event of this priority comes when every update of the screen that is due has been done."""

_RESTED = QEvent.Type(QEvent.registerEventType())


@frozen(eq=False)
class Request:
    """A pure question: everything it needs is captured in ``work``; ``key`` says what it is about."""

    key: Any
    work: Callable[[Progress, IsCancelled], Any]


@guarded
class LatestRunner(QObject):
    """Runs requests one at a time, in order, and forgets those that were overtaken while waiting.

    Signals arrive in the thread that the runner lives in. A request ends with exactly one of
    ``finished``, ``failed`` and ``cancelled``; one that was replaced while waiting with none. An
    answer that comes after it was cancelled is not told. ``rested`` comes when the answer is painted and
    nothing waits.

    The next one starts when the window has painted the answer: two threads of Python at once make
    painting three times as slow.
    """

    started = Signal(object)
    progressed = Signal(object, float)
    finished = Signal(object, object)
    failed = Signal(object, object)
    cancelled = Signal(object)
    rested = Signal()

    _ended = Signal(object, object, object)
    _advanced = Signal(object, float)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._running: Request | None = None
        self._waiting: Request | None = None
        self._stop = threading.Event()
        self._closed = False
        self._resting = False
        self._rounds = 0
        self._ended.connect(self._on_ended)
        self._advanced.connect(self._on_advanced)

    @property
    def busy(self) -> bool:
        return self._running is not None or self._waiting is not None

    @property
    def resting(self) -> bool:
        """Whether what comes next waits until the last answer is painted."""
        return self._resting

    def submit(self, request: Request, *, urgent: bool = False, painted: bool = False) -> None:
        """Run it next; an urgent one also cancels what runs now; ``painted`` waits until what is due is painted."""
        if self._closed:
            return
        if self._running is None and not self._resting:
            if not painted:
                self._start(request)
                return
            self._rest()
        self._waiting = request
        if urgent:
            self._stop.set()

    def cancel(self) -> None:
        """Stop what runs and forget what waits."""
        waiting, self._waiting = self._waiting, None
        self._stop.set()
        if waiting is not None and not self._closed:
            self.cancelled.emit(waiting)

    def close(self) -> None:
        """Cancel and wait until the thread is gone; nothing is emitted afterwards."""
        self._closed = True
        self.cancel()
        self._pool.waitForDone()

    def _start(self, request: Request) -> None:
        self._running = request
        self._stop = stop = threading.Event()
        self.started.emit(request)

        told = 0.0

        def tell(fraction: float) -> None:
            nonlocal told
            now = time.monotonic()
            if fraction >= 1 or now - told >= PROGRESS_SECONDS:
                told = now
                self._advanced.emit(request, fraction)

        def job() -> None:
            answer: object = None
            error: Exception | None = None
            try:
                answer = request.work(tell, stop.is_set)
            except Exception as problem:  # carried to the window's thread, where it is told apart
                error = problem
            except BaseException as panic:  # as of libraries written in Rust: a window would wait for ever
                error = RuntimeError(f"{type(panic).__name__}: {panic}")
                error.__cause__ = panic
            self._ended.emit(request, answer, error)

        self._pool.start(job)

    @Slot(object, float)
    def _on_advanced(self, request: Request, fraction: float) -> None:
        if request is self._running and not self._closed:
            self.progressed.emit(request, fraction)

    @Slot(object, object, object)
    def _on_ended(self, request: Request, answer: object, error: Exception | None) -> None:
        self._running = None
        if self._closed:
            return
        self._rest()
        if isinstance(error, Cancelled) or (error is None and self._stop.is_set()):
            self.cancelled.emit(request)
        elif error is None:
            self.finished.emit(request, answer)
        else:
            self.failed.emit(request, error)

    def _rest(self) -> None:
        """Until everything is painted."""
        self._resting = True
        self._rounds = 2
        QCoreApplication.postEvent(self, QEvent(_RESTED), AFTER_PAINTING)

    def event(self, event: QEvent) -> bool:
        if event.type() != _RESTED:
            return super().event(event)
        if self._rounds:  # painting may ask for more painting: labels that grew, axes that moved
            self._rounds -= 1
            QCoreApplication.postEvent(self, QEvent(_RESTED), AFTER_PAINTING)
            return True
        self._resting = False
        waiting, self._waiting = self._waiting, None
        if self._closed:
            return True
        if waiting is not None:
            self._start(waiting)
        else:
            self.rested.emit()
        return True
