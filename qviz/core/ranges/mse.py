"""Which range has the least mean squared error? A search whose every candidate is measured, not guessed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from qviz.core.arrays import LARGEST, FloatArray, Floats
from qviz.core.frozen import frozen
from qviz.core.plain import Tagged
from qviz.core.ranges.least import MOST_BREAKPOINTS, least_ranges
from qviz.core.ranges.rules import LossCurve, Percentile, Range, RangeInput
from qviz.core.work import check

COARSE = 2.0 ** (-np.arange(80) / 8)
"""Thresholds as parts of the largest magnitude: from all of it to a thousandth, 9 % apart."""

COARSE_JOINT = 2.0 ** (-np.arange(40) / 4)
ONE_SIDED = 2.0 ** (-np.arange(24) / 3)
FINE, FEW_LEVELS = 192, 1024
"""Steps of a fine grid; an eighth of them where many levels make each take long, and dips narrow."""

VERY_FEW_LEVELS = 16
"""Up to so many, a whole zero point makes the loss jump: both ends are moved apart from each other too."""

APART = 2.0 ** (np.arange(-8, 9) / 4)

NEARLY = 1.25
"""What loses no more than so many times the least is looked at again."""

REFINEMENTS = 3
AROUND = np.array([-4, -3, -2, -1, 1, 2, 3, 4]) / 5
KEPT_PERCENTS = (99.0, 99.9, 99.99, 99.999)


class _Search:
    """The best range so far of each group."""

    def __init__(self, given: RangeInput, planned: int, *, negative: bool = False) -> None:
        """``planned`` is how many ranges will be tried; ``negative`` ones make scales so, and come last."""
        self._given, self._negative = given, negative
        self._tried, self._planned = planned if negative else 0, planned * (1 + given.signed)
        self.low, self.high = (a.copy() for a in given.tensor.extremes(given.layout, cancelled=given.cancelled))
        if given.symmetric:
            self.high = np.maximum(np.abs(self.low), np.abs(self.high))
            self.low, self.high = self._signed(-self.high, self.high)
        self.reach = _reach(given)
        self.loss = given.squared_error(self.low, self.high)

    def _signed(self, low: FloatArray, high: FloatArray) -> Range:
        """A symmetric range whose high end is further from 0, if only by a rounding; others as they are."""
        return (np.nextafter(-high, np.float32(0)), high) if self._negative else (low, high)

    def take(self, other: _Search) -> None:
        """What another search has found, where that loses less."""
        self._keep(other.low, other.high, other.loss)

    def _keep(self, low: FloatArray, high: FloatArray, loss: Floats) -> None:
        """What loses less than the best so far."""
        better = loss < self.loss
        self.low, self.high = np.where(better, low, self.low), np.where(better, high, self.high)
        self.loss = np.where(better, loss, self.loss)

    def attempt(self, low: FloatArray, high: FloatArray) -> Floats:
        """Try a range for each group, never one beyond the reach; those that lose less are kept."""
        given = self._given
        check(given.cancelled)
        low = np.maximum(np.asarray(low, np.float32), self.reach[0])
        high = np.minimum(np.asarray(high, np.float32), self.reach[1])
        low, high = self._signed(low, high)
        loss = given.squared_error(low, high)
        self._keep(low, high, loss)
        self._tried += 1
        given.progress(min(self._tried / self._planned, 1.0))
        return loss

    def attempt_anywhere(self, ranges: Iterable[Range]) -> None:
        """Try ranges wherever they end."""
        for ends in ranges:
            check(self._given.cancelled)
            low, high = self._signed(*ends)
            self._keep(low, high, self._given.squared_error(low, high))

    def attempt_all(self, ranges: Iterable[Range], *, prune_by_clipping: bool = False) -> Floats:
        """`attempt` each; the losses, shape (ranges, groups). Those of one group are measured together.

        Pruned by clipping, those that lose more than the best known one by clipping alone are not measured.
        """
        wanted = list(ranges)
        given = self._given
        if given.squared_errors is None or given.clipping_errors is None or not wanted:
            return np.array([self.attempt(low, high) for low, high in wanted])
        low = np.maximum(np.concatenate([np.asarray(low, np.float32) for low, _ in wanted]), self.reach[0])
        high = np.minimum(np.concatenate([np.asarray(high, np.float32) for _, high in wanted]), self.reach[1])
        low, high = self._signed(low, high)
        losses = np.full(low.size, np.inf)
        likely = np.arange(low.size)
        if prune_by_clipping or given.levels > FEW_LEVELS:
            likely = np.flatnonzero(given.clipping_errors(low, high) < NEARLY * self.loss[0])
        if likely.size:
            losses[likely] = given.squared_errors(low[likely], high[likely])
            best = int(np.argmin(losses))
            self._keep(low[[best]], high[[best]], losses[[best]])
        return losses[:, None]


def _reach(given: RangeInput) -> Range:
    """The widest range worth trying for each group."""
    low, high = (end.astype(np.float64) for end in given.tensor.extremes(given.layout, cancelled=given.cancelled))
    if given.symmetric:
        high = np.maximum(np.abs(low), np.abs(high)) * given.reach
        low = -high
    lowest, highest = (np.clip(end, -LARGEST, LARGEST).astype(np.float32) for end in (low, high))
    return lowest, highest


@frozen
class MSE(Tagged):
    """The range with the least mean squared error, each candidate measured on every element.

    No histogram stands between: candidates from a little beyond the data, where the last code still
    gains, to a thousandth of them, the usual percentiles, a fine grid where the loss is near its
    least, then ever finer steps around the best.
    Symmetric: one threshold, with either sign where scales have one. Asymmetric: both ends, together and then in
    turn. Of small tensors (a million scales at which an element gets another code) every interval between such scales
    is looked at besides, so that nothing loses less; above that the last steps are the fine ones named above.
    """

    kind: ClassVar[str] = "mse"

    def estimate(self, given: RangeInput) -> Range:
        """The best range of each group."""
        search = _sought(given)
        if given.signed:
            search.take(_sought(given, negative=True))
        return search.low, search.high


def _sought(given: RangeInput, *, negative: bool = False) -> _Search:
    """The best range of each group, with scales of one sign where they have one."""
    fine = _fine(given.levels, given.prepared is not None)
    search = _Search(given, _planned(given.symmetric, given.levels, fine), negative=negative)
    search.attempt_all(_percentile_ranges(given))
    if given.symmetric:
        _seek_threshold(search, fine)
    else:
        _seek_both_ends(search, fine, _medians(given), given.levels <= VERY_FEW_LEVELS)
    if given.grid is not None and given.grid.breakpoints * given.tensor.finite <= MOST_BREAKPOINTS:
        values = _values_of_groups(given)
        turned = [-each for each in values] if negative else values
        search.attempt_anywhere(least_ranges(turned, given.grid))
    return search


def _seek_threshold(search: _Search, fine: int) -> None:
    """Where symmetric ranges end best."""
    middle = np.zeros_like(search.low)
    losses = search.attempt_all((_shrunk(search.reach, middle, part) for part in COARSE), prune_by_clipping=True)
    # The loss has narrow dips where the last level meets the data: a fine grid over every
    # part that is nearly as good as the best.
    good = losses <= NEARLY * search.loss
    first, last = np.argmax(good, axis=0), good.shape[0] - 1 - np.argmax(good[::-1], axis=0)
    largest, smallest = COARSE[np.maximum(first - 1, 0)], COARSE[np.minimum(last + 1, COARSE.size - 1)]
    steps = np.arange(fine) / fine
    search.attempt_all(_shrunk(search.reach, middle, largest + (smallest - largest) * step) for step in steps)
    _refine(search, 1 + 1 / fine, (1, 1), middle)


def _seek_both_ends(search: _Search, fine: int, middle: FloatArray, few_levels: bool) -> None:
    """Where asymmetric ranges begin and end best."""
    search.attempt_all((_shrunk(search.reach, middle, part) for part in COARSE_JOINT[1:]), prune_by_clipping=True)
    reach, parts = search.reach, ONE_SIDED.astype(np.float32)
    search.attempt_all(((search.low, middle + (reach[1] - middle) * part) for part in parts), prune_by_clipping=True)
    search.attempt_all(((middle + (reach[0] - middle) * part, search.high) for part in parts), prune_by_clipping=True)
    if few_levels:
        best = search.low, search.high
        search.attempt_all(
            (
                (_scaled(best, middle, factor, (1, 0))[0], _scaled(best, middle, other, (0, 1))[1])
                for factor, other in itertools.product(APART.astype(np.float32), repeat=2)
            ),
            prune_by_clipping=True,
        )
    for sides in ((1, 1), (0, 1), (1, 0), (0, 1), (1, 0)):
        best, factors = (search.low, search.high), np.linspace(0.85, 1.15, fine // 2).astype(np.float32)
        search.attempt_all([_scaled(best, middle, factor, sides) for factor in factors])
    for sides in ((0, 1), (1, 0), (1, 1)):
        _refine(search, 1 + 1 / fine, sides, middle)


def _values_of_groups(given: RangeInput) -> list[FloatArray]:
    if given.prepared is not None:  # counts have nothing else
        return [np.asarray(given.prepared.values[:], np.float32)]
    groups = [np.zeros(0, np.float32)] * given.layout.groups
    for group, values in given.tensor.finite_groups(given.layout, cancelled=given.cancelled):
        groups[group] = values
    return groups


def mse_curves(given: RangeInput, best: Range) -> tuple[LossCurve, ...]:
    """The mean squared error at every threshold of one group: one curve, or one for each end.

    Parameters
    ----------
    given : RangeInput
        Of one group.
    best : Range
        What `MSE` chose for it.
    """
    low, high = best
    n, reach = given.tensor.finite, _reach(given)
    if given.symmetric:
        largest = float(reach[1][0])
        threshold = _around(largest * COARSE[:56], float(high[0]), largest)
        negative = given.signed and high[0] > -low[0]
        lowest = np.nextafter(-threshold.astype(np.float32), np.float32(0)) if negative else -threshold
        return (_curve(given, "both", lowest, threshold, threshold, n),)
    middle = float(_medians(given)[0])
    curves = []
    for side, end, chosen in (("low", float(reach[0][0]), float(low[0])), ("high", float(reach[1][0]), float(high[0]))):
        moving = np.sort(_around(abs(end - middle) * COARSE_JOINT, abs(chosen - middle), abs(end - middle)))
        moving = np.unique(middle + np.sign(end - middle) * moving)
        ends = (moving, np.full_like(moving, high[0])) if side == "low" else (np.full_like(moving, low[0]), moving)
        if moving.size > 1:
            curves.append(_curve(given, side, *ends, moving, n))
    return tuple(curves)


def _around(grid: Floats, best: float, largest: float) -> Floats:
    """A grid that is finer near its best point, and holds it."""
    near = best * 2.0 ** (np.arange(-8, 9) / 32)
    return np.unique(np.minimum(np.concatenate((grid, near[near > 0])), largest))


def _curve(given: RangeInput, side: str, low: Floats, high: Floats, threshold: Floats, n: int) -> LossCurve:
    values = np.empty(threshold.size)
    for i in range(threshold.size):
        check(given.cancelled)
        ends = (np.array([end[i]], np.float32) for end in (low, high))
        values[i] = given.squared_error(*ends)[0] / n
    return LossCurve("mse", side, threshold, values)


def ranges_tried(symmetric: bool, levels: int, whole: bool, signed: bool = False) -> int:
    """Of how many ranges `MSE` takes the best for each group; ``whole`` for a tensor with one scale.

    Where scales are ``signed``, each is tried with both signs.
    """
    return _planned(symmetric, levels, _fine(levels, whole)) * (1 + signed)


def _fine(levels: int, prepared: bool) -> int:
    return FINE if levels <= FEW_LEVELS and prepared else FINE // 8


def _planned(symmetric: bool, levels: int, fine: int) -> int:
    """How many ranges are tried for each group."""
    around = REFINEMENTS * AROUND.size
    if symmetric:
        return len(KEPT_PERCENTS) + COARSE.size + fine + around
    apart = APART.size**2 if levels <= VERY_FEW_LEVELS else 0
    return len(KEPT_PERCENTS) + COARSE_JOINT.size - 1 + 2 * ONE_SIDED.size + apart + 5 * (fine // 2) + 3 * around


def _refine(search: _Search, ratio: float, sides: tuple[int, int], middle: FloatArray) -> None:
    """Ever smaller steps around the best: each a fifth of the one before."""
    for _ in range(REFINEMENTS):
        best = search.low, search.high
        search.attempt_all([_scaled(best, middle, np.float32(ratio**step), sides) for step in AROUND])
        ratio **= 0.2


def _shrunk(reach: Range, middle: FloatArray, part: Any) -> Range:
    """A part of the whole range, for each group its own where ``part`` is an array."""
    return _moved(reach[0], middle, part), _moved(reach[1], middle, part)


def _scaled(ends: Range, middle: FloatArray, factor: Any, sides: tuple[int, int]) -> Range:
    """One end or both, further from the middle or nearer."""
    return _moved(ends[0], middle, factor if sides[0] else 1), _moved(ends[1], middle, factor if sides[1] else 1)


def _moved(end: FloatArray, middle: FloatArray, factor: Any) -> FloatArray:
    """In float64: twice the largest float32 would not be one."""
    centre = middle.astype(np.float64)
    moved: FloatArray = np.clip(centre + (end - centre) * factor, -LARGEST, LARGEST).astype(np.float32)
    return moved


def _percentile_ranges(given: RangeInput) -> list[Range]:
    return [Percentile(p).estimate(given) for p in KEPT_PERCENTS]


def _medians(given: RangeInput) -> FloatArray:
    """What both ends shrink towards."""
    if given.prepared is not None:
        return given.prepared.values[[given.prepared.values.size // 2]]
    middle = np.zeros(given.layout.groups, np.float32)
    for group, values in given.tensor.finite_groups(given.layout, cancelled=given.cancelled):
        if values.size:
            values.partition(values.size // 2)
            middle[group] = values[values.size // 2]
    return middle
