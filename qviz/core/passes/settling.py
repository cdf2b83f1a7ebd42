"""What do the groups of a piece come to together, while what was found of them is in the cache?"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.compiler import kernel
from qviz.core.passes.ratios import ENDLESS_BITS, NONE_BITS, ratio_of

MANY_GROUPS = 1 << 12
"""Fewer groups are looked through once more when all is done."""

# The places of ``totals``: Σe², max |e|, saturated elements, the lowest Σx² / Σe² of all, the lowest and the highest of
# those that are neither 0 nor infinite, and how many of these there are.
SQUARES, TOP, SATURATED, LEAST, LOWEST, HIGHEST, KNOWN = range(7)
TOTALS = 7


def _example() -> tuple[Any, ...]:
    sums = np.zeros(1)
    sums.flags.writeable = False
    return 0, 1, np.zeros((2, 1)), np.zeros(1, np.int64), sums, np.zeros(1), np.zeros(TOTALS)


@kernel(_example, reorders=True)
def settle(first: Any, last: Any, errors: Any, saturated: Any, signal: Any, ratio: Any, totals: Any) -> None:
    """Add up the groups ``first`` … ``last``; positive floats are compared as integers, which is vectorized.

    Parameters
    ----------
    errors : float64 array, shape (2, groups)
        Σe² and max |e| of each group.
    saturated : int64 array, shape (groups,)
    signal : float64 array, shape (groups,)
        Σx² of each group.
    ratio : float64 array, shape (groups,)
        Filled: Σx² / Σe² of each group, infinite without errors.
    totals : float64 array, shape (TOTALS,)
        Filled; see the places above.
    """
    bits = errors.view(np.int64)
    squares, clipped, known = 0.0, np.int64(0), np.int64(0)
    top, least, lowest, highest = NONE_BITS, ENDLESS_BITS, ENDLESS_BITS, NONE_BITS
    for g in range(np.uint64(first), np.uint64(last)):
        noise = errors[0, g]
        each = ratio_of(signal[g], noise)
        ratio[g] = each
        place = np.float64(each).view(np.int64)
        is_known = (place > NONE_BITS) & (place < ENDLESS_BITS)
        least = min(least, place)
        lowest = min(lowest, place if is_known else ENDLESS_BITS)
        highest = max(highest, place if is_known else NONE_BITS)
        known += np.int64(is_known)
        squares += noise
        clipped += saturated[g]
        top = max(top, bits[1, g])
    totals[SQUARES], totals[SATURATED], totals[KNOWN] = squares, clipped, known
    totals[TOP], totals[LEAST] = np.int64(top).view(np.float64), np.int64(least).view(np.float64)
    totals[LOWEST], totals[HIGHEST] = np.int64(lowest).view(np.float64), np.int64(highest).view(np.float64)
