"""What is computed only while somebody looks at it? An answer to the present question, as soon as nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.effort import plan
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.session.state import Session
from qviz.session.timers import Timers
from qviz.session.worker import Work, Worker

STILL_MILLISECONDS = 150
"""Without a change for this long nothing is being dragged."""


class OnDemand(Worker):
    """Asks anew whenever what is asked for is another, while it is wanted; subclasses say what that is.

    Signals
    -------
    waiting()
        Something else has to come first.
    forgotten()
        What was answered was about something else.
    stopped()
        What was answered so far is all there will be until somebody asks again.
    """

    waiting = Signal()
    forgotten = Signal()
    stopped = Signal()

    def __init__(self, timers: Timers, still: int = STILL_MILLISECONDS, parent: QObject | None = None) -> None:
        """``still`` is for how many milliseconds nothing may have changed."""
        super().__init__(parent)
        self._wanted = False
        self._asked: Hashable = None
        self._declined: Hashable = None
        self._shown: Hashable = None
        self._still = self._timer(timers, still, self._ask)

    @property
    def busy(self) -> bool:
        return self._runner.busy or self._still.active

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

    def _must_wait(self) -> bool:
        return False

    def _may_stay(self) -> bool:
        """Whether the answer to another question is shown until its successor is there."""
        return False

    # -- what is asked of it

    @Slot(bool)
    def want(self, wanted: bool) -> None:
        """Somebody looks, or nobody does: then what is under way is given up."""
        self._wanted = wanted
        if not wanted:
            self._give_way()
        self.look()

    @Slot()
    def look(self, *_: object) -> None:
        """Something may have changed."""
        key = self.key()
        if key != self._shown and not self._may_stay():
            self._forget()
        if key != self._declined:
            self._declined = None
        if key is None:
            self._give_way()
        elif not self._wanted or key in (self._shown, self._declined):
            self._still.stop()
        elif self._must_wait():
            self._still.stop()
            self.waiting.emit()
        elif not (self._runner.busy and key == self._asked):
            self._still.start()
        else:
            self._still.stop()

    @Slot()
    def cancel(self) -> None:
        """Give up what is under way; it is not asked for again by itself."""
        self._still.stop()
        self._declined = self.key()
        self._runner.cancel()
        self.stopped.emit()

    @Slot()
    def again(self) -> None:
        """Answer anew, now."""
        self._declined = self._shown = self._asked = None
        if self._wanted and self.key() is not None:
            self._ask()

    @Slot()
    def _ask(self) -> None:
        self._asked = self.key()
        self._submit(self._asked, self._work(), urgent=True)

    def _work(self) -> Work:
        return self.work()

    def _give_way(self) -> None:
        self._still.stop()
        self._runner.cancel()
        self._asked = None

    def _forget(self) -> None:
        if self._shown is not None:
            self._shown = None
            self.forgotten.emit()

    # -- what comes of it

    def _answer(self, key: Hashable, found: object) -> None:
        if key == self.key():
            self._shown = key
            self.answer(found)

    def _fail(self, key: Hashable, problem: Problem | None) -> None:
        self._declined = key
        self.stopped.emit()


class TensorOnDemand(OnDemand):
    """What is asked about the tensor of a session; a large one that is being put in order is waited for."""

    def __init__(self, session: Session, sorting: Callable[[], bool], parent: QObject | None = None) -> None:
        """``sorting`` tells whether the tensor is being put in order."""
        super().__init__(session.timers, parent=parent)
        self._session, self._sorting = session, sorting
        session.changed.connect(self.look)

    def _work(self) -> Work:
        tensor = self._session.state.tensor
        return self.work() if tensor is None else partial(_of_unchanged, tensor, self.work())

    def _must_wait(self) -> bool:
        state = self._session.state
        if state.tensor is None:
            return False
        return plan(state.tensor, state.prepared, state.scheme, self._session.limits).worth_waiting and self._sorting()

    def _purpose(self, key: Hashable) -> Phrase:
        return Phrase(N_("this comparison"))


def _of_unchanged(tensor: Tensor, work: Work, progress: Progress, cancelled: IsCancelled) -> Any:
    """An answer about a tensor whose file was the same all the while."""
    tensor.check_unchanged()
    found = work(progress, cancelled)
    tensor.check_unchanged()
    return found
