"""How is a stretch of values quantized as quickly as it is read? Loops that become vector code.

The arithmetic is that of `qviz.core.arithmetic.qparams`, operation by operation. Every loop does one step of it
over a stretch that stays in the nearest cache; which steps there are is decided once a stretch, so that formats,
conventions and granularities compose instead of multiplying.

A stretch has one piece of memory, ``work``, with a region for each parameter of its elements and for each result:
only where two regions are at a fixed distance can a compiler see that they do not overlap. Every index is unsigned:
one that could be negative would be looked at first.
"""

from __future__ import annotations

import math
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import FloatArray, distinct
from qviz.core.compiler import part, prefetch
from qviz.core.formats.codebooks import Codebook
from qviz.core.formats.floats import EXPONENT_MASK, MANTISSA_BITS, ONE_EXPONENT, SIGNIFICANT_ABOVE, FloatFormat
from qviz.core.frozen import frozen

STRETCH = 1024
"""Elements that every step looks at before the next one does."""

REGION = STRETCH + 16
"""From one region to the next: not a power of two, or they would drive each other from the cache."""

# The regions of ``work``: parameters of each element, then results.
DIVISOR, BEFORE, AFTER, ZERO, SCALE, SHIFT, OFFSET = (np.uint64(i * REGION) for i in range(7))
FREE, X_HAT, VALUE = (np.uint64(i * REGION) for i in range(7, 10))
PARAMETERS, REGIONS = 7, 10

# The regions of ``integers``: the cell of each element, whether it was clipped, where it is counted, whether it is NaN.
CELL, CLIPPED, PLACE, MISSING = (np.uint64(i * REGION) for i in range(4))

# What a scheme asks of the loops: the places of ``kind``.
RULE, MULTIPLIES, SHIFTS, CENTRED, SCALE_AT, PARTS, LOWEST, BEYOND, MAGIC, PLACE_OF_ZERO, LACKING, NORMAL = range(12)
KINDS = 12

# How codes are rounded.
WHOLE, GRID, BFLOAT16, CODEBOOK, HALF_UP, AWAY = range(6)

MAGNITUDE = np.int32(0x7FFFFFFF)
EXPONENT = np.int32(EXPONENT_MASK)
SIGNIFICANT = np.int32(SIGNIFICANT_ABOVE)
HALF, ONE = np.float32(0.5), np.float32(1)
NEARLY_HALF = np.nextafter(HALF, np.float32(0))
"""Added to a half it gives 1, as float32 rounds it, and to what lies below a half it gives less."""
HALF_OF_BFLOAT16, ODD_BFLOAT16, BFLOAT16_BITS = np.int32(0x7FFF), np.int32(1), np.int32(-0x10000)
SIXTEEN = np.int32(16)
MANTISSA = np.int32(MANTISSA_BITS)

THRESHOLDS = 6
"""Thresholds of a codebook that are compared with in one go: with their levels they fit into registers."""

LINE = np.uint64(16)
"""Elements that memory is fetched in."""

NAN_BITS = np.int32(0x7F800000)
"""Beyond these bits, but for the sign, a float32 is NaN."""


@part()
def fetch(x: Any, at: Any, work: Any, integers: Any, n: Any) -> Any:
    """Copy a stretch, with 0 in the place of NaN; how many there were."""
    bits = x.view(np.int32)
    count = np.int32(0)
    for i in range(n):
        missing = (bits[at + i] & MAGNITUDE) > NAN_BITS
        integers[MISSING + i] = np.int32(missing)
        work[VALUE + i] = np.float32(0) if missing else x[at + i]
        count = np.int32(count + np.int32(missing))
    return count


@part()
def fetch_ahead(x: Any, start: Any, stop: Any) -> None:
    """Have the memory of the next stretch fetched while this one is worked on."""
    for i in range(start, min(stop, np.uint64(x.size)), LINE):
        prefetch(x, i)


@part()
def divide(x: Any, at: Any, work: Any, n: Any, multiplies: Any, factor: Any) -> None:
    """R/S, the way of the convention; the values are kept."""
    if multiplies:
        for i in range(n):
            value = x[at + i]
            work[VALUE + i] = value
            work[FREE + i] = value * work[DIVISOR + i]
    else:
        for i in range(n):
            value = x[at + i]
            work[VALUE + i] = value
            work[FREE + i] = value / work[DIVISOR + i] * factor


@part()
def quantize_whole(
    x: Any, at: Any, work: Any, n: Any, low: Any, high: Any, multiplies: Any, factor: Any, scale: Any
) -> Any:
    """Every step at once for whole numbers around 0, which is what most schemes are; how many are clipped."""
    clipped = np.int32(0)
    if multiplies:
        for i in range(n):
            value = x[at + i]
            free = np.rint(value * work[DIVISOR + i])
            code = low if free < low else free
            code = high if code > high else code
            clipped = np.int32(clipped + np.int32(code != free))
            work[VALUE + i], work[FREE + i], work[X_HAT + i] = value, free, code * work[scale + i]
    else:
        for i in range(n):
            value = x[at + i]
            free = np.rint(value / work[DIVISOR + i] * factor)
            code = low if free < low else free
            code = high if code > high else code
            clipped = np.int32(clipped + np.int32(code != free))
            work[VALUE + i], work[FREE + i], work[X_HAT + i] = value, free, code * work[scale + i]
    return clipped


@part()
def divide_fetched(work: Any, n: Any, multiplies: Any, factor: Any, shifts: Any) -> None:
    """The same for values that were fetched, without what is taken from each first."""
    if shifts and multiplies:
        for i in range(n):
            work[FREE + i] = (work[VALUE + i] - work[SHIFT + i]) * work[DIVISOR + i]
    elif shifts:
        for i in range(n):
            work[FREE + i] = (work[VALUE + i] - work[SHIFT + i]) / work[DIVISOR + i] * factor
    elif multiplies:
        for i in range(n):
            work[FREE + i] = work[VALUE + i] * work[DIVISOR + i]
    else:
        for i in range(n):
            work[FREE + i] = work[VALUE + i] / work[DIVISOR + i] * factor


@part()
def round_whole(work: Any, n: Any, rule: Any, centred: Any) -> None:
    """Codes that are whole numbers, not clipped yet."""
    if rule == AWAY and centred:
        for i in range(n):
            y = work[FREE + i]
            work[FREE + i] = np.trunc(y + np.copysign(NEARLY_HALF, y))
    elif rule == AWAY:
        for i in range(n):
            y = work[FREE + i] + work[BEFORE + i]
            work[FREE + i] = np.trunc(y + np.copysign(NEARLY_HALF, y)) + work[AFTER + i]
    elif rule == HALF_UP:
        for i in range(n):
            work[FREE + i] = np.trunc(work[FREE + i] + work[BEFORE + i])
    elif centred:
        for i in range(n):
            work[FREE + i] = np.rint(work[FREE + i])
    else:
        for i in range(n):
            work[FREE + i] = np.rint(work[FREE + i] + work[BEFORE + i]) + work[AFTER + i]


@part()
def round_floats(work: Any, n: Any, kind: Any) -> None:
    """Codes that are small floats, not clipped yet."""
    if kind[RULE] == BFLOAT16:
        bits = work.view(np.int32)
        for i in range(n):
            pattern = bits[FREE + i]
            odd = np.int32(np.int32(pattern >> SIXTEEN) & ODD_BFLOAT16)
            bits[FREE + i] = (pattern + HALF_OF_BFLOAT16 + odd) & BFLOAT16_BITS
        return
    lowest, beyond, magic = np.int32(kind[LOWEST]), np.int32(kind[BEYOND]), np.int32(kind[MAGIC])
    for i in range(n):
        y = work[FREE + i]
        binade = np.int32(np.float32(y).view(np.int32) & EXPONENT)
        binade = lowest if binade < lowest else binade
        binade = beyond if binade > beyond else binade
        # Adding so much leaves a float32 no room for less than one unit in the last place of the format.
        much = np.int32(np.int32(binade + magic) | SIGNIFICANT).view(np.float32)
        work[FREE + i] = (y + much) - much


@part()
def round_to_codebook(work: Any, integers: Any, n: Any, codebook: Any) -> None:
    """The levels of a codebook, infinite beyond them; and their places.

    Levels are chosen as their places are: to look one up for each element would take longer.
    """
    levels = codebook.size // 2
    for i in range(n):
        integers[CELL + i], work[X_HAT + i] = 0, codebook[levels]
    for k in range(0, levels, THRESHOLDS):
        one, two, three = codebook[k], codebook[k + 1], codebook[k + 2]
        four, five, six = codebook[k + 3], codebook[k + 4], codebook[k + 5]
        after = levels + k + 1
        first, second, third = codebook[after], codebook[after + 1], codebook[after + 2]
        fourth, fifth, sixth = codebook[after + 3], codebook[after + 4], codebook[min(after + 5, codebook.size - 1)]
        for i in range(n):
            y = work[FREE + i]
            cell, level = integers[CELL + i], work[X_HAT + i]  # the last threshold that is reached tells them
            cell, level = (np.int32(k + 1), first) if y >= one else (cell, level)
            cell, level = (np.int32(k + 2), second) if y >= two else (cell, level)
            cell, level = (np.int32(k + 3), third) if y >= three else (cell, level)
            cell, level = (np.int32(k + 4), fourth) if y >= four else (cell, level)
            cell, level = (np.int32(k + 5), fifth) if y >= five else (cell, level)
            cell, level = (np.int32(k + 6), sixth) if y >= six else (cell, level)
            integers[CELL + i], work[X_HAT + i] = cell, level
    for i in range(n):
        work[FREE + i] = work[X_HAT + i]


@part()
def dequantize_codes(work: Any, n: Any, low: Any, high: Any, centred: Any, shifts: Any, scale: Any) -> Any:
    """Clip the codes and turn them into values; how many are clipped."""
    clipped = np.int32(0)
    if centred:
        for i in range(n):
            free = work[FREE + i]
            code = low if free < low else free
            code = high if code > high else code
            clipped = np.int32(clipped + np.int32((free < low) | (free > high)))
            work[X_HAT + i] = code * work[scale + i]
    else:
        for i in range(n):
            free = work[FREE + i]
            code = low if free < low else free
            code = high if code > high else code
            clipped = np.int32(clipped + np.int32((free < low) | (free > high)))
            work[X_HAT + i] = (code - work[ZERO + i]) * work[scale + i]
    if shifts:
        for i in range(n):
            work[X_HAT + i] += work[OFFSET + i]
    return clipped


@part()
def take_parts(work: Any, n: Any, wanted: Any, factor: Any) -> None:
    """Of values that are still as many times too large as quotients were multiplied by, where that is wanted."""
    if wanted:
        for i in range(n):
            work[X_HAT + i] = work[X_HAT + i] / factor


@part()
def number_whole(work: Any, integers: Any, n: Any, kind: Any, low: Any, high: Any) -> None:
    """The cell of each code that is a whole number: 0 below the first one, 1 for it, to one beyond the last."""
    first, last = low - ONE, high + ONE
    for i in range(n):
        code = work[FREE + i]
        code = first if code < first else code
        code = last if code > last else code
        integers[CELL + i] = np.int32(code - first)


@part()
def number_codes(work: Any, integers: Any, n: Any, kind: Any, low: Any, high: Any) -> None:
    """The cell of each code, whatever the format."""
    if kind[RULE] in (WHOLE, HALF_UP, AWAY):
        number_whole(work, integers, n, kind, low, high)
    elif kind[RULE] != CODEBOOK:  # the levels above 0 are numbered as their bit patterns are
        bits = work.view(np.int32)
        # A shift that is known to be of less than 32 bits stays one of 32-bit numbers.
        lowest, lacking, normal = np.int32(kind[LOWEST]), np.int32(kind[LACKING] & 31), np.int32(kind[NORMAL])
        zero, end = np.int32(kind[PLACE_OF_ZERO] + 1), np.int32(2 * kind[PLACE_OF_ZERO] + 2)
        # bfloat16 has float32's own exponents: below its smallest normal number the patterns go on alike.
        alike = np.int32(0) if kind[RULE] == BFLOAT16 else lowest
        steps = ONE / np.int32(max(int(lowest - ((MANTISSA - lacking) << MANTISSA)), 1)).view(np.float32)
        for i in range(n):
            pattern = np.int32(bits[FREE + i] & MAGNITUDE)
            above = np.int32(np.int32(pattern - lowest) >> lacking)
            above = np.int32(above + normal)
            below = np.int32(abs(work[FREE + i]) * steps) if pattern < alike else np.int32(0)
            place = above if pattern >= alike else below
            place = np.int32(zero - place) if work[FREE + i] < 0 else np.int32(zero + place)
            place = np.int32(0) if work[FREE + i] < low else place
            integers[CELL + i] = end if work[FREE + i] > high else place


# --- what the loops are given ---------------------------------------------------------------------------


@frozen(eq=False)
class Steps:
    """A scheme as the loops take it.

    Attributes
    ----------
    parameters : tuple of float32 arrays, each of shape (groups,) or (1,)
        In the order of the regions; of shape (1,) where they are the same for all groups.
    strides : int64 array, shape (PARAMETERS,)
        1 where a parameter differs from group to group.
    kind : int64 array, shape (KINDS,)
        How codes are rounded, and what is known of the format; see the names of its places above.
    codebook : float32 array
        The thresholds of a codebook's levels, then the levels between −infinity and infinity; as many of each.
    factor : float32
        What values are multiplied by after they were divided.
    low, high : float32
        The first and the last code.
    """

    parameters: tuple[FloatArray, ...]
    strides: Any
    kind: Any
    codebook: FloatArray
    factor: np.float32
    low: np.float32
    high: np.float32

    @property
    def numbers(self) -> FloatArray:
        """The factor, the first and the last code."""
        return np.array([self.factor, self.low, self.high], np.float32)


NOTHING = np.zeros(1, np.float32)


_steps: WeakKeyDictionary[QParams, Steps] = WeakKeyDictionary()
"""Every thread of a walk asks, and so do error bins: half a million scales are looked through once."""


def steps_of(qparams: QParams) -> Steps:
    """What the loops have to do for a scheme."""
    known = _steps.get(qparams)
    if known is None:
        known = _steps[qparams] = _steps_of(qparams)
    return known


def _steps_of(qparams: QParams) -> Steps:
    convention, number_format = qparams.convention, qparams.number_format
    kind = np.zeros(KINDS, np.int64)
    rule, codebook = WHOLE, NOTHING
    before = after = NOTHING
    divisor, multiplies = distinct(qparams.divisor).reshape(-1), qparams.multiplies
    zero_point = distinct(qparams.zero_point).reshape(-1)
    if convention.code is not None:
        with np.errstate(divide="ignore", over="ignore"):
            divisor = np.float32(1) / divisor
        # A scale without a finite inverse is stored as 0, and all its codes mean the same.
        if not (math.isfinite(divisor.min()) and math.isfinite(divisor.max())):
            divisor = np.where(np.isfinite(divisor), divisor, np.float32(0))
        away = convention.halves_away or number_format.signed
        multiplies, rule = True, AWAY if away else HALF_UP
        zero_point = _shortest(zero_point)
        first = zero_point if away else zero_point + HALF
        before, after = (first, NOTHING) if convention.zero_point_before_rounding else (NOTHING, zero_point)
    elif multiplies:
        divisor = qparams.inverse(divisor)
    if isinstance(number_format, FloatFormat):
        rule, kind[LOWEST:] = _grid(number_format)
    elif isinstance(number_format, Codebook):
        rule, codebook = CODEBOOK, _codebook(number_format)
    elif rule == WHOLE:
        before, after = (zero_point, NOTHING) if convention.zero_point_before_rounding else (NOTHING, zero_point)
    parts = qparams.factor is not None and convention.multiplies_by_threshold
    scale = qparams.divisor if parts else qparams.scale
    arrays = [divisor, before, after, zero_point, distinct(scale).reshape(-1)]
    arrays += [NOTHING if a is None else distinct(a).reshape(-1) for a in (qparams.shift, qparams.offset)]
    parameters = tuple(_shortest(a) for a in arrays)
    centred = not any(parameters[k].any() for k in (1, 2, 3))
    strides = np.array([a.size > 1 for a in parameters], np.int64)
    # What values are divided by, and multiplied by again, is spread once.
    scale_at = 0 if qparams.divisor is scale and not multiplies else SCALE // REGION
    strides[SCALE // REGION] *= scale_at > 0
    kind[:LOWEST] = rule, multiplies, qparams.shift is not None, centred, int(scale_at) * REGION, parts
    return Steps(
        parameters=parameters,
        strides=strides,
        kind=kind,
        codebook=codebook,
        factor=np.float32(1) if qparams.factor is None else qparams.factor,
        low=np.float32(qparams.quant_min),
        high=np.float32(qparams.quant_max),
    )


def _shortest(array: FloatArray) -> FloatArray:
    """One number where all are 0, which is what most zero points are; scales, which are not, are not looked through."""
    return np.ascontiguousarray(array) if array.size == 1 or array[0] or array.any() else NOTHING


def _grid(number_format: FloatFormat) -> tuple[int, list[int]]:
    """How a small float is rounded, and what is known of it.

    The exponent bits of its smallest binade, and of the one beyond its largest; what makes them those of the number
    that is added to round; the place of 0 among its levels; the bits of a float32's mantissa that it lacks; and its
    levels below the smallest normal one.
    """
    mantissa, lowest, highest = number_format.grid
    zero = int(np.searchsorted(number_format.values, 0))
    lacking = MANTISSA_BITS - mantissa
    whole_range = mantissa == 7 and lowest == ONE_EXPONENT
    grid = [lowest, highest + ONE_EXPONENT, lacking * ONE_EXPONENT, zero, lacking, 1 << mantissa]
    return BFLOAT16 if whole_range else GRID, grid


def _codebook(number_format: Codebook) -> FloatArray:
    """Thresholds and levels, filled up to a multiple of `THRESHOLDS`; nothing reaches a threshold of NaN."""
    missing = -(number_format.thresholds.size + 1) % THRESHOLDS + 1
    thresholds = np.append(number_format.thresholds, np.full(missing, np.nan))
    ladder = np.concatenate(([-np.inf], number_format.values, np.full(missing, np.inf)))
    return np.concatenate((thresholds, ladder)).astype(np.float32)
