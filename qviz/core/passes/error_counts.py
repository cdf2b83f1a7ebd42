"""How many errors of a sorted tensor's cells lie in each bin? A compiled search for every edge that one crosses."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.compiler import kernel, part, prefetch
from qviz.core.tensors.lookups import AHEAD, HALF_BLOCK
from qviz.core.tensors.survey import WIDTH

QUEUE = 64
"""Crossings whose blocks are fetched before the first of them is counted."""


@part()
def bin_of(error: Any, edges: Any) -> Any:
    """The bin that an error lies in; the first or the last one for those beyond."""
    low, high = 0, edges.size
    while low < high:
        middle = (low + high) // 2
        if edges[middle] <= error:
            low = middle + 1
        else:
            high = middle
    return max(min(low - 1, edges.size - 2), 0)


@part()
def block_before(height: Any, edge: Any, low: Any, high: Any, guess: Any, index: Any) -> Any:
    """The last block, from ``low`` to before ``high``, whose first error reaches an edge; ``low`` where none does.

    Errors fall from block to block. Around a guess ever longer strides are taken, and then halves of the last one.
    """
    guess, stride = min(max(guess, low), high - 1), 1
    if height - np.float64(index[guess]) >= edge:
        low = guess
        while low + stride < high and height - np.float64(index[low + stride]) >= edge:
            low += stride
            stride *= 2
        high = min(low + stride, high)
    else:
        high = guess
        while high - stride > low and height - np.float64(index[high - stride]) < edge:
            high -= stride
            stride *= 2
        low = max(high - stride, low)
    while high - low > 1:
        middle = (low + high) // 2
        if height - np.float64(index[middle]) >= edge:
            low = middle
        else:
            high = middle
    return low


@part()
def count_queued(queued: Any, heights: Any, numbers: Any, values: Any, edges: Any, crossing: Any) -> None:
    """Count how many errors of a cell reach an edge, for each crossing that waits."""
    for q in range(queued):
        height, edge = heights[q], edges[numbers[q, 1]]
        at, inside = np.uint64(numbers[q, 0] * WIDTH), np.int64(0)
        for i in range(np.uint64(WIDTH)):
            inside += np.int64(height - np.float64(values[at + i]) >= edge)
        start, stop = numbers[q, 2], numbers[q, 3]
        place = min(max(numbers[q, 0] * WIDTH + inside, start), stop)
        crossing[numbers[q, 4], numbers[q, 1]] += place - start


def _example() -> tuple[Any, ...]:
    numbers, whole, counts = np.zeros(WIDTH, np.float32), np.zeros(2, np.int64), np.zeros((2, 2), np.int64)
    work = np.zeros(QUEUE), np.zeros((QUEUE, 5), np.int64)
    return numbers, 0, 1, whole, numbers, numbers, np.zeros(2), *work, counts, counts


@kernel(_example)
def count_errors(
    level: Any, begin: Any, end: Any, bounds: Any, values: Any, index: Any, edges: Any, heights: Any, numbers: Any,
    crossing: Any, whole: Any,
) -> None:  # fmt: skip
    """How many errors reach each edge, of the cells ``begin`` … ``end``.

    Parameters
    ----------
    level : float32 array, shape (cells,)
        What the values of each cell become: cells whose is not finite are left out.
    bounds : int64 array, shape (cells + 1,)
        Elements before each cell.
    values : float32 array, shape (blocks * WIDTH,)
        Ascending, filled up with infinity.
    index : float32 array, shape (blocks,)
        The first value of each block.
    edges : float64 array, shape (bins + 1,)
    heights, numbers : float64 array, shape (QUEUE,), and int64 array, shape (QUEUE, 5)
        Room to work in.
    crossing : int64 array, shape (2, bins + 1)
        Added to: how many errors of a cell reach each edge that it crosses, of rounding and of clipping.
    whole : int64 array, shape (2, bins + 1)
        Added to: the elements of each cell, in the bin of its lowest error.
    """
    queued = 0
    for here in range(begin, end, AHEAD):
        there = min(here + AHEAD, end)
        for k in range(here, there):
            prefetch(values, bounds[k])
            prefetch(values, bounds[k + 1] - 1)
        for k in range(here, there):
            start, stop = bounds[k], bounds[k + 1]
            if start == stop or not np.isfinite(level[k]):
                continue
            height, clips = np.float64(level[k]), np.int64(k == 0 or k == level.size - 1)
            most, least = height - np.float64(values[start]), height - np.float64(values[stop - 1])
            highest, lowest = bin_of(most, edges), bin_of(least, edges)
            whole[clips, lowest] += stop - start
            for edge in range(highest, lowest, -1):
                share = (most - edges[edge]) / (most - least)
                guess = (start + np.int64(share * np.float64(stop - start))) // WIDTH
                block = block_before(height, edges[edge], start // WIDTH, (stop - 1) // WIDTH + 1, guess, index)
                prefetch(values, block * WIDTH)
                prefetch(values, block * WIDTH + HALF_BLOCK)
                heights[queued] = height
                numbers[queued, 0], numbers[queued, 1], numbers[queued, 2] = block, edge, start
                numbers[queued, 3], numbers[queued, 4] = stop, clips
                queued += 1
                if queued == QUEUE:
                    count_queued(queued, heights, numbers, values, edges, crossing)
                    queued = 0
    count_queued(queued, heights, numbers, values, edges, crossing)
