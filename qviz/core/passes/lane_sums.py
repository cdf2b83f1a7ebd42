"""What do the errors of runs and columns add up to? Eight at a time in float64, and what was clipped once more.

`lane_steps` has left x̂ behind, and the codes before they were clipped: the registers of most processors do not hold
what both halves of the work want.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import CELL, CLIPPED, FREE, MISSING, PLACE, REGION, X_HAT
from qviz.core.arithmetic.spreading import CHUNK_LENGTH
from qviz.core.compiler import part
from qviz.core.lanes import (
    anywhere_negative,
    bits_of,
    choose,
    exceeds,
    floored,
    how_many_negative,
    larger,
    largest_of,
    largest_of_eight,
    load,
    load_eight,
    load_words,
    magnitude,
    marked,
    moved_down,
    nothing,
    spread,
    store_eight,
    store_words,
    sum_of,
    sums_of_eight,
    whole,
    widened_eight,
    with_product,
    with_squares_of_negative,
)
from qviz.core.passes.comparing import BEYOND_CODES, MAGNITUDES, PRODUCTS
from qviz.core.passes.counting import BINS, DOUBT, FIRST_BIN, JOINT, LEVELS, WINDOW, WINDOW_START

EIGHT = np.uint64(8)
SIGN_PLACE = np.int32(31)
SLOTS, RUNS = CELL, MISSING
"""Where the chunks with clipped codes are listed, and which runs they are of."""

OF_TOPS = np.uint64(REGION)
"""Where the magnitudes of runs are kept, behind the sums."""


# --- sums ----------------------------------------------------------------------------------------------------


@part(rare=True)
def add_runs(x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, wide: Any, totals: Any, found: Any) -> None:
    """Add up the errors of a stretch of runs of so many chunks each."""
    magnitudes, products = nothing(), nothing()
    run, row = deep * CHUNK_LENGTH, np.uint64(0)
    for start in range(np.uint64(0), n, run):
        squares, tops = nothing(), nothing()
        for i in range(start, start + run, EIGHT):
            value = widened_eight(x, at + i)
            error = widened_eight(work, X_HAT + i) - value
            distance = magnitude(error)
            magnitudes, products = magnitudes + distance, with_product(products, value, error)
            squares, tops = with_product(squares, error, error), larger(tops, distance)
        store_eight(wide, row, squares)
        store_eight(wide, OF_TOPS + row, tops)
        row += EIGHT
    settle_runs(wide, row, first, found)
    totals[MAGNITUDES] += sum_of(magnitudes)
    totals[PRODUCTS] += sum_of(products)


@part(rare=True)
def add_values(x: Any, at: Any, n: Any, deep: Any, first: Any, wide: Any, found: Any) -> None:
    """The squares and the largest magnitudes of a stretch of runs of so many chunks each."""
    run, row = deep * CHUNK_LENGTH, np.uint64(0)
    for start in range(np.uint64(0), n, run):
        squares, tops = nothing(), nothing()
        for i in range(start, start + run, EIGHT):
            value = widened_eight(x, at + i)
            squares, tops = with_product(squares, value, value), larger(tops, magnitude(value))
        store_eight(wide, row, squares)
        store_eight(wide, OF_TOPS + row, tops)
        row += EIGHT
    settle_runs(wide, row, first, found)


@part()
def settle_runs(wide: Any, end: Any, first: Any, found: Any) -> None:
    """Give eight sums and eight magnitudes of each run to its group: those of eight runs at a time."""
    squares, tops = found[0], found[1]
    group, at = first, np.uint64(0)
    while at + EIGHT * EIGHT <= end:
        store_eight(squares, group, load_eight(squares, group) + sums_of_eight(wide, at))
        store_eight(tops, group, larger(load_eight(tops, group), largest_of_eight(wide, OF_TOPS + at)))
        group, at = group + EIGHT, at + EIGHT * EIGHT
    while at < end:
        squares[group] += sum_of(load_eight(wide, at))
        top = largest_of(load_eight(wide, OF_TOPS + at))
        tops[group] = top if top > tops[group] else tops[group]
        group, at = group + np.uint64(1), at + EIGHT


@part(rare=True)
def add_columns(
    x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, totals: Any, found: Any, row_width: Any
) -> None:
    """Add up the errors of a tile of so many rows, each column for its group."""
    magnitudes, products, sums, largest = nothing(), nothing(), found[0], found[1]
    for start in range(np.uint64(0), n, EIGHT):
        group, source, target = first + start, at + start, X_HAT + start
        squares, tops = load_eight(sums, group), load_eight(largest, group)
        for _ in range(deep):
            value = widened_eight(x, source)
            error = widened_eight(work, target) - value
            distance = magnitude(error)
            magnitudes, products = magnitudes + distance, with_product(products, value, error)
            squares, tops = with_product(squares, error, error), larger(tops, distance)
            source, target = source + row_width, target + n
        store_eight(sums, group, squares)
        store_eight(largest, group, tops)
    totals[MAGNITUDES] += sum_of(magnitudes)
    totals[PRODUCTS] += sum_of(products)


# --- what was clipped --------------------------------------------------------------------------------------


@part()
def count_run(integers: Any, counted: Any, group: Any, outside: Any) -> None:
    """Count what was clipped of sixteen numbers of one group."""
    counted[group] += how_many_negative(outside)


@part()
def count_columns(integers: Any, counted: Any, group: Any, outside: Any) -> None:
    """Count what was clipped of sixteen numbers of as many groups."""
    store_words(integers, CLIPPED, moved_down(outside, SIGN_PLACE))
    for i in range(CHUNK_LENGTH):
        counted[group + i] -= integers[CLIPPED + i]


@part()
def beyond_ends(free: Any, lowest: Any, highest: Any, zero: Any) -> Any:
    """Negative where a code is clipped; −0 is not, nor what it less 0 is."""
    return bits_of(free - lowest + zero) | bits_of(highest - free)


def compose(count: Any, *, across: bool) -> Any:
    """What clipping made, of runs or of columns."""

    def add_clipped(
        x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, integers: Any, plan: Any, numbers: Any,
        totals: Any, counted: Any, row_width: Any,
    ) -> Any:  # fmt: skip
        """Add up what clipping made, count it for each group, and tell where it is counted with its error.

        See `lane_steps.compose` for parameters.

        Returns
        -------
        doubtful : bool
            Whether a place is not to be believed.
        """
        low, high, width = np.float32(numbers[1]), np.float32(numbers[2]), numbers[3]
        lowest, highest, zero = spread(low), spread(high), spread(np.float32(0))
        more = spread(np.float32((1.0 + DOUBT) / width))
        first_near = spread(np.float32(plan[WINDOW_START]))
        below = np.int32(plan[LEVELS] * plan[WINDOW] + plan[WINDOW_START] - plan[FIRST_BIN])
        places_below, places_above = spread(below), spread(np.int32(below + plan[BINS]))
        last_place = spread(np.int32(plan[LEVELS] * plan[WINDOW] + np.int64(2) * plan[BINS] - 1))
        beyond, doubtful = nothing(), spread(np.int32(0))
        run, step = (CHUNK_LENGTH, row_width) if across else (deep * CHUNK_LENGTH, CHUNK_LENGTH)
        target_step = n if across else CHUNK_LENGTH
        # Where anything is clipped is listed first: half of the chunks may be, and a processor foresees none of them.
        slot, found, which = np.uint64(0), np.uint64(0), np.uint64(0)
        for start in range(np.uint64(0), n, run):
            target = np.uint64(start)
            for _ in range(deep):
                free = load(work, FREE + target)
                integers[SLOTS + found], integers[RUNS + found] = np.int32(slot), np.int32(which)
                found += np.uint64(anywhere_negative(beyond_ends(free, lowest, highest, zero)))
                target, slot = target + target_step, slot + CHUNK_LENGTH
            which += np.uint64(1)
        for k in range(found):
            slot, which = np.uint64(integers[SLOTS + k]), np.uint64(integers[RUNS + k])
            into = slot // CHUNK_LENGTH - which * deep
            target = which * run + into * target_step
            source, group = at + which * run + into * step, first + which * (CHUNK_LENGTH if across else np.uint64(1))
            free = load(work, FREE + target)
            outside = beyond_ends(free, lowest, highest, zero)
            error = widened_eight(work, X_HAT + target) - widened_eight(x, source)
            other = widened_eight(work, X_HAT + target + EIGHT) - widened_eight(x, source + EIGHT)
            beyond = with_squares_of_negative(beyond, outside, error, other)
            count(integers, counted, group, outside)
            if plan[JOINT]:
                near = whole(floored((load(work, X_HAT + target) - load(x, source)) * more) - first_near)
                place = choose(free < lowest, places_below + near, load_words(integers, PLACE + slot))
                place = choose(free > highest, places_above + near, place)
                doubtful = doubtful | marked(exceeds(place, last_place))
                store_words(integers, PLACE + slot, place)
        totals[BEYOND_CODES] += sum_of(beyond)
        return anywhere_negative(doubtful)

    return part(rare=True)(add_clipped)


add_clipped_runs, add_clipped_columns = compose(count_run, across=False), compose(count_columns, across=True)
