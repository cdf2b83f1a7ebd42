"""What does the scheme do to each constant of a network, one after the other?"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.frozen import frozen
from qviz.core.problems import Phrase
from qviz.core.work import IsCancelled, Progress, check
from qviz.models.network import Network, array_of, tensor_bytes
from qviz.models.weights import Weight, weight_sqnr, weights_of
from qviz.session.network_state import NetworkState
from qviz.session.worker import Worker


@frozen
class Constant:
    """One constant of a network.

    Attributes
    ----------
    name, dtype : str
    shape : tuple of int
    bytes : int
    share : float
        Of the bytes of all constants.
    weight : Weight or None
        Where a node multiplies with it.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    share: float
    weight: Weight | None


def constants_of(network: Network) -> tuple[Constant, ...]:
    """Every constant, the largest first."""
    from onnx import helper

    weights = {weight.name: weight for weight in weights_of(network)}
    tensors = list(network.model.graph.initializer)
    total = sum(tensor_bytes(each) for each in tensors) or 1
    found = []
    for each in tensors:
        try:
            dtype = str(helper.tensor_dtype_to_np_dtype(each.data_type))
        except (KeyError, TypeError, ValueError):
            dtype = "?"
        size = tensor_bytes(each)
        shape = tuple(int(n) for n in each.dims)
        found.append(Constant(each.name, dtype, shape, size, size / total, weights.get(each.name)))
    return tuple(sorted(found, key=lambda row: -row.bytes))


class WeightAudit(Worker):
    """The SQNR of every weight under its scheme, streamed.

    Signals
    -------
    found(str, float)
        The name of a weight, and its SQNR in dB.
    """

    found = Signal(str, float)

    _came = Signal(object, str, float)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._plan: object = None
        self._came.connect(self._on_came)

    def ask(self, state: NetworkState, names: tuple[str, ...]) -> None:
        """Those of these weights, in this order."""
        plan, tell = object(), self._came.emit
        self._plan = plan

        def work(progress: Progress, cancelled: IsCancelled) -> None:
            assert state.prepared is not None
            network = state.prepared.network
            tensors = {each.name: each for each in network.model.graph.initializer}
            weights = {weight.name: weight for weight in weights_of(network)}
            for done, name in enumerate(names):
                check(cancelled)
                scheme = state.own.get(name, state.scheme)
                if scheme is not None:
                    tell(plan, name, weight_sqnr(weights[name], array_of(tensors[name]), scheme))
                progress((done + 1) / len(names))

        self._submit(plan, work, urgent=True)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("these weights")

    @Slot(object, str, float)
    def _on_came(self, plan: object, name: str, value: float) -> None:
        if plan is self._plan:
            self.found.emit(name, value)
