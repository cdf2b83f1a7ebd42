"""When are the tensors of a checkpoint listed and measured, and what is shown of it meanwhile?"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtWidgets import QFileDialog

from qviz.core.arrays import Counts, Floats
from qviz.core.printable import brief, printable
from qviz.core.problems import Problem
from qviz.core.schemes.scheme import Scheme
from qviz.gui.model.parts import ModelParts
from qviz.gui.words.numbers import percent, rough_duration, whole
from qviz.models import plans
from qviz.models.weight_table import WeightTable, weight_map
from qviz.session.checkpoint_budget import Budget
from qviz.session.checkpoints import Checkpoints, estimators_of
from qviz.session.language import told
from qviz.session.state import Item

REFRESH_MILLISECONDS = 150
"""Figures that come in quick succession are shown together."""

SURE_AFTER_SECONDS = 2.0
"""Before, nothing is said of the time that is left."""


class Weighing(QObject):
    """Joins the panel of a checkpoint to who lists and measures.

    Signals
    -------
    problem(str), notice(str)
    entry_requested(TensorEntry)
        To be seen on the Tensor page.
    shown()
        A checkpoint came, and stands in front.
    """

    problem = Signal(str)
    notice = Signal(str)
    entry_requested = Signal(object)
    shown = Signal()

    def __init__(self, checkpoints: Checkpoints, scheme: Callable[[], Scheme], parts: ModelParts) -> None:
        super().__init__(parts)
        self.checkpoints, self._scheme, self._parts = checkpoints, scheme, parts
        self.folder = ""
        self._measured: Scheme | None = None
        self._units: Counts = np.zeros(0, np.int64)
        self._began = 0.0
        self._due = QTimer(self)
        self._due.setSingleShot(True)
        self._due.setInterval(REFRESH_MILLISECONDS)
        self._due.timeout.connect(self._refresh)
        panel = parts.checkpoint
        panel.open_requested.connect(self.choose_file)
        panel.audit_requested.connect(self._on_audit)
        panel.cancel_requested.connect(checkpoints.auditor.cancel)
        panel.scheme_chosen.connect(self._on_scheme)
        panel.opened.connect(self._on_row)
        panel.budget_toggled.connect(self._on_map)
        parts.budget.find_requested.connect(self._on_find)
        parts.budget.importances_requested.connect(self._on_importances)
        parts.budget.moved.connect(self._on_map)
        parts.budget.save_requested.connect(self._on_save)
        checkpoints.budgeted.connect(self._on_budget)
        checkpoints.budgets.began.connect(self._on_finding)
        checkpoints.budgets.ended.connect(self._on_found)
        checkpoints.budgets.problem.connect(self.problem)
        checkpoints.plans.problem.connect(self.problem)
        checkpoints.plans.written.connect(self._on_written)
        checkpoints.changed.connect(self._on_changed)
        checkpoints.filled.connect(self._on_filled)
        checkpoints.opener.problem.connect(self.problem)
        checkpoints.auditor.problem.connect(self.problem)
        checkpoints.auditor.began.connect(self._on_began)
        checkpoints.auditor.advanced.connect(self._on_advanced)
        checkpoints.auditor.ended.connect(self._on_ended)

    @property
    def scheme(self) -> Scheme:
        """Under which figures are shown."""
        return self._parts.checkpoint.chosen_scheme() or self._scheme()

    def open(self, paths: Sequence[Path]) -> None:
        """Another checkpoint."""
        self.folder = str(paths[0].parent)
        self.checkpoints.open(paths)

    @Slot()
    def choose_file(self) -> None:
        texts, _ = QFileDialog.getOpenFileNames(self._parts, self.tr("Open a checkpoint"), self.folder)
        if texts:
            self.open([Path(text) for text in texts])

    def show_item(self, item: Item | None) -> None:
        """What the Tensor page shows stays linked to its row."""
        found = self.checkpoints.open_one
        if item is None or found is None:
            return
        table = found.table
        for name in (item.name, item.name.partition("/")[2]):
            row = table.places.get(name)
            if row is not None and str(table.weights[row].entry.path) == item.origin:
                self._parts.checkpoint.point_to(row)
                return

    # -- listing

    @Slot()
    def _on_changed(self) -> None:
        found, panel = self.checkpoints.open_one, self._parts.checkpoint
        if found is None:
            self._parts.show_checkpoint(False)
            return
        self._measured = None
        panel.show_table(found.table, found.tree)
        self._show_map()
        self._parts.show_checkpoint(True)
        if found.problems:
            self.checkpoints.opener.problem.emit("\n".join(found.problems[:3]))  # over when another one is opened
        self.shown.emit()

    def _show_map(self) -> None:
        found = self.checkpoints.open_one
        budget = self.checkpoints.budget
        if found is not None and budget is not None and self._parts.checkpoint.budget_button.isChecked():
            bits = self._bits(found.table, budget)
            self._parts.weight_map.show_map(weight_map(found.table, "chosen", bits), "chosen")
        elif found is not None:
            known = bool((~np.isnan(found.table.numbers["sqnr"])).any())
            figure = "sqnr" if known else "bytes"
            self._parts.weight_map.show_map(weight_map(found.table, figure), figure)

    def _bits(self, table: WeightTable, budget: Budget) -> Floats:
        """Of an element of each tensor that has a choice; those of the file where it stays as it is."""
        chosen = np.append(budget.bits(self._parts.budget.at), np.nan)[self._units]
        stored = 8 * table.numbers["bytes"] / np.maximum(1, table.numbers["elements"])
        return np.where((self._units >= 0) & np.isnan(chosen), stored, chosen)

    # -- spending bits

    @Slot(str)
    def _on_find(self, kind: str) -> None:
        try:
            self.checkpoints.find_budget(kind, self._parts.budget.importances)
        except Problem as problem:
            self.problem.emit(told(problem))

    @Slot()
    def _on_importances(self) -> None:
        text, _ = QFileDialog.getOpenFileName(
            self._parts, self.tr("Choose an importance matrix"), self.folder, "imatrix (*.dat *.gguf *.imatrix)"
        )
        self._parts.budget.set_importances(Path(text) if text else None)

    @Slot()
    def _on_finding(self) -> None:
        self._parts.budget.show_finding(True)

    @Slot()
    def _on_found(self) -> None:
        self._parts.budget.show_finding(False)

    @Slot()
    def _on_budget(self) -> None:
        budget, found = self.checkpoints.budget, self.checkpoints.open_one
        if budget is not None and found is not None:
            self._units = np.full(len(found.table), -1)
            places = {name: place for place, unit in enumerate(budget.units) for name in unit.names}
            for name, unit in places.items():
                self._units[found.table.places[name]] = unit
        self._parts.budget.present(budget)
        self._show_map()

    @Slot()
    def _on_map(self, *_: object) -> None:
        self._show_map()

    @Slot(str)
    def _on_save(self, form: str) -> None:
        budget, found = self.checkpoints.budget, self.checkpoints.open_one
        if budget is None or found is None:
            return
        ending = {plans.CSV: ".csv", plans.LLAMA: ".txt"}.get(form, ".json")
        proposed = str(Path(self.folder) / f"{found.name.split('.')[0]}-{form}{ending}")
        text, _ = QFileDialog.getSaveFileName(self._parts, self.tr("Save the choice"), proposed, f"*{ending}")
        if text:
            self.checkpoints.plans.write(Path(text), form, budget.choices(self._parts.budget.at), found.paths)

    @Slot(object)
    def _on_written(self, path: Path) -> None:
        self.notice.emit(self.tr("Saved {name}.").format(name=printable(path.name)))

    # -- measuring

    @Slot()
    def _on_audit(self) -> None:
        panel = self._parts.checkpoint
        self._on_scheme()
        rows = [int(row) for row in np.sort(panel.view.weights.shown)]
        try:
            self.checkpoints.audit(
                self.scheme,
                rows,
                panel.others.schemes,
                one_axis=panel.one_axis.isChecked(),
                estimators=panel.estimators.isChecked(),
            )
        except Problem as problem:
            self.problem.emit(told(problem))

    @Slot()
    def _on_scheme(self) -> None:
        """Only what is known under this scheme stands in the table."""
        if self.checkpoints.open_one is not None:
            self._measured = self.scheme
            self._refresh()

    @Slot(object)
    def _on_filled(self, scheme: Scheme) -> None:
        shown = (self._measured, *self._parts.checkpoint.others.schemes)
        of_estimators = self._measured is not None and scheme in estimators_of(self._measured)
        if (scheme in shown or of_estimators) and not self._due.isActive():
            self._due.start()

    @Slot()
    def _refresh(self) -> None:
        if self._measured is not None:
            self.checkpoints.show(self._measured, self._parts.checkpoint.others.schemes)
        self._parts.checkpoint.refresh()
        self._show_map()

    @Slot()
    def _on_began(self) -> None:
        self._began = time.monotonic()
        self._parts.checkpoint.show_progress(self.tr("measuring…"), busy=True)

    @Slot(float)
    def _on_advanced(self, fraction: float) -> None:
        took = time.monotonic() - self._began
        text = self.tr("{share} measured").format(share=percent(math.floor(1000 * fraction) / 1000, 1.0))
        if took > SURE_AFTER_SECONDS and fraction > 0:
            left = took / fraction * (1 - fraction)
            text += " · " + self.tr("{time} left").format(time=rough_duration(left))
        self._parts.checkpoint.show_progress(text, busy=True)

    @Slot()
    def _on_ended(self) -> None:
        rows = self.checkpoints.rows.get(self._measured, {}) if self._measured is not None else {}
        measured = sum(row.figures is not None for row in rows.values())
        text = self.tr("{count} measured, {left} left as they are").format(
            count=whole(measured), left=whole(len(rows) - measured)
        )
        flawed = [row for row in rows.values() if row.remark is not None]
        if len(flawed) == 1:
            text += " · " + self.tr("{name} has NaN or infinities").format(name=brief(flawed[0].weight.name, 40))
        elif flawed:
            text += " · " + self.tr("{count} have NaN or infinities").format(count=whole(len(flawed)))
        self._parts.checkpoint.show_progress(text)
        self._refresh()

    @Slot(int)
    def _on_row(self, row: int) -> None:
        found = self.checkpoints.open_one
        if found is None:
            return
        entry = found.table.weights[row].entry
        if entry.refused is not None:
            self.problem.emit(printable(told(entry.refused)))
        else:
            self.entry_requested.emit(entry)
