"""Which threshold does NVIDIA's entropy calibration choose for TensorRT?

TensorRT's own calibrator is not public. This is ``_compute_amax_entropy`` of NVIDIA's Model Optimizer 0.47
(``modelopt/torch/quantization/calib/histogram.py``), which calibrates networks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from qviz.core.arrays import Counts, Floats
from qviz.core.frozen import frozen
from qviz.core.plain import Tagged
from qviz.core.ranges.divergences import EXACT, BinSums, crossed, information, likely_least, stretches
from qviz.core.ranges.histograms import linear_counts, remembered
from qviz.core.ranges.rules import Ends, Range, RangeInput
from qviz.core.tensors.batches import Batch
from qviz.core.work import IsCancelled, check

BINS, FIRST = 2048, 128
"""Bins of the magnitudes from 0 to the largest, and how many the narrowest range has."""


@frozen
class TensorRTEntropy(Tagged):
    """The threshold of the least Kullback-Leibler divergence, of 128 bins or more out of 2048.

    Magnitudes beyond it are counted in its last bin; bins are merged into 2^(bits − 1), empty ones left out. The first
    bin counts as many as the second one. Of several as good the widest is taken.
    """

    kind: ClassVar[str] = "tensorrt_entropy"

    def estimate(self, given: RangeInput) -> Range:
        """The threshold of each group."""
        merged = max(1, given.levels // 2)

        def of_group(batches: Iterator[Batch]) -> Ends:
            (batch,) = batches
            extremes = batch.extremes(cancelled=given.cancelled)
            largest = np.float32(0) if extremes is None else max(-extremes[0], extremes[1])
            if largest <= 0:
                return -np.float32(0), np.float32(0)
            pieces = (np.abs(piece) for piece in batch.pieces(cancelled=given.cancelled))
            counts = linear_counts(pieces, np.float32(0), largest, BINS)
            threshold = _edge(largest, _best(counts, merged, given.cancelled))
            return -threshold, threshold

        def answer() -> Range:
            return given.of_batches(None, of_group, beside=True)

        return remembered(given.tensor, (self, merged, given.layout), answer)


def _edge(largest: np.float32, at: int) -> np.float32:
    """One of ``torch.linspace(0, largest, 2049)``: from whichever end is nearer, rounded once."""
    step = float(largest / np.float32(BINS))
    return np.float32(step * at if at < (BINS + 1) // 2 else float(largest) - step * (BINS - at))


def _best(counts: Counts, merged: int, cancelled: IsCancelled) -> int:
    """How many bins lose the least."""
    bins = counts.astype(np.float64)
    bins[0] = bins[1]
    beyond = np.append(np.cumsum(bins[::-1])[::-1], 0.0)
    used = bins != 0
    sums, sizes = BinSums.of(bins), np.arange(FIRST, BINS + 1)
    losses = np.empty(sizes.size)
    for part in stretches(sizes, merged if merged < BINS else 1):
        check(cancelled)
        losses[part] = _estimates(sums, sizes[part], beyond, merged)
    likely = sizes[likely_least(losses, EXACT * (1 + np.abs(losses)))].tolist()
    if len(likely) == 1:
        return int(likely[0])
    best, least = BINS, np.inf
    for i, size in enumerate(likely):
        if not i % 64:
            check(cancelled)
        loss = _divergence(bins[:size], used[:size], beyond[size], merged)
        if loss <= least:
            best, least = size, loss
    return best


def _estimates(sums: BinSums, sizes: Counts, beyond: Floats, merged: int) -> Floats:
    """The divergence of each size but for its rounding."""
    more, last = beyond[sizes], sums.counts[sizes - 1]
    total, inside = sums.elements[sizes] + more, sums.elements[sizes]
    # Of fewer bins than they are merged into each is one by itself.
    crossing = sums.information[sizes] + more * np.log(np.where(last > 0, last, 1.0))
    coarse = sizes >= merged
    if coarse.any():
        crossing[coarse] = crossed(sums, sizes[coarse], more[coarse], merged, ceiled=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        known = sums.information[sizes - 1] + information(last + more)
        losses = (known - crossing) / total + np.log(inside / total)
    losses = np.where((inside > 0) & ((last > 0) | (more == 0)), losses, np.inf)
    return np.where(total > 0, losses, 0.0)


def _divergence(bins: Floats, used: np.ndarray[tuple[int], np.dtype[np.bool_]], beyond: float, merged: int) -> float:
    reference = bins.copy()
    reference[-1] += beyond
    group = np.digitize(np.arange(bins.size), np.linspace(0, bins.size, num=merged + 1)) - 1
    together = np.bincount(group, bins, minlength=merged)
    count = np.bincount(group, used, minlength=merged)
    with np.errstate(all="ignore"):
        spread = np.where(used, (together / count)[group], 0.0)
        p, q = reference / reference.sum(), spread / spread.sum()
        terms = np.where(p > 0, p * np.log(p / q), 0.0)
        loss = float(terms.sum())
    return loss if not np.isnan(loss) else np.inf
