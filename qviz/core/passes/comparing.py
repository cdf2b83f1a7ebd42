"""What do the errors of each group add up to? The part of the compiled walk that compares x̂ with the values.

Squares and magnitudes are added in float64. Magnitudes are ordered as their bits are, whose maximum is vectorized.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import FREE, REGION, VALUE, X_HAT, fetch_ahead
from qviz.core.arithmetic.spreading import CHUNK_LENGTH, TWO_CHUNKS
from qviz.core.compiler import part

# The regions of ``wide``: sums of squares and largest magnitudes of columns, of errors and of values.
IN_COLUMNS, TOPS, OF_VALUES = (np.uint64(i * REGION) for i in (0, 1, 2))
WIDE_REGIONS = 4

# The places of totals: Σ|e|, Σx·e and Σe² of the clipped.
MAGNITUDES, PRODUCTS, BEYOND_CODES = range(3)


@part(reorders=True)
def add_beyond(work: Any, n: Any, low: Any, high: Any, totals: Any) -> None:
    """Add up the squares of errors that clipping made."""
    beyond = 0.0
    for i in range(n):
        error = np.float64(work[X_HAT + i]) - np.float64(work[VALUE + i])
        beyond += error * error if (work[FREE + i] < low) | (work[FREE + i] > high) else 0.0
    totals[BEYOND_CODES] += beyond


@part(reorders=True)
def compare_run(work: Any, n: Any, group: Any, totals: Any, found: Any) -> None:
    """Add up the errors of a part of one group."""
    magnitudes, products, squares, top = 0.0, 0.0, 0.0, np.int64(0)
    for i in range(n):
        value = np.float64(work[VALUE + i])
        error = np.float64(work[X_HAT + i]) - value
        magnitude = abs(error)
        magnitudes += magnitude
        products += value * error
        squares += error * error
        top = max(top, np.float64(magnitude).view(np.int64))
    totals[MAGNITUDES] += magnitudes
    totals[PRODUCTS] += products
    found[0, group] += squares
    largest = np.int64(top).view(np.float64)
    found[1, group] = largest if largest > found[1, group] else found[1, group]


def compose_runs(*, with_clipped: bool) -> Any:
    """The comparison of neighbouring groups, without what nobody asks for where nothing was clipped."""

    def compare_runs(
        work: Any, n: Any, chunks: Any, first: Any, low: Any, high: Any, totals: Any, found: Any, counted: Any,
        x: Any, ahead: Any,
    ) -> None:  # fmt: skip
        """Add up the errors of neighbouring groups of so many chunks each, two chunks at a time; fetch as many ahead.

        A loop of that length is as quick as vector code can be; the branches in it are decided by the compiler.
        """
        for i in range(n, min(n + CHUNK_LENGTH, np.uint64(REGION))):  # half of the last two chunks may be no one's
            work[VALUE + i], work[X_HAT + i], work[FREE + i] = np.float32(0), np.float32(0), low
        sum_of_magnitudes, sum_of_products, sum_beyond = 0.0, 0.0, 0.0
        group, left, last = first, chunks, first + n // (chunks * CHUNK_LENGTH) - np.uint64(1)
        for start in range(np.uint64(0), n, TWO_CHUNKS):
            fetch_ahead(x, ahead + start, ahead + start + TWO_CHUNKS)
            magnitudes, products, beyond = 0.0, 0.0, 0.0
            squares, other_squares, top, other_top = 0.0, 0.0, np.int64(0), np.int64(0)
            clipped, other_clipped = np.int32(0), np.int32(0)
            for i in range(TWO_CHUNKS):
                value = np.float64(work[VALUE + start + i])
                error = np.float64(work[X_HAT + start + i]) - value
                magnitude, square = abs(error), error * error
                bits = np.float64(magnitude).view(np.int64)
                magnitudes += magnitude
                products += value * error
                is_clipped = False
                if with_clipped:
                    is_clipped = (work[FREE + start + i] < low) | (work[FREE + start + i] > high)
                    beyond += square if is_clipped else 0.0
                if i < CHUNK_LENGTH:
                    squares += square
                    top = max(top, bits)
                    clipped = np.int32(clipped + np.int32(is_clipped))
                else:
                    other_squares += square
                    other_top = max(other_top, bits)
                    other_clipped = np.int32(other_clipped + np.int32(is_clipped))
            sum_of_magnitudes += magnitudes
            sum_of_products += products
            sum_beyond += beyond
            largest, other_largest = np.int64(top).view(np.float64), np.int64(other_top).view(np.float64)
            found[0, group] += squares
            found[1, group] = largest if largest > found[1, group] else found[1, group]
            if with_clipped:
                counted[group] += clipped
            left -= np.uint64(1)
            if left == 0 and group != last:
                group, left = group + np.uint64(1), chunks
            found[0, group] += other_squares
            found[1, group] = other_largest if other_largest > found[1, group] else found[1, group]
            if with_clipped:
                counted[group] += other_clipped
            left -= np.uint64(1)
            if left == 0:
                group, left = group + np.uint64(1), chunks
        totals[MAGNITUDES] += sum_of_magnitudes
        totals[PRODUCTS] += sum_of_products
        totals[BEYOND_CODES] += sum_beyond

    return part(reorders=True)(compare_runs)


compare_runs = compose_runs(with_clipped=True)
compare_clean_runs = compose_runs(with_clipped=False)


@part(rare=True)
def compare_scattered(
    work: Any, where: Any, n: Any, low: Any, high: Any, totals: Any, found: Any, counted: Any
) -> None:
    """Add up the errors of elements of any groups."""
    for i in range(n):
        group, value = where[i], np.float64(work[VALUE + i])
        error = np.float64(work[X_HAT + i]) - value
        totals[MAGNITUDES] += abs(error)
        totals[PRODUCTS] += value * error
        found[0, group] += error * error
        largest = abs(error)
        found[1, group] = largest if largest > found[1, group] else found[1, group]
        if work[FREE + i] < low or work[FREE + i] > high:
            totals[BEYOND_CODES] += error * error
            counted[group] += 1


@part(reorders=True)
def compare_columns(work: Any, wide: Any, n: Any, sums: Any, totals: Any) -> None:
    """Give each error to the accumulators of its column."""
    bits = wide.view(np.int64)
    magnitudes, products = 0.0, 0.0
    for i in range(n):
        value = np.float64(work[VALUE + i])
        error = np.float64(work[X_HAT + i]) - value
        magnitude = abs(error)
        magnitudes += magnitude
        products += value * error
        wide[IN_COLUMNS + sums + i] += error * error
        bits[TOPS + sums + i] = max(bits[TOPS + sums + i], np.float64(magnitude).view(np.int64))
    totals[MAGNITUDES] += magnitudes
    totals[PRODUCTS] += products


@part()
def count_columns(work: Any, integers: Any, n: Any, low: Any, high: Any, counts: Any) -> None:
    """Count what is clipped in each column."""
    for i in range(n):
        integers[counts + i] += np.int32((work[FREE + i] < low) | (work[FREE + i] > high))


@part()
def settle_columns(
    wide: Any, integers: Any, n: Any, sums: Any, counts: Any, first: Any, found: Any, clipped: Any
) -> None:
    """Give the accumulators of columns to their groups, and empty them."""
    for i in range(n):
        found[0, first + i] += wide[IN_COLUMNS + sums + i]
        largest = wide[TOPS + sums + i]
        found[1, first + i] = largest if largest > found[1, first + i] else found[1, first + i]
        clipped[first + i] += integers[counts + i]
        wide[IN_COLUMNS + sums + i], wide[TOPS + sums + i], integers[counts + i] = 0.0, 0.0, 0
