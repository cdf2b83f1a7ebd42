"""How far do the errors of many groups lie below their values? Ratios of half a million sums, and where they lie."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arrays import Counts, Floats, empty
from qviz.core.compiler import kernel, part
from qviz.core.frozen import frozen

TOGETHER = 1 << 8
"""Ratios whose bins are found together, before they are counted."""

AT_ONCE = np.uint64(TOGETHER)

LANES = 2
"""Neighbours are often alike: whoever counts them in the same place waits for the one before to be written."""

EACH_LANE = np.uint64(LANES)

NONE, ENDLESS = 0.0, np.float64(np.inf)
NONE_BITS, ENDLESS_BITS = np.int64(0), np.int64(0x7FF0000000000000)


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


@part()
def ratio_of(signal: Any, noise: Any) -> Any:
    """Signal / noise of sums of squares; infinite without noise."""
    each = signal / noise
    return ENDLESS if noise <= NONE else each


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
        each = ratio_of(signal[g], noise[g])
        ratio[g] = each
        bits = np.float64(each).view(np.int64)
        is_known = (bits > NONE_BITS) & (bits < ENDLESS_BITS)
        lowest = min(lowest, bits if is_known else ENDLESS_BITS)
        highest = max(highest, bits if is_known else NONE_BITS)
        known += np.int64(is_known)
    found[0], found[1] = np.int64(lowest).view(np.float64), np.int64(highest).view(np.float64)
    found[2] = known


def _example_of_count() -> tuple[Any, ...]:
    return _only_read(np.zeros(1)).view(np.int64), 0, 1, 0, np.zeros((LANES, 2), np.int32), np.zeros(TOGETHER, np.int32)


@kernel(_example_of_count)
def count_ratios(ratio: Any, first: Any, last: Any, shift: Any, counts: Any, places: Any) -> None:
    """Count each ratio from ``first`` to ``last``, ends included, in the bin of its leading bits.

    Parameters
    ----------
    ratio : int64 array, shape (groups,)
        Positive floats, looked at as integers, which grow as they do; whatever is beyond the ends is left out.
    first, last : int
        Ratios looked at in the same way.
    shift : int
        How many bits the ratios of a bin may differ in.
    counts : int32 array, shape (LANES, bins + 1)
        Added to; the last bin gets what is left out.
    places : int32 array, shape (TOGETHER,)
        To work in.
    """
    size, digits = np.uint64(ratio.size), np.uint64(shift)
    base, left_out = np.uint64(first) >> digits, np.int64(counts.shape[1] - 1)
    for start in range(np.uint64(0), size, AT_ONCE):
        many = min(AT_ONCE, size - start)
        for i in range(many):
            each = ratio[start + i]
            is_known = (each >= first) & (each <= last)
            place = np.int64((np.uint64(each) >> digits) - base)
            places[i] = np.int32(place if is_known else left_out)
        whole = many // EACH_LANE * EACH_LANE
        for i in range(np.uint64(0), whole, EACH_LANE):
            for lane in range(EACH_LANE):
                counts[lane, np.uint32(places[i + lane])] += np.int32(1)
        for i in range(whole, many):
            counts[0, np.uint32(places[i])] += np.int32(1)


def ratios_of(signal: Floats, noise: Floats) -> Ratios | None:
    """Signal / noise of sums of squares; None where the kernel is not ready."""
    if not rate.ready:
        return None
    each: Floats = empty((signal.size,), np.float64)
    found = np.zeros(3)
    rate(_only_read(signal), _only_read(noise), each, found)
    return Ratios(each, float(found[0]), float(found[1]), bool(found[2] == signal.size))


def counted_ratios(ratios: Ratios, bins: int) -> tuple[Floats, Counts]:
    """How many ratios that are neither 0 nor infinite nor NaN lie where, in no more than so many bins.

    A bin is of ratios with the same leading bits: as wide as its neighbours, or half or twice as wide.

    Returns
    -------
    edges : float64 array, shape (n + 1,)
        Ratios, from the lowest to the highest.
    counts : int64 array, shape (n,)
    """
    first, last = np.array([ratios.lowest, ratios.highest]).view(np.int64).tolist()
    shift = max(0, (last - first).bit_length() - bins.bit_length() + 1)
    while (last >> shift) - (first >> shift) >= bins:
        shift += 1
    base = first >> shift
    size = (last >> shift) - base + 1
    each = _only_read(ratios.each).view(np.int64)
    if count_ratios.ready:
        tally = np.zeros((LANES, size + 1), np.int32)
        count_ratios(each, first, last, shift, tally, np.empty(TOGETHER, np.int32))
        counts = tally.sum(axis=0, dtype=np.int64)[:-1]
    else:
        known = each if ratios.all_known else each[(each >= first) & (each <= last)]
        counts = np.bincount((known >> shift) - base, minlength=size)
    edges = ((base + np.arange(size + 1)) << shift).view(np.float64)
    return np.clip(edges, ratios.lowest, ratios.highest), counts


def _only_read(array: Any) -> Floats:
    flat: Floats = np.ascontiguousarray(array, np.float64).view()
    flat.flags.writeable = False
    return flat
