"""What do the elements between two cuts of a sorted tensor add up to? Many cells, in compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.compiler import kernel, prefetch
from qviz.core.tensors.lookups import AHEAD


def _example_of_parts() -> tuple[Any, ...]:
    whole, wide, ends = np.zeros(1, np.int64), np.zeros(1), np.zeros((2, 1))
    cut = (whole, whole, wide, wide)
    return *cut, *cut, 0, 1, wide, wide, np.zeros(2, np.int64), ends, ends, wide, wide


@kernel(_example_of_parts)
def outer_parts(
    position: Any, left: Any, first: Any, second: Any, stop_position: Any, right: Any, stop_first: Any,
    stop_second: Any, begin: Any, end: Any, reference: Any, centre: Any, start: Any, first_ends: Any, second_ends: Any,
    one: Any, two: Any,
) -> Any:  # fmt: skip
    """Σ(x − r) and Σ(x − r)² of cells, but for the superblocks that lie within one altogether.

    Parameters
    ----------
    position, left, first, second, stop_position, right, stop_first, stop_second : arrays
        What the cuts before and behind each cell consist of.
    reference : float64 array
        r of each cell.
    centre : float64 array
        c of each superblock.
    start : int64 array
        The first element of each superblock.
    first_ends, second_ends : float64 arrays, shape (2, superblocks)
        The sums around c from the middle of each superblock to both ends.
    one, two : float64 arrays
        Filled: the sums of the cells ``begin`` … ``end``; exactly 0 where there is no element.

    Returns
    -------
    bool
        Whether there are superblocks that lie within one altogether.
    """
    wholes = False
    for k in range(begin, end):
        s, t, r = left[k], right[k], reference[k]
        if position[k] == stop_position[k]:
            one[k], two[k] = 0.0, 0.0
            continue
        same = s == t
        d1 = (stop_first[k] if same else first_ends[1, s]) - first[k]
        d2 = (stop_second[k] if same else second_ends[1, s]) - second[k]
        w = centre[s] - r
        moved = np.float64((stop_position[k] if same else start[s + 1]) - position[k]) * w
        sum1, sum2 = d1 + moved, d2 + w * (2 * d1 + moved)
        if not same:
            d1, d2 = stop_first[k] - first_ends[0, t], stop_second[k] - second_ends[0, t]
            w = centre[t] - r
            moved = np.float64(stop_position[k] - start[t]) * w
            sum1 += d1 + moved
            sum2 += d2 + w * (2 * d1 + moved)
            wholes = wholes or t > s + 1
        one[k], two[k] = sum1, sum2
    return wholes


def _example_of_ends() -> tuple[Any, ...]:
    whole, wide = np.zeros(1, np.int64), np.zeros(1)
    return np.zeros(1, np.float32), 0, 1, whole, whole, wide, wide, wide


@kernel(_example_of_ends)
def exact_ends(
    values: Any, begin: Any, end: Any, start: Any, stop: Any, level: Any, first: Any, second: Any
) -> Any:  # fmt: skip
    """Make sums exact of cells ``begin`` … ``end`` that are two elements or equal ones; the largest error of all.

    Parameters
    ----------
    values : float32 array, ascending
    start, stop : int64 arrays
        Where each cell lies.
    level : float64 array
        What the values of each cell become.
    first, second : float64 arrays
        The sums of the errors and of their squares.
    """
    largest = 0.0
    for here in range(begin, end, AHEAD):
        there = min(here + AHEAD, end)
        for k in range(here, there):
            prefetch(values, start[k])
            prefetch(values, stop[k] - 1)
        for k in range(here, there):
            count = stop[k] - start[k]
            if count == 0:
                continue
            low = np.float64(values[start[k]]) - level[k]
            high = np.float64(values[stop[k] - 1]) - level[k]
            if count == 2:
                first[k], second[k] = low + high, low * low + high * high
            elif low == high:
                sum1 = np.float64(count) * low
                first[k], second[k] = sum1, sum1 * low
            largest = max(largest, abs(low), abs(high))
    return largest
