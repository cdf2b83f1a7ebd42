"""What do bins hold, and what do they add up to? Compiled loops over values and over bins."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qviz.core.compiler import kernel


def _example_of_counts() -> tuple[Any, ...]:
    values = np.zeros(1, np.float32)
    values.flags.writeable = False
    return values, np.zeros(2, np.float32), np.zeros(1, np.int64)


@kernel(_example_of_counts)
def count_between(values: Any, keys: Any, counts: Any) -> None:
    """Add how many more values are smaller than each key than are smaller than the one before it.

    Parameters
    ----------
    values : float32 array
        Not NaN.
    keys : float32 array, shape (bins + 1,)
        Ascending but for the last, which denormal widths may leave behind; found quickly where they are equally far
        apart.
    counts : int64 array, shape (bins,)
    """
    last = counts.size - 1
    start, end = np.float64(keys[0]), keys[last + 1]
    width = (np.float64(keys[last]) - start) / max(last, 1)
    per_unit = 1 / width if width > 0 else 0.0
    for i in range(np.uint64(values.size)):
        x = values[i]
        at = np.int64(min(max((np.float64(x) - start) * per_unit, 0.0), np.float64(last)))
        while at < last and keys[at + 1] <= x:
            at += 1
        while at >= 0 and x < keys[at]:
            at -= 1
        if at >= 0:
            counts[at] += 1
        if not x < end:
            counts[last] -= 1


@kernel(lambda: (np.zeros(1), np.zeros((6, 2))))
def add_up(held: Any, sums: Any) -> None:
    """What `BinSums` has of bins.

    Parameters
    ----------
    held : float64 array, shape (bins,)
    sums : float64 array, shape (6, bins + 1)
        Filled.
    """
    elements, used, information, logarithms, inverses, squares = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(held.size):
        sums[0, i], sums[1, i], sums[2, i] = elements, used, information
        sums[3, i], sums[4, i], sums[5, i] = logarithms, inverses, squares
        count = held[i]
        if count > 0:
            logarithm, inverse = math.log(count), 1 / count
            elements += count
            used += 1.0
            information += count * logarithm
            logarithms += logarithm
            inverses += inverse
            squares += inverse * inverse
    i = held.size
    sums[0, i], sums[1, i], sums[2, i] = elements, used, information
    sums[3, i], sums[4, i], sums[5, i] = logarithms, inverses, squares
