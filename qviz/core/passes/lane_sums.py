"""What do the errors of runs and columns add up to? Eight at a time in float64, and what was clipped once more.

`lane_steps` has left x̂ behind, and the codes before they were clipped: the registers of most processors do not hold
what both halves of the work want.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import CELL, CLIPPED, FREE, PLACE, REGION, X_HAT
from qviz.core.arithmetic.spreading import CHUNK_LENGTH
from qviz.core.compiler import part, prefetch
from qviz.core.lanes import (
    anywhere_negative,
    bits_of,
    exceeds,
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
    widened_eight,
    with_product,
    with_squares_of_negative,
)
from qviz.core.passes.comparing import BEYOND_CODES, MAGNITUDES, PRODUCTS
from qviz.core.passes.counting import BINS, JOINT, LEVELS, ONE_BIT, WINDOW

EIGHT = np.uint64(8)
SIGN_PLACE = np.int32(31)
LISTED = CELL
"""Where the chunks with clipped codes are listed."""

OF_TOPS = np.uint64(REGION)
"""Where the magnitudes of runs are kept, behind the sums."""


# --- sums ----------------------------------------------------------------------------------------------------


@part(rare=True)
def add_runs(
    x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, wide: Any, totals: Any, found: Any, once: Any, ahead: Any
) -> None:
    """Add up the errors of a stretch of runs of so many chunks each; half as much is fetched from ``ahead`` on.

    Where a group is met ``once``, nothing is read of what was found before.
    """
    magnitudes, products = nothing(), nothing()
    run, row = deep * CHUNK_LENGTH, np.uint64(0)
    for start in range(np.uint64(0), n, run):
        squares, tops = nothing(), nothing()
        for i in range(start, start + run, EIGHT):
            prefetch(x, ahead + (i >> ONE_BIT))
            value = widened_eight(x, at + i)
            error = widened_eight(work, X_HAT + i) - value
            distance = magnitude(error)
            magnitudes, products = magnitudes + distance, with_product(products, value, error)
            squares, tops = with_product(squares, error, error), larger(tops, distance)
        store_eight(wide, row, squares)
        store_eight(wide, OF_TOPS + row, tops)
        row += EIGHT
    settle_runs(wide, row, first, found, once)
    totals[MAGNITUDES] += sum_of(magnitudes)
    totals[PRODUCTS] += sum_of(products)


@part(rare=True)
def add_values(x: Any, at: Any, n: Any, deep: Any, first: Any, wide: Any, found: Any, once: Any) -> None:
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
    settle_runs(wide, row, first, found, once)


@part()
def settle_runs(wide: Any, end: Any, first: Any, found: Any, once: Any) -> None:
    """Give eight sums and eight magnitudes of each run to its group: those of eight runs at a time."""
    squares, tops = found[0], found[1]
    group, at = first, np.uint64(0)
    while at + EIGHT * EIGHT <= end:
        sums, largest = sums_of_eight(wide, at), largest_of_eight(wide, OF_TOPS + at)
        if not once:
            sums, largest = load_eight(squares, group) + sums, larger(load_eight(tops, group), largest)
        store_eight(squares, group, sums)
        store_eight(tops, group, largest)
        group, at = group + EIGHT, at + EIGHT * EIGHT
    while at < end:
        if once:
            squares[group], tops[group] = 0.0, 0.0
        squares[group] += sum_of(load_eight(wide, at))
        top = largest_of(load_eight(wide, OF_TOPS + at))
        tops[group] = top if top > tops[group] else tops[group]
        group, at = group + np.uint64(1), at + EIGHT


@part(rare=True)
def add_columns(
    x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, totals: Any, found: Any, row_width: Any, ahead: Any
) -> None:
    """Add up the errors of a tile of so many rows, each column for its group; half as much is fetched."""
    magnitudes, products, sums, largest = nothing(), nothing(), found[0], found[1]
    for start in range(np.uint64(0), n, EIGHT):
        group, source, target = first + start, at + start, X_HAT + start
        squares, tops, fetched = load_eight(sums, group), load_eight(largest, group), ahead + (start >> ONE_BIT)
        for _ in range(deep):
            prefetch(x, fetched)
            value = widened_eight(x, source)
            error = widened_eight(work, target) - value
            distance = magnitude(error)
            magnitudes, products = magnitudes + distance, with_product(products, value, error)
            squares, tops = with_product(squares, error, error), larger(tops, distance)
            source, target, fetched = source + row_width, target + n, fetched + row_width
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


@part()
def place_in_runs(at: Any, first: Any, target: Any, n: Any, deep: Any, row_width: Any) -> Any:
    """Where a chunk of a stretch of runs is in the data, its group, and its first place."""
    return at + target, first + target // (deep * CHUNK_LENGTH), target


@part()
def place_in_columns(at: Any, first: Any, target: Any, n: Any, deep: Any, row_width: Any) -> Any:
    """The same of a tile: its places are told column by column."""
    row = target // n
    column = target - row * n
    return at + row * row_width + column, first + column, column * deep + row * CHUNK_LENGTH


def compose(count: Any, placed: Any, *, across: bool) -> Any:
    """What clipping made, of runs or of columns."""

    def add_clipped(
        x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, integers: Any, plan: Any, numbers: Any,
        totals: Any, counted: Any, row_width: Any,
    ) -> Any:  # fmt: skip
        """Add up what clipping made, and count it for each group.

        Its chunks are listed first: half of all may be, and a processor foresees none of them.

        See `lane_steps.compose` for parameters.

        Returns
        -------
        doubtful : bool
            Whether a place is not to be believed.
        """
        lowest, highest, zero = spread(np.float32(numbers[1])), spread(np.float32(numbers[2])), spread(np.float32(0))
        last_place = spread(np.int32(plan[LEVELS] * plan[WINDOW] + np.int64(2) * plan[BINS] - 1))
        beyond, doubtful = nothing(), spread(np.int32(0))
        listed: Any = np.uint64(0)
        every = n * deep if across else n
        for i in range(np.uint64(0), every, CHUNK_LENGTH):
            outside = beyond_ends(load(work, FREE + i), lowest, highest, zero)
            integers[LISTED + listed] = np.int32(i)
            listed += np.uint64(anywhere_negative(outside))
        for k in range(listed):
            target = np.uint64(integers[LISTED + k])
            source, group, slot = placed(at, first, target, n, deep, row_width)
            outside = beyond_ends(load(work, FREE + target), lowest, highest, zero)
            error = widened_eight(work, X_HAT + target) - widened_eight(x, source)
            other = widened_eight(work, X_HAT + target + EIGHT) - widened_eight(x, source + EIGHT)
            beyond = with_squares_of_negative(beyond, outside, error, other)
            count(integers, counted, group, outside)
            if plan[JOINT]:
                doubtful = doubtful | marked(exceeds(load_words(integers, PLACE + slot), last_place))
        totals[BEYOND_CODES] += sum_of(beyond)
        return anywhere_negative(doubtful)

    return part(rare=True)(add_clipped)


add_clipped_runs, add_clipped_columns = (
    compose(count_run, place_in_runs, across=False),
    compose(count_columns, place_in_columns, across=True),
)
