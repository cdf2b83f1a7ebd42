"""Which scales do a million blocks get? Spans, powers of two and FP8 numbers, sixteen blocks at a time.

The arithmetic of the recipes that ask for it, compiled: in NumPy each of a dozen steps goes through memory.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from qviz.core.arrays import LARGEST, FloatArray, empty, only_read
from qviz.core.compiler import kernel
from qviz.core.formats.floats import EXPONENT_MASK, MANTISSA_BITS, ONE_EXPONENT, SIGNIFICANT_ABOVE
from qviz.core.lanes import (
    LANES,
    bits_of,
    choose,
    greater,
    greatest_of,
    least_of,
    lesser,
    load,
    magnitude,
    numbers_of,
    spread,
    store,
)
from qviz.core.work import share

Ends: TypeAlias = tuple[float, float]
"""The smallest and the largest of some numbers."""

AT_ONCE = np.uint64(LANES)
EXPONENT, SIGNIFICANT = np.int32(EXPONENT_MASK), np.int32(SIGNIFICANT_ABOVE)
NOTHING, LARGEST_POWER = np.int32(0), np.int32(254 << MANTISSA_BITS)
TINY = np.finfo(np.float32).tiny

HALF_OF_NORMAL = np.int32(1 << (MANTISSA_BITS - 1))
"""The bits of 2^−127, half the smallest normal float32."""

E4M3_MAGIC = np.int32((MANTISSA_BITS - 3) * ONE_EXPONENT)
SMALLEST_E4M3, LARGEST_E4M3 = np.float32(2.0**-6), np.float32(448)
ONE = np.float32(1)

SHARED_FROM = 1 << 17
"""Fewer blocks are done before a second thread has begun."""


def _arrays() -> tuple[Any, ...]:
    low, out = np.zeros(1, np.float32), np.zeros(1, np.float32)
    low.flags.writeable = False
    return low, low, out, out


def _example_of_spans() -> tuple[Any, ...]:
    return *_arrays(), ONE, False, np.zeros(2, np.float32)


def _example_of_powers() -> tuple[Any, ...]:
    return *_arrays(), np.zeros(4, np.float32), NOTHING, NOTHING, ONE


def _example_of_fp8() -> tuple[Any, ...]:
    return *_arrays(), np.zeros(4, np.float32), ONE, ONE


@kernel(_example_of_spans)
def fill_spans(low: Any, high: Any, scale: Any, reach: Any, span: Any, of_extreme: Any, ends: Any) -> None:
    """See `spans`; of groups up to a whole number of `LANES`."""
    parts, none = spread(span), spread(np.float32(0))
    least, most = spread(ends[0]), spread(ends[1])
    for i in range(np.uint64(0), np.uint64(low.size) // AT_ONCE * AT_ONCE, AT_ONCE):
        lowest, highest = load(low, i), load(high, i)
        if of_extreme:  # the low one of equals
            furthest = choose(-lowest - highest >= none, lowest, highest)
        else:
            furthest = greater(magnitude(lowest), magnitude(highest))
            store(reach, i, furthest)
        step = furthest / parts
        store(scale, i, step)
        least, most = lesser(magnitude(step), least), greater(magnitude(step), most)
    ends[0], ends[1] = least_of(least), greatest_of(most)


@kernel(_example_of_powers)
def fill_powers(
    low: Any, high: Any, scale: Any, divisor: Any, ends: Any, added: Any, taken_away: Any, fraction: Any
) -> None:
    """See `powers_of_two`; of blocks up to a whole number of `LANES`, with the ends of both that were found before."""
    more, less, mask = spread(added), spread(taken_away), spread(EXPONENT)
    nothing, largest, smallest = spread(NOTHING), spread(LARGEST_POWER), spread(HALF_OF_NORMAL)
    parts, tiny = spread(fraction), spread(TINY)
    least, most, least_by, most_by = spread(ends[0]), spread(ends[1]), spread(ends[2]), spread(ends[3])
    for i in range(np.uint64(0), np.uint64(low.size) // AT_ONCE * AT_ONCE, AT_ONCE):
        absmax = greater(magnitude(load(low, i)), magnitude(load(high, i)))
        bits = ((bits_of(absmax) + more) & mask) - less
        bits = choose(bits < nothing, nothing, bits)
        bits = choose(bits > largest, largest, bits)
        power = numbers_of(choose(bits < smallest, smallest, bits))
        step, by = power / parts, greater(power, tiny) / parts
        store(scale, i, step)
        store(divisor, i, by)
        least, most = lesser(step, least), greater(step, most)
        least_by, most_by = lesser(by, least_by), greater(by, most_by)
    ends[0], ends[1], ends[2], ends[3] = least_of(least), greatest_of(most), least_of(least_by), greatest_of(most_by)


@kernel(_example_of_fp8)
def fill_fp8(low: Any, high: Any, scale: Any, inverse: Any, ends: Any, largest: Any, whole: Any) -> None:
    """See `fp8_shares`; of blocks up to a whole number of `LANES`, with the ends of both that were found before."""
    code, unit, one_less = spread(largest), spread(whole), spread(np.float32(ONE / whole))
    first, last, mask = spread(SMALLEST_E4M3), spread(LARGEST_E4M3), spread(EXPONENT)
    least, most, least_by, most_by = spread(ends[0]), spread(ends[1]), spread(ends[2]), spread(ends[3])
    for i in range(np.uint64(0), np.uint64(low.size) // AT_ONCE * AT_ONCE, AT_ONCE):
        share = greater(magnitude(load(low, i)), magnitude(load(high, i))) / code / unit
        share = lesser(greater(share, first), last)
        magic = numbers_of(((bits_of(share) & mask) + spread(E4M3_MAGIC)) | spread(SIGNIFICANT))
        block = (share + magic) - magic
        step, by = block * unit, one_less / block
        store(scale, i, step)
        store(inverse, i, by)
        least, most = lesser(step, least), greater(step, most)
        least_by, most_by = lesser(by, least_by), greater(by, most_by)
    ends[0], ends[1], ends[2], ends[3] = least_of(least), greatest_of(most), least_of(least_by), greatest_of(most_by)


def spans(
    low: FloatArray, high: FloatArray, span: np.float32, *, of_extreme: bool
) -> tuple[FloatArray, FloatArray, Ends] | None:
    """Scales of symmetric ranges, and how far these reach; None where the kernel is not ready, or a scale not ordinary.

    Parameters
    ----------
    low, high : float32 arrays of one shape
        The ends of each group.
    span : float
        How many scales wide the range from 0 is. A quotient of float32 numbers is the same, rounded to float32, whether
        it was rounded to float64 before (Figueroa, When is double rounding innocuous?, 1995).
    of_extreme : bool
        Whether the scale has the sign of the end that is further from 0, the low one of equals; reaches are not told.

    Returns
    -------
    scales, reaches : float32 arrays, shape (groups,)
    ends : tuple of float
        The smallest and the largest magnitude of a scale.
    """
    if not fill_spans.ready or low.size % LANES:
        return None
    scale, reach = empty((2, low.size), np.float32)
    arrays = only_read(low), only_read(high), scale, reach

    def some(part: tuple[int, int]) -> FloatArray:
        ends = np.array([np.inf, 0], np.float32)
        fill_spans(*(each[slice(*part)] for each in arrays), span, of_extreme, ends)
        return ends

    ends = _two(*np.transpose(share(some, low.size, least=SHARED_FROM, unit=LANES)))
    return (scale, reach, ends) if ends[0] >= TINY and ends[1] <= LARGEST else None


def powers_of_two(
    low: FloatArray, high: FloatArray, added: int, taken_away: int, fraction: np.float32
) -> tuple[FloatArray, FloatArray, int, tuple[Ends, Ends] | None]:
    """Powers of two that blocks share, and what their values are divided by.

    Parameters
    ----------
    low, high : float32 arrays of one shape
        The ends of each block.
    added, taken_away : int
        What the bits of the larger magnitude get before its exponent is taken, and what that loses: see `microscaling`.
    fraction : float
        What both are divided by.

    Returns
    -------
    scales, divisors : float32 arrays, shape (blocks,)
    done : int
        Of so many blocks; the others are still to be found.
    ends : tuple of two tuples, or None
        The smallest and the largest number of each, where that is of all blocks.
    """
    given = np.int32(added), np.int32(taken_away), fraction
    return _filled(fill_powers, low, high, *given)


def fp8_shares(
    low: FloatArray, high: FloatArray, largest: np.float32, whole: np.float32
) -> tuple[FloatArray, FloatArray, int, tuple[Ends, Ends] | None]:
    """FP8 E4M3 multiples of a scale for all blocks, and what their values are multiplied by: see `nvfp4`.

    Parameters
    ----------
    low, high : float32 arrays of one shape
        The ends of each block.
    largest, whole : float
        The last code, and the scale for all of them, which is neither 0 nor infinite.

    Returns
    -------
    scales, inverses : float32 arrays, shape (blocks,)
    done : int
        Of so many blocks; the others are still to be found.
    ends : tuple of two tuples, or None
        The smallest and the largest number of each, where that is of all blocks.
    """
    return _filled(fill_fp8, low, high, largest, whole)


def _filled(
    fill: Any, low: FloatArray, high: FloatArray, *given: Any
) -> tuple[FloatArray, FloatArray, int, tuple[Ends, Ends] | None]:
    scale, divisor = empty((2, low.size), np.float32)
    if not fill.ready:
        return scale, divisor, 0, None
    arrays = only_read(low), only_read(high), scale, divisor

    def some(part: tuple[int, int]) -> FloatArray:
        ends = np.array([np.inf, 0, np.inf, 0], np.float32)
        fill(*(each[slice(*part)] for each in arrays), ends, *given)
        return ends

    least, most, least_by, most_by = np.transpose(share(some, low.size, least=SHARED_FROM, unit=LANES))
    done = low.size // LANES * LANES
    return scale, divisor, done, (_two(least, most), _two(least_by, most_by)) if done == low.size else None


def _two(least: FloatArray, most: FloatArray) -> Ends:
    return float(least.min()), float(most.max())
