"""How many values lie where? Fine equal bins, counted once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from qviz.core.arrays import Counts, FloatArray, Floats
from qviz.core.frozen import frozen
from qviz.core.work import IsCancelled, check

HISTOGRAM_BINS = 8192
"""Fine enough to zoom into; a chart joins neighbours until a bin is worth a pixel."""


@frozen(eq=False)
class Histogram:
    """Counts between edges: ``counts[i]`` elements in ``[edges[i], edges[i + 1])``, the last one closed."""

    edges: Floats
    counts: Counts


def equal_bins(low: float, high: float) -> Floats:
    """The edges of equal bins from the smallest finite value to the largest."""
    if not high - low > 0 or (high - low) / HISTOGRAM_BINS <= np.spacing(max(abs(low), abs(high))):
        half = max(abs(low), 1.0) / 2  # one value, or a range too narrow for its bins
        low, high = low - half, high + half
    return np.linspace(low, high, HISTOGRAM_BINS + 1)


def counted_between(pieces: Iterable[FloatArray], edges: Floats, clean: bool, cancelled: IsCancelled) -> Histogram:
    """The values of all pieces between `equal_bins`.

    Parameters
    ----------
    pieces : iterable of float32 arrays
    edges : float64 array, shape (HISTOGRAM_BINS + 1,)
    clean : bool
        There is no NaN to be left out.

    Raises
    ------
    Cancelled
        When asked to stop.
    """
    counts = np.zeros(HISTOGRAM_BINS, np.int64)
    ends = (float(edges[0]), float(edges[-1]))
    for whole in pieces:
        check(cancelled)
        piece = whole if clean else whole[~np.isnan(whole)]
        counts += np.histogram(piece.astype(np.float64), HISTOGRAM_BINS, ends)[0]
    return Histogram(edges, counts)
