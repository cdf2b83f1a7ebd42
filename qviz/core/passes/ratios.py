"""How far do the errors of many groups lie below their values? Ratios of half a million sums, and where they lie."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from qviz.core.arrays import Counts, Floats, empty
from qviz.core.compiler import kernel
from qviz.core.frozen import frozen

TOGETHER = 1 << 8
"""Ratios whose bins are found together, before they are counted."""

AT_ONCE = np.uint64(TOGETHER)

SMALLEST = 2.0**-1000
"""Of ratios from here on the exponent is in its place."""

NONE, ENDLESS = 0.0, np.float64(np.inf)
NONE_BITS, ENDLESS_BITS = np.int64(0), np.int64(0x7FF0000000000000)
EXPONENT_PLACE, DIGITS = np.uint64(52), np.uint64((1 << 52) - 1)
ONE_BITS, UNITS_BITS, UNITS_AND_BIAS = np.uint64(1023 << 52), np.uint64(1075 << 52), 2.0**52 + 1023
ROOT, ONE, HALF = math.sqrt(2), 1.0, 0.5

DECIBELS_TO_DOUBLE = 10 * math.log10(2)

TERMS = tuple(20 / math.log(10) / (2 * k + 1) for k in range(6))
"""Of the series of the inverse hyperbolic tangent, half a logarithm: what follows is less than 1e-9 dB."""

NARROWEST = 1e-6
"""How wide bins are, in dB, for these to tell which one it is."""


@frozen(eq=False)
class Ratios:
    """Σx² / Σe² of each group.

    Attributes
    ----------
    each : float64 array, shape (groups,)
        Infinite without an error, NaN where an x̂ is.
    lowest, highest : float
        Of those that are neither 0 nor infinite nor NaN; infinite and 0 where none is.
    all_known : bool
        Whether all of them are.
    """

    each: Floats
    lowest: float
    highest: float
    all_known: bool


def _example_of_rate() -> tuple[Any, ...]:
    return _only_read(np.zeros(1)), _only_read(np.zeros(1)), np.zeros(1), np.zeros(3)


@kernel(_example_of_rate)
def rate(signal: Any, noise: Any, ratio: Any, found: Any) -> None:
    """See `ratios_of`; positive floats are compared as integers, which is vectorized.

    Parameters
    ----------
    signal, noise, ratio : float64 arrays, shape (groups,)
    found : float64 array, shape (3,)
        Filled: the lowest, the highest, and how many are known.
    """
    lowest, highest, known = ENDLESS_BITS, NONE_BITS, np.int64(0)
    for g in range(np.uint64(ratio.size)):
        below = noise[g]
        each = signal[g] / below
        each = ENDLESS if below <= NONE else each
        ratio[g] = each
        bits = np.float64(each).view(np.int64)
        is_known = (bits > NONE_BITS) & (bits < ENDLESS_BITS)
        lowest = min(lowest, bits if is_known else ENDLESS_BITS)
        highest = max(highest, bits if is_known else NONE_BITS)
        known += np.int64(is_known)
    found[0], found[1] = np.int64(lowest).view(np.float64), np.int64(highest).view(np.float64)
    found[2] = known


def _example_of_count() -> tuple[Any, ...]:
    return _only_read(np.zeros(1)), 0.0, 1.0, np.zeros(1, np.int64), np.zeros(TOGETHER, np.int32)


@kernel(_example_of_count)
def count_decibels(ratio: Any, low: Any, per_bin: Any, counts: Any, places: Any) -> None:
    """Into which bin 10·log10 of each ratio falls that is neither 0 nor infinite nor NaN, none below `SMALLEST`.

    Parameters
    ----------
    ratio : float64 array, shape (groups,)
    low, per_bin : float
        Where the first bin begins, in dB, and how many there are to 1 dB.
    counts : int64 array, shape (bins + 2,)
        Added to; the last but one gets what lies at the end of the last bin, and the last what is left out.
    places : int32 array, shape (TOGETHER,)
        To work in.
    """
    last, left_out = np.float64(counts.size - 2), np.float64(counts.size - 1)
    size = np.uint64(ratio.size)
    for start in range(np.uint64(0), size, AT_ONCE):
        many = min(AT_ONCE, size - start)
        for i in range(many):
            each = ratio[start + i]
            is_known = (each > NONE) & (each < ENDLESS)
            bits = np.float64(each).view(np.uint64)
            # Whole numbers become floats behind a one that is so large that they are its last digits.
            power = np.uint64((bits >> EXPONENT_PLACE) | UNITS_BITS).view(np.float64) - UNITS_AND_BIAS
            digits = np.uint64((bits & DIGITS) | ONE_BITS).view(np.float64)
            large = digits > ROOT
            digits = digits * HALF if large else digits
            power = power + ONE if large else power
            part = (digits - ONE) / (digits + ONE)
            square = part * part
            fourth = square * square
            series = TERMS[0] + TERMS[1] * square + (TERMS[2] + TERMS[3] * square) * fourth
            series += (TERMS[4] + TERMS[5] * square) * (fourth * fourth)
            decibels = power * DECIBELS_TO_DOUBLE + part * series
            place = (decibels - low) * per_bin
            place = place if place > NONE else NONE
            place = place if place < last else last
            places[i] = np.int32(place if is_known else left_out)
        for i in range(many):
            counts[np.uint32(places[i])] += 1


def ratios_of(signal: Floats, noise: Floats) -> Ratios | None:
    """Signal / noise of sums of squares; None where the kernel is not ready."""
    if not rate.ready:
        return None
    each: Floats = empty((signal.size,), np.float64)
    found = np.zeros(3)
    rate(_only_read(signal), _only_read(noise), each, found)
    return Ratios(each, float(found[0]), float(found[1]), bool(found[2] == signal.size))


def counted_decibels(ratios: Ratios, low: float, per_bin: float, bins: int) -> Counts | None:
    """How many SQNRs lie in each of so many bins from ``low`` dB on; None where that is not known so quickly.

    What lies at the end of the last bin is counted in it.
    """
    if not count_decibels.ready or ratios.lowest < SMALLEST or per_bin * NARROWEST > 1:
        return None
    counts = np.zeros(bins + 2, np.int64)
    count_decibels(_only_read(ratios.each), low, per_bin, counts, np.empty(TOGETHER, np.int32))
    counts[-3] += counts[-2]
    return counts[:-2]


def _only_read(array: Any) -> Floats:
    flat: Floats = np.ascontiguousarray(array, np.float64).view()
    flat.flags.writeable = False
    return flat
