"""How does work leave the window's thread and come back? One request running, at most one waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QThreadPool, QTimer, Signal, Slot

from qviz.core.frozen import frozen
from qviz.core.work import Cancelled, IsCancelled, Progress, beside
from qviz.session.after_painting import AfterPainting
from qviz.session.guard import guarded

PROGRESS_SECONDS = 0.05
"""Progress is told no more often: each telling takes time from the window's thread."""


@frozen(eq=False)
class Request:
    """A pure question: everything it needs is captured in ``work``; ``key`` says what it is about."""

    key: Any
    work: Callable[[Progress, IsCancelled], Any]
    ahead: bool = False
    """Whether it may be done while the answer before it is painted: little of it is Python."""


@guarded
class LatestRunner(QObject):
    """Runs requests one at a time, in order, and forgets those that were overtaken while waiting.

    Signals arrive in the thread that the runner lives in. A request ends with exactly one of
    ``finished``, ``failed`` and ``cancelled``; one that was replaced while waiting with none. An
    answer that comes after it was cancelled is not told. ``rested`` comes when the answer is painted and
    nothing waits.

    The next one starts when the window has painted the answer: two threads of Python at once make
    painting three times as slow. One that may be done ahead starts with the answer, and is told when that is painted.
    """

    started = Signal(object)
    progressed = Signal(object, float)
    finished = Signal(object, object)
    failed = Signal(object, object)
    cancelled = Signal(object)
    rested = Signal()

    _ended = Signal(object, object, object)
    _advanced = Signal(object, float)

    def __init__(self, parent: QObject | None = None, due: Callable[[], bool] = lambda: False) -> None:
        """``due`` says whether a window holds back some of what is to be painted."""
        super().__init__(parent)
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._running: Request | None = None
        self._waiting: Request | None = None
        self._stop = threading.Event()
        self._closed = False
        self._found: tuple[Request, object, Exception | None] | None = None
        self._resting = self._answered = False
        self._after_painting = AfterPainting(self, due)
        self._after_painting.painted.connect(self._on_painted)
        self._next_turn = QTimer(self)  # a hand is heard between what was painted and what is told
        self._next_turn.setSingleShot(True)
        self._next_turn.timeout.connect(self._tell_found)
        self._ended.connect(self._on_ended)
        self._advanced.connect(self._on_advanced)

    @property
    def busy(self) -> bool:
        return self._running is not None or self._waiting is not None or self._found is not None

    @property
    def resting(self) -> bool:
        """Whether what comes next waits until the last answer is painted."""
        return self._resting

    def submit(self, request: Request, *, urgent: bool = False, painted: bool = False) -> None:
        """Run it next; an urgent one also cancels what runs now; ``painted`` waits until what is due is painted."""
        if self._closed:
            return
        if painted and not (self._running or self._resting):
            self._rest()
        self._waiting = request
        if urgent:
            self._stop.set()
        self._start_if_free()

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

    def _start_if_free(self) -> None:
        """Start what waits, if it is its turn."""
        request = self._waiting
        if request is None or self._running is not None or self._found is not None:
            return
        if not self._resting or (self._answered and request.ahead):
            self._waiting = None
            self._start(request)

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
                with beside(self._is_painting):
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
        if self._resting:  # the one before it comes first
            self._found = request, answer, error
            return
        self._rest()
        self._answered = True
        if isinstance(error, Cancelled) or (error is None and self._stop.is_set()):
            self.cancelled.emit(request)
        elif error is None:
            self.finished.emit(request, answer)
        else:
            self.failed.emit(request, error)
        self._start_if_free()

    def _is_painting(self) -> bool:
        """Asked by what runs, in its thread."""
        return self._resting

    def _rest(self) -> None:
        """Until everything is painted."""
        self._resting = True
        self._after_painting.wait()

    @Slot()
    def _on_painted(self) -> None:
        self._resting = self._answered = False
        if self._closed:
            return
        if self._found is not None:
            self._next_turn.start()
            return
        self._start_if_free()
        if not self.busy:
            self.rested.emit()

    @Slot()
    def _tell_found(self) -> None:
        found, self._found = self._found, None
        if found is not None:
            self._on_ended(*found)
