"""What do the errors of each group add up to? The part of the compiled walk that compares x̂ with the values.

Squares and magnitudes are added in float64. Magnitudes are ordered as their bits are, whose maximum is vectorized.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import FREE, REGION, VALUE, X_HAT
from qviz.core.arithmetic.spreading import CHUNK_LENGTH
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


@part(rare=True)
def add_clipped(work: Any, n: Any, chunks: Any, first: Any, low: Any, high: Any, totals: Any, counted: Any) -> None:
    """Add up what clipping made of neighbouring groups of so many chunks each, and how many elements were clipped."""
    add_beyond(work, n, low, high, totals)
    run = chunks * CHUNK_LENGTH
    for i in range(n):
        if work[FREE + i] < low or work[FREE + i] > high:
            counted[first + i // run] += 1


@part(rare=True)
def compare_scattered(
    work: Any, where: Any, n: Any, low: Any, high: Any, totals: Any, found: Any, counted: Any
) -> None:
    """Add up the errors of elements of any groups; those of a stretch by themselves, or rounding would add up, too."""
    magnitudes, products, beyond = 0.0, 0.0, 0.0
    for i in range(n):
        group, value = where[i], np.float64(work[VALUE + i])
        error = np.float64(work[X_HAT + i]) - value
        magnitudes += abs(error)
        products += value * error
        found[0, group] += error * error
        largest = abs(error)
        found[1, group] = largest if largest > found[1, group] else found[1, group]
        if work[FREE + i] < low or work[FREE + i] > high:
            beyond += error * error
            counted[group] += 1
    totals[MAGNITUDES] += magnitudes
    totals[PRODUCTS] += products
    totals[BEYOND_CODES] += beyond


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
