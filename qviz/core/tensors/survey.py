"""From where to where do the values of a bucket or a block reach, and what do they add up to? In compiled loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.compiler import kernel
from qviz.core.tensors.envelope import BASE
from qviz.core.work import in_two_threads

WIDTH = 32
"""Elements of a block of a sorted tensor."""

MAGNITUDE, INFINITE = np.int32(0x7FFFFFFF), np.int32(0x7F800000)
SIGN_BIT = np.int32(31)
LOWEST, HIGHEST = np.int32(-0x80000000), np.int32(0x7FFFFFFF)
BUCKET, BLOCK = np.uint64(BASE), np.uint64(WIDTH)


def _values() -> FloatArray:
    x = np.zeros(1, np.float32)
    x.flags.writeable = False
    return x


@kernel(lambda: (_values(), np.zeros(1, np.float32), np.zeros(1, np.float32)))
def bucket_extremes(x: Any, low: Any, high: Any) -> Any:
    """The smallest and the largest value of each bucket; whether all of them are finite, which the extremes need.

    Parameters
    ----------
    x, low, high : float32 arrays
        Floats are compared as integers in their order, whose extremes are vectorized.
    """
    bits = x.view(np.int32)
    size = np.uint64(x.size)
    largest = np.int32(0)
    for bucket in range(np.uint64(low.size)):
        start = bucket * BUCKET
        lowest, highest = HIGHEST, LOWEST
        if start + BUCKET <= size:
            for i in range(BUCKET):
                pattern = bits[start + i]
                ordered = pattern ^ ((pattern >> SIGN_BIT) & MAGNITUDE)
                lowest, highest = min(lowest, ordered), max(highest, ordered)
        else:
            for i in range(start, size):
                pattern = bits[i]
                ordered = pattern ^ ((pattern >> SIGN_BIT) & MAGNITUDE)
                lowest, highest = min(lowest, ordered), max(highest, ordered)
        lowest = np.int32(lowest ^ ((lowest >> SIGN_BIT) & MAGNITUDE))
        highest = np.int32(highest ^ ((highest >> SIGN_BIT) & MAGNITUDE))
        largest = max(largest, lowest & MAGNITUDE, highest & MAGNITUDE)
        low[bucket], high[bucket] = lowest.view(np.float32), highest.view(np.float32)
    return largest < INFINITE


def _example() -> tuple[Any, ...]:
    sums, ends, places = np.zeros(1), np.zeros((2, 1)), np.zeros(2, np.int64)
    return np.zeros(1, np.float32), 0, 1, places, places, sums, 1, sums, sums, ends, ends


@kernel(_example, reorders=True)
def superblock_moments(
    values: Any, begin: Any, end: Any, start: Any, middle: Any, centre: Any, each: Any, first: Any, second: Any,
    first_ends: Any, second_ends: Any,
) -> None:  # fmt: skip
    """Sums of x − c and its square from the middle of superblocks ``begin`` … ``end`` outwards.

    Parameters
    ----------
    values : float32 array
    start, middle : int64 arrays
        The first element of each superblock, and the block that its sums begin at.
    centre : float64 array
        c of each superblock.
    each : int
        Blocks of a superblock.
    first, second : float64 arrays, shape (superblocks * each,)
        Filled: the sums from the middle to the end of each block that is nearer to it, negative to the left of it.
    first_ends, second_ends : float64 arrays, shape (2, superblocks)
        Filled: the sums from the middle to both ends.
    """
    for s in range(begin, end):
        c, stop = centre[s], start[s + 1]
        for side in range(2):
            count = each - middle[s] if side else middle[s]
            one, two = 0.0, 0.0
            for k in range(count):
                j = middle[s] + k if side else middle[s] - 1 - k
                at = start[s] + j * WIDTH
                first[s * each + j], second[s * each + j] = one, two
                d1, d2 = 0.0, 0.0
                if at + WIDTH <= stop:
                    place = np.uint64(at)
                    for i in range(BLOCK):
                        d = np.float64(values[place + i]) - c
                        d1 += d
                        d2 += d * d
                else:
                    for i in range(at, stop):
                        d = np.float64(values[i]) - c
                        d1 += d
                        d2 += d * d
                one, two = (one + d1, two + d2) if side else (one - d1, two - d2)
            first_ends[side, s], second_ends[side, s] = one, two


def finite_extremes(x: FloatArray, low: FloatArray, high: FloatArray) -> bool:
    """Fill the buckets of values, in two threads; whether all of them are finite."""
    given = np.require(x, np.float32, ["C", "A"])
    middle = low.size // 2

    def some(buckets: slice) -> bool:
        part = given[buckets.start * BASE : buckets.stop * BASE]
        return bool(bucket_extremes(part, low[buckets], high[buckets]))

    if low.size < 1 << 14:
        return some(slice(0, low.size))
    return all(in_two_threads(some, slice(0, middle), slice(middle, low.size)))
