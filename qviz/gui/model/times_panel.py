"""Where does the time of a run go? Its nodes beside those of the float network, and why."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from qviz.core.frozen import frozen
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import named_label
from qviz.gui.model.runs_panel import threads_word
from qviz.gui.words.numbers import NONE, percent, time_text
from qviz.models.latency import IN_FLOAT32, base_name, by_operator, cause
from qviz.session.language import told, tr
from qviz.session.network_state import DeployedRun

FEW = 4
"""Kinds of nodes that are named in the sentence."""


@frozen(eq=False)
class Timed:
    """One node of the quantized network; NaN for what the float one does not have under that name."""

    node: str
    operator: str
    seconds: float
    share: float
    before: float
    why: str


def rows_of(run: DeployedRun) -> list[Timed]:
    """The nodes of a run, the longest first."""
    total = sum(row.seconds for row in run.times) or 1.0
    before = {base_name(row.node): row.seconds for row in run.float_times}
    found = []
    for row in run.times:
        why = cause(row, run.outcome.recipe)
        known = before.get(base_name(row.node), math.nan)
        said = told(why) if why is not None else ""
        name = row.node.removeprefix(IN_FLOAT32)
        found.append(Timed(name, row.operator, row.seconds, row.seconds / total, known, said))
    return sorted(found, key=lambda row: -row.seconds)


def columns() -> list[Column]:
    """What is said of each node."""
    return [
        Column(tr("Node"), lambda row: row.node, left=True, names=True),
        Column(tr("Operator"), lambda row: row.operator, left=True),
        Column(
            tr("Time"), lambda row: time_text(row.seconds), lambda row: row.seconds, tr("Of one run."), -1, unit="s"
        ),
        Column(tr("Share"), lambda row: percent(row.share, 1.0), lambda row: row.share, tr("Of the run's time.")),
        Column(
            tr("In float"),
            lambda row: NONE if math.isnan(row.before) else time_text(row.before),
            lambda row: row.before,
            tr("Of the node with this name in the float network, where the runtime did not fuse it with others."),
            unit="s",
        ),
        Column(tr("Why"), lambda row: row.why, left=True),
    ]


class TimesPanel(QWidget):
    """A sentence on the kinds of nodes, and the table of all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.table = FigureTable(columns(), self.tr("Times of nodes"))
        self.about = named_label("", "caption", wrap=True)
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self.about)
        layout.addWidget(self.table, 1)
        self.show_run(None)

    def show_run(self, run: DeployedRun | None) -> None:
        """Another run; None for none."""
        rows = rows_of(run) if run is not None else []
        self.table.set_rows(rows)
        if run is None:
            self.about.setText(self.tr("Quantize the network, with data: where the time of its runs goes stands here."))
        elif run.latency is None or not rows:
            self.about.setText(self.tr("Without data the time of a run is not measured."))
        else:
            total = sum(row.seconds for row in rows)
            kinds = ", ".join(
                f"{row.count} × {row.operator} {percent(row.seconds, total)}" for row in by_operator(run.times)[:FEW]
            )
            self.about.setText(
                self.tr("{file}, batch {batch}, {threads}: {kinds}").format(
                    file=run.outcome.path.name, batch=run.batch, threads=threads_word(run.latency.threads), kinds=kinds
                )
            )

    def apply_theme(self, theme: Theme) -> None:
        self.table.apply_theme(theme)
