"""When is the speed of additions measured? Once for each size and type, when all is quiet."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.formats.integers import IntFormat
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.speed import Speed, measure_addition
from qviz.core.work import IsCancelled, Progress
from qviz.session.state import Session, State
from qviz.session.worker import OutOfMemory, Worker

QUIET_MILLISECONDS = 700
"""Time is measured when nobody has touched anything for this long."""

Key = tuple[int, str]
"""Elements, and the type of their codes."""


class SpeedMeter(Worker):
    """Measures additions once for each size and type, when the window is at rest.

    Signals
    -------
    forgotten()
        What was shown is of another size or type, and this one is not measured yet.
    measured(Speed), cancelled()
        How a measurement ended.
    """

    forgotten = Signal()
    measured = Signal(object)
    cancelled = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._known: dict[Key, Speed] = {}
        self._shown: Key | None = None
        self._quiet = self._timer(session.timers, QUIET_MILLISECONDS, self.measure)
        session.changed.connect(self._on_changed)

    @Slot()
    def measure(self) -> None:
        """Measure now."""
        key = self._key(self._session.state)
        if key is None:
            return
        elements, dtype = key

        def work(progress: Progress, cancelled: IsCancelled) -> Speed:
            return measure_addition(elements, np.dtype(dtype), progress=progress, cancelled=cancelled)

        self._submit(key, work, urgent=True)

    @Slot()
    def toggle(self) -> None:
        """Stop what is being measured; measure again when nothing is."""
        if self.busy:
            self.cancel()
        else:
            self.measure_again()

    @Slot()
    def measure_again(self) -> None:
        """Forget what is known of this size and type, and measure now."""
        self._known.pop(self._key(self._session.state) or (0, ""), None)
        self.measure()

    @Slot()
    def cancel(self) -> None:
        """Stop measuring."""
        self._quiet.stop()
        self._runner.cancel()

    def _key(self, state: State) -> Key | None:
        # Codes of floats and codebooks are bit patterns: adding them means nothing.
        if state.tensor is None or not isinstance(state.scheme.number_format, IntFormat):
            return None
        return state.tensor.elements, str(state.scheme.number_format.dtype)

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        key = self._key(new)
        if key == self._shown:
            if self._quiet.active or self.busy:  # somebody is at work, and would be held up, and hold up
                self._runner.cancel()
                self._quiet.start()
            return
        self._shown = key
        self._runner.cancel()
        if key in self._known:
            self._quiet.stop()
            self.measured.emit(self._known[key])
        else:
            self.forgotten.emit()
            if key is None:
                self._quiet.stop()
            else:
                self._quiet.start()

    def _advance(self, key: Key, fraction: float) -> None:
        if key == self._shown:
            self.advanced.emit(fraction)

    def _answer(self, key: Key, speed: Speed) -> None:
        self._known[key] = speed
        if key == self._shown:
            self.measured.emit(speed)

    def _give_up(self, key: Key) -> None:
        if key == self._shown:
            self.cancelled.emit()

    def _fail(self, key: Key, problem: Problem | None) -> None:
        self.cancelled.emit()

    def _tell(self, problem: Problem) -> None:
        """Nothing measured says enough where memory does not suffice."""
        if not isinstance(problem, OutOfMemory):
            super()._tell(problem)

    def _purpose(self, key: Key) -> Phrase:
        return Phrase(N_("this measurement"))
