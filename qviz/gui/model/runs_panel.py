"""Which quantized networks are there, side by side, and what did each cost and gain?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QVBoxLayout, QWidget

from qviz.core.sizes import byte_text
from qviz.gui.kit.copying import Copied
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import named_label
from qviz.gui.words.networks import compared
from qviz.gui.words.numbers import NONE, decibels, number, percent, time_text
from qviz.session.language import told, tr
from qviz.session.network_state import DeployedRun

REMOVE = "✕"


def _agreement(run: DeployedRun) -> float:
    known = [output.agreement for output in run.outputs if output.agreement is not None]
    return min(known) if known else math.nan


def _ratio(run: DeployedRun) -> float:
    return run.latency.ratio if run.latency is not None else math.nan


def _sqnr(run: DeployedRun) -> float:
    return math.nan if run.sqnr_db is None else run.sqnr_db


def columns() -> list[Column]:
    """What is said of each run."""
    return [
        Column(
            tr("File"),
            lambda run: run.outcome.path.name,
            left=True,
            names=True,
            cell_tip=lambda run: str(run.outcome.path),
        ),
        Column("", lambda run: "", tip=tr("Forget this run (Delete); its file stays"), action=REMOVE),
        Column(tr("Method"), lambda run: run.outcome.recipe.method, left=True),
        Column(
            tr("Time"),
            time_word,
            _ratio,
            tr("Of a run, by the float network's: below 1 is faster."),
            -1,
            copies=(
                Copied(tr("Time by the float network's"), _ratio),
                Copied(tr("Times as fast"), lambda run: 1 / _ratio(run)),
                Copied(tr("Time (s)"), lambda run: run.latency.seconds[1] if run.latency is not None else None),
                Copied(tr("Float time (s)"), lambda run: run.latency.seconds[0] if run.latency is not None else None),
            ),
        ),
        Column(
            tr("Output"),
            lambda run: decibels(_sqnr(run)) + (tr(" random") if run.random else ""),
            _sqnr,
            tr("SQNR of the deployed output on the samples that are held out."),
            1,
            copies=(
                Copied(tr("Output (dB)"), _sqnr),
                Copied(tr("Data"), lambda run: tr("random") if run.random else tr("held out")),
            ),
        ),
        Column(
            tr("Agreement"),
            lambda run: NONE if math.isnan(_agreement(run)) else percent(_agreement(run), 1.0),
            _agreement,
            tr("Boxes, texts or largest classes that are the same."),
            1,
        ),
        Column(
            tr("Bytes"),
            lambda run: f"{byte_text(run.outcome.bytes)} · {percent(run.outcome.bytes, run.outcome.original_bytes)}",
            lambda run: run.outcome.bytes,
            tr("Of the file, and as a share of the float one."),
            -1,
            copies=(
                Copied(tr("Bytes"), lambda run: run.outcome.bytes),
                Copied(tr("Float bytes"), lambda run: run.outcome.original_bytes),
            ),
        ),
        Column(
            tr("Memory"),
            lambda run: byte_text(run.memory[1]) if run.memory is not None else NONE,
            lambda run: run.memory[1] if run.memory is not None else math.nan,
            tr("What loading and running it adds to a process, at the most."),
            -1,
            copies=(
                Copied(tr("Memory (bytes)"), lambda run: run.memory[1] if run.memory is not None else None),
                Copied(tr("Float memory (bytes)"), lambda run: run.memory[0] if run.memory is not None else None),
            ),
        ),
        Column(
            tr("Nodes"),
            lambda run: tr("{quantized} of {nodes}").format(quantized=run.outcome.quantized, nodes=run.outcome.nodes),
            lambda run: run.outcome.quantized,
            tr("Nodes with weights that are quantized now."),
            copies=(
                Copied(tr("Quantized nodes"), lambda run: run.outcome.quantized),
                Copied(tr("Nodes"), lambda run: run.outcome.nodes),
            ),
        ),
    ]


def time_word(run: DeployedRun) -> str:
    """How the time of a run compares, faster as plainly as slower."""
    return compared(_ratio(run))


class RunsPanel(QWidget):
    """The table of runs, and all that was found out about the chosen one.

    Signals
    -------
    opened(DeployedRun), pointed(DeployedRun), removed(DeployedRun)
    """

    opened = Signal(object)
    pointed = Signal(object)
    removed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.table = FigureTable(columns(), self.tr("Deployed runs"), opening=self.tr("Open this network"))
        self.about = named_label("", "caption", wrap=True)
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self.about)
        layout.addWidget(self.table, 1)
        self.table.opened.connect(self.opened)
        self.table.pointed.connect(self._on_pointed)
        self.table.removed.connect(self.removed)
        self.table.acted.connect(self._on_acted)
        self.show_runs(())

    def show_runs(self, runs: Sequence[DeployedRun]) -> None:
        """All of them; the newest is looked at."""
        self.table.set_rows(runs)
        if runs:
            self.table.point_to(runs[-1])
            self.about.setText(about(runs[-1]))
        else:
            self.about.setText(
                self.tr("Quantize the network with the methods on the left: what each costs and gains is kept here.")
            )

    def point_to(self, run: DeployedRun) -> None:
        """Look at one of them, without telling anybody."""
        self.table.point_to(run)
        self.about.setText(about(run))

    def apply_theme(self, theme: Theme) -> None:
        self.table.apply_theme(theme)

    @Slot(object, str)
    def _on_acted(self, run: DeployedRun, action: str) -> None:
        if action == REMOVE:
            self.removed.emit(run)

    @Slot(object)
    def _on_pointed(self, run: DeployedRun | None) -> None:
        if run is not None:
            self.about.setText(about(run))
            self.pointed.emit(run)


def about(run: DeployedRun) -> str:
    """All that is said of a run, in sentences."""
    outcome = run.outcome
    said = [told(outcome.summary), *(told(note) for note in outcome.notes)]
    if run.latency is not None:
        first, second = run.latency.seconds
        low, high = run.latency.spread
        least, most = run.latency.ratios
        said.append(
            tr(
                "{word}: {second} instead of {first} a run (batch {batch}, {threads}, ratio {least} to {most} in "
                "fifths of the runs, spread {low} and {high} ×, load {load})."
            ).format(
                least=number(least, 3),
                most=number(most, 3),
                batch=run.batch,
                threads=threads_word(run.latency.threads),
                word=_as_a_sentence(time_word(run)),
                second=time_text(second),
                first=time_text(first),
                low=number(low, 3),
                high=number(high, 3),
                load=number(run.latency.load, 2),
            )
        )
    if run.memory is not None:
        said.append(
            tr("Loading and running it takes {second}, the float one {first}.").format(
                second=byte_text(run.memory[1]), first=byte_text(run.memory[0])
            )
        )
    said += [told(reason) for reason in run.reasons]
    if run.random:
        said.append(tr("Measured on random data: the dB say nothing about real inputs."))
    return " ".join(said)


def _as_a_sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def threads_word(threads: int) -> str:
    """How many threads a run had."""
    if threads == 1:
        return tr("1 thread")
    return tr("{threads} threads").format(threads=threads) if threads else tr("a thread a core")
