"""Where is a sorted tensor cut, and what lies before each cut? Many keys, each fetched ahead."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.compiler import kernel, part, prefetch
from qviz.core.tensors.survey import WIDTH

AHEAD = 32
"""Keys whose blocks are fetched before the first of them is counted."""

CUTS_AHEAD = 8
"""The same of cuts, for which more is fetched."""

HALF_BLOCK = WIDTH // 2
"""Numbers that are fetched from memory together."""


@part()
def block_of(key: Any, index: Any, low: Any, guess: Any) -> Any:
    """How many blocks begin below a key, and at least ``low``, of which this is known.

    Around a guess ever longer strides are taken, and then halves of the last one.
    """
    high, stride = min(max(guess, low), index.size), 1
    if high < index.size and index[high] < key:
        while high < index.size and index[high] < key:
            low = high + 1
            high += stride
            stride *= 2
        high = min(high, index.size)
    else:
        while high - stride >= low and not index[high - stride] < key:
            high -= stride
            stride *= 2
        low = max(high - stride + 1, low)
    while low < high:
        middle = (low + high) // 2
        if index[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


def _example_of_places() -> tuple[Any, ...]:
    numbers = np.zeros(WIDTH, np.float32)
    return numbers, 0, 1, numbers, numbers, np.zeros(1, np.int64)


@kernel(_example_of_places)
def places(keys: Any, begin: Any, end: Any, values: Any, index: Any, position: Any) -> None:
    """How many elements are smaller than the keys ``begin`` … ``end``.

    Parameters
    ----------
    keys : float32 array
        Not NaN; ascending ones are found faster.
    values : float32 array, shape (blocks * WIDTH,)
        Ascending, filled up with infinity.
    index : float32 array, shape (blocks,)
        The first value of each block.
    position : int64 array
        Filled, as the keys.
    """
    low, gap, before = 0, 0, -np.inf
    for start in range(begin, end, AHEAD):
        stop = min(start + AHEAD, end)
        for k in range(start, stop):
            key = keys[k]
            last = low if key >= before else 0
            low = block_of(key, index, last, last + gap)  # neighbours lie as far apart as those before
            gap, before = low - last, key
            position[k] = max(low - 1, 0) * WIDTH
            prefetch(values, position[k])
            prefetch(values, position[k] + HALF_BLOCK)
        for k in range(start, stop):
            key, at, inside = keys[k], np.uint64(position[k]), np.int64(0)
            for i in range(WIDTH):
                inside += np.int64(values[at + np.uint64(i)] < key)
            position[k] += inside


def _example_of_cuts() -> tuple[Any, ...]:
    numbers, wide, whole = np.zeros(WIDTH, np.float32), np.zeros(1), np.zeros(1, np.int64)
    return numbers, 0, 1, numbers, numbers, wide, whole, 1, wide, wide, whole, whole, wide, wide


@kernel(_example_of_cuts, reorders=True)
def cut_at(
    keys: Any, begin: Any, end: Any, values: Any, index: Any, centre: Any, middle: Any, each: Any, first: Any,
    second: Any, position: Any, superblock: Any, one: Any, two: Any,
) -> None:  # fmt: skip
    """Where the keys ``begin`` … ``end`` cut; sums of x − c and its square from the middle of the superblock to there.

    Parameters
    ----------
    keys, values, index, position
        As `places` has them.
    centre : float64 array
        c of each superblock.
    middle : int64 array
        The block of each superblock that its sums begin at.
    each : int
        Blocks of a superblock.
    first, second : float64 arrays, shape (superblocks * each,)
        The sums from the middle to the end of each block that is nearer to it.
    superblock : int64 array
        Filled: the one that each cut is in.
    one, two : float64 arrays
        Filled: the sums to each cut.
    """
    low, gap, before = 0, 0, np.float32(-np.inf)
    for ahead in range(begin, end + CUTS_AHEAD):
        if ahead < end:
            k = ahead
            key = keys[k]
            last = low if key >= before else 0
            low = block_of(key, index, last, last + gap)
            gap, before = low - last, key
            block = max(low - 1, 0)
            position[k] = block
            prefetch(values, block * WIDTH)
            prefetch(values, block * WIDTH + HALF_BLOCK)
            prefetch(first, block)
            prefetch(second, block)
        if ahead >= begin + CUTS_AHEAD:
            k = ahead - CUTS_AHEAD
            key, block = keys[k], position[k]
            s = block // each
            left, c, at = block - s * each < middle[s], centre[s], np.uint64(block * WIDTH)
            # From the end of the block that is nearer to the middle to the cut; the others add nothing.
            inside, d1, d2 = np.int64(0), 0.0, 0.0
            for i in range(np.uint64(WIDTH)):
                x = values[at + i]
                d = np.float64(x) - c
                d = d if (x < key) != left else 0.0
                d1 += d
                d2 += d * d
                inside += np.int64(x < key)
            position[k], superblock[k] = block * WIDTH + inside, s
            one[k] = first[block] - d1 if left else first[block] + d1
            two[k] = second[block] - d2 if left else second[block] + d2
