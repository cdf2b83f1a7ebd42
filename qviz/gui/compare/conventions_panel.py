"""Which runtimes give this tensor other codes, how many, and which elements are the first?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from qviz.core.frozen import frozen
from qviz.core.questions.differences import Differences
from qviz.core.runtimes.table import CONVENTIONS
from qviz.gui.kit.copying import Copied, both_ends
from qviz.gui.kit.figure_model import Column
from qviz.gui.kit.figure_table import FigureTable
from qviz.gui.words.numbers import NONE, counted, number, spread, typographic
from qviz.session.language import told, tr


@frozen
class ConventionRow:
    """One convention; ``at`` is its place among those compared, None for one that has no such scheme."""

    name: str
    differences: Differences
    at: int | None
    why_not: str = ""

    @property
    def label(self) -> str:
        return tr(CONVENTIONS[self.name].label)


def convention_rows(differences: Differences) -> list[ConventionRow]:
    """The chosen convention first, then the others, then those that do not offer such a scheme."""
    rows = [ConventionRow(s.convention, differences, at) for at, s in enumerate(differences.schemes)]
    return rows + [ConventionRow(name, differences, None, told(why)) for name, why in differences.missing.items()]


class ConventionsTable(FigureTable):
    """Each convention against the chosen one."""

    def __init__(self) -> None:
        super().__init__(_convention_columns(), tr("Conventions"), opening=tr("Choose this runtime"))

    def show_differences(self, differences: Differences | None) -> None:
        self.set_rows([] if differences is None else convention_rows(differences))


class PairsTable(FigureTable):
    """Elements whose codes differ, for every pair of conventions."""

    def __init__(self) -> None:
        super().__init__([Column(tr("Codes differ"), str)], tr("Pairs of conventions"), sortable=False)

    def show_differences(self, differences: Differences | None) -> None:
        if differences is None:
            self.set_rows([])
            return
        rows = [row for row in convention_rows(differences) if row.at is not None]
        names = Column(tr("Codes differ"), lambda row: row.label, left=True)
        self.set_rows(rows, [names, *(_pair(row) for row in rows)])


class ExamplesTable(FigureTable):
    """The first elements that get another code, with the code of each convention."""

    def __init__(self) -> None:
        super().__init__(
            [Column(tr("Element"), str)],
            tr("First elements whose codes differ"),
            opening=tr("Point at it on the Tensor page"),
        )

    def show_differences(self, differences: Differences | None) -> None:
        if differences is None:
            self.set_rows([])
            return
        columns = [
            Column(
                tr("Element"),
                lambda e: f"{e.index:,}",
                lambda e: e.index,
                left=True,
                copies=(Copied(tr("Element"), lambda e: e.index),),
            ),
            Column(tr("Value"), lambda e: number(e.value, 7), lambda e: e.value),
            *(_code(differences, at) for at in range(len(differences.schemes))),
        ]
        self.set_rows(differences.examples, columns)


def _code(differences: Differences, at: int) -> Column:
    label = tr(CONVENTIONS[differences.schemes[at].convention].label)
    return Column(
        label,
        lambda e: typographic(f"{e.codes[at]:,g}"),
        lambda e: e.codes[at],
        copies=(
            Copied(tr("{runtime}, code").format(runtime=label), lambda e: e.codes[at]),
            Copied(tr("{runtime}, dequantized").format(runtime=label), lambda e: e.dequantized[at]),
        ),
        cell_tip=lambda e: tr("dequantized: {value}").format(value=number(e.dequantized[at], 7)),
        faint=lambda e: e.codes[at] == e.codes[0] and at > 0,
    )


def _pair(column: ConventionRow) -> Column:
    assert column.at is not None
    other = column.at

    def text(row: ConventionRow) -> str:
        return NONE if row.at == other or row.at is None else _count(row.differences, row.at, other)

    def count(row: ConventionRow) -> int | None:
        return None if row.at == other or row.at is None else int(row.differences.codes[row.at, other])

    copies = (Copied(column.label, count),)
    return Column(column.label, text, faint=lambda row: text(row) in (NONE, "0"), copies=copies)


def _count(differences: Differences, one: int, other: int) -> str:
    count = int(differences.codes[one, other])
    return counted(count, differences.tensor.finite) if count else "0"


def _convention_columns() -> list[Column]:
    def differing(which: str) -> tuple[Callable[[ConventionRow], str], Callable[[ConventionRow], float]]:
        def value(row: ConventionRow) -> float:
            return math.nan if row.at is None else float(getattr(row.differences, which)[row.at, 0])

        def text(row: ConventionRow) -> str:
            if row.at is None:
                return NONE
            if row.at == 0:
                return tr("chosen")
            count = int(value(row))
            return counted(count, row.differences.tensor.finite) if count else "0"

        return text, value

    codes, values = differing("codes"), differing("values")

    def parameter(title: str, name: str, tip: str) -> Column:
        def values(row: ConventionRow) -> Any:
            return None if row.at is None else getattr(row.differences.qparams[row.at], name)

        def text(row: ConventionRow) -> str:
            return NONE if row.at is None else spread(values(row), 9)

        return Column(title, text, tip=tip, copies=both_ends(title, values))

    def mse(row: ConventionRow) -> float:
        return math.nan if row.at is None else float(row.differences.mse[row.at])

    return [
        Column(
            tr("Runtime"),
            lambda row: row.label,
            left=True,
            cell_tip=lambda row: row.why_not or tr(CONVENTIONS[row.name].summary),
            faint=lambda row: row.at is None,
        ),
        parameter(tr("Scale"), "scale", tr("The width of one step, in the tensor's unit.")),
        parameter(tr("Zero point"), "zero_point", tr("The code that stands for 0.")),
        Column(tr("Codes that differ"), *codes, tip=tr("Elements whose code is not the chosen runtime's.")),
        Column(tr("x̂ that differ"), *values, tip=tr("Elements whose dequantized value is another float32.")),
        Column(tr("MSE"), lambda row: number(mse(row), 6), mse, tr("Mean squared error."), -1),
    ]
