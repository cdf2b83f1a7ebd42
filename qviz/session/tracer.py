"""When are the loss curves drawn? When an answer has come and nothing moves, if somebody looks."""

from __future__ import annotations

from functools import partial
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from qviz.core.problems import Problem
from qviz.core.questions.effort import Limits
from qviz.core.questions.loss_curves import Losses, compare_ranges
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.rules import Percentile
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.session.analyst import Frame
from qviz.session.runner import LatestRunner, Request

STILL_MILLISECONDS = 120
LOSSES: dict[str, type[MSE] | type[Entropy]] = {MSE.kind: MSE, Entropy.kind: Entropy}


class Tracer(QObject):
    """Compares range estimators for what is shown, away from the window's thread.

    Signals
    -------
    traced(Losses)
        The curves of the tensor and the scheme that were shown last.
    forgotten()
        What is shown now has other curves, or none.
    """

    traced = Signal(object)
    forgotten = Signal()

    def __init__(self, limits: Limits | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._limits = limits or Limits()
        self._runner = LatestRunner(self)
        self._wanted = False
        self._loss = MSE.kind
        self._frame: Frame | None = None
        self._asked: object = None
        self._shown: object = None
        self._losses: Losses | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(STILL_MILLISECONDS)
        self._timer.timeout.connect(self._trace)
        self._runner.finished.connect(self._on_finished)
        self._runner.failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        return self._runner.busy or self._timer.isActive()

    def close(self) -> None:
        """Stop for good and wait for the thread."""
        self._timer.stop()
        self._runner.close()

    @Slot(bool)
    def want(self, wanted: bool) -> None:
        """Somebody looks at the curves, or nobody does."""
        self._wanted = wanted
        self._look_again()

    @Slot(object)
    def choose(self, loss: str) -> None:
        """Whose loss to draw: ``"mse"`` or ``"entropy"``."""
        self._loss = loss
        self._look_again()

    @Slot(object)
    def look(self, frame: Frame) -> None:
        """An answer has come."""
        self._frame = frame
        self._look_again()

    def _look_again(self) -> None:
        if self._frame is None:
            return
        shown = self._frame.shown
        if shown.groups is not None:
            self._timer.stop()
            self._runner.cancel()
            self._asked = None
            self._forget()
            return
        key = self._key()
        # While somebody looks, the curves of another scheme stay until their successors are there.
        same = self._losses is not None and self._losses.tensor.same_data(shown.tensor)
        if key != self._shown and not (self._wanted and same):
            self._forget()
        under_way = self._runner.busy and key == self._asked
        if self._wanted and key != self._shown and not under_way:
            self._timer.start()
        else:
            self._timer.stop()

    def _forget(self) -> None:
        if self._losses is not None:
            self._shown = self._losses = None
            self.forgotten.emit()

    def _key(self) -> object:
        """Equal keys have equal curves."""
        assert self._frame is not None
        shown, rule = self._frame.shown, self._frame.shown.scheme.range_rule
        percentile = rule if isinstance(rule, Percentile) else None
        scheme = shown.scheme
        return (
            shown.tensor,
            shown.exact,
            scheme.number_format,
            scheme.symmetric,
            scheme.convention,
            percentile,
            self._loss,
        )

    @Slot()
    def _trace(self) -> None:
        assert self._frame is not None
        shown = self._frame.shown
        source = shown.prepared or shown.tensor
        self._asked = self._key()
        self._runner.submit(
            Request(self._asked, partial(_compare, source, shown.scheme, self._loss, self._limits)), urgent=True
        )

    @Slot(object, object)
    def _on_finished(self, request: Request, losses: Losses) -> None:
        if self._frame is None or request.key != self._key():
            return
        self._shown, self._losses = request.key, losses
        self.traced.emit(losses)

    @Slot(object, object)
    def _on_failed(self, request: Request, error: Exception) -> None:
        self._forget()
        if not isinstance(error, Problem | MemoryError):
            raise error


def _compare(
    source: Tensor | SortedTensor,
    scheme: Scheme,
    loss: str,
    limits: Limits,
    progress: Progress,
    cancelled: IsCancelled,
) -> Losses:
    rule: Any = LOSSES[loss]()
    return compare_ranges(source, scheme, rule, limits=limits, cancelled=cancelled)
