"""How does every answer come about beside the window? Asked for, begun, told or given up, and what fails is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.problems import N_, Phrase, Problem
from qviz.core.work import IsCancelled, Progress
from qviz.files.stamp import ChangedFile
from qviz.session.language import told
from qviz.session.runner import LatestRunner, Request
from qviz.session.timers import Timer, Timers

Work = Callable[[Progress, IsCancelled], Any]


class OutOfMemory(Problem):
    """There was not enough memory for something."""

    def __init__(self, purpose: Phrase) -> None:
        super().__init__(
            N_("There is not enough memory for {purpose}: close other programs and try again."), purpose=purpose
        )
        self.args = (purpose,)


class Worker(QObject):
    """One request at a time in a thread of its own; subclasses say what is asked, and what an answer is for.

    Signals
    -------
    began(), advanced(float), ended()
        Work is under way, how far it is, and that there is none any more; it may have begun several times.
    given_up()
        What was asked last has no answer, since it was cancelled, or since it failed, be it by a bug: the answer
        before it, if there is one, is of something else.
    problem(str)
        One sentence for the person.
    stale(ChangedFile)
        The problem, where it is that a file is not the one any more that was opened.
    """

    began = Signal()
    advanced = Signal(float)
    ended = Signal()
    given_up = Signal()
    problem = Signal(str)
    stale = Signal(object)

    def __init__(self, parent: QObject | None = None, due: Callable[[], bool] = lambda: False) -> None:
        """``due`` says whether a window holds back some of what is to be painted."""
        super().__init__(parent)
        self._timers: list[Timer] = []
        self._under_way = False
        self._runner = LatestRunner(self, due)
        self._runner.started.connect(self._on_started)
        self._runner.progressed.connect(self._on_progressed)
        self._runner.finished.connect(self._on_finished)
        self._runner.cancelled.connect(self._on_cancelled)
        self._runner.failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return self._runner.busy

    @Slot()
    def cancel(self) -> None:
        """Give up what is under way."""
        self._runner.cancel()

    def close(self) -> None:
        """Stop for good and wait for the thread."""
        for timer in self._timers:
            timer.stop()
        self._runner.close()

    # -- for subclasses

    def _timer(self, timers: Timers, milliseconds: int, slot: Callable[[], None]) -> Timer:
        """One that stops when the worker does."""
        self._timers.append(timers(milliseconds, slot, self))
        return self._timers[-1]

    def _submit(self, key: object, work: Work, *, ahead: bool = False, **how: bool) -> None:
        self._runner.submit(Request(key, work, ahead), **how)

    # -- what a subclass says

    def _purpose(self, key: Any) -> Phrase:
        """What memory was needed for: "this scheme"."""
        raise NotImplementedError

    def _begin(self, key: Any) -> None:
        self.began.emit()

    def _advance(self, key: Any, fraction: float) -> None:
        self.advanced.emit(fraction)

    def _answer(self, key: Any, found: Any) -> None:
        """Tell what was found."""

    def _give_up(self, key: Any) -> None:
        """It was cancelled."""

    def _fail(self, key: Any, problem: Problem | None) -> None:
        """There is no answer because of a problem that is told next, or of a bug, which has none."""

    def _tell(self, problem: Problem) -> None:
        self.problem.emit(told(problem))
        if isinstance(problem, ChangedFile):
            self.stale.emit(problem)

    def _rest(self) -> None:
        """Nothing runs or waits."""
        self.ended.emit()

    # -- what the thread says

    @Slot(object)
    def _on_started(self, request: Request) -> None:
        self._under_way = True
        self._begin(request.key)

    @Slot(object, float)
    def _on_progressed(self, request: Request, fraction: float) -> None:
        self._advance(request.key, fraction)

    @Slot(object, object)
    def _on_finished(self, request: Request, found: object) -> None:
        self._answer(request.key, found)
        self._rest_if_idle()

    @Slot(object)
    def _on_cancelled(self, request: Request) -> None:
        self._rest_if_idle()
        self._give_up(request.key)
        self._leave_unanswered()

    @Slot(object, object)
    def _on_failed(self, request: Request, error: Exception) -> None:
        if isinstance(error, MemoryError):
            error = OutOfMemory(self._purpose(request.key))
        problem = error if isinstance(error, Problem) else None
        self._rest_if_idle()
        self._fail(request.key, problem)
        self._leave_unanswered()
        if problem is None:
            raise error
        self._tell(problem)

    def _leave_unanswered(self) -> None:
        if not self._runner.busy:
            self.given_up.emit()

    def _rest_if_idle(self) -> None:
        if self._under_way and not self._runner.busy:
            self._under_way = False
            self._rest()
