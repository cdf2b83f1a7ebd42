"""How far beyond their last codes do groups reach, and how far apart is what they are divided and multiplied by?

Where nothing is added to a code, what lies beyond the last one errs by how far it lies beyond; the rest errs by half a
step. So nothing has to be rounded to see how large errors become.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import CENTRED, PARTS, SHIFTS, steps_of
from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import LARGEST, FloatArray, only_read
from qviz.core.compiler import kernel
from qviz.core.frozen import frozen
from qviz.core.lanes import (
    LANES,
    choose,
    greater,
    greatest_of,
    least_of,
    lesser,
    load,
    magnitude,
    spread,
)
from qviz.core.work import share

TOGETHER = 1 << 15
"""Groups that are looked at together: what is computed on the way stays in the cache."""

SHARED_FROM = 1 << 17
"""Fewer groups are looked at before a second thread has begun."""

AT_ONCE, NONE = np.uint64(LANES), np.float32(0)
ONE, ENDS = np.float32(1), np.float32(LARGEST)

# The places of what is found.
LOWEST, HIGHEST, APART = range(3)


@frozen
class GroupReach:
    """The furthest of all groups, in the tensor's unit, computed in float32.

    Attributes
    ----------
    lowest, highest : float
        The errors of what lies furthest above the last code and below the first one; 0 where nothing does.
    apart : float
        The largest difference between what codes are multiplied by and what values are divided by.
    """

    lowest: float
    highest: float
    apart: float


def _example() -> tuple[Any, ...]:
    x = np.zeros(1, np.float32)
    x.flags.writeable = False
    return x, x, x, x, False, NONE, NONE, np.zeros(3, np.float32)


@kernel(_example)
def look_at_groups(
    low: Any, high: Any, scale: Any, divisor: Any, inverse: Any, first: Any, last: Any, found: Any
) -> None:
    """See `reach_of`; of groups up to a whole number of `LANES`, with what was found before.

    Parameters
    ----------
    low, high, scale, divisor : float32 arrays, shape (groups,)
        No divisors where they are the scales.
    inverse : bool
        Whether values are multiplied by the divisors.
    first, last : float32
        Codes.
    found : float32 array, shape (3,)
    """
    lowest, highest, apart = spread(found[LOWEST]), spread(found[HIGHEST]), spread(found[APART])
    codes, none, one, ends = (spread(first), spread(last)), spread(NONE), spread(ONE), spread(ENDS)
    for i in range(np.uint64(0), np.uint64(scale.size) // AT_ONCE * AT_ONCE, AT_ONCE):
        step = load(scale, i)
        level, other = step * codes[0], step * codes[1]
        lowest = lesser(greater(level, other) - load(high, i), lowest)
        highest = greater(lesser(level, other) - load(low, i), highest)
        if divisor.size > 0:
            by = load(divisor, i)
            by = one / by if inverse else by
            by = choose(magnitude(by) <= ends, by, none)
            apart = greater(magnitude(step - by), apart)
    found[LOWEST], found[HIGHEST], found[APART] = least_of(lowest), greatest_of(highest), greatest_of(apart)


def reach_of(extremes: tuple[FloatArray, FloatArray], qparams: QParams, *, with_divisors: bool) -> GroupReach | None:
    """How far groups reach beyond their codes; None where something is added to a code, or does not get the last one.

    Parameters
    ----------
    extremes : float32 arrays, shape (groups,)
        The smallest and the largest element of each group.
    with_divisors : bool
        Whether scales and divisors may be apart.
    """
    kind = steps_of(qparams).kind if qparams.compilable else None
    if kind is None or not kind[CENTRED] or kind[SHIFTS] or kind[PARTS]:
        return None
    size = extremes[0].size
    scale, divisor = (np.broadcast_to(each.reshape(-1), size) for each in (qparams.scale, qparams.divisor))
    arrays = tuple(map(only_read, (*extremes, scale, divisor if with_divisors else scale[:0])))
    inverse, found, done = qparams.convention.divisor_is_inverse, np.zeros(3, np.float32), 0
    first, last = np.float32(qparams.quant_min), np.float32(qparams.quant_max)

    def some(part: tuple[int, int]) -> FloatArray:
        mine = np.zeros(3, np.float32)
        look_at_groups(*(each[slice(*part)] for each in arrays), inverse, first, last, mine)
        return mine

    if look_at_groups.ready:
        _join(found, share(some, size, least=SHARED_FROM, unit=LANES))
        done = size // LANES * LANES
    for start in range(done, size, TOGETHER):
        few = (each[start : start + TOGETHER] for each in arrays)
        _look_at_some(*few, inverse=inverse, first=first, last=last, found=found)
    return GroupReach(*map(float, found))


def _join(found: FloatArray, others: Iterable[FloatArray]) -> None:
    """Take what was found of other groups."""
    for other in others:
        found[LOWEST] = min(found[LOWEST], other[LOWEST])
        found[HIGHEST:] = np.maximum(found[HIGHEST:], other[HIGHEST:])


def _look_at_some(
    low: FloatArray,
    high: FloatArray,
    scale: FloatArray,
    divisor: FloatArray,
    *,
    inverse: bool,
    first: np.float32,
    last: np.float32,
    found: FloatArray,
) -> None:
    """The same in NumPy."""
    with np.errstate(divide="ignore", over="ignore"):
        level, other = scale * first, scale * last
        found[LOWEST] = np.minimum(found[LOWEST], np.min(np.maximum(level, other) - high))
        found[HIGHEST] = np.maximum(found[HIGHEST], np.max(np.minimum(level, other) - low))
        if divisor.size:
            by = ONE / divisor if inverse else divisor
            by = np.where(np.abs(by) <= ENDS, by, NONE)
            found[APART] = np.maximum(found[APART], np.max(np.abs(scale - by)))
