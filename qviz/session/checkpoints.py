"""Which checkpoint is looked at, and what do schemes do to each of its tensors? Found beside the window."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal, Slot

from qviz.core.frozen import frozen
from qviz.core.problems import Phrase, Problem
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.rules import MinMax, Percentile, RangeRule
from qviz.core.schemes.scheme import Scheme, convention_of
from qviz.core.work import THREADS, IsCancelled, Progress
from qviz.models.audit import Row, audit
from qviz.models.checkpoint import Weight, open_checkpoint
from qviz.models.module_tree import ModuleTree
from qviz.models.weight_table import WeightTable
from qviz.session.checkpoint_budget import Budget, BudgetFinder, PlanWriter
from qviz.session.language import told
from qviz.session.worker import Worker

TOGETHER_SECONDS = 0.1
"""Rows that are found within so short a time are told together."""


@frozen(eq=False)
class OpenCheckpoint:
    """Files, and the table of their tensors."""

    paths: tuple[Path, ...]
    table: WeightTable
    tree: ModuleTree
    problems: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is called."""
        first = self.paths[0]
        return first.name.removesuffix(".index.json") if len(self.paths) == 1 else f"{first.name} …"


ESTIMATORS: tuple[RangeRule, ...] = (MinMax(), Percentile(), Entropy(), MSE())
"""Those that a tensor is tried with."""


def estimators_of(scheme: Scheme) -> tuple[Scheme, ...]:
    """The same scheme with each other range estimator; none where no range is chosen."""
    if convention_of(scheme).of_elements or scheme.range_rule.kind == "known":
        return ()
    found = []
    one_scale = scheme.granularity.kind == "tensor"
    for rule in ESTIMATORS:
        # The entropy of a histogram says little of a few values, and takes long for each of many groups.
        if rule.kind != scheme.range_rule.kind and (one_scale or rule.kind != Entropy.kind):
            try:
                found.append(replace(scheme, range_rule=rule))
            except Problem:  # it does not go together with the rest
                continue
    return tuple(found)


class CheckpointOpener(Worker):
    """Lists the tensors of files and folders.

    Signals
    -------
    opened(OpenCheckpoint), failed()
    """

    opened = Signal(object)
    failed = Signal()

    def open(self, paths: Sequence[Path]) -> None:
        """These together."""
        chosen = tuple(paths)
        self._submit(chosen, partial(_opened, chosen))

    def _answer(self, key: Any, found: OpenCheckpoint) -> None:
        self.opened.emit(found)

    def _give_up(self, key: Any) -> None:
        self.failed.emit()

    def _fail(self, key: Any, problem: Problem | None) -> None:
        self.failed.emit()

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("a list of these tensors")


def _opened(paths: tuple[Path, ...], progress: Progress, cancelled: IsCancelled) -> OpenCheckpoint:
    found = open_checkpoint(paths)
    table = WeightTable(found.weights)
    return OpenCheckpoint(paths, table, ModuleTree(table), tuple(told(problem) for problem in found.problems))


class CheckpointAudit(Worker):
    """Measures tensors under schemes, streamed; what was found stays when it is stopped.

    Signals
    -------
    found(tuple of Row)
        Of the present question.
    """

    found = Signal(object)

    _came = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._plan: object = None
        self._came.connect(self._on_came)

    def ask(
        self, weights: Sequence[Weight], schemes: Sequence[Scheme], done: frozenset[tuple[str, Scheme]], one_axis: bool
    ) -> None:
        """Those that are not done yet."""
        plan, tell = object(), self._came.emit
        self._plan = plan
        chosen, asked = tuple(weights), tuple(schemes)

        def work(progress: Progress, cancelled: IsCancelled) -> None:
            waiting: list[Row] = []
            told_at = time.monotonic()
            rows = audit(
                chosen,
                asked,
                one_axis=one_axis,
                tails=True,
                threads=THREADS,
                done=done,
                progress=progress,
                cancelled=cancelled,
            )
            try:
                for row in rows:
                    waiting.append(row)
                    if time.monotonic() - told_at > TOGETHER_SECONDS:
                        tell(plan, tuple(waiting))
                        waiting, told_at = [], time.monotonic()
            finally:
                tell(plan, tuple(waiting))

        self._submit(plan, work, urgent=True)

    def forget(self) -> None:
        """Nobody waits for what is still on its way."""
        self._plan = None
        self.cancel()

    def _purpose(self, key: Any) -> Phrase:
        return Phrase("these weights")

    @Slot(object, object)
    def _on_came(self, plan: object, rows: tuple[Row, ...]) -> None:
        if plan is self._plan and rows:
            self.found.emit(rows)


class Checkpoints(QObject):
    """The truth of the *Weights* part.

    Signals
    -------
    changed()
        Another checkpoint is open, or none could be opened.
    filled(Scheme)
        More is known under that scheme.
    budgeted()
        There is another front of formats, or none any more.
    """

    changed = Signal()
    filled = Signal(object)
    budgeted = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.opener, self.auditor = CheckpointOpener(self), CheckpointAudit(self)
        self.budgets, self.plans = BudgetFinder(self), PlanWriter(self)
        self.open_one: OpenCheckpoint | None = None
        self.budget: Budget | None = None
        self.rows: dict[Scheme, dict[str, Row]] = {}
        self.opener.opened.connect(self._on_opened)
        self.auditor.found.connect(self._on_found)
        self.budgets.found.connect(self._on_budget)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """Who has to be closed with the window."""
        return (self.opener, self.auditor, self.budgets, self.plans)

    def open(self, paths: Sequence[Path]) -> None:
        """Another checkpoint in place of this one."""
        self.opener.open(paths)

    def close(self) -> None:
        """No checkpoint any more."""
        if self.open_one is not None:
            self._forget(None)

    def _forget(self, found: OpenCheckpoint | None) -> None:
        self.auditor.forget()
        self.budgets.cancel()
        self.open_one, self.rows, self.budget = found, {}, None
        self.changed.emit()
        self.budgeted.emit()

    def find_budget(self, kind: str, importances: Path | None = None) -> None:
        """The front of all tensors under the formats of a kind; errors weighed by an importance matrix, if any."""
        if self.open_one is None:
            raise Problem("Open a checkpoint first: drop its file or folder here.")
        self.budgets.ask(self.open_one.table.weights, kind, self.rows, importances)

    @Slot(object, object)
    def _on_budget(self, found: Budget, rows: tuple[Row, ...]) -> None:
        self._on_found(rows)
        self.budget = found
        self.budgeted.emit()

    def audit(
        self,
        scheme: Scheme,
        places: Sequence[int],
        others: Sequence[Scheme] = (),
        *,
        one_axis: bool = False,
        estimators: bool = False,
    ) -> None:
        """Measure these rows of the table under a scheme and others, and with other range estimators, where asked for.

        What is known already is not asked again.
        """
        if self.open_one is None:
            raise Problem("Open a checkpoint first: drop its file or folder here.")
        schemes = list(dict.fromkeys([scheme, *others, *(estimators_of(scheme) if estimators else ())]))
        weights = [self.open_one.table.weights[place] for place in places]
        done = frozenset(
            (name, each)
            for each in schemes
            for name, row in self.rows.setdefault(each, {}).items()
            if not (one_axis and row.figures is None and row.left)
        )
        waiting = [each for each in weights if any((each.name, other) not in done for other in schemes)]
        self.auditor.ask(waiting, schemes, done, one_axis)

    def show(self, scheme: Scheme, others: Sequence[Scheme] = ()) -> None:
        """Put into the table what is known under a scheme and others, and nothing else."""
        if self.open_one is not None:
            self.open_one.table.clear()
            self.open_one.table.fill(self.rows.get(scheme, {}).values())
            self.open_one.table.fill_others([self.rows.get(each, {}).values() for each in others])
            found = {each.range_rule.kind: self.rows.get(each, {}) for each in (scheme, *estimators_of(scheme))}
            self.open_one.table.fill_estimators(found)

    @Slot(object)
    def _on_opened(self, found: OpenCheckpoint) -> None:
        self._forget(found)

    @Slot(object)
    def _on_found(self, rows: tuple[Row, ...]) -> None:
        for row in rows:
            self.rows.setdefault(row.scheme, {})[row.weight.name] = row
        for scheme in dict.fromkeys(row.scheme for row in rows):
            self.filled.emit(scheme)
