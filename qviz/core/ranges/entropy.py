"""Which threshold keeps most of the information? ONNX Runtime's entropy calibration, exactly counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from qviz.core.arrays import LARGEST, Counts, FloatArray
from qviz.core.plain import Tagged
from qviz.core.problems import Problem
from qviz.core.ranges.onnxruntime import Collected, collected_values
from qviz.core.ranges.rules import LossCurve, Range, RangeInput
from qviz.core.tensors.sorted_tensor import SortedTensor, prepare
from qviz.core.work import check

SMOOTHING = 1e-4


@dataclass(frozen=True)
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
        low = np.zeros(given.layout.groups, np.float32)
        high = np.zeros(given.layout.groups, np.float32)
        if self.batch_axis is not None:
            for group, batches in given.batches(self.batch_axis):
                found = collected_values(batches, self.bins, given.cancelled)
                if found is not None:
                    low[group], high[group] = self._of(found, given)[1]
            return low, high
        for group, prepared in _groups(given):
            low[group], high[group] = self.search(prepared, given)[1]
        return low, high

    def search(self, prepared: SortedTensor, given: RangeInput) -> tuple[LossCurve, tuple[np.float32, np.float32]]:
        """The divergence at every threshold, and the range of the least one; all batches together."""
        key = (self.kind, self)
        if key not in prepared.answers:
            edges, counts = self.histogram(prepared)
            found = Collected(counts, edges, prepared.values[0], prepared.values[-1])
            prepared.answers[key] = self._of(found, given)
        answer: tuple[LossCurve, tuple[np.float32, np.float32]] = prepared.answers[key]
        return answer

    def _of(self, histogram: Collected, given: RangeInput) -> tuple[LossCurve, tuple[np.float32, np.float32]]:
        counts, edges = histogram.counts, histogram.edges
        middle = counts.size // 2
        first = middle - np.arange(self.quantized_bins // 2, middle + 1)
        last = np.minimum(2 * middle - first + 1, counts.size)
        losses = np.empty(first.size)
        for i, (start, stop) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            if i % 64 == 0:
                check(given.cancelled)
            losses[i] = _divergence(counts, start, stop, self.quantized_bins)
        best = int(np.argmin(losses))
        low, high = max(edges[first[best]], histogram.low), min(edges[last[best]], histogram.high)
        return LossCurve("entropy", "both", edges[last].astype(np.float64), losses), (low, high)

    def histogram(self, prepared: SortedTensor) -> tuple[FloatArray, Counts]:
        """Edges in float32, as ONNX Runtime's, and the elements between them."""
        largest = max(abs(prepared.values[0]), abs(prepared.values[-1]))
        reach = largest if largest > 0 else np.float32(0.5)
        if reach > LARGEST / 2:  # float32 could not hold the width of the whole
            reach = np.float64(reach)
        edges: FloatArray = np.linspace(-reach, reach, self.bins + 1).astype(np.float32)
        return edges, prepared.counts(edges.astype(np.float64))


def _groups(given: RangeInput) -> Any:
    """Each group with a finite value, sorted."""
    if given.prepared is not None:
        yield 0, given.prepared
        return
    for group, values in given.finite_groups():
        if values.size:
            yield group, prepare(values)


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
