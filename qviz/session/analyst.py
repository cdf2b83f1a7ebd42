"""When is what computed? Each change of tensor or scheme asks for one frozen answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qviz.core.analysis import Analysis, analyze
from qviz.core.cancel import IsCancelled, Progress
from qviz.core.granularity import PerTensor
from qviz.core.problems import Problem
from qviz.core.scheme import Scheme
from qviz.core.speed import Speed, measure_addition
from qviz.core.tensor import Tensor
from qviz.session.runner import LatestRunner, Request
from qviz.session.state import Session, State

QUIET_MILLISECONDS = 700
"""Time is measured when nobody has touched anything for this long."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Everything one painting of the page shows: the whole tensor, and what is looked at alone."""

    tensor: Tensor
    scheme: Scheme
    channel: int | None
    whole: Analysis
    shown: Analysis


class Analyst(QObject):
    """Submits a request on every change, and hands on the answers in order."""

    began = Signal()
    advanced = Signal(float)
    cancelled = Signal()
    answered = Signal(object)
    problem = Signal(str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = LatestRunner(self)
        self._last: Frame | None = None
        self._runner.started.connect(self._on_started)
        self._runner.progressed.connect(self._on_progressed)
        self._runner.cancelled.connect(self._on_cancelled)
        self._runner.finished.connect(self._on_finished)
        self._runner.failed.connect(self._on_failed)
        session.changed.connect(self._on_changed)

    @property
    def busy(self) -> bool:
        return self._runner.busy

    @property
    def last(self) -> Frame | None:
        """The newest answer."""
        return self._last

    def close(self) -> None:
        """Stop for good and wait for the thread."""
        self._runner.close()

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        if new.tensor is None:
            return
        if (new.tensor, new.scheme, new.channel) != (old.tensor, old.scheme, old.channel):
            work = partial(_frame, new.tensor, new.scheme, new.channel, self._last)
            self._runner.submit(Request(new.tensor, work), urgent=new.tensor is not old.tensor)

    @Slot()
    def cancel(self) -> None:
        """Give up the answer that is being computed."""
        self._runner.cancel()

    @Slot(object)
    def _on_started(self, request: Request) -> None:
        self.began.emit()

    @Slot(object, float)
    def _on_progressed(self, request: Request, fraction: float) -> None:
        self.advanced.emit(fraction)

    @Slot(object)
    def _on_cancelled(self, request: Request) -> None:
        if not self._runner.busy:
            self.cancelled.emit()

    @Slot(object, object)
    def _on_finished(self, request: Request, frame: Frame) -> None:
        # Answers overtaken by a newer scheme are still shown: dropping them starves the screen.
        if request.key is self._session.state.tensor:
            self._last = frame
            self.answered.emit(frame)

    @Slot(object, object)
    def _on_failed(self, request: Request, error: Exception) -> None:
        if isinstance(error, MemoryError):
            error = Problem(self.tr("There is not enough memory for this scheme: close other programs and try again."))
        if not isinstance(error, Problem):
            raise error
        self.problem.emit(str(error))


def _frame(
    tensor: Tensor,
    scheme: Scheme,
    channel: int | None,
    last: Frame | None,
    progress: Progress,
    cancelled: IsCancelled,
) -> Frame:
    if last is not None and last.tensor is tensor and last.scheme == scheme:
        whole = last.whole
    else:
        whole = analyze(tensor, scheme, cancelled, progress)
    tensor.histogram(cancelled)  # counted here, so that drawing never has to
    if channel is None:
        return Frame(tensor, scheme, channel, whole, whole)
    alone = tensor.channel(scheme.granularity, channel)
    alone.histogram(cancelled)
    return Frame(tensor, scheme, channel, whole, analyze(alone, replace(scheme, granularity=PerTensor()), cancelled))


class SpeedMeter(QObject):
    """Measures additions once for each size and type, when the window is at rest.

    Signals
    -------
    forgotten()
        What was shown is of another size or type, and this one is not measured yet.
    began(), advanced(float), ended()
        A measurement is under way.
    measured(Speed), cancelled()
        How it ended.
    """

    forgotten = Signal()
    began = Signal()
    ended = Signal()
    advanced = Signal(float)
    measured = Signal(object)
    cancelled = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._runner = LatestRunner(self)
        self._known: dict[tuple[int, str], Speed] = {}
        self._shown: tuple[int, str] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(QUIET_MILLISECONDS)
        self._timer.timeout.connect(self.measure)
        self._runner.progressed.connect(self._on_progressed)
        self._runner.finished.connect(self._on_finished)
        self._runner.failed.connect(self._on_failed)
        self._runner.cancelled.connect(self._on_cancelled)
        session.changed.connect(self._on_changed)

    def close(self) -> None:
        """Stop for good and wait for the thread."""
        self._timer.stop()
        self._runner.close()

    @Slot()
    def measure(self) -> None:
        """Measure now."""
        key = self._key(self._session.state)
        if key is None:
            return
        dtype = self._session.scheme.number_format.dtype
        self.began.emit()
        self._runner.submit(Request(key, partial(measure_addition, key[0], dtype)), urgent=True)

    @Slot()
    def toggle(self) -> None:
        """Stop what is being measured; measure again when nothing is."""
        if self._runner.busy:
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
        self._timer.stop()
        self._runner.cancel()

    def _key(self, state: State) -> tuple[int, str] | None:
        if state.tensor is None:
            return None
        return state.tensor.elements, str(state.scheme.number_format.dtype)

    @Slot(object, object)
    def _on_changed(self, old: State, new: State) -> None:
        key = self._key(new)
        if key == self._shown:
            if self._timer.isActive():
                self._timer.start()
            return
        self._shown = key
        self._runner.cancel()
        if key in self._known:
            self._timer.stop()
            self.measured.emit(self._known[key])
        elif key is not None:
            self.forgotten.emit()
            self._timer.start()

    @Slot(object, float)
    def _on_progressed(self, request: Request, fraction: float) -> None:
        if request.key == self._shown:
            self.advanced.emit(fraction)

    @Slot(object, object)
    def _on_finished(self, request: Request, speed: Speed) -> None:
        self._known[request.key] = speed
        if not self._runner.busy:
            self.ended.emit()
        if request.key == self._shown:
            self.measured.emit(speed)

    @Slot(object, object)
    def _on_failed(self, request: Request, error: Exception) -> None:
        self.ended.emit()
        self.cancelled.emit()
        if not isinstance(error, MemoryError):
            raise error

    @Slot(object)
    def _on_cancelled(self, request: Request) -> None:
        if not self._runner.busy:
            self.ended.emit()
        if request.key == self._shown:
            self.cancelled.emit()
