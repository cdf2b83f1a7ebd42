"""Which format does each tensor of a checkpoint get, for so many bytes? Measured and chosen beside the window."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import Signal

from qviz.core.arrays import Counts, Floats
from qviz.core.formats.integers import IntFormat
from qviz.core.frozen import frozen
from qviz.core.printable import printable
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerBlock
from qviz.core.work import THREADS, IsCancelled, Progress
from qviz.files.atomic import atomic_write
from qviz.files.imatrix import columns_of
from qviz.models.audit import Row, audit
from qviz.models.budget import KEEP, Front, Unit, units_of
from qviz.models.checkpoint import Weight
from qviz.models.plans import GGUF_SCHEMES, Choice, choices_of, exported, weighed
from qviz.session.in_order import InOrder
from qviz.session.worker import Worker

INTEGERS, LLAMA = "integers", "llama"
BLOCK = 32


def formats_of(kind: str) -> dict[Scheme, str]:
    """The formats to choose among, and what each is called."""
    if kind == LLAMA:
        return {scheme: name for name, scheme in GGUF_SCHEMES.items()}
    return {Scheme(IntFormat(bits), granularity=PerBlock(-1, BLOCK)): f"int{bits}" for bits in (8, 6, 5, 4, 3)}


@frozen(eq=False)
class Budget:
    """What there is to choose from, and the front of size against error.

    Attributes
    ----------
    units : tuple of Unit
    front : Front
    rest : int
        Bytes of what is left as it is.
    signal : float
        Σx² of all that is chosen for.
    names : dict of Scheme to str
    by : str
        The importance matrix that errors are weighed by; empty where all count alike.
    """

    units: tuple[Unit, ...]
    front: Front
    rest: int
    signal: float
    names: Mapping[Scheme, str]
    by: str = ""

    @property
    def nbytes(self) -> Floats:
        """Of the whole checkpoint, at each point."""
        return self.front.nbytes + self.rest

    @property
    def sqnr_db(self) -> Floats:
        """Of all weights together, at each point; infinite where nothing of them is lost."""
        with np.errstate(divide="ignore", invalid="ignore"):  # weights that are all 0 lose nothing
            ratio = np.where(self.front.error == 0, np.inf, self.signal / self.front.error)
        return np.asarray(10 * np.log10(ratio))

    def choices(self, at: int) -> list[Choice]:
        """The scheme of each tensor at a point."""
        chosen = self.front.choices(at).tolist()
        options = [unit.options[choice] for unit, choice in zip(self.units, chosen, strict=True)]
        return choices_of(self.units, options, self.names)

    def counts(self, at: int) -> dict[str, int]:
        """How many tensors get each format, the most frequent first; what stays as it is last."""
        formats, codes, sizes = self._formats
        many = np.bincount(codes[np.arange(codes.shape[0]), self.front.choices(at)], sizes, len(formats))
        found = {name: int(count) for name, count in zip(formats, many, strict=True) if count}
        return dict(sorted(found.items(), key=lambda each: (each[0] == KEEP, -each[1])))

    def bits(self, at: int) -> Floats:
        """Bits of a code of each unit, shape (units,); NaN where it stays as it is."""
        formats, codes, _ = self._formats
        bits = {name: float(scheme.number_format.bits) for scheme, name in self.names.items()}
        of_format = np.array([bits.get(name, math.nan) for name in formats])
        return np.asarray(of_format[codes[np.arange(codes.shape[0]), self.front.choices(at)]])

    @cached_property
    def _formats(self) -> tuple[list[str], Counts, Counts]:
        """The names of all formats, the place among them of each option of each unit, and the tensors of each unit."""
        places: dict[str, int] = {}
        codes = np.zeros((len(self.units), max(len(unit.options) for unit in self.units)), np.int64)
        for row, unit in enumerate(self.units):
            for column, option in enumerate(unit.options):
                codes[row, column] = places.setdefault(option.name, len(places))
        return list(places), codes, np.array([len(unit.names) for unit in self.units], np.int64)


def budget_of(
    rows: Sequence[Row], names: Mapping[Scheme, str], weighed: Mapping[str, float] | None = None, by: str = ""
) -> Budget:
    """The front of what an audit under all these schemes found.

    Parameters
    ----------
    rows : sequence of Row
    names : mapping of Scheme to str
    weighed : mapping of str to float, optional
        Σ w x² of tensors whose errors are weighed.
    by : str
        What weighs them.

    Raises
    ------
    Problem
        When nothing can be quantized.
    """
    units, rest = units_of(rows, names)
    if not units:
        raise Problem("None of these tensors can be quantized: there is nothing to choose.")
    signals: dict[str, float] = {}
    for row in rows:
        if row.figures is not None and math.isfinite(row.sqnr_db):
            signals[row.weight.name] = row.figures.mse * row.figures.finite * 10 ** (row.sqnr_db / 10)
    signals |= weighed or {}
    return Budget(tuple(units), Front.of(units), rest, math.fsum(signals.values()), names, by)


class BudgetFinder(Worker):
    """Measures what is not known yet, and finds the front.

    Signals
    -------
    found(Budget, tuple of Row)
        And the rows that are new.
    """

    found = Signal(object, object)

    def ask(
        self,
        weights: Sequence[Weight],
        kind: str,
        known: Mapping[Scheme, Mapping[str, Row]],
        importances: Path | None = None,
    ) -> None:
        """Under the formats of a kind; errors weighed by an importance matrix, where there is one."""
        chosen, names = tuple(weights), formats_of(kind)
        there = {(name, scheme): row for scheme in names for name, row in known.get(scheme, {}).items()}

        def work(progress: Progress, cancelled: IsCancelled) -> tuple[Budget, tuple[Row, ...]]:
            given = columns_of(importances) if importances is not None else None
            fresh = tuple(
                audit(
                    chosen,
                    list(names),
                    tails=True,
                    threads=THREADS,
                    done=there.keys(),
                    progress=progress,
                    cancelled=cancelled,
                )
            )
            every = there | {row.key: row for row in fresh}
            rows = [every[each.name, scheme] for each in chosen for scheme in names if (each.name, scheme) in every]
            if importances is None or given is None:
                return budget_of(rows, names), fresh
            counted, signals = weighed(rows, given, cancelled=cancelled)
            return budget_of(counted, names, signals, printable(importances.name)), fresh

        self._submit(kind, work, urgent=True)

    def _answer(self, key: Any, found: tuple[Budget, tuple[Row, ...]]) -> None:
        self.found.emit(*found)

    def _purpose(self, key: Any) -> Phrase:
        return Phrase(N_("these formats"))


class PlanWriter(InOrder):
    """Writes choices in the words of other tools.

    Signals
    -------
    written(Path)
    """

    written = Signal(object)

    def write(self, path: Path, form: str, choices: Sequence[Choice], files: Sequence[Path]) -> None:
        """Whole or not at all."""

        def work() -> None:
            text = exported(form, choices, files)
            with atomic_write(path) as temporary:
                temporary.write_text(text, encoding="utf-8")

        self._add(path, work)

    def _answer(self, key: Path, found: object) -> None:
        self.written.emit(key)
        super()._answer(key, found)

    def _purpose(self, key: Path) -> Phrase:
        return Phrase(N_("saving {name}"), name=printable(key.name))
