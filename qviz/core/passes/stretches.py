"""What is done to one stretch, step by step? The parts of the compiled walks, each a loop over memory that is near."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import (
    BFLOAT16,
    CENTRED,
    CLIPPED,
    CODEBOOK,
    FREE,
    GRID,
    MAGNITUDE,
    MISSING,
    MULTIPLIES,
    PARAMETERS,
    PARTS,
    REGION,
    REGIONS,
    RULE,
    SCALE_AT,
    SHIFTS,
    STRETCH,
    VALUE,
    X_HAT,
    dequantize_codes,
    divide,
    divide_fetched,
    fetch,
    number_codes,
    quantize_whole,
    round_floats,
    round_to_codebook,
    round_whole,
    take_parts,
)
from qviz.core.arithmetic.spreading import (
    CHUNK_LENGTH,
)
from qviz.core.compiler import part
from qviz.core.lanes import greater, greatest_of, least_of, lesser, load
from qviz.core.passes.comparing import (
    WIDE_REGIONS,
)
from qviz.core.passes.counting import (
    ALL,
    BINS,
    FIRST_BIN,
    HISTOGRAM,
    JOINT,
    MAYBE_NAN,
    OCCUPANCY,
    PLAN,
    count_apart,
    count_jointly,
    count_strange,
    find_bins,
    guess_bins,
    place_jointly,
)
from qviz.core.tensors.envelope import BASE

BUCKET = np.uint64(BASE)

CACHE_LINE = 64
"""Bytes."""

# The regions of ``integers`` behind those of the loops: clipped elements of columns, and of values that are missing.
CLIPPED_IN, MISSING_IN = np.uint64(4 * REGION), np.uint64(5 * REGION)

# The places of ``numbers``.
FACTOR, LOW, HIGH, BIN_WIDTH = range(4)

SIGN_BIT = np.int32(31)
LOWEST_INT, HIGHEST_INT = np.int32(-0x80000000), np.int32(0x7FFFFFFF)


@part(rare=True)
def mend(work: Any, integers: Any, n: Any, low: Any) -> None:
    """Give what is missing a code, so that it is a level itself: without error, and not clipped."""
    for i in range(n):
        work[FREE + i] = low if integers[MISSING + i] else work[FREE + i]


@part(rare=True)
def hide(work: Any, integers: Any, n: Any) -> None:
    """Take what is missing for the value of its code."""
    for i in range(n):
        work[VALUE + i] = work[X_HAT + i] if integers[MISSING + i] else work[VALUE + i]


@part()
def show_values(work: Any, integers: Any, n: Any, low: Any) -> None:
    """Make each value an error, and what is missing clipped: values are added up as errors are."""
    for i in range(n):
        work[X_HAT + i] = np.float32(0)
        work[FREE + i] = np.float32(np.inf) if integers[MISSING + i] else low


@part(rare=True)
def note_clipped(work: Any, integers: Any, n: Any, low: Any, high: Any) -> None:
    """Which codes were clipped."""
    for i in range(n):
        integers[CLIPPED + i] = np.int32((work[FREE + i] < low) | (work[FREE + i] > high))


@part()
def draw(
    work: Any,
    integers: Any,
    begin: Any,
    n: Any,
    flat: Any,
    maybe_nan: Any,
    first: Any,
    last: Any,
    low: Any,
    high: Any,
    ends: Any,
) -> None:
    """Take x̂ into the buckets of the envelope; those that the piece shares with others into ``ends``.

    It lies from ``begin`` on in its region.

    Floats are compared as integers in their order, whose extremes are vectorized.
    """
    bits, region = work.view(np.int32), X_HAT + begin
    at = np.uint64(0)
    while at < n:
        bucket = (flat + at) // BUCKET
        stop = min(n, (bucket + np.uint64(1)) * BUCKET - flat)
        lowest, highest = HIGHEST_INT, LOWEST_INT
        if maybe_nan or stop - at != BUCKET:
            for i in range(at, stop):
                if not (maybe_nan and integers[MISSING + i]):
                    pattern = bits[region + i]
                    ordered = np.int32(pattern ^ ((pattern >> SIGN_BIT) & MAGNITUDE))
                    lowest, highest = min(lowest, ordered), max(highest, ordered)
            smallest = np.int32(lowest ^ ((lowest >> SIGN_BIT) & MAGNITUDE)).view(np.float32)
            largest = np.int32(highest ^ ((highest >> SIGN_BIT) & MAGNITUDE)).view(np.float32)
        else:
            low_lanes = high_lanes = load(work, region + at)
            for i in range(CHUNK_LENGTH, BUCKET, CHUNK_LENGTH):
                lanes = load(work, region + at + i)
                low_lanes, high_lanes = lesser(low_lanes, lanes), greater(high_lanes, lanes)
            smallest, largest = least_of(low_lanes), greatest_of(high_lanes)
            lowest, highest = np.int32(0), np.int32(0)
        if lowest <= highest:
            if bucket < first:
                ends[0], ends[1] = min(ends[0], smallest), max(ends[1], largest)
            elif bucket >= last:
                ends[2], ends[3] = min(ends[2], smallest), max(ends[3], largest)
            else:
                low[bucket], high[bucket] = min(low[bucket], smallest), max(high[bucket], largest)
        at = stop


@part()
def round_stretch(x: Any, at: Any, n: Any, work: Any, integers: Any, plan: Any, numbers: Any, codebook: Any) -> Any:
    """Codes that are not clipped yet, whatever the format; how many are missing."""
    factor, low = np.float32(numbers[FACTOR]), np.float32(numbers[LOW])
    rule, shifts, multiplies, centred = plan[RULE], plan[SHIFTS], plan[MULTIPLIES], plan[CENTRED]
    missing = 0
    if plan[MAYBE_NAN] or shifts:
        missing = fetch(x, at, work, integers, n)
        divide_fetched(work, n, multiplies, factor, shifts)
    else:
        divide(x, at, work, n, multiplies, factor)
    if rule in (GRID, BFLOAT16):
        round_floats(work, n, plan)
    elif rule == CODEBOOK:
        round_to_codebook(work, integers, n, codebook)
    else:
        round_whole(work, n, rule, centred)
    if missing > 0:
        mend(work, integers, n, low)
    return missing


@part()
def dequantize_stretch(work: Any, n: Any, plan: Any, numbers: Any) -> Any:
    """x̂ of these codes; how many are clipped."""
    factor, low, high = np.float32(numbers[FACTOR]), np.float32(numbers[LOW]), np.float32(numbers[HIGH])
    clipped = dequantize_codes(work, n, low, high, plan[CENTRED], plan[SHIFTS], np.uint64(plan[SCALE_AT]))
    take_parts(work, n, plan[PARTS], factor)
    return clipped


@part()
def quantize_plain(x: Any, at: Any, n: Any, work: Any, integers: Any, plan: Any, numbers: Any, codebook: Any) -> Any:
    """Both for whole numbers around 0, where nothing is missing: every step at once."""
    factor, low, high = np.float32(numbers[FACTOR]), np.float32(numbers[LOW]), np.float32(numbers[HIGH])
    clipped = quantize_whole(x, at, work, n, low, high, plan[MULTIPLIES], factor, np.uint64(plan[SCALE_AT]))
    take_parts(work, n, plan[PARTS], factor)
    return clipped, 0


@part()
def count_codes(
    work: Any, integers: Any, n: Any, clipped: Any, maybe_nan: Any, x: Any, ahead: Any, table: Any, tallies: Any,
    plan: Any, numbers: Any,
) -> None:  # fmt: skip
    """Count the codes and the errors of a stretch, step by step."""
    low, high, width = np.float32(numbers[LOW]), np.float32(numbers[HIGH]), numbers[BIN_WIDTH]
    if plan[OCCUPANCY]:
        number_codes(work, integers, n, plan, low, high)
    if plan[HISTOGRAM] and guess_bins(work, integers, n, width, plan) > 0:
        first_bin = np.float64(plan[FIRST_BIN])
        find_bins(work, integers, n, width, first_bin, first_bin + np.float64(plan[BINS] - 1))
    if plan[JOINT]:
        if place_jointly(integers, n, plan, clipped) or maybe_nan:
            count_strange(work, integers, n, maybe_nan, table, tallies, plan, width)
        else:
            count_jointly(integers, n, table, x, ahead, ALL)
    else:
        if plan[HISTOGRAM] and clipped:
            note_clipped(work, integers, n, low, high)
        count_apart(integers, n, maybe_nan, clipped, plan, tallies)


# --- what walks are given ----------------------------------------------------------------------------------


def example() -> tuple[Any, ...]:
    """What a walk is given, the least there can be: it is compiled for these types."""
    x = np.zeros(2, np.float32)
    x.flags.writeable = False
    sums, counts, number = np.zeros((2, 1)), np.zeros(1, np.int64), np.zeros(1, np.float32)
    given = (x,) * PARAMETERS, counts, np.zeros(PLAN, np.int64), np.zeros(4), x
    answers = np.zeros(3), np.zeros(3), np.zeros(1, np.uint32), counts, number, number, number
    return x, 0, *given, *answers, sums, counts, sums, counts, *memory()


def memory() -> tuple[Any, ...]:
    """What a thread works in."""
    sizes = REGIONS * REGION, WIDE_REGIONS * REGION, 6 * REGION, STRETCH
    types = np.float32, np.float64, np.int32, np.int64
    return tuple(_in_lines(size, dtype) for size, dtype in zip(sizes, types, strict=True))


def _in_lines(size: int, dtype: Any) -> Any:
    """Zeros that begin with a line of the cache: no vector lies in two."""
    zeros = np.zeros(size + CACHE_LINE, dtype)
    first = -zeros.ctypes.data % CACHE_LINE // zeros.itemsize
    return zeros[first : first + size]
