"""How far is one read of memory from the answer? One compiled walk for everything that a frame shows.

A piece of the tensor is walked stretch by stretch: quantized by the loops of `qviz.core.arithmetic.loops`, compared,
added up for each group, counted and drawn, each where somebody asked for it, while the stretch is in the nearest
cache. Where the groups lie decides how their parameters are spread over a stretch and how its sums are collected:
side by side (columns), in runs, or scattered.

An array is a dozen words, even where the compiler puts a part in its place: hence few of them, with many regions.
"""

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
    WHOLE,
    X_HAT,
    dequantize_codes,
    divide,
    divide_fetched,
    fetch,
    number_codes,
    number_whole,
    quantize_whole,
    round_floats,
    round_to_codebook,
    round_whole,
    take_parts,
)
from qviz.core.arithmetic.spreading import (
    ALONG,
    BLOCK,
    CHUNK,
    CHUNK_LENGTH,
    COLUMNS,
    LENGTH,
    WIDTH,
    lie_of_stretch,
    lies_in_long_runs,
    long_run,
    spread_columns,
    spread_long_run,
    spread_same,
    spread_stretch,
)
from qviz.core.compiler import Kernel, kernel, part
from qviz.core.lanes import greater, greatest_of, least_of, lesser, load
from qviz.core.passes.comparing import (
    OF_VALUES,
    WIDE_REGIONS,
    add_beyond,
    add_clipped,
    compare_columns,
    compare_run,
    compare_runs,
    compare_scattered,
    count_columns,
    settle_columns,
)
from qviz.core.passes.counting import (
    BINS,
    ENVELOPE,
    FIRST_BIN,
    FIRST_BUCKET,
    HISTOGRAM,
    JOINT,
    LAST_BUCKET,
    MAYBE_NAN,
    OCCUPANCY,
    PLAN,
    SIGNAL,
    count_apart,
    count_jointly,
    count_strange,
    find_bins,
    guess_bins,
    place_jointly,
)
from qviz.core.passes.lane_steps import knows, look_at_all, look_centred, look_for_figures
from qviz.core.passes.placing import place_all, places_at_once
from qviz.core.tensors.envelope import BASE

BUCKET = np.uint64(BASE)

# The regions of ``integers`` behind those of the loops: clipped elements of columns, and of values that are missing.
CLIPPED_IN, MISSING_IN = np.uint64(4 * REGION), np.uint64(5 * REGION)

# The places of ``numbers``.
FACTOR, LOW, HIGH, BIN_WIDTH = range(4)

SIGN_BIT = np.int32(31)
LOWEST_INT, HIGHEST_INT = np.int32(-0x80000000), np.int32(0x7FFFFFFF)

# --- one stretch ----------------------------------------------------------------------------------------


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
                    ordered = np.int32(pattern ^ ((pattern >> SIGN_BIT) & MAGNITUDE))
                    lowest, highest = min(lowest, ordered), max(highest, ordered)
            smallest = np.int32(lowest ^ ((lowest >> SIGN_BIT) & MAGNITUDE)).view(np.float32)
            largest = np.int32(highest ^ ((highest >> SIGN_BIT) & MAGNITUDE)).view(np.float32)
        else:
            low_lanes = high_lanes = load(work, X_HAT + at)
            for i in range(CHUNK_LENGTH, BUCKET, CHUNK_LENGTH):
                lanes = load(work, X_HAT + at + i)
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


# --- the walk --------------------------------------------------------------------------------------------


def _example() -> tuple[Any, ...]:
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
    return tuple(np.zeros(size, dtype) for size, dtype in zip(sizes, types, strict=True))


def compose(lie: Any, spread: Any, number: Any, look: Any, *, everything: bool, counts: bool = True) -> Any:  # noqa: PLR0915  (one skeleton)
    """The walk, of parts that the compiler puts in their places.

    Parameters
    ----------
    lie, spread : functions
        `lie_of_stretch` and `spread_stretch`, or those for some ways in which groups lie.
    number, look : functions
        `number_codes` and `look_at_all`, or those for some formats.
    everything : bool
        Whatever the scheme; otherwise what `walk_for` says. What is not asked for is not compiled.
    counts : bool
        Whether codes and errors may be counted, and x̂ be drawn.
    """

    def walk(  # noqa: PLR0912, PLR0915  (passing arrays on is not free)
        x: Any, start: Any, parameters: Any, strides: Any, plan: Any, numbers: Any, codebook: Any, sums: Any,
        spare: Any, table: Any, tallies: Any, low_of: Any, high_of: Any, ends: Any, errors_of: Any, saturated: Any,
        values_of: Any, missing: Any, work: Any, wide: Any, integers: Any, where: Any,
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
            Its ``kind``, then what is asked for, and how the groups and the bins lie; see the places above.
        numbers : float64 array, shape (4,)
            Factor, first and last code, width of an error bin.
        sums, spare : float64 arrays, shape (3,)
            Σ|e|, Σx·e, Σe² of the clipped; those of values as errors, which nobody asks for.
        table : uint32 array
            Counts of codes and errors together.
        tallies : int64 array
            Counts of codes, of rounding errors, and of errors of the clipped, in `IN_TURN` places each; `SPARE` more.
        low_of, high_of, ends : float32 arrays
            The buckets of the envelope, and those that the piece shares with others.
        errors_of, saturated, values_of, missing : arrays of shape (2, groups) and (groups,)
            Σe² and max |e| of each group, and its clipped elements; Σx² and max |x|, and its missing elements.
        work, wide, integers, where : arrays
            `memory`.
        """
        spread_same(parameters, work)
        low, high = np.float32(numbers[LOW]), np.float32(numbers[HIGH])
        columns, width = plan[COLUMNS], plan[WIDTH]
        length, along, block = plan[LENGTH], plan[ALONG], plan[BLOCK]
        first_row, left = start // width, start % width
        span, rows = min(width, x.size), max(1, x.size // width)
        at, tile, r = 0, 0, 0
        group, present = np.int64(0), np.int64(-1)
        # Few pieces of memory can be on their way at once: best one at a time, in a loop that has others to wait for.
        counts_ahead = counts and plan[JOINT] > 0
        counting = counts and (plan[OCCUPANCY] or plan[HISTOGRAM])
        in_steps = not (plan[RULE] == WHOLE and plan[CENTRED] and not (plan[MAYBE_NAN] or plan[SHIFTS]))
        at_once = everything and counts and places_at_once(plan, numbers[BIN_WIDTH])
        looks, clips = knows(plan, numbers[BIN_WIDTH]), False
        while True:
            chunks, settles = 0, False
            if everything and columns:  # a stretch of one row, then of the next one
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
                n, chunks, group = lie(plan, start + at, x.size - at)
            here, flat, clipped, lacking, run = np.uint64(at), np.uint64(start + at), 0, 0, np.int64(0)
            ahead = here + np.uint64(width) if everything and columns else here + np.uint64(n)
            looked_at = looks and not columns and (chunks > 0 or (chunks == 0 and n >= CHUNK))
            placed = unclipped = False
            if looked_at:
                n -= n % CHUNK
                run = chunks if chunks > 0 else np.int64(n // CHUNK)
                fetched = here if counts_ahead else ahead
                doubtful, outside = look(
                    x, here, np.uint64(n), np.uint64(run), group, work, wide, integers, parameters, strides, plan,
                    numbers, codebook, sums, errors_of, saturated, fetched, clips,
                )  # fmt: skip
                unclipped = outside and not clips  # seen for the first time: those of this stretch are still to be told
                placed = not (doubtful or unclipped)
                clips = clips or outside
            size = np.uint64(n)
            if not looked_at or (counting and not placed) or unclipped:
                if not (everything and columns):
                    present = spread(parameters, strides, plan, work, where, start + at, n, chunks, group, present)
                if everything and (in_steps or at_once):
                    lacking = round_stretch(x, here, size, work, integers, plan, numbers, codebook)
                    if at_once and not lacking and not looked_at:
                        clipped, doubtful = place_all(work, integers, size, low, high, plan, numbers[BIN_WIDTH])
                        placed = doubtful == 0
                    if not placed:
                        clipped = dequantize_stretch(work, size, plan, numbers)
                    if lacking:
                        hide(work, integers, size)
                else:
                    clipped, lacking = quantize_plain(x, here, size, work, integers, plan, numbers, codebook)
            if unclipped:
                add_clipped(work, size, np.uint64(run), np.uint64(group), low, high, sums, saturated)
            maybe_nan = lacking > 0
            if counts and plan[OCCUPANCY] and not placed:
                number(work, integers, size, plan, low, high)
            if counts and plan[HISTOGRAM] and not placed and guess_bins(work, integers, size, numbers[BIN_WIDTH]) > 0:
                first_bin = np.float64(plan[FIRST_BIN])
                find_bins(work, integers, size, numbers[BIN_WIDTH], first_bin, first_bin + np.float64(plan[BINS] - 1))
            if counts and plan[JOINT]:
                if placed:
                    count_jointly(integers, size, table, x, ahead)
                elif place_jointly(integers, size, plan, clipped) or maybe_nan:
                    count_strange(work, integers, size, maybe_nan, table, tallies, plan, numbers[BIN_WIDTH])
                else:
                    count_jointly(integers, size, table, x, ahead)
            elif counting:
                if plan[HISTOGRAM] and clipped:
                    note_clipped(work, integers, size, low, high)
                count_apart(integers, size, maybe_nan, clipped, plan, tallies)
            if counts and plan[ENVELOPE]:
                first_bucket, last_bucket = np.uint64(plan[FIRST_BUCKET]), np.uint64(plan[LAST_BUCKET])
                draw(work, integers, size, flat, maybe_nan, first_bucket, last_bucket, low_of, high_of, ends)
            for of_values in range(1 if looked_at else 0, 2 if plan[SIGNAL] else 1):
                found, counted, totals = (values_of, missing, spare) if of_values else (errors_of, saturated, sums)
                columns_at, counts_at = (OF_VALUES, MISSING_IN) if of_values else (np.uint64(0), CLIPPED_IN)
                if of_values:
                    clipped = fetch(x, here, work, integers, size)
                    show_values(work, integers, size, low)
                if everything and columns:
                    compare_columns(work, wide, size, columns_at, totals)
                    if clipped:
                        count_columns(work, integers, size, low, high, counts_at)
                        add_beyond(work, size, low, high, totals)
                    if settles:
                        settle_columns(wide, integers, size, columns_at, counts_at, np.uint64(group), found, counted)
                elif everything and chunks > 0:
                    compare_runs(
                        work, size, np.uint64(chunks), np.uint64(group), low, high, totals, found, counted, x, ahead
                    )
                elif everything and chunks < 0:
                    compare_scattered(work, where, size, low, high, totals, found, counted)
                else:
                    compare_run(work, size, group, totals, found)
                    counted[group] += clipped
                    if clipped:
                        add_beyond(work, size, low, high, totals)
            at += n
            if everything and columns and r == rows:
                r, tile = 0, tile + n

    walk.__name__ = walk.__qualname__ = "walk" if everything else "walk_plainly" if counts else "walk_for_figures"
    return walk


walk_plainly = kernel(_example)(compose(long_run, spread_long_run, number_whole, look_centred, everything=False))
"""Whole numbers around 0 with one scale, or one for each long run: compiled first, as windows begin with them."""

walk = kernel(_example)(compose(lie_of_stretch, spread_stretch, number_codes, look_at_all, everything=True))
"""Every scheme."""

walk_for_figures = kernel(_example)(
    compose(long_run, spread_long_run, number_whole, look_for_figures, everything=False, counts=False)
)
"""Like `walk_plainly`, where nothing is counted: a loop so short gains from what is not in it."""


def walk_for(plan: Any) -> Kernel:
    """The walk for a plan: the plainest that knows it and is compiled."""
    whole = plan[RULE] == WHOLE and plan[CENTRED] and not (plan[MAYBE_NAN] or plan[SHIFTS])
    plain = whole and not plan[COLUMNS] and lies_in_long_runs(plan)
    if plain and walk_for_figures.ready and not (plan[OCCUPANCY] or plan[HISTOGRAM] or plan[ENVELOPE]):
        return walk_for_figures
    return walk_plainly if plain and walk_plainly.ready else walk
