"""Which range does ONNX Runtime's percentile calibration choose? An edge of one of its bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from qviz.core.arrays import LARGEST
from qviz.core.plain import Tagged
from qviz.core.problems import Problem
from qviz.core.ranges.histograms import bin_ends, edge_counts, remembered
from qviz.core.ranges.rules import Range, RangeInput
from qviz.core.tensors.batches import Batch, batches_of
from qviz.core.work import IsCancelled

BINS = 2048


@dataclass(frozen=True)
class OnnxRuntimePercentile(Tagged):
    """The lower edge of the bin that holds the percentile: `PercentileCalibrater`.

    Symmetric: 2048 bins of the magnitudes, from the smallest to the largest. Asymmetric: of the
    values, from −absmax to absmax, with half of the rest cut off on each side. Never beyond the
    values. All batches are counted together, so that it does not matter which elements came together.
    Where float32 has fewer values than there are bins, ONNX Runtime stops with an error; this does not.

    Parameters
    ----------
    percentile : float
        Above 50, up to 100.

    Raises
    ------
    Problem
        When ``percentile`` is out of range.
    """

    kind: ClassVar[str] = "onnxruntime_percentile"
    percentile: float = 99.999

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 50 < self.percentile <= 100:
            raise Problem(
                "A percentile of {percentile:g} makes no range: choose one above 50, up to 100.",
                percentile=self.percentile,
            )

    def estimate(self, given: RangeInput) -> Range:
        """The range of each group."""

        def answer() -> Range:
            low = np.zeros(given.layout.groups, np.float32)
            high = np.zeros(given.layout.groups, np.float32)
            for group, (batch,) in batches_of(given.tensor, given.layout, None, cancelled=given.cancelled):
                low[group], high[group] = self._range(batch, given.symmetric, given.cancelled)
            return low, high

        return remembered(given.tensor, (self, given.layout, given.symmetric), answer)

    def _range(self, batch: Batch, symmetric: bool, cancelled: IsCancelled) -> tuple[np.float32, np.float32]:
        extremes = batch.extremes(cancelled=cancelled)
        if extremes is None:
            return np.float32(0), np.float32(0)
        smallest, largest = extremes
        if symmetric:
            reach = (min(np.abs(piece).min() for piece in batch.pieces(cancelled=cancelled)), max(-smallest, largest))
        else:
            reach = (-max(-smallest, largest), max(-smallest, largest))
        wide = reach[1] > LARGEST / 2  # float32 could not hold the width of the whole
        first, last = bin_ends(*(np.float64(end) if wide else end for end in reach))
        edges = np.linspace(first, last, BINS + 1).astype(np.float32)
        pieces = batch.pieces(cancelled=cancelled)
        counts = edge_counts((np.abs(piece) for piece in pieces) if symmetric else pieces, edges)
        below = np.cumsum(counts / counts.sum())
        if symmetric:
            high = edges[np.searchsorted(below, self.percentile / 100)]
            low = -high
        else:
            rest = (100 - self.percentile) / 200
            low, high = (edges[np.searchsorted(below, part)] for part in (rest, 1 - rest))
        return max(low, smallest), min(high, largest)
