"""Where is each element counted, when its code and its error are counted together? All the steps in one loop.

What float32 is sure of needs no other step. A stretch with a doubtful place, or with an error in none of the few bins
that rounding reaches, is looked at again by the loops of `qviz.core.passes.counting`, step by step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import (
    CELL,
    CENTRED,
    CODEBOOK,
    FREE,
    GRID,
    LACKING,
    LOWEST,
    MANTISSA,
    NORMAL,
    ONE,
    PARTS,
    PLACE,
    PLACE_OF_ZERO,
    RULE,
    SCALE_AT,
    SHIFTS,
    VALUE,
    X_HAT,
    ZERO,
)
from qviz.core.compiler import part
from qviz.core.passes.counting import BINS, DOUBT, FIRST_BIN, JOINT, LEVELS, WINDOW, WINDOW_START

SIGN = np.int32(-0x80000000)

LARGEST_WIDTH = 1.0
"""Divided by no more, an error that is not 0 does not become 0."""


@part()
def index_whole(code: Any, cell: Any, low: Any, lowest: Any, lacking: Any, normal: Any, zero: Any, steps: Any) -> Any:
    """Which level a whole number is."""
    return np.int32(code - low)


@part()
def index_float(code: Any, cell: Any, low: Any, lowest: Any, lacking: Any, normal: Any, zero: Any, steps: Any) -> Any:
    """Which level a small float is: those of one sign are numbered as their bit patterns are."""
    magnitude = abs(code)
    pattern = np.int32(np.float32(magnitude).view(np.int32) - lowest)
    place = np.int32(np.int32(pattern >> lacking) + normal) if pattern >= 0 else np.int32(magnitude * steps)
    return np.int32(zero - place) if code < 0 else np.int32(zero + place)


@part()
def index_found(code: Any, cell: Any, low: Any, lowest: Any, lacking: Any, normal: Any, zero: Any, steps: Any) -> Any:
    """Which level of a codebook it is: found when it was rounded to."""
    return np.int32(cell - np.int32(1))


def compose_placing(index: Any, *, centred: bool) -> Any:
    """The loop for one way in which levels are numbered, around 0 or not."""

    def place(work: Any, integers: Any, n: Any, low: Any, high: Any, plan: Any, width: Any) -> Any:
        """x̂, and where its code and its error are counted together.

        Returns
        -------
        clipped : int
            Elements that are clipped.
        doubtful : int
            0 where all of it is sure.
        """
        # An error in bins is between these two; where both are in one bin, so is it.
        more, less = np.float32((1.0 + DOUBT) / width), np.float32((1.0 - DOUBT) / width)
        window, start, scale = np.int32(plan[WINDOW]), np.int32(plan[WINDOW_START]), np.uint64(plan[SCALE_AT])
        below = np.int32(plan[LEVELS] * plan[WINDOW] + plan[WINDOW_START] - plan[FIRST_BIN])
        above, last = np.int32(below + plan[BINS]), np.int32(window - np.int32(1))
        lowest, lacking, normal = np.int32(plan[LOWEST]), np.int32(plan[LACKING] & 31), np.int32(plan[NORMAL])
        zero = np.int32(plan[PLACE_OF_ZERO])
        steps = ONE / np.int32(max(int(lowest - ((MANTISSA - lacking) << MANTISSA)), 1)).view(np.float32)
        clipped, doubtful = np.int32(0), np.int32(0)
        for i in range(n):
            free = work[FREE + i]
            code = low if free < low else free
            code = high if code > high else code
            x_hat = code * work[scale + i] if centred else (code - work[ZERO + i]) * work[scale + i]
            work[X_HAT + i] = x_hat
            error = x_hat - work[VALUE + i]
            place = np.floor(error * more)
            doubt = np.float32(place - np.floor(error * less)).view(np.int32)
            near = np.int32(np.int32(place) - start)
            row = np.int32(index(code, integers[CELL + i], low, lowest, lacking, normal, zero, steps) * window)
            row = below if free < low else row
            row = above if free > high else row
            is_clipped = (free < low) | (free > high)
            clipped = np.int32(clipped + np.int32(is_clipped))
            strange = np.int32(np.int32(near | np.int32(last - near)) & SIGN)
            strange = np.int32(0) if is_clipped else strange
            doubtful = np.int32(doubtful | np.int32(doubt | strange))
            integers[PLACE + i] = np.int32(row + near)
        return clipped, doubtful

    return part()(place)


place_whole = compose_placing(index_whole, centred=False)
place_centred = compose_placing(index_whole, centred=True)
place_floats = compose_placing(index_float, centred=True)
place_levels = compose_placing(index_found, centred=True)


@part()
def places_at_once(plan: Any, width: Any) -> bool:
    """Whether `place_all` knows the scheme."""
    known = plan[CENTRED] or not (plan[RULE] == GRID or plan[RULE] == CODEBOOK)
    return bool(plan[JOINT] and known and not (plan[SHIFTS] or plan[PARTS]) and width <= LARGEST_WIDTH)


@part()
def place_all(work: Any, integers: Any, n: Any, low: Any, high: Any, plan: Any, width: Any) -> Any:
    """The loop for the format: see `compose_placing`."""
    if plan[RULE] == GRID:
        return place_floats(work, integers, n, low, high, plan, width)
    if plan[RULE] == CODEBOOK:
        return place_levels(work, integers, n, low, high, plan, width)
    if plan[CENTRED]:
        return place_centred(work, integers, n, low, high, plan, width)
    return place_whole(work, integers, n, low, high, plan, width)
