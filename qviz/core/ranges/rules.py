"""From where to where shall the codes reach? The range estimators."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np

from qviz.core.arrays import FloatArray, Floats
from qviz.core.frozen import frozen
from qviz.core.plain import Tagged
from qviz.core.problems import Problem
from qviz.core.tensors.batches import Batch, batches_of
from qviz.core.tensors.layout import BLOCK, Layout
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.tensors.tensor import Tensor, group_spans
from qviz.core.work import IsCancelled, Progress, check, ignore, in_order, never

Range = tuple[FloatArray, FloatArray]
Ends = tuple[Any, Any]
"""Of one group."""

Given = TypeVar("Given")
Answer = TypeVar("Answer")

TOGETHER, MOST_TOGETHER = 1 << 14, 16
"""Elements of small groups that a thread is given at once, to take longer than giving them, and groups at most."""

LARGEST_BESIDE = 1 << 22
"""Larger groups are looked at one after the other: each is a copy."""


@frozen(eq=False)
class Grid:
    """What codes stand for before they are scaled, and which range gives a scale.

    Attributes
    ----------
    values : float64 array
        The unit value of each code, ascending.
    zero_points : float64 array
        All that there are.
    first, last : float
        The range of a scale S and a zero point Z reaches from (first − Z)·S to (last − Z)·S.
    """

    values: Floats
    zero_points: Floats
    first: float
    last: float

    @property
    def breakpoints(self) -> int:
        """Scales at which an element gets another code, at most, over all zero points."""
        return self.values.size * self.zero_points.size


@frozen(eq=False)
class RangeInput:
    """What a range is sought for.

    Attributes
    ----------
    tensor : Tensor
    prepared : SortedTensor or None
        The tensor in order, where it is one group and somebody sorted it.
    layout : Layout
        The groups that get a range each.
    symmetric : bool
        Only the larger magnitude of the two ends counts.
    levels : int
        How many codes there are.
    squared_error : Callable[[low, high], float64 array, shape (groups,)]
        Σ(x̂ − x)² of each group when its range is that, in the scheme's own arithmetic.
    squared_errors : Callable[[low, high], float64 array, shape (candidates,)] or None
        The same for many ranges of one group at once.
    clipping_errors : Callable[[low, high], float64 array, shape (candidates,)] or None
        The part of it that lies beyond the codes: no more than the whole, and quicker to know.
    cancelled : Callable[[], bool]
    reach : float
        How far beyond the data a range may still lose less, as a part of them: 1 for not at all.
    grid : Grid or None
        What codes stand for, where every scale and zero point can be reached by a range.
    progress : Callable[[float], None]
        Told which share of the groups has its range, where each is sought by itself.
    fill : int
        How many elements a block has once it is filled up; 0 where there are no blocks.
    signed : bool
        Whether a scale has a sign: that of the end which is further from 0, turned round.
    """

    tensor: Tensor
    prepared: SortedTensor | None
    layout: Layout
    symmetric: bool
    levels: int
    squared_error: Callable[[FloatArray, FloatArray], Floats]
    squared_errors: Callable[[FloatArray, FloatArray], Floats] | None = None
    clipping_errors: Callable[[FloatArray, FloatArray], Floats] | None = None
    cancelled: IsCancelled = never
    reach: float = 1.0
    grid: Grid | None = None
    progress: Progress = ignore
    fill: int = 0
    signed: bool = False

    def filled_rows(self) -> Iterator[tuple[int, FloatArray]]:
        """Some neighbouring groups, a row each, and the number of the first; 0 where nothing finite is."""
        together = max(1, BLOCK // max(1, self.fill))
        for first, rows in self.tensor.group_rows(self.layout, cancelled=self.cancelled):
            missing = max(0, self.fill - rows.shape[1])
            for start in range(0, len(rows), together if missing else len(rows)):
                part = np.nan_to_num(rows[start : start + together] if missing else rows, nan=0.0)
                yield first + start, np.pad(part, ((0, 0), (0, missing))) if missing else part

    def of_batches(
        self, batch_axis: int | None, find: Callable[[Iterator[Batch]], Ends | None], *, beside: bool = False
    ) -> Range:
        """What is found of each group's batches, as `batches_of` has them; tells how far it is.

        Some groups are looked at ``beside`` others where that is quicker: while Python itself is at work, it is not.
        """
        groups = batches_of(self.tensor, self.layout, batch_axis, cancelled=self.cancelled)
        return self._found(groups, find, beside)

    def of_groups(self, find: Callable[[FloatArray], Ends | None], *, beside: bool = False) -> Range:
        """The same of each group's finite values, of which there is one at least."""
        groups = self.tensor.finite_groups(self.layout, cancelled=self.cancelled)
        return self._found(groups, lambda values: find(values) if values.size else None, beside)

    def _found(self, groups: Iterator[tuple[int, Given]], find: Callable[[Given], Ends | None], beside: bool) -> Range:
        """The ends of each group; 0 where there are none."""

        def some(each: list[tuple[int, Given]]) -> list[tuple[int, Ends | None]]:
            found = []
            for group, given in each:
                check(self.cancelled)
                found.append((group, find(given)))
            return found

        many = self.layout.groups
        together = min(MOST_TOGETHER, 1 + TOGETHER // max(1, self._size)) if beside else 1
        parts = iter(lambda: list(islice(groups, together)), [])
        answers = self.in_order(some, parts) if beside else map(some, parts)
        low, high = np.zeros(many, np.float32), np.zeros(many, np.float32)
        for done, (group, ends) in enumerate(chain.from_iterable(answers), 1):
            check(self.cancelled)
            if ends is not None:
                low[group], high[group] = ends
            self.progress(done / many)
        return low, high

    def in_order(self, work: Callable[[Given], Answer], parts: Iterable[Given]) -> Iterator[Answer]:
        """What ``work`` makes of some groups at a time: in two threads where there are several, none too large."""
        beside = self.layout.groups > 1 and self._size <= LARGEST_BESIDE
        return in_order(work, parts) if beside else map(work, parts)

    @property
    def _size(self) -> int:
        return self.layout.outer * self.layout.inner


class RangeRule(Protocol):
    """What the rest of qviz asks of a range estimator."""

    kind: ClassVar[str]

    def estimate(self, given: RangeInput) -> Range:
        """The lowest and highest value of each group, float32, shape ``(groups,)``.

        A symmetric scheme reads the larger magnitude of the two.
        """
        ...


@frozen
class MinMax(Tagged):
    """From the smallest value to the largest: nothing is clipped."""

    kind: ClassVar[str] = "minmax"

    def estimate(self, given: RangeInput) -> Range:
        """The extremes of each group."""
        return given.tensor.extremes(given.layout, cancelled=given.cancelled)


@frozen
class Percentile(Tagged):
    """Keep ``percentile`` per cent of the elements and clip the rest.

    Symmetric: of the magnitudes. Asymmetric: half of the rest is cut off on each side. Between
    two order statistics the value is interpolated linearly, as ``numpy.percentile`` does.

    Raises
    ------
    Problem
        When ``percentile`` is not above 50 and at most 100.
    """

    kind: ClassVar[str] = "percentile"
    percentile: float = 99.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 50 < self.percentile <= 100:
            raise Problem(
                "A percentile of {percentile:g} makes no range: choose one above 50, up to 100.",
                percentile=self.percentile,
            )

    def estimate(self, given: RangeInput) -> Range:
        """The exact percentiles of each group."""
        symmetric, kept = given.symmetric, self.percentile / 100
        upper = kept if symmetric else (1 + kept) / 2
        low = np.zeros(given.layout.groups, np.float32)
        high = np.zeros(given.layout.groups, np.float32)
        if given.prepared is not None:
            ranked = given.prepared
            if symmetric:
                high[0] = _interpolated(ranked.magnitude_statistic, ranked.values.size, upper)
                low[0] = -high[0]
            else:
                low[0], high[0] = (
                    _interpolated(ranked.order_statistic, ranked.values.size, q) for q in (1 - upper, upper)
                )
            return low, high

        def of_rows(span: tuple[int, int]) -> tuple[slice, list[Floats]]:
            check(given.cancelled)
            rows = given.tensor.rows(given.layout, *span)
            quantiles = (upper,) if symmetric else (1 - upper, upper)
            return slice(*span), _order_statistics(np.abs(rows, out=rows) if symmetric else rows, *quantiles)

        for here, ends in given.in_order(of_rows, group_spans(given.layout)):
            high[here] = ends[-1]
            low[here] = -high[here] if symmetric else ends[0]
        return low, high


@frozen
class Manual(Tagged):
    """The range a person drew: the two clip lines, the same for every group.

    Raises
    ------
    Problem
        When the bounds are not finite or not in order.
    """

    kind: ClassVar[str] = "manual"
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        largest = float(np.finfo(np.float32).max)
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise Problem(
                "A range from {low:g} to {high:g} is empty: the low end must be below the high.",
                low=self.low,
                high=self.high,
            )
        if max(abs(self.low), abs(self.high)) > largest:
            raise Problem(
                "A range from {low:g} to {high:g} is beyond float32: stay within ±{largest:.2g}.",
                low=self.low,
                high=self.high,
                largest=largest,
            )

    def estimate(self, given: RangeInput) -> Range:
        """The two bounds, repeated for each group without a copy for each."""
        groups = given.layout.groups
        return np.broadcast_to(np.float32(self.low), groups), np.broadcast_to(np.float32(self.high), groups)


def _order_statistics(rows: FloatArray, *quantiles: float) -> list[Floats]:
    """Linear-interpolation quantiles (numpy's default) of each row's finite values, by sorting them in place.

    A row without a finite value has 0.
    """
    finite = rows.shape[1] - np.count_nonzero(np.isnan(rows), axis=1)
    found = [np.zeros(len(rows)) for _ in quantiles]
    for size in np.unique(finite[finite > 0]).tolist():  # NaN is sorted behind every number
        same = finite == size
        some = rows if same.all() else rows[same]
        some.sort(axis=1)  # several times as fast as to partition at two places
        for values, q in zip(found, quantiles, strict=True):
            below, after, fraction = _ranks(size, q)
            low = some[:, below].astype(np.float64)
            values[same] = _between(low, some[:, after].astype(np.float64), fraction)
    return found


def _interpolated(statistic: Callable[[int], float], size: int, quantile: float) -> float:
    """Between the two order statistics around a quantile, linearly, as numpy does."""
    below, after, fraction = _ranks(size, quantile)
    low = statistic(below)
    return _between(low, statistic(after), fraction) if fraction else low


MIDDLE = 0.5


def _between(low: Any, high: Any, fraction: float) -> Any:
    """From the nearer one, as numpy interpolates, to its last bit."""
    step = high - low
    return low + step * fraction if fraction < MIDDLE else high - step * (1 - fraction)


def _ranks(size: int, quantile: float) -> tuple[int, int, float]:
    position = quantile * (size - 1)
    below = math.floor(position)
    return below, min(below + 1, size - 1), position - below


@frozen(eq=False)
class LossCurve:
    """What each threshold would lose.

    Attributes
    ----------
    loss : str
        ``"mse"`` (in the tensor's units, squared) or ``"entropy"`` (Kullback-Leibler, nats).
    side : str
        Which clip line moves: ``"both"`` (symmetric), ``"low"`` or ``"high"`` (the other one stands
        at its best place).
    threshold : float64 array, shape (candidates,)
        Ascending, in the tensor's units.
    value : float64 array, shape (candidates,)
    """

    loss: str
    side: str
    threshold: Floats
    value: Floats

    @property
    def best(self) -> float:
        """The threshold that loses least."""
        return float(self.threshold[np.argmin(self.value)])
