"""What do the groups of a piece come to together, while what was found of them is in the cache?"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.compiler import kernel

MANY_GROUPS = 1 << 12
"""Fewer groups are looked through once more when all is done."""

# The places of ``totals``: Σe², max |e|, saturated elements, and the lowest Σx² / Σe², infinite without errors.
SQUARES, TOP, SATURATED, LOWEST = range(4)
TOTALS = 4

ENDLESS = np.float64(np.inf)
ENDLESS_BITS = np.int64(0x7FF0000000000000)


def _example() -> tuple[Any, ...]:
    sums = np.zeros(1)
    sums.flags.writeable = False
    return 0, 1, np.zeros((2, 1)), np.zeros(1, np.int64), sums, np.zeros(TOTALS)


@kernel(_example, reorders=True)
def settle(first: Any, last: Any, errors: Any, saturated: Any, signal: Any, totals: Any) -> None:
    """Add up the groups ``first`` … ``last``; positive floats are compared as integers, which is vectorized.

    Parameters
    ----------
    errors : float64 array, shape (2, groups)
        Σe² and max |e| of each group.
    saturated : int64 array, shape (groups,)
    signal : float64 array, shape (groups,)
        Σx² of each group.
    totals : float64 array, shape (TOTALS,)
        Filled; see the places above.
    """
    bits = errors.view(np.int64)
    squares, clipped = 0.0, np.int64(0)
    top, lowest = np.int64(0), ENDLESS_BITS
    for g in range(np.uint64(first), np.uint64(last)):
        noise = errors[0, g]
        ratio = signal[g] / noise
        ratio = ENDLESS if noise == 0.0 else ratio
        lowest = min(lowest, np.float64(ratio).view(np.int64))
        squares += noise
        clipped += saturated[g]
        top = max(top, bits[1, g])
    totals[SQUARES], totals[SATURATED] = squares, clipped
    totals[TOP], totals[LOWEST] = np.int64(top).view(np.float64), np.int64(lowest).view(np.float64)
