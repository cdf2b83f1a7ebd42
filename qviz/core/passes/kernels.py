"""How far is one read of memory from the answer? One compiled walk for everything that a frame shows.

A piece of the tensor is walked stretch by stretch: quantized by the loops of `qviz.core.arithmetic.loops`, compared,
added up for each group, counted and drawn, each where somebody asked for it, while the stretch is in the nearest
cache. Where the groups lie decides how their parameters are spread over a stretch and how its sums are collected:
side by side (columns), in runs, or scattered.

Arrays are passed on by value, a dozen words each: hence few of them, with many regions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import (
    BFLOAT16,
    CELL,
    CENTRED,
    CLIPPED,
    CODEBOOK,
    FREE,
    GRID,
    MAGNITUDE,
    MISSING,
    MULTIPLIES,
    PARAMETERS,
    PLACE,
    REGION,
    REGIONS,
    RULE,
    SHIFTS,
    STRETCH,
    VALUE,
    WHOLE,
    X_HAT,
    dequantize_codes,
    divide,
    divide_fetched,
    fetch,
    fetch_ahead,
    number_codes,
    quantize_whole,
    round_floats,
    round_to_codebook,
    round_whole,
)
from qviz.core.arithmetic.spreading import (
    ALONG,
    BLOCK,
    CHUNK_LENGTH,
    COLUMNS,
    LAID,
    LENGTH,
    WIDTH,
    spread_columns,
    spread_same,
    spread_stretch,
)
from qviz.core.compiler import kernel, part
from qviz.core.tensors.envelope import BASE

BUCKET = np.uint64(BASE)

# The regions of ``integers`` behind those of the loops: clipped elements of columns, and of values that are missing.
CLIPPED_IN, MISSING_IN = np.uint64(4 * REGION), np.uint64(5 * REGION)

# The regions of ``wide``: squares of a stretch; sums and largest squares of columns, of errors and of values.
SQUARES, IN_COLUMNS, TOPS, OF_VALUES = (np.uint64(i * REGION) for i in (0, 1, 2, 2))
WIDE_REGIONS = 5

# The places of ``plan`` behind how the groups lie: what is asked for, and how the bins lie.
MAYBE_NAN, SIGNAL, OCCUPANCY, HISTOGRAM, JOINT, ENVELOPE = range(LAID, LAID + 6)
LEVELS, WINDOW, WINDOW_START, BINS, FIRST_BIN, FIRST_BUCKET, LAST_BUCKET = range(LAID + 6, LAID + 13)
PLAN = LAID + 13

# The places of ``numbers``, and of ``totals``: Σ|e|, Σx·e and Σe² of the clipped; Σe² and max e²
# of a run.
FACTOR, LOW, HIGH, BIN_WIDTH = range(4)
MAGNITUDES, PRODUCTS, BEYOND_CODES, OF_RUN, TOP_OF_RUN = range(5)

SIGN_BIT = np.int32(31)
LOWEST_INT, HIGHEST_INT = np.int32(-0x80000000), np.int32(0x7FFFFFFF)
ONE, NONE, TWICE = np.int32(1), np.int32(-1), np.uint64(2)

DOUBT = np.float32(2.0**-20)
"""By this part of itself float32 may be wrong about a place: three roundings, each of 2^−24 at most, and more."""


# --- one stretch ----------------------------------------------------------------------------------------


@part()
def mend(work: Any, integers: Any, n: Any, low: Any) -> None:
    """Give what is missing a code, so that it is a level itself: without error, and not clipped."""
    for i in range(n):
        work[FREE + i] = low if integers[MISSING + i] else work[FREE + i]


@part()
def hide(work: Any, integers: Any, n: Any) -> None:
    """Take what is missing for the value of its code."""
    for i in range(n):
        work[VALUE + i] = work[X_HAT + i] if integers[MISSING + i] else work[VALUE + i]


@part(reorders=True)
def compare(work: Any, wide: Any, integers: Any, n: Any, low: Any, high: Any, totals: Any) -> Any:
    """The square of each error, and which codes were clipped; what they add up to, and how many are clipped."""
    magnitudes, products, beyond, count = 0.0, 0.0, 0.0, np.int32(0)
    for i in range(n):
        value = np.float64(work[VALUE + i])
        error = np.float64(work[X_HAT + i]) - value
        square = error * error
        clipped = (work[FREE + i] < low) | (work[FREE + i] > high)
        wide[SQUARES + i] = square
        integers[CLIPPED + i] = np.int32(clipped)
        count += np.int32(clipped)
        magnitudes += abs(error)
        products += value * error
        beyond += square if clipped else 0.0
    totals[MAGNITUDES] += magnitudes
    totals[PRODUCTS] += products
    totals[BEYOND_CODES] += beyond
    return count


@part(reorders=True)
def compare_run(work: Any, integers: Any, n: Any, low: Any, high: Any, totals: Any) -> Any:
    """The same where the whole stretch is of one group: what its squares add up to, and the largest of them."""
    magnitudes, products, beyond, count = 0.0, 0.0, 0.0, np.int32(0)
    squares, top = 0.0, np.int64(0)
    for i in range(n):
        value = np.float64(work[VALUE + i])
        error = np.float64(work[X_HAT + i]) - value
        square = error * error
        clipped = (work[FREE + i] < low) | (work[FREE + i] > high)
        integers[CLIPPED + i] = np.int32(clipped)
        count += np.int32(clipped)
        squares += square
        top = max(top, np.float64(square).view(np.int64))
        magnitudes += abs(error)
        products += value * error
        beyond += square if clipped else 0.0
    totals[MAGNITUDES] += magnitudes
    totals[PRODUCTS] += products
    totals[BEYOND_CODES] += beyond
    totals[OF_RUN], totals[TOP_OF_RUN] = squares, np.int64(top).view(np.float64)
    return count


@part()
def square_values(work: Any, wide: Any, integers: Any, n: Any) -> None:
    """The square of each value; what is missing is told as what is clipped is."""
    for i in range(n):
        wide[SQUARES + i] = np.float64(work[VALUE + i]) * np.float64(work[VALUE + i])
        integers[CLIPPED + i] = integers[MISSING + i]


@part()
def guess_bins(work: Any, integers: Any, n: Any, width: Any) -> Any:
    """The bin of each error, in float32; how many lie so near to an edge that this is not to be believed."""
    per_bin = np.float32(1.0 / width)
    doubtful = np.int32(0)
    for i in range(n):
        error = work[X_HAT + i] - work[VALUE + i]
        scaled = error * per_bin
        sure = abs(scaled - np.rint(scaled)) >= abs(scaled) * DOUBT  # nothing is, where float32 ends
        lost = (scaled == np.float32(0)) & (error != np.float32(0))
        doubtful += np.int32(lost or not sure)
        integers[PLACE + i] = np.int32(np.floor(scaled))
    return doubtful


@part()
def find_bins(work: Any, integers: Any, n: Any, width: Any, first: Any, last: Any) -> None:
    """The same in float64: guessed, then moved to where the edges say, which are multiples of the width."""
    per_bin = 1.0 / width
    for i in range(n):
        error = np.float64(work[X_HAT + i]) - np.float64(work[VALUE + i])
        guess = np.floor(error * per_bin)
        guess -= 1.0 if error < guess * width else 0.0
        guess += 1.0 if error >= (guess + 1.0) * width else 0.0
        guess = first if guess < first else guess
        guess = last if guess > last else guess
        integers[PLACE + i] = np.int32(guess)


@part()
def place_jointly(integers: Any, n: Any, plan: Any, any_clipped: Any) -> Any:
    """One number for a cell and a bin; how many rounding errors lie in none of the few bins that they reach.

    Those get the place −1.
    """
    window, start = np.int32(plan[WINDOW]), np.int32(plan[WINDOW_START])
    bins, first, levels = np.int32(plan[BINS]), np.int32(plan[FIRST_BIN]), np.int32(plan[LEVELS])
    outside = np.int32(0)
    if any_clipped:
        clipped_low = levels * window - first
        clipped_high = clipped_low + bins
        for i in range(n):
            cell, place = integers[CELL + i], integers[PLACE + i]
            near = place - start
            strange = (near < 0) | (near >= window)
            joint = (cell - ONE) * window + near
            joint = NONE if strange else joint
            joint = clipped_low + place if cell == 0 else joint
            joint = clipped_high + place if cell > levels else joint
            integers[PLACE + i] = joint
            outside += np.int32(joint < 0)
    else:
        for i in range(n):
            near = integers[PLACE + i] - start
            strange = (near < 0) | (near >= window)
            integers[PLACE + i] = NONE if strange else (integers[CELL + i] - ONE) * window + near
            outside += np.int32(strange)
    return outside


@part()
def count_jointly(integers: Any, n: Any, table: Any) -> None:
    """One count for the code and the error of each element."""
    for i in range(n):
        table[np.uint32(integers[PLACE + i])] += np.uint32(1)


@part()
def count_strange(
    work: Any, integers: Any, n: Any, maybe_nan: Any, table: Any, tallies: Any, edges: Any, levels: Any
) -> None:
    """The same where some are missing, or lie in no bin that is counted jointly."""
    for i in range(n):
        place = integers[PLACE + i]
        if maybe_nan and integers[MISSING + i]:
            continue
        if place >= 0:
            table[np.uint32(place)] += np.uint32(1)
        else:
            tallies[np.uint32(integers[CELL + i] - ONE)] += 1
            error = np.float64(work[X_HAT + i]) - np.float64(work[VALUE + i])
            tallies[levels + np.searchsorted(edges, error, side="right") - 1] += 1


@part()
def count_apart(integers: Any, n: Any, maybe_nan: Any, plan: Any, tallies: Any) -> None:
    """A count for the code of each element, and one for its error."""
    levels, first = np.int32(plan[LEVELS]), np.int32(plan[FIRST_BIN])
    occupancy, histogram = plan[OCCUPANCY], plan[HISTOGRAM]
    errors = levels if occupancy else np.int32(0)
    clipping = errors + np.int32(plan[BINS])
    for i in range(n):
        if maybe_nan and integers[MISSING + i]:
            continue
        if occupancy:
            cell = integers[CELL + i]
            cell = ONE if cell == 0 else levels if cell > levels else cell
            tallies[np.uint32(cell - ONE)] += 1
        if histogram:
            place = integers[PLACE + i] - first
            tallies[np.uint32(errors + place)] += 1
            if integers[CLIPPED + i]:
                tallies[np.uint32(clipping + place)] += 1


@part()
def draw(
    work: Any, integers: Any, n: Any, flat: Any, maybe_nan: Any, first: Any, last: Any, low: Any, high: Any, ends: Any
) -> None:
    """Take x̂ into the buckets of the envelope; those that the piece shares with others into ``ends``.

    Floats are compared as integers in their order, whose extremes are vectorized.
    """
    bits = work.view(np.int32)
    at = np.uint64(0)
    while at < n:
        bucket = (flat + at) // BUCKET
        stop = min(n, (bucket + np.uint64(1)) * BUCKET - flat)
        lowest, highest = HIGHEST_INT, LOWEST_INT
        if maybe_nan or stop - at != BUCKET:
            for i in range(at, stop):
                if not (maybe_nan and integers[MISSING + i]):
                    pattern = bits[X_HAT + i]
                    ordered = pattern ^ ((pattern >> SIGN_BIT) & MAGNITUDE)
                    lowest, highest = min(lowest, ordered), max(highest, ordered)
        else:
            for i in range(BUCKET):
                pattern = bits[X_HAT + at + i]
                ordered = pattern ^ ((pattern >> SIGN_BIT) & MAGNITUDE)
                lowest, highest = min(lowest, ordered), max(highest, ordered)
        if lowest <= highest:
            smallest = np.int32(lowest ^ ((lowest >> SIGN_BIT) & MAGNITUDE)).view(np.float32)
            largest = np.int32(highest ^ ((highest >> SIGN_BIT) & MAGNITUDE)).view(np.float32)
            if bucket < first:
                ends[0], ends[1] = min(ends[0], smallest), max(ends[1], largest)
            elif bucket >= last:
                ends[2], ends[3] = min(ends[2], smallest), max(ends[3], largest)
            else:
                low[bucket], high[bucket] = min(low[bucket], smallest), max(high[bucket], largest)
        at = stop


@part()
def tally(
    work: Any, integers: Any, n: Any, maybe_nan: Any, clipped: Any, plan: Any, numbers: Any, table: Any,
    tallies: Any, edges: Any,
) -> None:  # fmt: skip
    """Count codes and errors, together where there is room."""
    if plan[OCCUPANCY]:
        number_codes(work, integers, n, plan, np.float32(numbers[LOW]), np.float32(numbers[HIGH]))
    if plan[HISTOGRAM] and guess_bins(work, integers, n, numbers[BIN_WIDTH]) > 0:
        first = np.float64(plan[FIRST_BIN])
        find_bins(work, integers, n, numbers[BIN_WIDTH], first, first + np.float64(plan[BINS] - 1))
    if plan[JOINT]:
        strange = place_jointly(integers, n, plan, clipped)
        if strange or maybe_nan:
            count_strange(work, integers, n, maybe_nan, table, tallies, edges, plan[LEVELS])
        else:
            count_jointly(integers, n, table)
    elif plan[OCCUPANCY] or plan[HISTOGRAM]:
        count_apart(integers, n, maybe_nan, plan, tallies)


@part()
def step_by_step(x: Any, at: Any, work: Any, integers: Any, n: Any, plan: Any, numbers: Any, codebook: Any) -> Any:
    """Codes that are not clipped yet, and x̂, whatever the format; how many elements are missing."""
    factor, low, high = np.float32(numbers[FACTOR]), np.float32(numbers[LOW]), np.float32(numbers[HIGH])
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
    dequantize_codes(work, n, low, high, centred, shifts)
    return missing


@part()
def look(
    x: Any, at: Any, n: Any, flat: Any, work: Any, wide: Any, integers: Any, plan: Any, numbers: Any, codebook: Any,
    totals: Any, table: Any, tallies: Any, edges: Any, low_of: Any, high_of: Any, ends: Any, is_run: Any,
) -> Any:  # fmt: skip
    """Everything about a stretch but what its groups add up to; how many of its codes are clipped."""
    factor, low, high = np.float32(numbers[FACTOR]), np.float32(numbers[LOW]), np.float32(numbers[HIGH])
    rule, shifts, multiplies, centred = plan[RULE], plan[SHIFTS], plan[MULTIPLIES], plan[CENTRED]
    maybe_nan = False
    if rule == WHOLE and centred and not (plan[MAYBE_NAN] or shifts):
        quantize_whole(x, at, work, n, low, high, multiplies, factor)
    else:
        maybe_nan = step_by_step(x, at, work, integers, n, plan, numbers, codebook) > 0
    if maybe_nan:
        hide(work, integers, n)
    if is_run:
        clipped = compare_run(work, integers, n, low, high, totals)
    else:
        clipped = compare(work, wide, integers, n, low, high, totals)
    tally(work, integers, n, maybe_nan, clipped, plan, numbers, table, tallies, edges)
    if plan[ENVELOPE]:
        first_bucket, last_bucket = np.uint64(plan[FIRST_BUCKET]), np.uint64(plan[LAST_BUCKET])
        draw(work, integers, n, flat, maybe_nan, first_bucket, last_bucket, low_of, high_of, ends)
    return clipped


# --- the groups of a stretch ----------------------------------------------------------------------------


@part(reorders=True)
def collect_run(wide: Any, integers: Any, n: Any, group: Any, found: Any, clipped: Any) -> None:
    """Give a stretch to its group. Squares are ordered as their bits are, whose maximum is vectorized."""
    bits = wide.view(np.int64)
    total, top, count = 0.0, np.int64(0), np.int32(0)
    for i in range(n):
        total += wide[SQUARES + i]
        top = max(top, bits[SQUARES + i])
        count += integers[CLIPPED + i]
    found[0, group] += total
    largest = np.int64(top).view(np.float64)
    found[1, group] = max(found[1, group], largest)
    clipped[group] += count


@part(reorders=True)
def fold(wide: Any, n: Any, sums: Any, tops: Any, to_sums: Any, to_tops: Any) -> None:
    """Sum and maximum of each pair of neighbours."""
    bits = wide.view(np.int64)
    for i in range(n):
        left, right = TWICE * i, TWICE * i + np.uint64(1)
        wide[to_sums + i] = wide[sums + left] + wide[sums + right]
        bits[to_tops + i] = max(bits[tops + left], bits[tops + right])


@part(reorders=True)
def collect_runs(
    wide: Any, integers: Any, n: Any, chunks: Any, group: Any, any_clipped: Any, found: Any, clipped: Any
) -> None:
    """Give each of neighbouring groups its run: neighbours are folded as long as they are of one."""
    run = chunks * CHUNK_LENGTH
    left, each, sums, tops = n, run, SQUARES, SQUARES
    while each % TWICE == 0:
        left, each = left // TWICE, each // TWICE
        to_sums, to_tops = (OF_VALUES + IN_COLUMNS, OF_VALUES + TOPS) if sums == IN_COLUMNS else (IN_COLUMNS, TOPS)
        fold(wide, left, sums, tops, to_sums, to_tops)
        sums, tops = to_sums, to_tops
    first, start = np.uint64(group), np.uint64(0)
    for g in range(n // run):
        total, top = 0.0, 0.0
        for i in range(start, start + each):
            total += wide[sums + i]
            top = max(top, wide[tops + i])
        start += each
        found[0, first + g] += total
        found[1, first + g] = max(found[1, first + g], top)
    if any_clipped:
        for g in range(n // run):
            count = np.int32(0)
            for i in range(g * run, (g + np.uint64(1)) * run):
                count += integers[CLIPPED + i]
            clipped[first + g] += count


@part()
def collect_scattered(wide: Any, integers: Any, where: Any, n: Any, found: Any, clipped: Any) -> None:
    """Give each element to its group."""
    for i in range(n):
        group, square = where[i], wide[SQUARES + i]
        found[0, group] += square
        found[1, group] = max(found[1, group], square)
        clipped[group] += integers[CLIPPED + i]


@part()
def collect_columns(wide: Any, integers: Any, n: Any, any_clipped: Any, sums: Any, counts: Any) -> None:
    """Give each element to the accumulators of its column."""
    bits = wide.view(np.int64)
    for i in range(n):
        wide[IN_COLUMNS + sums + i] += wide[SQUARES + i]
        top = bits[TOPS + sums + i]
        bits[TOPS + sums + i] = bits[SQUARES + i] if bits[SQUARES + i] > top else top
    if any_clipped:
        for i in range(n):
            integers[counts + i] += integers[CLIPPED + i]


@part()
def settle_columns(
    wide: Any, integers: Any, n: Any, sums: Any, counts: Any, first: Any, found: Any, clipped: Any
) -> None:
    """Give the accumulators of columns to their groups, and empty them."""
    for i in range(n):
        found[0, first + i] += wide[IN_COLUMNS + sums + i]
        largest = wide[TOPS + sums + i]
        found[1, first + i] = max(found[1, first + i], largest)
        clipped[first + i] += integers[counts + i]
        wide[IN_COLUMNS + sums + i], wide[TOPS + sums + i], integers[counts + i] = 0.0, 0.0, 0


# --- the walk --------------------------------------------------------------------------------------------


def _example() -> tuple[Any, ...]:
    x = np.zeros(2, np.float32)
    x.flags.writeable = False
    sums, counts, number = np.zeros((2, 1)), np.zeros(1, np.int64), np.zeros(1, np.float32)
    given = (x,) * PARAMETERS, counts, np.zeros(PLAN, np.int64), np.zeros(4), x
    answers = np.zeros(5), np.zeros(1, np.uint32), counts, np.zeros(2), number, number, number
    return x, 0, *given, *answers, sums, counts, sums, counts, *memory()


def memory() -> tuple[Any, ...]:
    """What a thread works in."""
    sizes = REGIONS * REGION, WIDE_REGIONS * REGION, 6 * REGION, STRETCH
    types = np.float32, np.float64, np.int32, np.int64
    return tuple(np.zeros(size, dtype) for size, dtype in zip(sizes, types, strict=True))


@kernel(_example)
def walk(  # noqa: PLR0912, PLR0915  (passing arrays on is not free)
    x: Any, start: Any, parameters: Any, strides: Any, plan: Any, numbers: Any, codebook: Any, totals: Any, table: Any,
    tallies: Any, edges: Any, low: Any, high: Any, ends: Any, errors_of: Any, clipped: Any, values_of: Any,
    missing: Any, work: Any, wide: Any, integers: Any, where: Any,
) -> None:  # fmt: skip
    """Look at a piece of a tensor, the elements from ``start`` on.

    Parameters
    ----------
    x : float32 array
        Flat and contiguous: whole rows, or a part of one.
    start : int
        The flat index of its first element.
    parameters, strides, codebook
        See `qviz.core.arithmetic.loops.Steps`.
    plan : int64 array, shape (PLAN,)
        Its ``kind``, then what is asked for, and how the groups and the bins lie; see the names of the places above.
    numbers : float64 array, shape (4,)
        Factor, first and last code, width of an error bin.
    totals : float64 array, shape (5,)
        Σ|e|, Σx·e, Σe² of the clipped; the last two are a run's own.
    table : uint32 array
        Counts of codes and errors together.
    tallies : int64 array
        Counts of codes, of errors, and of errors of the clipped.
    edges : float64 array
    low, high, ends : float32 arrays
        The buckets of the envelope, and those that the piece shares with others.
    errors_of, clipped, values_of, missing : arrays of shape (2, groups) and (groups,)
        Σe² and max e² of each group, and its clipped elements; Σx² and max x², and its missing elements.
    work, wide, integers, where : arrays
        `memory`.
    """
    spread_same(parameters, work)
    columns, width = plan[COLUMNS], plan[WIDTH]
    length, along, block = plan[LENGTH], plan[ALONG], plan[BLOCK]
    first_row, left = start // width, start % width
    span, rows = min(width, x.size), max(1, x.size // width)
    at, tile, r = 0, 0, 0
    group, present = np.int64(0), np.int64(-1)
    while True:
        chunks, settles = 0, False
        if columns:  # a stretch of one row, then of the next one
            if tile >= span:
                break
            n = min(STRETCH, span - tile)
            row, at = first_row + r, r * width + tile
            if r == 0 or (along > 0 and (row % length % block == 0 or row % length == 0)):
                group = (row // length * along + row % length // block) * width + left + tile
                spread_columns(parameters, strides, work, np.uint64(group), np.uint64(n))
            r += 1
            settles = r == rows or (along > 0 and ((row + 1) % length % block == 0 or (row + 1) % length == 0))
        else:
            if at >= x.size:
                break
            rest = x.size - at
            n, chunks, group, present = spread_stretch(
                parameters, strides, plan, work, where, start + at, rest, present
            )
        here, size, flat = np.uint64(at), np.uint64(n), np.uint64(start + at)
        ahead = here + np.uint64(width) if columns else here + size
        fetch_ahead(x, ahead, ahead + size)
        is_run = not columns and chunks == 0
        any_clipped = look(
            x, here, size, flat, work, wide, integers, plan, numbers, codebook, totals, table, tallies, edges,
            low, high, ends, is_run,
        )  # fmt: skip
        for of_values in range(2 if plan[SIGNAL] else 1):
            found, counted = (values_of, missing) if of_values else (errors_of, clipped)
            sums, counts = (OF_VALUES, MISSING_IN) if of_values else (np.uint64(0), CLIPPED_IN)
            if of_values:
                any_clipped = fetch(x, here, work, integers, size)
                square_values(work, wide, integers, size)
            if columns:
                collect_columns(wide, integers, size, any_clipped, sums, counts)
                if settles:
                    settle_columns(wide, integers, size, sums, counts, np.uint64(group), found, counted)
            elif chunks > 0:
                collect_runs(wide, integers, size, np.uint64(chunks), group, any_clipped, found, counted)
            elif chunks < 0:
                collect_scattered(wide, integers, where, size, found, counted)
            elif of_values:
                collect_run(wide, integers, size, group, found, counted)
            else:
                found[0, group] += totals[OF_RUN]
                found[1, group] = max(found[1, group], totals[TOP_OF_RUN])
                counted[group] += any_clipped
        at += n
        if columns and r == rows:
            r, tile = 0, tile + n
