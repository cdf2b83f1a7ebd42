"""What of a network is written or traced beside the window: choices for other tools, and codes that are one off?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.problems import N_, Phrase, Problem
from qviz.core.schemes.scheme import Scheme
from qviz.core.work import IsCancelled, Progress, check
from qviz.files.atomic import atomic_write
from qviz.files.reports import Report, save_report
from qviz.files.results import save_json
from qviz.models.activations import ranges
from qviz.models.deployment import deployment_choices
from qviz.models.encodings import qnn_encodings, tensorrt_table
from qviz.models.network import open_network
from qviz.models.plus_minus_one import NodeTrace, integer_nodes, save_reproduction, trace_nodes
from qviz.models.quantized_units import quantized_units, save_unit, trace_units
from qviz.models.worker import in_worker
from qviz.session.network_state import CODES, DeployedRun, NetworkState
from qviz.session.worker import Worker

MOST_OUTPUTS = 20_000
"""Differing outputs of one node that are told, each with its cause."""


ENCODINGS, TABLE = ".encodings", ".flatbuffers"
"""Endings of AIMET's encodings, and of the table that TensorRT's provider reads."""


def _activations(state: NetworkState, progress: Progress, cancelled: IsCancelled) -> dict[str, tuple[float, float]]:
    """From where to where each of them reaches, on the samples to calibrate on."""
    if not state.ready or state.prepared is None:
        raise Problem("Give the network samples first: the ranges of activations come from them.")
    scheme = Scheme(CODES, symmetric=False)
    return ranges(state.prepared.network, state.split()[0], scheme, progress=progress, cancelled=cancelled)


class ChoiceWriter(Worker):
    """Writes what ONNX Runtime's own tools, QNN's and TensorRT's can be told of the schemes that were chosen.

    Signals
    -------
    written(Path)
    """

    written = Signal(object)

    def write(self, state: NetworkState, path: Path) -> None:
        """Ranges and scales, in the form that the file's ending says; whole or not at all."""

        def work(progress: Progress, cancelled: IsCancelled) -> Path:
            assert state.prepared is not None
            network = state.prepared.network
            kind = path.suffix.lower()
            if kind == TABLE:
                table = tensorrt_table(_activations(state, progress, cancelled))
                check(cancelled)
                with atomic_write(path) as temporary:
                    temporary.write_bytes(table)
                return path
            if kind == ENCODINGS:
                seen = _activations(state, progress, cancelled) if state.ready else {}
                choices = qnn_encodings(
                    network, state.scheme, state.own, seen, CODES, progress=progress, cancelled=cancelled
                )
            else:
                choices = deployment_choices(network, state.scheme, state.own, progress=progress, cancelled=cancelled)
            check(cancelled)
            save_json(path, choices)
            return path

        self._submit(path, work, urgent=True)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase(N_("these choices"))

    def _answer(self, key: Any, found: Path) -> None:
        self.written.emit(found)


class ReportWriter(Worker):
    """Writes what is told of runs.

    Signals
    -------
    written(Path)
    """

    written = Signal(object)

    def write(self, report: Report, path: Path) -> None:
        """A file that needs no other; whole or not at all."""

        def work(progress: Progress, cancelled: IsCancelled) -> Path:
            save_report(path, report)
            return path

        self._submit(path, work, urgent=True)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase(N_("this report"))

    def _answer(self, key: Any, found: Path) -> None:
        self.written.emit(found)


class NodeTracer(Worker):
    """Traces codes that are one off to their causes, in another process.

    Signals
    -------
    traced(NodeTrace)
        One node of the run that was asked for last.
    completed(DeployedRun)
    saved(Path)
        A reproduction of one node.
    """

    traced = Signal(object)
    completed = Signal(object)
    saved = Signal(object)

    _came = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._plan: object = None
        self._came.connect(self._on_came)

    def trace(self, run: DeployedRun, state: NetworkState) -> None:
        """Compare each integer operator of a run with the exact result, on one held-out sample."""
        sample, tell = _sample_of(state), self._came.emit
        plan = self._plan = object()

        def work(progress: Progress, cancelled: IsCancelled) -> DeployedRun:
            path = str(run.outcome.path.absolute())
            in_worker(
                _trace,
                path,
                sample(),
                progress=progress,
                cancelled=cancelled,
                found=lambda trace: tell(plan, trace),
            )
            return run

        self._submit(run, work, urgent=True)

    def save(self, run: DeployedRun, state: NetworkState, node: str, folder: Path) -> None:
        """One node as a model of its own, with what it was fed and what came out."""
        sample = _sample_of(state)

        def work(progress: Progress, cancelled: IsCancelled) -> Path:
            found: Path = in_worker(
                _reproduce,
                str(run.outcome.path.absolute()),
                sample(),
                node,
                str(folder.absolute()),
                progress=progress,
                cancelled=cancelled,
            )
            return found

        self._submit((run, node), work)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase(N_("this network's activations"))

    def _answer(self, key: Any, found: Any) -> None:
        if isinstance(found, Path):
            self.saved.emit(found)
        else:
            self.completed.emit(found)

    @Slot(object, object)
    def _on_came(self, plan: object, trace: NodeTrace) -> None:
        if plan is self._plan:
            self.traced.emit(trace)


def _sample_of(state: NetworkState) -> Callable[[], dict[str, Any]]:
    """The first sample that is held out, read when it is needed."""
    if state.samples is None:
        raise Problem("Give the network samples first: what is one off is found by running it.")
    held_out = state.split()[1]
    return lambda: dict(held_out[0])


def _trace(folder: Path, tell: Callable[[Any], None], path: str, sample: dict[str, Any]) -> None:
    network = open_network(path)
    given = {port.name: sample[port.name] for port in network.inputs if port.name in sample}
    names, units = integer_nodes(network), quantized_units(network)
    if units:
        traces = trace_units(network, units, given, progress=tell)
    elif names:
        traces = trace_nodes(network, names, given, leave_out=True, progress=tell)
    else:
        raise Problem(
            "{name} has no integer operators that could be traced: quantize it statically.", name=network.name
        )
    for trace in traces:
        tell(NodeTrace(trace.node, trace.operator, trace.elements, trace.differences[:MOST_OUTPUTS]))


def _reproduce(
    folder: Path, tell: Callable[[Any], None], path: str, sample: dict[str, Any], node: str, into: str
) -> Path:
    network = open_network(path)
    given = {port.name: sample[port.name] for port in network.inputs if port.name in sample}
    save = save_reproduction if node in integer_nodes(network) else save_unit
    return save(Path(into), network, node, given)
