"""Why are codes of integer operators one off? Each node, how many of its outputs differ, and from what."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import named_label
from qviz.gui.words.numbers import NONE, counted, whole
from qviz.models.plus_minus_one import BIAS, CAUSES, FUSED, OTHER, PAIRS, SUMS, TIE, NodeTrace
from qviz.session.language import tr
from qviz.session.network_state import DeployedRun


def columns() -> list[Column]:
    """What is said of each node."""

    def of(cause: str) -> Callable[[NodeTrace], str]:
        return lambda trace: whole(trace.causes[cause]) if trace.causes[cause] else NONE

    def count(cause: str) -> Callable[[NodeTrace], int]:
        return lambda trace: trace.causes[cause]

    words = {
        TIE: tr("Ties"),
        FUSED: tr("Multiplier"),
        BIAS: tr("Bias"),
        SUMS: tr("Sums"),
        PAIRS: tr("Pairs"),
        OTHER: tr("Other"),
    }
    return [
        Column(tr("Node"), lambda trace: trace.node, left=True, names=True),
        Column(tr("Operator"), lambda trace: trace.operator or tr("not traced"), left=True),
        Column(tr("Outputs"), lambda trace: whole(trace.elements), lambda trace: trace.elements),
        Column(
            tr("One off"),
            lambda trace: counted(len(trace.differences), trace.elements) if trace.elements else NONE,
            lambda trace: len(trace.differences),
            tr(
                "Integer operators: codes that differ from the exact result, fractions of the scales as they are "
                "stored. Nodes between pairs of Q and DQ: codes that differ with and without optimizations."
            ),
        ),
        *(Column(word, of(cause), count(cause), tr(CAUSES[cause])) for cause, word in words.items()),
    ]


class TracesPanel(QWidget):
    """The table of a run's integer operators, and what can be done with one.

    Signals
    -------
    trace_requested(DeployedRun), save_requested(DeployedRun, str)
        All nodes of a run; a reproduction of the node with that name.
    """

    trace_requested = Signal(object)
    save_requested = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.run: DeployedRun | None = None
        self._rows: list[NodeTrace] = []
        self.table = FigureTable(columns(), self.tr("Codes that are one off"))
        self.about = named_label("", "caption", wrap=True)
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        self.trace_button = QPushButton(self.tr("Trace"))
        self.trace_button.setToolTip(
            self.tr(
                "Run each integer operator beside the exact result, and each node between pairs of Q and DQ with and "
                "without optimizations, on a held-out sample: why do codes differ?"
            )
        )
        self.save_button = QPushButton(self.tr("Save the node…"))
        self.save_button.setToolTip(
            self.tr("This node as a model of its own, with what it was fed and what came out: a reproduction.")
        )
        tools = QHBoxLayout()
        tools.addWidget(self.trace_button)
        tools.addWidget(self.save_button)
        tools.addWidget(self.about, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(tools)
        layout.addWidget(self.table, 1)
        self.trace_button.clicked.connect(self._on_trace)
        self.save_button.clicked.connect(self._on_save)
        self.table.pointed.connect(self._on_pointed)
        self.look_at(None)

    @Slot(object)
    def look_at(self, run: DeployedRun | None) -> None:
        """Another run, of which nothing is known yet; None for none."""
        if run is not None and run is self.run:
            return
        self.run, self._rows = run, []
        self.table.set_rows([])
        self.trace_button.setEnabled(run is not None)
        self.save_button.setEnabled(False)
        if run is None:
            self.about.setText(self.tr("Quantize the network statically: the codes of its run are traced."))
        else:
            self.about.setText(run.outcome.path.name)

    @Slot(object)
    def add(self, trace: NodeTrace) -> None:
        """One more node."""
        self._rows.append(trace)
        self.table.set_rows(self._rows)

    @Slot(object)
    def complete(self, run: DeployedRun) -> None:
        """All nodes are there."""
        if run is self.run:
            off, elements = (
                sum(len(trace.differences) for trace in self._rows),
                sum(trace.elements for trace in self._rows),
            )
            self.about.setText(
                self.tr("{file}: {count} outputs of {nodes} nodes are one off").format(
                    file=run.outcome.path.name, count=counted(off, elements or 1), nodes=len(self._rows)
                )
            )

    def apply_theme(self, theme: Theme) -> None:
        self.table.apply_theme(theme)

    @Slot(object)
    def _on_pointed(self, trace: NodeTrace | None) -> None:
        self.save_button.setEnabled(trace is not None and bool(trace.elements))

    @Slot()
    def _on_trace(self) -> None:
        run, self.run = self.run, None
        self.look_at(run)
        self.trace_requested.emit(run)

    @Slot()
    def _on_save(self) -> None:
        trace = self.table.current()
        if trace is not None and self.run is not None:
            self.save_requested.emit(self.run, trace.node)
