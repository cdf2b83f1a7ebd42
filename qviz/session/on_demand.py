"""What is computed only while somebody looks at it? An answer to the present tensor, as soon as nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qviz.core.problems import Problem
from qviz.core.questions.effort import plan
from qviz.core.work import IsCancelled, Progress
from qviz.session.language import told
from qviz.session.runner import LatestRunner, Request
from qviz.session.state import Session

STILL_MILLISECONDS = 150

Work = Callable[[Progress, IsCancelled], object]


class OnDemand(QObject):
    """Asks anew whenever what is asked for is another, while it is wanted; subclasses say what that is.

    A large tensor that is being put in order is waited for.

    Signals
    -------
    began(), advanced(float), ended()
        Work is under way; each ``began`` is followed by one ``ended``.
    waiting()
        The tensor is being put in order first.
    forgotten()
        What was answered was about something else.
    stopped()
        What was answered so far is all there will be until somebody asks again.
    problem(str)
        One sentence for the person.
    """

    began = Signal()
    advanced = Signal(float)
    ended = Signal()
    waiting = Signal()
    forgotten = Signal()
    stopped = Signal()
    problem = Signal(str)

    def __init__(self, session: Session, sorting: Callable[[], bool], parent: QObject | None = None) -> None:
        """``sorting`` tells whether the tensor is being put in order."""
        super().__init__(parent)
        self._session, self._sorting = session, sorting
        self._wanted = False
        self._asked: Hashable = None
        self._declined: Hashable = None
        self._shown: Hashable = None
        self._runner = LatestRunner(self)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(STILL_MILLISECONDS)
        self._timer.timeout.connect(self._ask)
        self._runner.started.connect(self._on_started)
        self._runner.progressed.connect(self._on_progressed)
        self._runner.finished.connect(self._on_finished)
        self._runner.failed.connect(self._on_failed)
        self._runner.cancelled.connect(self._on_cancelled)
        session.changed.connect(self.look)

    @property
    def busy(self) -> bool:
        return self._runner.busy or self._timer.isActive()

    # -- what a subclass says

    def key(self) -> Hashable:
        """What is asked for now: equal keys have equal answers; None for nothing."""
        raise NotImplementedError

    def work(self) -> Work:
        """How it is answered, with everything captured that it needs."""
        raise NotImplementedError

    def answer(self, found: object) -> None:
        """Tell what was found."""
        raise NotImplementedError

    # -- what is asked of it

    @Slot(bool)
    def want(self, wanted: bool) -> None:
        """Somebody looks, or nobody does: then what is under way is given up."""
        self._wanted = wanted
        if not wanted:
            self._timer.stop()
            self._runner.cancel()
            self._asked = None
        self.look()

    @Slot()
    def look(self, *_: object) -> None:
        """Something may have changed."""
        key = self.key()
        if self._shown is not None and key != self._shown:
            self._shown = None
            self.forgotten.emit()
        if key != self._declined:
            self._declined = None
        if not self._wanted or key is None or key in (self._shown, self._declined):
            self._timer.stop()
        elif self._must_wait():
            self._timer.stop()
            self.waiting.emit()
        elif not (self._runner.busy and key == self._asked):
            self._timer.start()

    @Slot()
    def cancel(self) -> None:
        """Give up what is under way; it is not asked for again by itself."""
        self._timer.stop()
        self._declined = self.key()
        self._runner.cancel()
        self.stopped.emit()

    @Slot()
    def again(self) -> None:
        """Answer anew, now."""
        self._declined = self._shown = self._asked = None
        if self._wanted and self.key() is not None:
            self._ask()

    def close(self) -> None:
        """Stop for good and wait for the thread."""
        self._timer.stop()
        self._runner.close()

    def _must_wait(self) -> bool:
        state = self._session.state
        if state.tensor is None:
            return False
        return plan(state.tensor, state.prepared, state.scheme, self._session.limits).worth_waiting and self._sorting()

    @Slot()
    def _ask(self) -> None:
        self._asked = self.key()
        self._runner.submit(Request(self._asked, self.work()), urgent=True)

    @Slot(object)
    def _on_started(self, request: Request) -> None:
        self.began.emit()

    @Slot(object, float)
    def _on_progressed(self, request: Request, fraction: float) -> None:
        self.advanced.emit(fraction)

    @Slot(object, object)
    def _on_finished(self, request: Request, found: object) -> None:
        if request.key == self.key():
            self._shown = request.key
            self.answer(found)
        self.ended.emit()

    @Slot(object, object)
    def _on_failed(self, request: Request, error: Exception) -> None:
        self.ended.emit()
        if isinstance(error, MemoryError):
            error = Problem("There is not enough memory to compare: close other programs and try again.")
        if not isinstance(error, Problem):
            raise error
        self._declined = request.key
        self.stopped.emit()
        self.problem.emit(told(error))

    @Slot(object)
    def _on_cancelled(self, request: Request) -> None:
        self.ended.emit()
