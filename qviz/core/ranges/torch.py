"""Which range do PyTorch's observers choose? Its histogram search and its moving average, to the last bit.

`torch.ao.quantization.observer` 2.13.0, in float32 as it computes there, on one thread. Its arithmetic
depends on the number of threads above 2²⁴ elements in one bin alone.
"""

from __future__ import annotations

import bisect
import functools
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from qviz.core.arrays import FloatArray, Floats
from qviz.core.frozen import frozen
from qviz.core.plain import Tagged
from qviz.core.problems import Problem
from qviz.core.ranges.histograms import linear_counts, remembered
from qviz.core.ranges.rules import Ends, Range, RangeInput
from qviz.core.tensors.batches import Batch
from qviz.core.work import IsCancelled, check

BINS, LEVELS = 2048, 256
"""Of the histogram, and of the quantizer that its search assumes: 8 bits, whatever the scheme's."""

STEP = 1e-5
UPSAMPLED = 16

COUNTED = 1 << 24
"""A float32 counter that gains 1 at a time stays there."""

LANES, ROWS, LEVELS_OF_SUMS = 8, 4, 4
"""How ``torch.sum`` adds float32: so many numbers at once, so many rows at once, and a cascade of sums."""


@frozen
class MovingAverage(Tagged):
    """Extremes that follow each batch by a part: `MovingAverageMinMaxObserver`, and its version per channel.

    The first batch's extremes, then e ← e + c·(extreme − e) for every further one, in float32.

    Parameters
    ----------
    averaging_constant : float
        c, above 0 and up to 1.
    batch_axis : int or None
        The axis whose indices are batches; None: the whole tensor is one.

    Raises
    ------
    Problem
        When ``averaging_constant`` is out of range.
    """

    kind: ClassVar[str] = "moving_average"
    averaging_constant: float = 0.01
    batch_axis: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.averaging_constant <= 1:
            raise Problem(
                "An averaging constant of {averaging_constant:g} averages nothing: choose one above 0, up to 1.",
                averaging_constant=self.averaging_constant,
            )

    def estimate(self, given: RangeInput) -> Range:
        """The averages of each group."""
        part = np.float32(self.averaging_constant)

        def averages(batches: Iterator[Batch]) -> Ends | None:
            found: Ends | None = None
            for batch in batches:
                extremes = batch.extremes(cancelled=given.cancelled)
                if extremes is None:
                    continue
                with np.errstate(over="ignore"):
                    low, high = found or extremes
                    moved = low + part * (extremes[0] - low), high + part * (extremes[1] - high)
                found = moved if found else extremes
            return found

        return remembered(given.tensor, (self, given.layout), lambda: given.of_batches(self.batch_axis, averages))


@frozen
class TorchHistogram(Tagged):
    """The part of a histogram with the least L2 error: `HistogramObserver`.

    2048 bins between the extremes; a further batch that reaches beyond them has the bins spread anew.
    The search takes off a 10⁻⁵ of the elements at a time, from the side where that takes off more bins,
    and stops as soon as the error grows. It assumes 256 levels. As the lowest bin is never empty, the low
    end stays where it is for fewer than 100 000 elements.

    Parameters
    ----------
    batch_axis : int or None
        The axis whose indices are batches; None: the whole tensor is one.
    """

    kind: ClassVar[str] = "torch_histogram"
    batch_axis: int | None = None

    def estimate(self, given: RangeInput) -> Range:
        """The range of each group; PyTorch itself has it per tensor alone."""

        def searched(batches: Iterator[Batch]) -> Ends | None:
            histogram = _observe(batches, given.cancelled)
            return None if histogram is None else histogram.search(given.cancelled)

        return remembered(given.tensor, (self, given.layout), lambda: given.of_batches(self.batch_axis, searched))


def _observe(batches: Iterator[Batch], cancelled: IsCancelled) -> _Histogram | None:
    """The histogram of all the batches, None where no batch has a finite value."""
    seen = None
    for batch in batches:
        extremes = batch.extremes(cancelled=cancelled)
        if extremes is None:
            continue
        low, high = extremes if seen is None else (min(extremes[0], seen.low), max(extremes[1], seen.high))
        counts = linear_counts(batch.pieces(cancelled=cancelled), low, high, BINS)
        new = _Histogram(np.minimum(counts, COUNTED).astype(np.float32), low, high)
        seen = new if seen is None else seen.joined(new)
    return seen


@frozen(eq=False)
class _Histogram:
    """Float32 counts, for they need not stay whole, in equal bins from ``low`` to ``high``."""

    counts: FloatArray
    low: np.float32
    high: np.float32

    def joined(self, new: _Histogram) -> _Histogram:
        """With the counts of one that reaches at least as far (``_combine_histograms``)."""
        if (self.low, self.high) == (new.low, new.high):
            old = self.counts
        elif self.low == self.high:
            old = linear_counts([np.array([self.low])], new.low, new.high, BINS).astype(np.float32) * total(self.counts)
        else:
            # A sixteenth of each bin's count is moved as if all of it lay in the middle of that sixteenth.
            parts = np.repeat(self.counts, UPSAMPLED) / np.float32(UPSAMPLED)
            with np.errstate(over="ignore"):
                width = (self.high - self.low) / np.float32(BINS * UPSAMPLED)
                middles = _linspace(self.low, self.high, BINS * UPSAMPLED + 1)[:-1] + np.float32(0.5) * width
            bins = np.searchsorted(_linspace(new.low, new.high, BINS + 1), middles, "right") - 1
            old = np.zeros(BINS, np.float32)
            np.add.at(old, np.clip(bins, 0, BINS - 1), parts)
        return _Histogram(old + new.counts, new.low, new.high)

    def search(self, cancelled: IsCancelled) -> tuple[np.float32, np.float32]:
        """The range with the least error, all where float32 cannot hold its width (``_non_linear_param_search``)."""
        with np.errstate(over="ignore"):
            width = (self.high - self.low) / np.float32(BINS)
        if width in (0, np.inf):
            return self.low, self.high
        below: list[float] = np.cumsum(self.counts, dtype=np.float64).astype(np.float32).tolist()
        elements = float(total(self.counts))
        betas, falling = _betas(), _falling(elements)
        alpha, taken, start, end, least = 0.0, 0, 0, BINS - 1, np.inf
        while alpha < betas[taken]:
            check(cancelled)
            next_alpha = alpha + STEP
            left = min(max(start, bisect.bisect_left(below, float(np.float32(next_alpha * elements)))), end)
            right = max(min(end, bisect.bisect_right(below, -float(falling[taken + 1])) - 1), start)
            next_start, next_end = start, end
            if left - start > end - right:
                next_start, alpha = left, next_alpha
            else:
                next_end, taken = right, taken + 1
            if (next_start, next_end) == (start, end):
                if start == end:
                    break
                # α stays, and β goes down until that takes a bin off.
                taken = int(falling.searchsorted(np.float32(-below[end]), "right")) - 1
                continue
            error = self._error(next_start, next_end)
            if error > least:
                break
            least, start, end = error, next_start, next_end
        return self.low + width * np.float32(start), self.low + width * np.float32(end + 1)

    def _error(self, start: int, end: int) -> float:
        """Σ of the squared error of values spread evenly over each bin (``_compute_quantization_error``)."""
        whole_width = (float(self.high) - float(self.low)) / BINS
        whole_step = whole_width * (end - start + 1) / LEVELS
        width, step, half = np.float32(whole_width), np.float32(whole_step), np.float32(whole_step / 2)
        with np.errstate(all="ignore"):
            return float(total(self._errors(start, width, step, half)))

    def _errors(self, start: int, width: np.float32, step: np.float32, half: np.float32) -> FloatArray:
        """The same of each bin."""
        begin = (np.arange(BINS) - start).astype(np.float32) * width
        stop = begin + width
        density = self.counts / width
        first, last = (np.clip(np.floor_divide(x, step), 0, LEVELS - 1).astype(np.float32) for x in (begin, stop))
        error = _between(begin - (first + np.float32(0.5)) * step, half, density)
        error += (last - first - np.float32(1)) * _between(-half, half, density)
        error += _between(-half, stop - (last * step + half), density)
        return error


@functools.cache
def _betas() -> Floats:
    """1, and what is left of it after each `STEP` that is taken off, one after the other, to below 0."""
    steps = np.full(round(1 / STEP) + 3, -STEP)
    steps[0] = 1
    return np.add.accumulate(steps)


@functools.lru_cache(4)
def _falling(elements: float) -> FloatArray:
    """So many elements below each β, negative so as to ascend; groups often have as many as those before."""
    return -(_betas() * elements).astype(np.float32)


def _between(begin: Any, end: Any, density: FloatArray) -> FloatArray:
    """∫x² from ``begin`` to ``end`` (``_get_norm``)."""
    norm: FloatArray = density * ((end * end * end - begin * begin * begin) / np.float32(3))
    return norm


def total(values: FloatArray) -> np.float32:
    """The sum of some thousand float32 numbers in the order of ``torch.sum``.

    Parameters
    ----------
    values : float32 array, shape (n,)
        A multiple of 512 numbers.
    """
    rows = values.reshape(-1, 1 << LEVELS_OF_SUMS, ROWS, LANES)
    sums = np.zeros((rows.shape[0], ROWS, LANES), np.float32)
    for row in range(rows.shape[1]):
        sums += rows[:, row]
    lanes = np.zeros((ROWS, LANES), np.float32)
    for part in sums:
        lanes += part
    lane = lanes[0]
    for row in range(1, ROWS):
        lane = lane + lanes[row]
    added = np.float32(0)
    for each in lane:
        added += each
    return added


def _linspace(low: np.float32, high: np.float32, steps: int) -> FloatArray:
    """``torch.linspace`` in float32: from both ends towards the middle, each number rounded once."""
    step = np.float64((high - low) / np.float32(steps - 1))
    number: Floats = np.arange(steps, dtype=np.float64)
    from_low, from_high = low + step * number, high - step * (steps - 1 - number)
    return np.where(number < steps // 2, from_low, from_high).astype(np.float32)
