"""How often does each code occur, and how many errors lie in each bin? The part of the compiled walk that counts."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import CELL, CLIPPED, LINE, MISSING, PLACE, VALUE, X_HAT
from qviz.core.arithmetic.spreading import LAID
from qviz.core.compiler import part, prefetch

# The places of ``plan`` behind how the groups lie: what is asked for, and how the bins lie.
MAYBE_NAN, SIGNAL, OCCUPANCY, HISTOGRAM, JOINT, ENVELOPE = range(LAID, LAID + 6)
LEVELS, WINDOW, WINDOW_START, BINS, FIRST_BIN, FIRST_BUCKET, LAST_BUCKET, IN_TURN, ONCE = range(LAID + 6, LAID + 15)
TOTALS = LAID + 15
PLAN = LAID + 16

ONE, NONE = np.int32(1), np.int32(-1)

ONE_BIT, HALF_PAIR = np.uint64(1), np.uint64(32)
ALL, HALF = np.uint64(0), np.uint64(1)
"""How much is fetched ahead of what is counted: as much, or half: one who read before fetched the other."""

HALF_LINE = LINE >> ONE_BIT

LANES, LAST_LANE, TWO_LANES = np.int32(8), np.int32(7), np.int32(16)
SPARE = 24
"""Places behind the tallies: lanes for what lies below the first code, above the last one, and for what is missing."""

FEW_BINS = 64
"""Of no more bins each is counted in one of `LANES` places in turn: most errors lie in the same few."""

DOUBT = np.float32(2.0**-20)
"""By this part of itself float32 may be wrong about a place: three roundings, each of 2^−24 at most, and more."""


@part()
def guess_bins(work: Any, integers: Any, n: Any, width: Any, plan: Any) -> Any:
    """The bin of each error, in float32; how many lie so near to an edge that this is not to be believed.

    Whatever an error is, it is in a bin that there is: where it is counted is written to.
    """
    per_bin = np.float32(1.0 / width)
    first, last = np.int32(plan[FIRST_BIN]), np.int32(plan[FIRST_BIN] + plan[BINS] - 1)
    doubtful = np.int32(0)
    for i in range(n):
        error = work[X_HAT + i] - work[VALUE + i]
        scaled = error * per_bin
        sure = abs(scaled - np.rint(scaled)) >= abs(scaled) * DOUBT  # nothing is, where float32 ends
        lost = (scaled == np.float32(0)) & (error != np.float32(0))
        doubtful = np.int32(doubtful + np.int32(lost or not sure))
        integers[PLACE + i] = min(max(np.int32(np.floor(scaled)), first), last)
    return doubtful


@part()
def bin_of(error: Any, per_bin: Any, width: Any, first: Any, last: Any) -> Any:
    """The bin of an error: guessed, then moved to where the edges say, which are multiples of the width."""
    guess = np.floor(error * per_bin)
    guess -= 1.0 if error < guess * width else 0.0
    guess += 1.0 if error >= (guess + 1.0) * width else 0.0
    guess = first if guess < first else guess
    return np.int32(last if guess > last else guess)


@part(rare=True)
def find_bins(work: Any, integers: Any, n: Any, width: Any, first: Any, last: Any) -> None:
    """The bin of each error in float64."""
    per_bin = 1.0 / width
    for i in range(n):
        error = np.float64(work[X_HAT + i]) - np.float64(work[VALUE + i])
        integers[PLACE + i] = bin_of(error, per_bin, width, first, last)


@part(rare=True)
def place_jointly(integers: Any, n: Any, plan: Any, any_clipped: Any) -> Any:
    """One number for a cell and a bin; how many rounding errors lie in none of the few bins that they reach.

    Those get the place −1.
    """
    window, start = np.int32(plan[WINDOW]), np.int32(plan[WINDOW_START])
    bins, first, levels = np.int32(plan[BINS]), np.int32(plan[FIRST_BIN]), np.int32(plan[LEVELS])
    outside = np.int32(0)
    if any_clipped:
        clipped_low = np.int32(levels * window - first)
        clipped_high = np.int32(clipped_low + bins)
        for i in range(n):
            cell, place = integers[CELL + i], integers[PLACE + i]
            near = np.int32(place - start)
            strange = (near < 0) | (near >= window)
            joint = np.int32((cell - ONE) * window + near)
            joint = NONE if strange else joint
            joint = np.int32(clipped_low + place) if cell == 0 else joint
            joint = np.int32(clipped_high + place) if cell > levels else joint
            integers[PLACE + i] = joint
            outside = np.int32(outside + np.int32(joint < 0))
    else:
        for i in range(n):
            near = np.int32(integers[PLACE + i] - start)
            strange = (near < 0) | (near >= window)
            integers[PLACE + i] = NONE if strange else np.int32((integers[CELL + i] - ONE) * window + near)
            outside = np.int32(outside + np.int32(strange))
    return outside


@part()
def count_jointly(integers: Any, n: Any, table: Any, x: Any, ahead: Any, halved: Any) -> None:
    """One count for the code and the error of each element; meanwhile as much is fetched, or half where that is 1.

    Places are fetched in pairs: as many counts wait for memory as there are instructions that can.
    """
    whole, pairs = n // LINE * LINE, integers.view(np.uint64)
    for start in range(np.uint64(0), whole, LINE):
        prefetch(x, ahead + (start >> halved))
        first = (PLACE + start) >> ONE_BIT
        for i in range(HALF_LINE):  # as many as that are told one by one
            pair = pairs[first + i]
            table[np.uint32(pair)] += np.uint32(1)
            table[pair >> HALF_PAIR] += np.uint32(1)
    for i in range(whole, n):
        table[np.uint32(integers[PLACE + i])] += np.uint32(1)


@part(rare=True)
def count_strange(
    work: Any, integers: Any, n: Any, maybe_nan: Any, table: Any, tallies: Any, plan: Any, width: Any
) -> None:
    """The same where some are missing, or lie in no bin that is counted jointly."""
    first, last = np.float64(plan[FIRST_BIN]), np.float64(plan[FIRST_BIN] + plan[BINS] - 1)
    errors = np.int32(plan[LEVELS] - plan[FIRST_BIN])
    for i in range(n):
        place = integers[PLACE + i]
        if maybe_nan and integers[MISSING + i]:
            continue
        if place >= 0:
            table[np.uint32(place)] += np.uint32(1)
        else:
            tallies[np.uint32(integers[CELL + i] - ONE)] += 1
            error = np.float64(work[X_HAT + i]) - np.float64(work[VALUE + i])
            tallies[np.uint32(errors + bin_of(error, 1.0 / width, width, first, last))] += 1


@part()
def spread_ends(integers: Any, n: Any, maybe_nan: Any, plan: Any) -> None:
    """Where each code is counted: what is clipped in one of `LANES` places in turn, what is missing beside them.

    Counting one element has to wait for the one before it where both are counted in the same place.
    """
    levels, spare = np.int32(plan[LEVELS]), np.int32(plan[LEVELS] + 2 * plan[BINS] * plan[IN_TURN])
    for i in range(n):
        lane, cell = np.int32(np.int32(i) & LAST_LANE), integers[CELL + i]
        place = np.int32(cell - ONE)
        place = np.int32(spare + lane) if cell == 0 else place
        integers[CELL + i] = np.int32(spare + LANES + lane) if cell > levels else place
    if maybe_nan:
        for i in range(n):
            lane = np.int32(np.int32(i) & LAST_LANE)
            integers[CELL + i] = np.int32(spare + TWO_LANES + lane) if integers[MISSING + i] else integers[CELL + i]


@part()
def spread_errors(integers: Any, n: Any, maybe_nan: Any, clipped: Any, plan: Any) -> None:
    """Where each error is counted: in one of as many places in turn as there shall be, those of clipping apart."""
    levels, bins, last = plan[LEVELS] if plan[OCCUPANCY] else 0, np.int32(plan[BINS]), np.int32(plan[IN_TURN] - 1)
    first, apart = np.int32(levels - plan[FIRST_BIN]), np.int32(plan[BINS] * plan[IN_TURN])
    for i in range(n):
        lane = np.int32(np.int32(i) & last)
        integers[PLACE + i] = np.int32(integers[PLACE + i] + first + lane * bins)
    if clipped:
        for i in range(n):
            integers[PLACE + i] += apart if integers[CLIPPED + i] else np.int32(0)
    if maybe_nan:
        missing = np.int32(levels + TWO_LANES) + apart + apart
        for i in range(n):
            lane = np.int32(np.int32(i) & LAST_LANE)
            integers[PLACE + i] = np.int32(missing + lane) if integers[MISSING + i] else integers[PLACE + i]


@part()
def count_apart(integers: Any, n: Any, maybe_nan: Any, clipped: Any, plan: Any, tallies: Any) -> None:
    """A count for the code of each element, and one for its error."""
    if plan[OCCUPANCY]:
        spread_ends(integers, n, maybe_nan, plan)
        for i in range(n):
            tallies[np.uint32(integers[CELL + i])] += 1
    if plan[HISTOGRAM]:
        spread_errors(integers, n, maybe_nan, clipped, plan)
        for i in range(n):
            tallies[np.uint32(integers[PLACE + i])] += 1
