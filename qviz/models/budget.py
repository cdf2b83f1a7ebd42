"""How are bits best spent? A format for each tensor, so that all fit in so many bytes with the least error.

One format for each unit, bytes at most so many, the sum of squared errors as small as can be: the multiple-choice
knapsack problem. It is solved exactly: what a price of bytes decides by itself is decided first (Lagrange's bound); of
the rest partial choices that another one beats in bytes and error are dropped, and so are those that even a fraction of
a format could not make better than the best choice known (its linear relaxation, Sinha and Zoltners 1979,
https://doi.org/10.1287/opre.27.3.503).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from qviz.core.arrays import Counts, Floats
from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.core.schemes.scheme import Scheme
from qviz.core.sizes import byte_text
from qviz.core.work import IsCancelled, check, never
from qviz.models.audit import Row
from qviz.models.checkpoint import Weight

MOST_STATES = 1 << 21
"""Partial choices that are kept; beyond them the answer is good, and not known to be the best."""

MOST_OPEN = 2000
"""Units that are searched; beyond them those that change least when bytes cost more or less are left as they are."""

_SLACK = 1e-9
"""Of an error: sums in another order differ by less."""

KEEP = "as it is"
"""The choice that leaves a tensor as the file has it."""


@frozen
class Option:
    """One format for a unit: its name, what it takes in bytes, and the squared error that it makes."""

    name: str
    nbytes: int
    error: float


@frozen
class Unit:
    """Tensors that share a format, as runtimes that fuse them ask, and the formats there are for them."""

    names: tuple[str, ...]
    options: tuple[Option, ...]

    @property
    def smallest(self) -> int:
        """Bytes of its smallest option."""
        return min(option.nbytes for option in self.options)


@frozen
class Allocation:
    """A choice for each unit.

    Attributes
    ----------
    choices : tuple of int
        Places among the options of each unit.
    nbytes : int
        Of all units together.
    error : float
        The sum of their squared errors.
    is_exact : bool
        Whether no other choice is better; a good one otherwise.
    """

    choices: tuple[int, ...]
    nbytes: int
    error: float
    is_exact: bool = True


def allocate(units: Sequence[Unit], nbytes: int, *, cancelled: IsCancelled = never) -> Allocation:
    """The choice of least error in so many bytes.

    Parameters
    ----------
    units : sequence of Unit
    nbytes : int
        For all of them together.
    cancelled : Callable[[], bool]

    Raises
    ------
    Problem
        When even the smallest formats take more.
    Cancelled
        When asked to stop.
    """
    least = sum(unit.smallest for unit in units)
    if least > nbytes:
        raise Problem(
            "These formats take {least} at least, more than {asked}: allow more, or add a smaller format.",
            least=byte_text(least),
            asked=byte_text(nbytes),
        )
    hulls = [_hull(unit) for unit in units]
    known, price = _greedy(units, hulls, nbytes)
    open_ones, is_whole = _undecided(units, known, price, nbytes)
    if not open_ones:
        return Allocation(known.choices, known.nbytes, known.error, is_whole)
    asked = [
        Unit(units[place].names, tuple(units[place].options[option] for option in kept))
        for place, kept in open_ones.items()
    ]
    # What is decided is as in the choice that is known.
    decided = [place for place in range(len(units)) if place not in open_ones]
    room = nbytes - sum(units[place].options[known.choices[place]].nbytes for place in decided)
    error = math.fsum(units[place].options[known.choices[place]].error for place in open_ones)
    better, is_exact = _searched(asked, room, error, cancelled)
    choices = list(known.choices)
    for place, choice in zip(open_ones, better or (), strict=bool(better)):
        choices[place] = open_ones[place][choice]
    found = _allocation(units, choices, is_whole and is_exact)
    return found if found.error <= known.error else replace(known, is_exact=found.is_exact)


def _undecided(
    units: Sequence[Unit], known: Allocation, price: float, nbytes: int
) -> tuple[dict[int, list[int]], bool]:
    """Units that a better choice may give another option than the known one does, with the options that it may give.

    Where a byte has its price, each option costs so much more than the unit's best one; a choice with it can't be
    better than the known one where that is more than the known one is above the sum of all best ones (Lagrange).

    Returns
    -------
    dict of int to list of int
    bool
        Whether these are all; else those that it matters for most.
    """
    most = max(len(unit.options) for unit in units)
    sizes, errors = np.zeros((len(units), most)), np.full((len(units), most), np.inf)
    for place, unit in enumerate(units):
        sizes[place, : len(unit.options)] = [option.nbytes for option in unit.options]
        errors[place, : len(unit.options)] = [option.error for option in unit.options]
    costs = errors + price * sizes
    best = costs.min(axis=1)
    above = costs - best[:, None]
    gap = known.error * (1 + _SLACK) - (math.fsum(best) - price * nbytes)
    may = above <= gap
    may[np.arange(len(units)), known.choices] = True
    several = np.flatnonzero(may.sum(axis=1) > 1)
    is_whole = several.size <= MOST_OPEN
    if not is_whole:
        nearest = np.where(may, above, np.inf)[several]
        several = np.sort(several[np.argsort(np.partition(nearest, 1, axis=1)[:, 1], kind="stable")[:MOST_OPEN]])
    return {int(place): np.flatnonzero(may[place]).tolist() for place in several}, is_whole


def _searched(
    units: Sequence[Unit], nbytes: int, known: float, cancelled: IsCancelled
) -> tuple[list[int] | None, bool]:
    """The options of least error in so many bytes, or None where none has as little as is known; whether it is sure."""
    # Those whose choice is least clear first: the rest is bounded the better.
    order = sorted(range(len(units)), key=lambda place: -max(option.error for option in units[place].options))
    rest = _Rest([_curve(units[place], _hull(units[place])) for place in order])
    size, error = np.zeros(1, np.int64), np.zeros(1)
    steps: list[tuple[Any, Any]] = []
    is_exact = True
    limit = known * (1 + _SLACK)
    for place in order:
        check(cancelled)
        options = units[place].options
        sizes = (size[:, None] + np.array([option.nbytes for option in options])).ravel()
        errors = (error[:, None] + np.array([option.error for option in options])).ravel()
        rest.take()
        bounds = errors + rest.bound(nbytes - sizes)
        alive = np.flatnonzero(bounds <= limit)
        kept = alive[_front(sizes[alive], errors[alive])]
        if kept.size > MOST_STATES:
            is_exact = False
            kept = kept[np.argsort(bounds[kept])[:MOST_STATES]]
        if not kept.size:
            return None, is_exact
        steps.append((kept // len(options), kept % len(options)))
        size, error = sizes[kept], errors[kept]
    choices = [0] * len(units)
    at = int(np.argmin(error))
    for place, (parent, choice) in zip(reversed(order), reversed(steps), strict=True):
        choices[place] = int(choice[at])
        at = int(parent[at])
    return choices, is_exact


def smallest(units: Sequence[Unit]) -> Allocation:
    """The choice of fewest bytes; of several the one of least error."""
    choices = [
        min(range(len(unit.options)), key=lambda place: (unit.options[place].nbytes, unit.options[place].error))
        for unit in units
    ]
    return _allocation(units, choices, True)


class _ExactSum:
    """A sum to which nothing is lost: what a huge error hid is there again when that is taken away.

    As `math.fsum` does it (Shewchuk 1997, https://doi.org/10.1007/PL00009321): parts that do not overlap.
    """

    def __init__(self) -> None:
        self._parts: list[float] = []

    def add(self, number: float) -> None:
        kept = 0
        for part in self._parts:
            large, small = (number, part) if abs(number) >= abs(part) else (part, number)
            number = large + small
            lost = small - (number - large)
            if lost:
                self._parts[kept] = lost
                kept += 1
        self._parts[kept:] = [number]

    @property
    def value(self) -> float:
        return math.fsum(self._parts)


@frozen(eq=False)
class Front:
    """Choices along the front of size against error, from the smallest to the best: what a slider walks along.

    Attributes
    ----------
    nbytes, error : float64 arrays, shape (steps + 1,)
        Of all units together, from the smallest choice to the best.
    """

    nbytes: Floats
    error: Floats
    _smallest: Counts
    _units: Counts
    _options: Counts

    @classmethod
    def of(cls, units: Sequence[Unit]) -> Front:
        """Step by step along the hulls, the one that wins most for a byte first."""
        hulls = [_hull(unit) for unit in units]
        steps = _steps(units, hulls)
        smallest = np.array([hull[0] for hull in hulls], np.int64)
        sizes = [sum(unit.options[hull[0]].nbytes for unit, hull in zip(units, hulls, strict=True))]
        total = _ExactSum()
        for unit, hull in zip(units, hulls, strict=True):
            total.add(unit.options[hull[0]].error)
        errors = [total.value]
        now = smallest.tolist()
        for place, option in steps:
            old, new = units[place].options[now[place]], units[place].options[option]
            now[place] = option
            sizes.append(sizes[-1] + new.nbytes - old.nbytes)
            total.add(new.error)
            total.add(-old.error)
            errors.append(total.value)
        changed = np.array(steps, np.int64).reshape(-1, 2)
        return cls(np.array(sizes, np.float64), np.array(errors), smallest, changed[:, 0], changed[:, 1])

    def __len__(self) -> int:
        return int(self.nbytes.size)

    def choices(self, at: int) -> Counts:
        """The option of each unit at a point."""
        found = self._smallest.copy()
        found[self._units[:at]] = self._options[:at]  # of several steps of a unit the last one stays
        return found


def _allocation(units: Sequence[Unit], choices: Sequence[int], is_exact: bool) -> Allocation:
    chosen = [unit.options[choice] for unit, choice in zip(units, choices, strict=True)]
    return Allocation(
        tuple(choices), sum(each.nbytes for each in chosen), math.fsum(each.error for each in chosen), is_exact
    )


def _hull(unit: Unit) -> list[int]:
    """The options on the lower convex hull of bytes and error, from the smallest on."""
    hull: list[int] = []
    for place in sorted(range(len(unit.options)), key=lambda p: (unit.options[p].nbytes, unit.options[p].error)):
        option = unit.options[place]
        if hull and option.error >= unit.options[hull[-1]].error:
            continue
        while len(hull) > 1 and _gain(unit, hull[-2], hull[-1]) <= _gain(unit, hull[-2], place):
            hull.pop()
        hull.append(place)
    return hull


def _gain(unit: Unit, first: int, second: int) -> float:
    """Error won for a byte."""
    one, two = unit.options[first], unit.options[second]
    return (one.error - two.error) / (two.nbytes - one.nbytes)


def _steps(units: Sequence[Unit], hulls: Sequence[list[int]]) -> list[tuple[int, int]]:
    """Every step along the hulls, the one that wins most for a byte first: a unit, and its next option."""
    found = [
        (_gain(unit, first, second), place, second)
        for place, (unit, hull) in enumerate(zip(units, hulls, strict=True))
        for first, second in itertools.pairwise(hull)
    ]
    return [(place, option) for _, place, option in sorted(found, key=lambda each: -each[0])]


def _greedy(units: Sequence[Unit], hulls: Sequence[list[int]], nbytes: int) -> tuple[Allocation, float]:
    """A good choice: step by step along the hulls, as long as there is room, and then whatever still fits.

    And what a byte is worth: what the first step wins for one that there was no room for.
    """
    choices = [hull[0] for hull in hulls]
    free = nbytes - sum(unit.options[choice].nbytes for unit, choice in zip(units, choices, strict=True))
    price = None
    for place, option in _steps(units, hulls):
        unit = units[place]
        cost = unit.options[option].nbytes - unit.options[choices[place]].nbytes
        if cost <= free:
            choices[place] = option
            free -= cost
        elif price is None:
            price = (unit.options[choices[place]].error - unit.options[option].error) / cost
    for place, unit in enumerate(units):
        now = unit.options[choices[place]]
        room = now.nbytes + free
        best = choices[place]
        for p, each in enumerate(unit.options):
            if each.error < unit.options[best].error and each.nbytes <= room:
                best = p
        free -= unit.options[best].nbytes - now.nbytes
        choices[place] = best
    return _allocation(units, choices, False), price or 0.0


_Curve = tuple[list[tuple[int, float]], int, float]
"""Steps along a hull, as bytes and the error that they win, and the bytes and error where it begins."""


def _curve(unit: Unit, hull: list[int]) -> _Curve:
    options = [unit.options[place] for place in hull]
    steps = [(b.nbytes - a.nbytes, a.error - b.error) for a, b in itertools.pairwise(options)]
    return steps, options[0].nbytes, options[0].error


class _Rest:
    """The least error of the units that are not chosen for yet, in so many bytes, could parts of a format be chosen."""

    def __init__(self, curves: Sequence[_Curve]) -> None:
        steps = [(*step, place) for place, (points, _, _) in enumerate(curves) for step in points]
        found = np.array(steps, np.float64).reshape(-1, 3)
        found = found[np.argsort(-(found[:, 1] / found[:, 0]), kind="stable")]
        self._sizes, self._gains, self._owner = found[:, 0], found[:, 1], found[:, 2].astype(np.int64)
        # Sums from the end on, so that what is left of the last ones is no difference of large numbers.
        starts = np.array([curve[1:] for curve in curves], np.float64).reshape(-1, 2)
        self._starts = np.concatenate([np.cumsum(starts[::-1], axis=0)[::-1], np.zeros((1, 2))])
        self._at = 0

    def take(self) -> None:
        """The next unit is chosen for."""
        others = self._owner != self._at
        self._sizes, self._gains, self._owner = self._sizes[others], self._gains[others], self._owner[others]
        self._at += 1

    def bound(self, nbytes: Floats) -> Floats:
        """Infinite where even the smallest does not fit."""
        size, error = self._starts[self._at]
        sizes = size + np.concatenate([[0.0], np.cumsum(self._sizes)])
        errors = error - np.concatenate([[0.0], np.cumsum(self._gains)])
        return np.asarray(np.where(nbytes < size, np.inf, np.interp(nbytes, sizes, errors)))


def _front(sizes: Floats, errors: Floats) -> Floats:
    """The places that no other one beats in bytes and error."""
    order = np.lexsort((errors, sizes))
    least = np.minimum.accumulate(errors[order])
    better = np.concatenate([[True], errors[order][1:] < least[:-1]]) if order.size else np.zeros(0, bool)
    return np.asarray(order[better])


# -- from an audit


def units_of(
    rows: Iterable[Row], names: Mapping[Scheme, str], *, at_least_db: float = -math.inf
) -> tuple[list[Unit], int]:
    """The units of a checkpoint with their formats, and the bytes of what is left as it is.

    Parameters
    ----------
    rows : iterable of Row
        Of `audit`, under each of the schemes to choose from.
    names : mapping of Scheme to str
        What each scheme is called.
    at_least_db : float
        Formats with a lower SQNR are no choice; nor are those whose values leave float32.

    Returns
    -------
    list of Unit
        Fused siblings (q, k and v; gate and up; the experts of a layer) are one unit. What has two names is counted
        once.
    int
        Bytes of the tensors that are not quantized.
    """
    weights: dict[str, Weight] = {}
    options: dict[str, dict[str, Option]] = {}
    rest = 0
    for row in rows:
        weights[row.weight.name] = row.weight
        found = options.setdefault(row.weight.name, {})
        if row.figures is None:
            continue
        error = row.figures.mse * row.figures.finite
        if row.sqnr_db >= at_least_db and math.isfinite(error):
            found[names[row.scheme]] = Option(names[row.scheme], row.figures.storage.quantized_bytes, error)
    groups: dict[str, list[Weight]] = {}
    seen: set[object] = set()
    for weight in weights.values():
        if weight.entry.identity is not None:
            if weight.entry.identity in seen:
                continue
            seen.add(weight.entry.identity)
        if options[weight.name]:
            groups.setdefault(_family(weight), []).append(weight)
        else:
            rest += weight.nbytes or 0
    units = []
    for members in groups.values():
        common = [name for name in options[members[0].name] if all(name in options[each.name] for each in members)]
        together = [
            Option(
                name,
                sum(options[each.name][name].nbytes for each in members),
                math.fsum(options[each.name][name].error for each in members),
            )
            for name in common
        ]
        kept = Option(KEEP, sum(each.nbytes or 0 for each in members), 0.0)
        units.append(Unit(tuple(each.name for each in members), (*together, kept)))
    return units, rest


_SIBLINGS = {"q": "qkv", "k": "qkv", "v": "qkv", "gate": "gate_up", "up": "gate_up"}
_EXPERT = re.compile(r"(experts?)[._](\d+)")


def _family(weight: Weight) -> str:
    """What fused siblings have in common."""
    role = _SIBLINGS.get(weight.role, weight.role if weight.is_expert else "")
    if not role:
        return weight.name
    parent = weight.module.rpartition(".")[0] or weight.module
    return _EXPERT.sub(r"\1", parent) + " " + role
