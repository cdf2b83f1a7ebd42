"""Which range does ONNX Runtime's percentile calibration choose, and how do its histograms grow batch by batch?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from qviz.core.arrays import LARGEST, Counts, FloatArray
from qviz.core.frozen import frozen
from qviz.core.plain import Tagged
from qviz.core.problems import Problem
from qviz.core.ranges.histograms import bin_ends, edge_counts, remembered
from qviz.core.ranges.rules import Ends, Range, RangeInput
from qviz.core.tensors.batches import Batch
from qviz.core.work import IsCancelled, check

BINS = 2048

MOST_BINS = 1 << 24
"""Of a histogram that grows with its batches: ONNX Runtime goes on until there is no memory left."""


@frozen(eq=False)
class Collected:
    """What a ``HistogramCollector`` holds after some batches, each of which it was given in a ``collect`` of its own.

    Attributes
    ----------
    counts : int array, shape (bins,)
    edges : float32 array, shape (bins + 1,)
    low, high : float32
        The smallest and the largest value.
    """

    counts: Counts
    edges: FloatArray
    low: np.float32
    high: np.float32


def collected_values(batches: Iterator[Batch], bins: int, cancelled: IsCancelled) -> Collected | None:
    """A histogram from −absmax to absmax, which whole bins are added to where a batch reaches beyond it.

    ``HistogramCollector.collect_value`` and ``merge_histogram``. None where no batch has a finite value.
    """
    found: Collected | None = None
    end: Any = np.float32(0)
    for batch in batches:
        extremes = batch.extremes(cancelled=cancelled)
        if extremes is None:
            continue
        reach = max(abs(extremes[0]), abs(extremes[1]))
        if found is None:
            end = np.float64(reach) if reach > LARGEST / 2 else reach  # float32 could not hold the width of the whole
            edges = _both_sides(end, bins)
            found = Collected(_counts(batch, edges, cancelled), edges, *extremes)
            continue
        low, high = min(found.low, extremes[0]), max(found.high, extremes[1])
        old, edges = found.counts, found.edges
        more = 0
        if reach > end and end:
            stride = 2 * end / old.size
            _check_room(2 * (float(reach) - float(end)), stride)
            more = int((reach - end) // stride + 1)
            check(cancelled)
            end = more * stride + end
            edges = _both_sides(end, old.size + 2 * more)
        elif reach > end:
            end = reach
            edges = _both_sides(end, old.size)
        counts = _counts(batch, edges, cancelled)
        counts[more : counts.size - more] += old
        found = Collected(counts, edges, low, high)
    return found


def collected_magnitudes(batches: Iterator[Batch], bins: int, cancelled: IsCancelled) -> Collected | None:
    """A histogram of magnitudes from the first batch's smallest to its largest; later ones add bins above alone.

    ``HistogramCollector.collect_absolute_value``. Later magnitudes below the first edge are counted nowhere.
    """
    found: Collected | None = None
    for batch in batches:
        extremes = batch.extremes(cancelled=cancelled)
        if extremes is None:
            continue
        largest = max(-extremes[0], extremes[1])
        if found is None:
            smallest = min(np.abs(piece).min() for piece in batch.pieces(cancelled=cancelled))
            wide = largest > LARGEST / 2
            first, last = bin_ends(*(np.float64(end) if wide else end for end in (smallest, largest)))
            edges = np.linspace(first, last, bins + 1).astype(np.float32)
            found = Collected(_counts(batch, edges, cancelled, magnitudes=True), edges, *extremes)
            continue
        edges = found.edges
        if largest > edges[-1]:
            width = edges[1] - edges[0]
            _check_room(float(largest) - float(edges[-1]), width)
            edges = np.hstack((edges, np.arange(edges[-1] + width, largest + width, width))).astype(np.float32)
        counts = _counts(batch, edges, cancelled, magnitudes=True)
        counts[: found.counts.size] += found.counts
        found = Collected(counts, edges, min(found.low, extremes[0]), max(found.high, extremes[1]))
    return found


def _check_room(further: Any, width: Any) -> None:
    """Whether so far beyond the last edge there are not too many bins as wide as the first batch's."""
    if float(further) > MOST_BINS * float(width):
        raise Problem(
            "The first batch is so narrow beside a later one that ONNX Runtime's histogram would need more than "
            "{most:,} bins: choose another range, or take all batches together.",
            most=MOST_BINS,
        )


def _both_sides(end: Any, bins: int) -> FloatArray:
    """Equal bins from −``end`` to ``end``."""
    return np.linspace(*bin_ends(-end, end), bins + 1).astype(np.float32)


def _counts(batch: Batch, edges: FloatArray, cancelled: IsCancelled, *, magnitudes: bool = False) -> Counts:
    pieces = batch.pieces(cancelled=cancelled)
    return edge_counts((np.abs(piece) for piece in pieces) if magnitudes else pieces, edges)


@frozen
class OnnxRuntimePercentile(Tagged):
    """The lower edge of the bin that holds the percentile: `PercentileCalibrater`.

    2048 bins of the magnitudes, from the smallest to the largest: so does ``quantize_static`` with
    ``CalibrationMethod.Percentile``, whether codes are symmetric or not. Never beyond the values. Where float32 has
    fewer values than there are bins, ONNX Runtime stops with an error; this does not.

    Parameters
    ----------
    percentile : float
        Above 50, up to 100.
    magnitudes : bool
        False for ``CalibTensorRangeSymmetric=False``: bins of the values, from −absmax to absmax, with half of the
        rest cut off on each side.
    batch_axis : int or None
        The axis whose indices are batches, each collected alone (``collect_data`` once a batch); None: all of them
        come together, as in ``quantize_static``.

    Raises
    ------
    Problem
        When ``percentile`` is out of range; later, where a batch would need too many bins.
    """

    kind: ClassVar[str] = "onnxruntime_percentile"
    percentile: float = 99.999
    magnitudes: bool = True
    batch_axis: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 50 < self.percentile <= 100:
            raise Problem(
                "A percentile of {percentile:g} makes no range: choose one above 50, up to 100.",
                percentile=self.percentile,
            )

    def estimate(self, given: RangeInput) -> Range:
        """The range of each group."""

        collected = collected_magnitudes if self.magnitudes else collected_values

        def of_group(batches: Iterator[Batch]) -> Ends | None:
            histogram = collected(batches, BINS, given.cancelled)
            return None if histogram is None else self._range(histogram)

        return remembered(given.tensor, (self, given.layout), lambda: given.of_batches(self.batch_axis, of_group))

    def _range(self, histogram: Collected) -> tuple[np.float32, np.float32]:
        counts, edges = histogram.counts, histogram.edges
        below = np.cumsum(counts / counts.sum())
        if self.magnitudes:
            high = edges[np.searchsorted(below, self.percentile / 100)]
            low = -high
        else:
            rest = (100 - self.percentile) / 200
            low, high = (edges[np.searchsorted(below, part)] for part in (rest, 1 - rest))
        return max(low, histogram.low), min(high, histogram.high)
