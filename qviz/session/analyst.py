"""When is what computed? Each change of tensor or scheme asks for one frozen answer."""

from __future__ import annotations

import math
from functools import partial
from weakref import WeakKeyDictionary

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.passes.error_bins import BINS_TO_HALF_STEP
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.effort import Plan, plan
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.session.frame import EVERYTHING, Frame, Part, Question, Reductions, foresee_groups
from qviz.session.state import Session, State
from qviz.session.worker import Worker

STILL_MILLISECONDS = 150
"""Without a change for this long nothing is being dragged."""


class Analyst(Worker):
    """Submits a request on every change, and hands on the answers in order.

    The ladder: a small tensor is looked at as a whole; a large one is judged from a sample until
    it is in order, or until somebody asks for an exact answer. What is dragged is answered for what
    is in sight, in coarser bins, and of very many elements with many scales from some of each group; once it rests, for
    everything.

    Signals
    -------
    answered(Frame)
    """

    answered = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent, session.is_unpainted)
        self._session = session
        self._last: Frame | None = None
        self._exactly = self._given_up = self._completing = False
        self._took: WeakKeyDictionary[Tensor, float] = WeakKeyDictionary()
        self._in_sight = EVERYTHING
        self._reductions: Reductions = {"groups": foresee_groups}
        self._refinement = self._timer(session.timers, STILL_MILLISECONDS, self._refine)
        session.changed.connect(self._on_changed)
        session.pace_by(self._is_behind)
        self._runner.rested.connect(session.settle)

    @property
    def last(self) -> Frame | None:
        """The newest answer."""
        return self._last

    def _is_behind(self) -> bool:
        """Whether a passing answer is found or painted; nobody waits for every element of what was left."""
        return (self._runner.busy or self._runner.resting) and not (self._exactly or self._completing)

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        last = self._last
        if new.tensor is None or _asked(new) == _asked(old):
            return
        if last is not None and not (self._runner.busy or self._given_up) and _asked(new) == _answered(last):
            return  # it was this answer that changed the state
        self._ask_moving(new, urgent=not new.tensor.same_data(old.tensor))

    @Slot(object)
    def look_at(self, parts: frozenset[Part]) -> None:
        """These can be seen; one that was left out and comes in sight is asked for now."""
        self._in_sight = parts
        state, last = self._session.state, self._last
        if state.tensor is not None and last is not None and not parts <= last.parts:
            self._ask_moving(state)

    @Slot(object)
    def reduce_by(self, reductions: Reductions) -> None:
        """Make these of every answer to come, away from the window."""
        self._reductions = reductions

    def _ask_moving(self, state: State, *, urgent: bool = False) -> None:
        """Ask for what is in sight; for everything, when it has rested."""
        how = self._plan(state)
        parts = self._in_sight if how.parted else EVERYTHING
        judged = how.judged_moving and not self._is_quick(state.tensor)
        self._ask(state, how.error_bins_moving, parts=parts, passing=how.parted, judged=judged, urgent=urgent)
        if judged or parts < EVERYTHING or how.error_bins_moving < how.error_bins:
            self._refinement.start()
        else:
            self._refinement.stop()

    def _is_quick(self, tensor: Tensor | None) -> bool:
        """Whether this computer looks at every element of many groups while a hand moves."""
        return tensor is not None and self._took.get(tensor, math.inf) <= self._session.limits.live_seconds

    def _plan(self, state: State) -> Plan:
        assert state.tensor is not None
        return plan(state.tensor, state.prepared, state.scheme, self._session.limits)

    def _ask(
        self,
        state: State,
        error_bins: int,
        *,
        parts: frozenset[Part] = EVERYTHING,
        passing: bool = False,
        judged: bool = False,
        exactly: bool = False,
        urgent: bool = False,
    ) -> None:
        assert state.tensor is not None
        question = Question(
            state.tensor,
            state.prepared,
            state.scheme,
            state.channel,
            exactly,
            error_bins,
            self._session.limits,
            parts,
            passing,
            self._reductions,
            self._session.steering,
            judged,
        )
        # Nobody waits for every element of a scheme that was left, nor for what nobody sees of it.
        urgent = urgent or self._exactly or self._completing
        self._exactly, self._completing = exactly, False
        work = partial(_frame, question, self._last)
        ahead = passing and self._session.steering and not judged
        self._submit(state.tensor, work, urgent=urgent, painted=self._session.steering, ahead=ahead)

    @Slot()
    def _refine(self) -> None:
        """Nothing has moved for a moment: there is time for all bins, and for what nobody sees yet."""
        if self.busy:  # nobody has seen what passes yet, and a hand may move on when it does
            self._refinement.start()
        elif self._session.state.tensor is not None:
            how = self._plan(self._session.state)
            self._ask(self._session.state, how.error_bins)
            self._completing = how.parted

    @Slot()
    def answer_exactly(self) -> None:
        """Look at every element, once, under the present scheme."""
        if self._session.state.tensor is not None:
            self._ask(self._session.state, BINS_TO_HALF_STEP, exactly=True, urgent=True)

    @Slot()
    def cancel(self) -> None:
        """Give up the answer that is being computed."""
        self._refinement.stop()
        self._runner.cancel()

    def _give_up(self, key: Tensor) -> None:
        if not self.busy:
            self._given_up = True  # whoever goes back to the last answer is told that it is valid again

    def _answer(self, key: Tensor, frame: Frame) -> None:
        # Answers overtaken by a newer scheme are still shown: dropping them starves the screen.
        state = self._session.state
        if not key.same_data(state.tensor):
            return
        self._last, self._given_up = frame, False
        if frame.whole.exact and frame.whole.groups is not None:
            self._took[frame.tensor] = frame.whole.seconds
        self._session.settle()  # what was dragged meanwhile is painted with it
        self._completing &= self.busy
        self.answered.emit(frame)
        if state.tensor is not None and frame.tensor.counted and not state.tensor.counted:
            self._session.update(tensor=frame.tensor)  # what was counted on the way is known from now on

    def _fail(self, key: Tensor, problem: Problem | None) -> None:
        self._given_up = True

    def _purpose(self, key: Tensor) -> Phrase:
        return Phrase(N_("this scheme"))


def _asked(state: State) -> tuple[object, ...]:
    return state.tensor, state.prepared, state.scheme, state.channel


def _answered(frame: Frame) -> tuple[object, ...]:
    return frame.tensor, frame.prepared, frame.scheme, frame.channel


def _frame(question: Question, last: Frame | None, progress: Progress, cancelled: IsCancelled) -> Frame:
    from qviz.session.answering import frame_of_unchanged  # loaded with the first question, beside the window

    return frame_of_unchanged(question, last, progress, cancelled)
