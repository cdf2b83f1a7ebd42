"""Which threshold keeps most of the information? ONNX Runtime's entropy calibration, exactly counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from qviz.core.arrays import LARGEST, Counts, FloatArray, Floats
from qviz.core.frozen import frozen
from qviz.core.plain import Tagged
from qviz.core.problems import Problem
from qviz.core.ranges.divergences import BinSums, information, likely_least, stretches, within
from qviz.core.ranges.histograms import edge_counts
from qviz.core.ranges.onnxruntime import Collected, collected_values
from qviz.core.ranges.rules import Ends, LossCurve, Range, RangeInput
from qviz.core.ranges.threshold_losses import ROUNDED, SMOOTHING, entropy_losses
from qviz.core.tensors.batches import Batch
from qviz.core.tensors.sorted_tensor import SortedTensor
from qviz.core.work import IsCancelled, check, never


@frozen
class Entropy(Tagged):
    """The threshold whose codes keep most of the information: ONNX Runtime's entropy calibration.

    A histogram of ``bins`` equal bins from -absmax to absmax; for each symmetric part of it the
    Kullback-Leibler divergence of the clipped distribution from one merged into
    ``quantized_bins``. ONNX Runtime merges into 128 whatever the bit width.
    (``HistogramCollector.get_entropy_threshold``)

    Parameters
    ----------
    bins, quantized_bins : int
    batch_axis : int or None
        The axis whose indices are batches, each collected alone, which adds bins where one reaches further
        (``collect_data`` once a batch); None: all of them come together, as in ``quantize_static``.

    Raises
    ------
    Problem
        When there are fewer bins than quantized bins, or fewer than 2.
    """

    kind: ClassVar[str] = "entropy"
    bins: int = 2048
    quantized_bins: int = 128
    batch_axis: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 2 <= self.quantized_bins <= self.bins <= 1 << 16:
            raise Problem(
                "{bins} bins cannot be merged into {quantized_bins}: choose 2 or more quantized bins, and at "
                "least as many bins, up to {most:,}.",
                bins=self.bins,
                quantized_bins=self.quantized_bins,
                most=1 << 16,
            )

    def estimate(self, given: RangeInput) -> Range:
        """The best symmetric threshold of each group, kept within its values."""
        if self.batch_axis is not None:

            def of_batches(batches: Iterator[Batch]) -> Ends | None:
                found = collected_values(batches, self.bins, given.cancelled)
                return None if found is None else self._range(found, given.cancelled)

            return given.of_batches(self.batch_axis, of_batches, beside=True)
        if given.prepared is not None:
            low, high = self.search(given.prepared, cancelled=given.cancelled)
            return np.full(1, low, np.float32), np.full(1, high, np.float32)
        return given.of_groups(lambda values: self._range(self._counted(values), given.cancelled), beside=True)

    def search(self, prepared: SortedTensor, *, cancelled: IsCancelled = never) -> tuple[np.float32, np.float32]:
        """The range of the least divergence; all batches together."""
        key = (self.kind, self)
        if key not in prepared.answers:
            prepared.answers[key] = self._range(self._collected(prepared), cancelled)
        answer: tuple[np.float32, np.float32] = prepared.answers[key]
        return answer

    def curve(self, prepared: SortedTensor, *, cancelled: IsCancelled = never) -> LossCurve:
        """The divergence at every threshold."""
        histogram = self._collected(prepared)
        first, last = self._thresholds(histogram.counts)
        losses = np.empty(first.size)
        for i, (start, stop) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            if i % 64 == 0:
                check(cancelled)
            losses[i] = _divergence(histogram.counts, start, stop, self.quantized_bins)
        return LossCurve("entropy", "both", histogram.edges[last].astype(np.float64), losses)

    def _range(self, histogram: Collected, cancelled: IsCancelled) -> tuple[np.float32, np.float32]:
        counts, edges = histogram.counts, histogram.edges
        first, last = self._thresholds(counts)
        likely = _likely(counts, first, last, self.quantized_bins, cancelled)
        losses = []
        for i, at in enumerate(likely.tolist() if likely.size > 1 else ()):
            if i % 64 == 0:
                check(cancelled)
            losses.append(_divergence(counts, int(first[at]), int(last[at]), self.quantized_bins))
        best = likely[int(np.argmin(losses)) if losses else 0]
        return max(edges[first[best]], histogram.low), min(edges[last[best]], histogram.high)

    def _thresholds(self, counts: Counts) -> tuple[Counts, Counts]:
        """The first bin of each part of the histogram, and the one behind its last."""
        middle = counts.size // 2
        first = middle - np.arange(self.quantized_bins // 2, middle + 1)
        return first, np.minimum(2 * middle - first + 1, counts.size)

    def _collected(self, prepared: SortedTensor) -> Collected:
        edges, counts = self.histogram(prepared)
        return Collected(counts, edges, prepared.values[0], prepared.values[-1])

    def histogram(self, prepared: SortedTensor) -> tuple[FloatArray, Counts]:
        """Edges in float32, as ONNX Runtime's, and the elements between them."""
        edges = self._edges(prepared.values[0], prepared.values[-1])
        return edges, prepared.counts(edges.astype(np.float64))

    def _counted(self, values: FloatArray) -> Collected:
        """The same of some values that are not in order."""
        low, high = values.min(), values.max()
        edges = self._edges(low, high)
        return Collected(edge_counts([values], edges), edges, low, high)

    def _edges(self, low: np.float32, high: np.float32) -> FloatArray:
        largest = max(abs(low), abs(high))
        reach = largest if largest > 0 else np.float32(0.5)
        # Where float32 could not hold the width of the whole, in float64.
        end: Any = np.float64(reach) if reach > LARGEST / 2 else reach
        edges: FloatArray = np.linspace(-end, end, self.bins + 1).astype(np.float32)
        return edges


def _likely(counts: Counts, first: Counts, last: Counts, merged: int, cancelled: IsCancelled) -> Counts:
    """Which thresholds may have the least `_divergence`."""
    return likely_least(*_bounded(counts, first, last, merged, cancelled))


def _bounded(counts: Counts, first: Counts, last: Counts, merged: int, cancelled: IsCancelled) -> tuple[Floats, Floats]:
    """`_estimates` of all thresholds."""
    sums = BinSums.of(counts)
    losses, slack = np.empty(first.size), np.empty(first.size)
    known = (sums.elements, sums.used, sums.information, sums.logarithms, sums.inverses, sums.squared_inverses)
    memory = [np.empty(merged) for _ in range(3)]
    for part in stretches(first, merged):
        check(cancelled)
        if entropy_losses.ready:
            ends = part.start, min(part.stop, first.size)
            entropy_losses(sums.counts, *known, *ends, *memory, losses, slack)
        else:
            losses[part], slack[part] = _estimates(sums, first[part], last[part], merged)
    return losses, slack


def _estimates(sums: BinSums, first: Counts, last: Counts, quantized_bins: int) -> tuple[Floats, Floats]:
    """The divergence of each threshold but for its rounding, and how far it is off at most.

    ln(c − s) of a smoothed count is taken for the first terms of its series, the sums of which are known.
    """
    counts, total = sums.counts, sums.elements[-1]
    size = last - first
    each = size // quantized_bins
    places = first[:, None] + each[:, None] * np.arange(quantized_bins + 1)
    whole = places[:, -1]
    together, used = within(sums.elements, places), within(sums.used, places)
    below, beyond = sums.elements[first], total - sums.elements[last]
    ends = counts[first], counts[last - 1]
    held, rest = together.copy(), sums.elements[last] - sums.elements[whole]
    together[:, -1] += rest
    # What lies beyond is in the first and the last bin, which may have held nothing.
    held[:, 0] += below
    used[:, 0] += (ends[0] == 0) & (below > 0)
    left, outermost = last - whole, (ends[1] == 0) & (beyond > 0)
    evenly = left == 0
    held[:, -1] += np.where(evenly, beyond, 0)
    used[:, -1] += evenly & outermost
    rest = rest + np.where(evenly, 0, beyond)
    rest_used = sums.used[last] - sums.used[whole] + (~evenly & outermost)
    spread = np.floor(np.divide(together, used, out=np.zeros_like(together), where=used > 0))
    full_p, full_q = used.sum(axis=1) + rest_used, each * np.count_nonzero(spread, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        from_p, from_q = SMOOTHING * (size - full_p) / full_p, SMOOTHING * (size - full_q) / full_q
        missing = ~((from_p < 1) & (from_q < 1))
        from_p, from_q = np.where(missing, 0, from_p), np.where(missing, 0, from_q)
        outer = np.stack((ends[0] + below, ends[1] + beyond))
        outer_left = outer - np.where(outer > 0, from_p, 0)
        entropy = information(outer_left).sum(axis=0) + SMOOTHING * (size - full_p) * np.log(SMOOTHING)
        inner = np.stack((first + 1, last - 1), axis=1)
        series = (
            (1, sums.information),
            (-from_p, sums.logarithms),
            (-from_p, sums.used),
            (from_p**2 / 2, sums.inverses),
            (from_p**3 / 6, sums.squared_inverses),
        )
        for factor, known in series:
            entropy += factor * within(known, inner)[:, 0]
        shrunk = held - from_p[:, None] * used + SMOOTHING * (each[:, None] - used)
        logarithm = np.log(np.where(spread > 0, spread - from_q[:, None], SMOOTHING))
        crossed = (shrunk * logarithm).sum(axis=1)
        crossed += (rest - from_p * rest_used + SMOOTHING * (left - rest_used)) * np.log(SMOOTHING)
        losses = (entropy - crossed) / total + np.log(each * spread.sum(axis=1) / total)
    losses[missing] = np.inf
    return losses, ROUNDED * (1 + np.abs(losses)) + from_p**4


def _divergence(counts: Counts, start: int, stop: int, quantized_bins: int) -> float:
    """Of the distribution clipped to bins ``start`` … ``stop`` from its merged self, in float32 as ONNX Runtime's."""
    inside = counts[start:stop]
    p = inside.copy()
    p[0] += counts[:start].sum()
    p[-1] += counts[stop:].sum()
    each = inside.size // quantized_bins
    whole = each * quantized_bins
    merged = inside[:whole].reshape(quantized_bins, each).sum(axis=1)
    used = np.count_nonzero(p[:whole].reshape(quantized_bins, each), axis=1)
    merged[-1] += inside[whole:].sum()
    q = np.zeros(p.size, np.int64)
    q[:whole] = np.repeat((merged / np.maximum(used, 1) * (used > 0)).astype(np.int64), each)
    smooth_p, smooth_q = _smooth(p), _smooth(q)
    if smooth_p is None or smooth_q is None:
        return float("inf")
    smooth_p /= smooth_p.sum()
    smooth_q /= smooth_q.sum()
    return float(np.sum(smooth_p * np.log(smooth_p / smooth_q)))


def _smooth(counts: Counts) -> FloatArray | None:
    """Bins without an element get a little, which the others give."""
    empty = counts == 0
    zeros = int(np.count_nonzero(empty))
    full = counts.size - zeros
    if not full or SMOOTHING * zeros / full >= 1:
        return None
    shift = np.where(empty, SMOOTHING, -SMOOTHING * zeros / full)
    return (counts.astype(np.float32) + shift).astype(np.float32)
