"""Which elements of the tensor get another code from another runtime?"""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial

from PySide6.QtCore import Signal

from qviz.core.questions.differences import Differences, compare_conventions
from qviz.core.questions.effort import Limits, plan
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.sorted_tensor import SortedTensor, prepare_sample
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress
from qviz.session.on_demand import TensorOnDemand
from qviz.session.worker import Work


class RuntimeComparison(TensorOnDemand):
    """Quantizes what is shown under every convention, away from the window's thread.

    Signals
    -------
    compared(Differences)
    """

    compared = Signal(object)

    def key(self) -> Hashable:
        state = self._session.state
        return (state.tensor, state.prepared, state.scheme) if state.tensor is not None else None

    def work(self) -> Work:
        state = self._session.state
        assert state.tensor is not None
        return partial(_compare, state.tensor, state.prepared, state.scheme, self._session.limits)

    def answer(self, found: object) -> None:
        self.compared.emit(found)


def _compare(
    tensor: Tensor,
    prepared: SortedTensor | None,
    scheme: Scheme,
    limits: Limits,
    progress: Progress,
    cancelled: IsCancelled,
) -> Differences:
    how = plan(tensor, prepared, scheme, limits, exactly=True)
    judge = prepare_sample(tensor, cancelled=cancelled) if how.range_judged else None
    return compare_conventions(prepared or tensor, scheme, progress=progress, cancelled=cancelled, judge=judge)
