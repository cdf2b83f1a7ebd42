"""Which thresholds may have the least Kullback-Leibler divergence? All of them at once, from sums over the bins.

Libraries go through the bins for each threshold. Sums up to each bin give what the divergence of every threshold is but
for its rounding, in a fraction of the time; those that may be the least are then looked at as the library does it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qviz.core.arrays import Array, Counts, Floats
from qviz.core.frozen import frozen
from qviz.core.ranges.binning import add_up
from qviz.core.ranges.threshold_losses import crossed_means

TOGETHER = 1 << 18
"""Merged bins that are looked at at once: some megabytes."""

EXACT = 1e-9
"""How far a divergence that was added up in float64 may be off, per 1."""


@frozen(eq=False)
class BinSums:
    """Sums over all bins before each, float64 arrays of shape (bins + 1,), of those that hold something.

    Attributes
    ----------
    elements, used : array
        What they hold, and how many they are.
    information : array
        Σ c·ln c of what they hold.
    logarithms, inverses, squared_inverses : array
        Σ ln c, Σ 1/c and Σ 1/c².
    """

    counts: Floats
    elements: Floats
    used: Floats
    information: Floats
    logarithms: Floats
    inverses: Floats
    squared_inverses: Floats

    @classmethod
    def of(cls, counts: Counts | Floats) -> BinSums:
        """Those of a histogram."""
        held = counts.astype(np.float64)
        if add_up.ready:
            sums = np.empty((6, held.size + 1))
            add_up(held, sums)
            return cls(held, *sums)  # rows of one array
        used = held > 0
        safe = np.where(used, held, 1.0)
        logarithm, inverse = np.log(safe), used / safe
        parts = (held, used, held * logarithm, logarithm, inverse, inverse**2)
        return cls(held, *(np.append(0.0, np.cumsum(part)) for part in parts))


def information(count: Floats) -> Floats:
    """c·ln c, and 0 of nothing."""
    return count * np.log(np.where(count > 0, count, 1.0))


def stretches(first: Counts, merged: int) -> Iterator[slice]:
    """Some thresholds at a time, of which each has so many merged bins."""
    step = max(1, TOGETHER // (merged + 1))
    for start in range(0, first.size, step):
        yield slice(start, start + step)


def within(array: Floats, places: Array) -> Floats:
    """Sums between the places of each threshold, which are along the last axis."""
    return np.diff(array[places], axis=-1)


def crossed(sums: BinSums, sizes: Counts, more: Floats, merged: int, *, ceiled: bool) -> Floats:
    """Σ c·ln q of the merged bins of each size, the last of which holds ``more``, too: see `crossed_means`."""
    if crossed_means.ready:
        found, memory = np.empty(sizes.size), (np.empty(merged), np.empty(merged))
        given = np.ascontiguousarray(sizes, np.int64), np.ascontiguousarray(more, np.float64)
        crossed_means(sums.elements, sums.used, *given, ceiled, *memory, found)
        return found
    if ceiled:
        places = np.ceil(np.linspace(0, sizes, merged + 1, axis=-1)).astype(np.int64)
    else:
        places = np.append((sizes // merged)[:, None] * np.arange(merged), sizes[:, None], axis=1)
    together, used = within(sums.elements, places), within(sums.used, places)
    mean = np.log(np.divide(together, used, out=np.ones_like(together), where=used > 0))
    return np.asarray((together * mean).sum(axis=1) + more * mean[:, -1])


def likely_least(losses: Floats, slack: Floats | float) -> Counts:
    """The indices of all that may be the least, each of which is off by ``slack`` at most, ascending."""
    with np.errstate(invalid="ignore"):
        upper = float(np.min(losses + slack))
        return np.flatnonzero(losses - slack <= upper) if upper < np.inf else np.arange(losses.size)
