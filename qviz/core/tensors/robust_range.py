"""Where do nearly all values lie, when a few lie so far away that nothing else could be seen?"""

from __future__ import annotations

import math

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen

FEWEST = 20
"""Of fewer values none is an outlier."""

SHARE = 0.005
"""Of the values on each side that may be outliers; one always may."""

ROOM = 0.5
"""Beyond the core on each side, as a share of its width."""

FAR = 3.0
"""So many times as wide as that must the whole be, or it is shown whole."""


@frozen
class RobustRange:
    """From where to where nearly all values lie, and what lies beyond.

    Attributes
    ----------
    low, high : float
    below, above : int
        Values beyond either end.
    lowest, highest : float
        The most extreme of all.
    """

    low: float
    high: float
    below: int
    above: int
    lowest: float
    highest: float


def robust_range(edges: Array, counts: Array) -> RobustRange | None:
    """The range of nearly all that is counted, in whole bins; None where all can be shown.

    The core is what is left without one value in 200 on either side (at least one); a range half as wide again on
    each side is robust when the whole is more than three times as wide.

    Parameters
    ----------
    edges : float64 array, shape (bins + 1,), ascending
    counts : array, shape (bins,)
    """
    total = float(counts.sum())
    filled = np.flatnonzero(counts)
    if total < FEWEST or filled.size < 2:
        return None
    spare = max(1.0, SHARE * total)
    up_to = np.cumsum(counts)
    first = int(np.searchsorted(up_to, spare, "right"))
    last = int(np.searchsorted(up_to, total - spare, "left"))
    low, high = float(edges[first]), float(edges[min(last, counts.size - 1) + 1])
    lowest, highest = float(edges[filled[0]]), float(edges[filled[-1] + 1])
    room = ROOM * (high - low)
    start = max(int(np.searchsorted(edges, max(low - room, lowest), "right")) - 1, 0)
    stop = min(int(np.searchsorted(edges, min(high + room, highest), "left")), counts.size)
    below, above = round(float(counts[:start].sum())), round(float(counts[stop:].sum()))
    low, high = float(edges[start]), float(edges[stop])
    if not below + above or not math.isfinite(highest - lowest) or highest - lowest <= FAR * (high - low):
        return None
    return RobustRange(low, high, below, above, lowest, highest)
