"""Which elements get another code from another runtime? Each against the chosen one, and every pair."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QSplitter

from qviz.core.questions.differences import Differences, Example
from qviz.gui.charts.cards import table_card
from qviz.gui.compare.conventions_panel import ConventionRow, ConventionsTable, ExamplesTable, PairsTable
from qviz.gui.kit.widgets import add_stretched
from qviz.gui.words.schemes import line

TABLE_HEIGHT = 236
"""Room for most runtimes."""


class RuntimesPart(QSplitter):
    """Composes three tables of what runtimes store differently.

    Signals
    -------
    scheme_requested(Scheme)
    element_requested(int)
    """

    scheme_requested = Signal(object)
    element_requested = Signal(int)

    def __init__(self) -> None:
        super().__init__(Qt.Orientation.Vertical)
        self.differences: Differences | None = None
        self.table, self.pairs, self.examples = ConventionsTable(), PairsTable(), ExamplesTable()
        self.table_card = table_card(self.tr("Against the chosen runtime"), self.table)
        self.pairs_card = table_card(self.tr("Every pair"), self.pairs)
        self.examples_card = table_card(self.tr("First elements whose codes differ"), self.examples)
        add_stretched(self, (self.table_card, 0), (self.pairs_card, 0), (self.examples_card, 1))
        self.setSizes([TABLE_HEIGHT, TABLE_HEIGHT, 160])
        self.table.opened.connect(self._on_runtime)
        self.examples.opened.connect(self._on_example)

    @Slot(object)
    def compare(self, differences: Differences) -> None:
        """Every element was quantized under every convention."""
        self.differences = differences
        self._show_differences()

    @Slot()
    def forget(self) -> None:
        """What is shown is of another tensor or scheme."""
        self.differences = None
        self._show_differences()

    def _show_differences(self) -> None:
        differences = self.differences
        for table in (self.table, self.pairs, self.examples):
            table.show_differences(differences)
        note = ""
        if differences is not None:
            note = self.tr("{scheme}: every one of {count} elements").format(
                scheme=line(differences.schemes[0]), count=f"{differences.tensor.finite:,}"
            )
            if differences.tensor.finite == 1:
                note = self.tr("{scheme}: the one element").format(scheme=line(differences.schemes[0]))
            if differences.range_judged:
                note = self.tr("{note}, in ranges judged from a sample").format(note=note)
        self.table_card.title.set_note(note)
        self.examples_card.title.set_note(
            self.tr("double click: see it on the Tensor page") if differences and differences.examples else ""
        )

    @Slot(object)
    def _on_runtime(self, row: ConventionRow) -> None:
        if row.at is not None:
            self.scheme_requested.emit(row.differences.schemes[row.at])

    @Slot(object)
    def _on_example(self, example: Example) -> None:
        self.element_requested.emit(example.index)
