"""What is known of all tensors of a checkpoint, a column at a time, so that 90,000 of them are put in order at once?"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from qviz.core.arrays import Array, Counts, Floats
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase, Problem
from qviz.files.memory import without_collections
from qviz.models.audit import Row
from qviz.models.checkpoint import Weight, axes_of, elements_of, is_expert, layer_of, role_of

FIGURES = ("sqnr", "rmse", "worst", "outlier", "kurtosis", "saturated", "bits", "gain")
"""What an audit finds, by the names that a filter has for them."""

OTHERS = tuple(f"sqnr{number}" for number in range(2, 9))
"""The SQNR under up to seven more schemes, by the names that a filter has for them."""

_WORSE_IS_LESS = frozenset({"sqnr", "worst", "chosen"})
_NUMBER = re.compile(r"([0-9]+)")


@frozen(eq=False)
class Words:
    """A column of texts of which many are alike: the different ones, and the place of each row among them."""

    words: tuple[str, ...]
    places: Counts

    @classmethod
    def of(cls, texts: Iterable[str]) -> Words:
        """The different ones in the order in which they come."""
        seen: dict[str, int] = {}
        places = [seen.setdefault(text, len(seen)) for text in texts]
        return cls(tuple(seen), np.array(places, np.int64))

    @cached_property
    def ranks(self) -> Counts:
        """The place of each different text in the order of the alphabet, numbers by their values."""
        return _ranks([word.lower() for word in self.words])

    def where(self, fits: Callable[[str], bool]) -> Array:
        """The rows whose text fits; each text is asked about once."""
        fitting = np.array([fits(word) for word in self.words], bool)
        return np.asarray(fitting[self.places]) if fitting.size else np.zeros(0, bool)

    def __getitem__(self, row: int) -> str:
        return self.words[int(self.places[row])]


class WeightTable:
    """The tensors of a checkpoint as columns; what an audit finds is filled in.

    Parameters
    ----------
    weights : sequence of Weight
        In the order of the file.

    Attributes
    ----------
    names : list of str
    numbers : dict of str to float64 array, shape (tensors,)
        ``bytes``, ``elements``, ``axes``, ``share``, ``layer``, and the figures of an audit; NaN where not known.
    texts : dict of str to Words
        ``type``, ``role``, ``shape``, ``module``, ``state``.
    """

    def __init__(self, weights: Sequence[Weight]) -> None:
        with without_collections():
            self._take(weights)
        self.left: dict[int, Phrase | Problem] = {}
        """Why tensors were left as they are, or could not be read, by their rows."""

        self.remarks: dict[int, Phrase] = {}
        """What no figure of a tensor counts, by its row."""
        self.bins: dict[int, tuple[int, ...]] = {}
        """How the values of tensors are spread, by their rows: counts in equal bins."""
        self.clear()

    def _take(self, weights: Sequence[Weight]) -> None:
        self.weights = tuple(weights)
        self.names = [weight.name for weight in weights]
        self.places = {name: place for place, name in enumerate(self.names)}
        # Names are cut once, and of thousands of tensors with the same shape it is looked at once.
        parts = [each.parts for each in weights]
        seen: dict[tuple[int, ...] | None, int] = {}
        of_shape = np.array([seen.setdefault(each.entry.shape, len(seen)) for each in weights], np.int64)
        shapes = tuple(seen)
        sizes = np.array([math.nan if each.nbytes is None else each.nbytes for each in weights], np.float64)
        total = float(np.nansum(sizes)) or 1.0
        self.numbers: dict[str, Floats] = {
            "bytes": sizes,
            "share": sizes / total,
            "elements": _numbers(map(elements_of, shapes))[of_shape],
            "axes": _numbers(map(axes_of, shapes))[of_shape],
            "layer": _numbers(map(layer_of, parts)),
        }
        self.texts: dict[str, Words] = {
            "type": Words.of([each.entry.dtype or "?" for each in weights]),
            "role": Words.of(map(role_of, parts)),
            "shape": Words(tuple(map(shape_text, shapes)), of_shape),
            "module": Words.of([each.module for each in weights]),
        }
        self._experts = np.fromiter(map(is_expert, parts), bool, len(parts))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def experts(self) -> Array:
        """Which tensors are one of several experts."""
        return self._experts

    @cached_property
    def lower_names(self) -> list[str]:
        """For searching, whatever the case."""
        return [name.lower() for name in self.names]

    @cached_property
    def name_ranks(self) -> Counts:
        """The place of each name among all, numbers by their values."""
        return _ranks(self.lower_names)

    def clear(self) -> None:
        """Forget what an audit found."""
        self.left, self.remarks, self.bins = {}, {}, {}
        self.texts["estimator"] = Words(("",), np.zeros(len(self.names), np.int64))
        for name in (*FIGURES, *OTHERS):
            self.numbers[name] = np.full(len(self.names), np.nan)

    def fill(self, rows: Iterable[Row]) -> None:
        """Take what an audit found, under one scheme."""
        for row in rows:
            place = self.places.get(row.weight.name)
            if place is None:
                continue
            if row.figures is None:
                why = row.problem or row.left
                if why is not None:
                    self.left[place] = why
                continue
            figures, numbers = row.figures, self.numbers
            if row.remark is not None:
                self.remarks[place] = row.remark
            numbers["sqnr"][place] = figures.sqnr_db
            numbers["rmse"][place] = figures.relative_rmse
            worst = figures.worst_group
            numbers["worst"][place] = math.nan if worst is None else worst.sqnr_db
            numbers["saturated"][place] = figures.saturated / max(1, figures.finite)
            numbers["bits"][place] = figures.storage.bits_per_element
            if row.moments is not None:
                numbers["kurtosis"][place] = row.moments.kurtosis
                numbers["outlier"][place] = row.moments.outlier_ratio
                self.bins[place] = row.moments.bins

    def fill_others(self, found: Sequence[Iterable[Row]]) -> None:
        """Take the SQNR that an audit found under more schemes, those of each together."""
        for name, rows in zip(OTHERS, found, strict=False):
            for row in rows:
                place = self.places.get(row.weight.name)
                if place is not None:
                    self.numbers[name][place] = row.sqnr_db

    def fill_estimators(self, found: Mapping[str, Mapping[str, Row]]) -> None:
        """Say of each tensor which range estimator has the least error, and what it gains over the first one, in dB.

        Parameters
        ----------
        found : mapping of str to mapping of str to Row
            What an audit found of tensors, by the kind of the estimator; the scheme's own first. Those that are as good
            as another one before them are not named.
        """
        kinds = [kind for kind, rows in found.items() if rows]
        if len(kinds) < 2:
            return
        words = ["", *kinds]
        places = np.zeros(len(self.names), np.int64)
        for name, row in found[kinds[0]].items():
            others = [found[kind].get(name) for kind in kinds[1:]]
            place = self.places.get(name)
            if place is None or row.figures is None or not any(each is not None and each.figures for each in others):
                continue
            best, least = 1, row.figures.mse
            for at, other in enumerate(others, 2):
                if other is not None and other.figures is not None and other.figures.mse < least:
                    best, least = at, other.figures.mse
            places[place] = best
            gain = 10 * math.log10(row.figures.mse / least) if least > 0 and row.figures.mse > 0 else 0.0
            self.numbers["gain"][place] = gain
        self.texts["estimator"] = Words(tuple(words), places)

    def order(self, rows: Counts, by: str, *, descending: bool = False) -> Counts:
        """Rows in the order of a column; those without a figure last, equal ones as they are in the file.

        Parameters
        ----------
        rows : int array
            Those that are in sight, ascending.
        by : str
            ``"name"``, a number, or a text; ``""`` for the order of the file.
        descending : bool
        """
        if by == "name":
            key: Array = self.name_ranks[rows].astype(np.float64)
        elif by in self.numbers:
            key = self.numbers[by][rows]
        elif by in self.texts:
            words = self.texts[by]
            key = words.ranks[words.places[rows]].astype(np.float64)
        else:
            return rows[::-1] if descending else rows
        key = -key if descending else key
        order = np.argsort(key)
        ordered = key[order]
        if (ordered[1:] == ordered[:-1]).any():  # an order that keeps equal ones takes ten times as long without any
            order = np.argsort(key, kind="stable")
        return np.asarray(rows[order])

    def named(self, row: int) -> Weight:
        """The tensor of a row."""
        return self.weights[row]


@frozen(eq=False)
class Group:
    """Tensors of one layer, or of one role, together.

    Attributes
    ----------
    key : str
        Its name; ``""`` for tensors that have none.
    rows : int array
        Of the table.
    nbytes, elements : float
    share : float
        Of all bytes.
    sqnr, worst : float
        The lowest among them, in dB; NaN where none is known.
    saturated : float
        The largest share among them.
    """

    key: str
    rows: Counts
    nbytes: float
    elements: float
    share: float
    sqnr: float
    worst: float
    saturated: float


def grouped(table: WeightTable, rows: Counts, by: str) -> tuple[Group, ...]:
    """The rows by layer, by role or by type, in the order of their keys.

    Parameters
    ----------
    table : WeightTable
    rows : int array
        Those that are in sight.
    by : {"layer", "role", "type"}
    """
    if by == "layer":
        keys = table.numbers["layer"][rows]
        values, inverse = np.unique(keys, return_inverse=True)
        labels = ["" if math.isnan(value) else str(int(value)) for value in values]
    else:
        words = table.texts[by]
        used, inverse = np.unique(words.places[rows], return_inverse=True)
        labels = [words.words[int(at)] for at in used]
    order = np.argsort(inverse, kind="stable")
    bounds = np.searchsorted(inverse[order], np.arange(len(labels) + 1))
    found = []
    for at, label in enumerate(labels):
        members = rows[order[bounds[at] : bounds[at + 1]]]
        numbers = {name: table.numbers[name][members] for name in ("bytes", "elements", "share", "sqnr", "worst")}
        found.append(
            Group(
                label,
                members,
                float(np.nansum(numbers["bytes"])),
                float(np.nansum(numbers["elements"])),
                float(np.nansum(numbers["share"])),
                _least(numbers["sqnr"]),
                _least(numbers["worst"]),
                -_least(-table.numbers["saturated"][members]),
            )
        )
    return tuple(found)


@frozen(eq=False)
class WeightMap:
    """The whole model as cells: layer × role, each cell the worst of its tensors.

    Attributes
    ----------
    layers : tuple of int
        Columns.
    roles : tuple of str
        Rows.
    values : float64 array, shape (roles, layers)
        NaN where there is no such tensor, or its figure is not known.
    counts : int64 array, shape (roles, layers)
        Tensors in each cell.
    """

    layers: tuple[int, ...]
    roles: tuple[str, ...]
    values: Floats
    counts: Counts

    @property
    def cells(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Its layers and roles."""
        return self.layers, self.roles


MAPPED = {"sqnr": N_("SQNR (dB)"), "rmse": N_("Relative RMSE"), "saturated": N_("Saturated"), "bytes": N_("Bytes")}
MAPPED["chosen"] = N_("Bits")
"""What the cells of a map may stand for; bits are those of a choice of formats."""


def weight_map(table: WeightTable, figure: str, given: Floats | None = None) -> WeightMap:
    """The tensors that have a layer and a role, by both; of several in a cell the worst counts, bytes are added up."""
    layer, role = table.numbers["layer"], table.texts["role"]
    known = np.flatnonzero(~np.isnan(layer) & np.asarray(role.where(bool), bool))
    layers, columns = np.unique(layer[known].astype(np.int64), return_inverse=True)
    used, rows = np.unique(role.places[known], return_inverse=True)
    shape = (len(used), len(layers))
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (rows, columns), 1)
    given = (table.numbers[figure] if given is None else given)[known]
    if figure == "bytes":
        values = np.zeros(shape)
        np.add.at(values, (rows, columns), np.nan_to_num(given))
        values[counts == 0] = np.nan
    else:
        less = figure in _WORSE_IS_LESS
        values = np.full(shape, np.nan)
        (np.fmin if less else np.fmax).at(values, (rows, columns), given)
    return WeightMap(tuple(int(each) for each in layers), tuple(role.words[int(at)] for at in used), values, counts)


def shape_text(shape: tuple[int, ...] | None) -> str:
    """A shape as people write it; ``"?"`` where only reading tells."""
    return "?" if shape is None else " × ".join(map(str, shape)) or "1"


def _numbers(values: Iterable[int | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _least(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.min()) if known.size else math.nan


def _ranks(names: Sequence[str]) -> Counts:
    keys = _natural(names)
    ranks = np.empty(len(keys), np.int64)
    ranks[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
    return ranks


def _natural(names: Sequence[str]) -> list[str]:
    """Texts in whose order numbers stand by their values: each behind a sign below all others, and its length."""
    if any("\n" in name for name in names):
        return [_NUMBER.sub(_key, name) for name in names]
    return _NUMBER.sub(_key, "\n".join(names)).split("\n") if names else []


def _key(found: re.Match[str]) -> str:
    digits = found[0].lstrip("0")[:300]
    return f"\0{len(digits):03}{digits}"
