"""When are the loss curves drawn? When an answer has come and nothing moves, if somebody looks."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.problems import N_, Phrase, Problem
from qviz.core.questions.effort import Limits
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.rules import Percentile
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.session.frame import Frame
from qviz.session.on_demand import OnDemand
from qviz.session.state import Session
from qviz.session.worker import Work

if TYPE_CHECKING:
    from qviz.core.questions.loss_curves import Losses

STILL_MILLISECONDS = 120
LOSSES: dict[str, type[MSE] | type[Entropy]] = {MSE.kind: MSE, Entropy.kind: Entropy}


class LossCurves(OnDemand):
    """Compares range estimators for what is shown, away from the window's thread.

    Signals
    -------
    traced(Losses)
        The curves of the tensor and the scheme that were shown last.
    """

    traced = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(session.timers, STILL_MILLISECONDS, parent)
        self._limits = session.limits
        self._loss = MSE.kind
        self._frame: Frame | None = None
        self._losses: Losses | None = None

    @Slot(object)
    def choose(self, loss: str) -> None:
        """Whose loss to draw: ``"mse"`` or ``"entropy"``."""
        self._loss = loss
        self.look()

    @Slot(object)
    def follow(self, frame: Frame) -> None:
        """An answer has come."""
        self._frame = frame
        self.look()

    def key(self) -> Hashable:
        if self._frame is None or self._frame.shown.groups is not None:
            return None
        shown = self._frame.shown
        scheme, rule = shown.scheme, shown.scheme.range_rule
        percentile = rule if isinstance(rule, Percentile) else None
        return (
            shown.tensor,
            shown.exact,
            scheme.number_format,
            scheme.symmetric,
            scheme.convention,
            percentile,
            self._loss,
        )

    def work(self) -> Work:
        assert self._frame is not None
        shown = self._frame.shown
        return partial(_compare, shown.prepared or shown.tensor, shown.scheme, self._loss, self._limits)

    def answer(self, found: object) -> None:
        from qviz.core.questions.loss_curves import Losses

        assert isinstance(found, Losses)
        self._losses = found
        self.traced.emit(found)

    def _may_stay(self) -> bool:
        """While somebody looks, the curves of another scheme stay until their successors are there."""
        if self._frame is None or self._losses is None or self.key() is None:
            return False
        return self._wanted and self._losses.tensor.same_data(self._frame.shown.tensor)

    def _fail(self, key: Hashable, problem: Problem | None) -> None:
        self._forget()

    def _tell(self, problem: Problem) -> None:
        """An empty chart says enough."""

    def _purpose(self, key: Hashable) -> Phrase:
        return Phrase(N_("these curves"))


def _compare(
    source: Tensor | SortedTensor,
    scheme: Scheme,
    loss: str,
    limits: Limits,
    progress: Progress,
    cancelled: IsCancelled,
) -> Losses:
    from qviz.core.questions.loss_curves import compare_ranges

    rule: Any = LOSSES[loss]()
    return compare_ranges(source, scheme, rule, limits=limits, cancelled=cancelled)
