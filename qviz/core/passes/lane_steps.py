"""Which codes do sixteen numbers get at a time, what do these stand for, and where is each counted?

Every step in float32, while the numbers are in registers. What float32 is not sure of is told, and counted again step
by step. `lane_sums` adds up what comes of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import (
    AWAY,
    BEYOND,
    BFLOAT16,
    CENTRED,
    CODEBOOK,
    EXPONENT,
    FREE,
    GRID,
    HALF_UP,
    LACKING,
    LOWEST,
    MAGIC,
    MULTIPLIES,
    NEARLY_HALF,
    ONE,
    PARTS,
    PLACE,
    PLACE_OF_ZERO,
    RULE,
    SCALE_AT,
    SHIFTS,
    SIGNIFICANT,
    X_HAT,
)
from qviz.core.arithmetic.spreading import CHUNK_LENGTH
from qviz.core.compiler import part, prefetch
from qviz.core.lanes import (
    any_marks,
    bits_of,
    choose,
    exceeds,
    floored,
    load,
    looked_up,
    looked_up_near,
    marked,
    moved_down,
    nearest,
    no_marks,
    numbers_of,
    spread,
    store,
    store_words,
    truncated,
    unmarked,
    whole,
    with_marks,
    with_product,
)
from qviz.core.passes.counting import (
    BINS,
    DOUBT,
    FIRST_BIN,
    HISTOGRAM,
    JOINT,
    LEVELS,
    MAYBE_NAN,
    OCCUPANCY,
    ONE_BIT,
    WINDOW,
    WINDOW_START,
)

LARGEST_WIDTH = 1.0
"""Divided by no more, an error that is not 0 does not become 0."""

LEAVES = 16
"""Levels of the largest codebook that is searched in registers."""

HALF_CHUNK = CHUNK_LENGTH >> ONE_BIT

SIGN = np.int32(-0x80000000)
NEVER = np.float32(np.inf)

# The places of parameters.
OF_DIVISOR, OF_BEFORE, OF_AFTER, OF_ZERO, OF_SCALE = range(5)


@part()
def knows(plan: Any, width: Any) -> bool:
    """Whether the steps below are those of a plan."""
    counts = plan[JOINT] and width <= LARGEST_WIDTH
    plain = counts or not (plan[OCCUPANCY] or plan[HISTOGRAM])
    known = plan[CENTRED] or not (plan[RULE] == GRID or plan[RULE] == CODEBOOK)
    known = known and plan[RULE] != BFLOAT16 and (plan[RULE] != CODEBOOK or plan[LEVELS] <= LEAVES)
    return bool(known and plain and not (plan[MAYBE_NAN] or plan[SHIFTS] or plan[PARTS]))


# --- what a format does: round to a code that is not clipped yet, with two vectors of which its place is told ---------


@part()
def round_centred(y: Any, before: Any, after: Any, plan: Any, leaves: Any) -> Any:
    """Whole numbers around 0."""
    code = rounded_away(y) if plan[RULE] == AWAY else nearest(y)
    return code, bits_of(code), bits_of(code)


@part()
def round_apart(y: Any, before: Any, after: Any, plan: Any, leaves: Any) -> Any:
    """Whole numbers, zero points among them."""
    shifted = y + before
    if plan[RULE] == AWAY:
        code = rounded_away(shifted) + after
    elif plan[RULE] == HALF_UP:
        code = truncated(shifted)
    else:
        code = nearest(shifted) + after
    return code, bits_of(code), bits_of(code)


@part()
def rounded_away(y: Any) -> Any:
    """The nearest whole numbers, halves away from 0."""
    return truncated(y + numbers_of(bits_of(spread(NEARLY_HALF)) | (bits_of(y) & spread(SIGN))))


@part()
def place_whole(code: Any, one: Any, other: Any, window: Any, low: Any, plan: Any) -> Any:
    """Levels one after the other; float32 holds their places without an error."""
    return whole(with_product(spread(-low * window), code, spread(window)))


@part()
def round_float(y: Any, before: Any, after: Any, plan: Any, leaves: Any) -> Any:
    """Small floats: added to a number so large, a float32 has no room for less than a unit of theirs."""
    lowest, beyond = spread(np.int32(plan[LOWEST])), spread(np.int32(plan[BEYOND]))
    binade = bits_of(y) & spread(EXPONENT)
    binade = choose(binade < lowest, lowest, binade)
    binade = choose(binade > beyond, beyond, binade)
    much = numbers_of((binade + spread(np.int32(plan[MAGIC]))) | spread(SIGNIFICANT))
    sum_of_both = y + much
    return sum_of_both - much, bits_of(sum_of_both) - bits_of(much), binade


@part()
def place_float(code: Any, units: Any, binade: Any, window: Any, low: Any, plan: Any) -> Any:
    """Levels of one sign one after the other: a binade has as many as there are units in the first of its numbers."""
    below = moved_down(binade - spread(np.int32(plan[LOWEST])), np.int32(plan[LACKING] & 31))
    zero = spread(np.int32(plan[PLACE_OF_ZERO])) + units
    index = choose(units < spread(np.int32(0)), zero - below, zero + below)
    return index * spread(np.int32(window))


@part()
def round_to_leaf(y: Any, before: Any, after: Any, plan: Any, leaves: Any) -> Any:
    """Levels of a codebook, infinite beyond them, by four comparisons each."""
    fourth, eighth, twelfth, after_one, after_two, after_three, levels, first, last = leaves
    quarter = marked(y >= fourth) + marked(y >= eighth) + marked(y >= twelfth)  # each is −1 where it is
    at = spread(np.int32(0)) - quarter
    cell = (at + at) + (at + at)
    cell = cell - marked(y >= looked_up_near(after_one, at))
    cell = cell - marked(y >= looked_up_near(after_two, at))
    cell = cell - marked(y >= looked_up_near(after_three, at))
    code = choose(y >= last, spread(NEVER), looked_up(levels, cell))
    return choose(y >= first, code, spread(-NEVER)), cell, cell


@part()
def place_leaf(code: Any, cell: Any, other: Any, window: Any, low: Any, plan: Any) -> Any:
    """The level that was found when it was rounded to."""
    return cell * spread(np.int32(window))


@part()
def no_leaves(codebook: Any, plan: Any, work: Any) -> Any:
    """Nothing is searched."""
    return codebook.size


@part()
def leaves_of(codebook: Any, plan: Any, work: Any) -> Any:
    """Thresholds and levels, the last one for those that there are not; the first and the last threshold."""
    count = plan[LEVELS]
    after = codebook.size // 2 + 1
    for k in range(LEAVES):
        # Every fourth threshold, then those that follow these, and so on.
        work[FREE + np.uint64(k % 4 * LEAVES + k // 4)] = codebook[k] if k < count else NEVER
        work[FREE + np.uint64(4 * LEAVES + k)] = codebook[after + min(k, count - 1)]
    quarters = spread(work[FREE + np.uint64(1)]), spread(work[FREE + np.uint64(2)]), spread(work[FREE + np.uint64(3)])
    one, two, three = np.uint64(LEAVES), np.uint64(2 * LEAVES), np.uint64(3 * LEAVES)
    after = load(work, FREE + one), load(work, FREE + two), load(work, FREE + three)
    levels = load(work, FREE + np.uint64(4 * LEAVES))
    return *quarters, *after, levels, spread(codebook[0]), spread(codebook[count])


# --- how groups lie: their parameters -------------------------------------------------------------------------------


@part()
def same_for_all(parameters: Any, group: Any, stride: Any) -> Any:
    """One group's parameter for sixteen neighbours."""
    return spread(parameters[group * np.uint64(stride)])


@part()
def one_for_each(parameters: Any, group: Any, stride: Any) -> Any:
    """The parameters of sixteen neighbouring groups."""
    return load(parameters, group) if stride else spread(parameters[0])


# --- the steps ----------------------------------------------------------------------------------------------


def compose_chunk(rounded: Any, *, centred: bool) -> Any:
    """How sixteen numbers are quantized in one kind of format, whose parameters and clipping are vectors."""

    def quantize_chunk(
        value: Any, divisor: Any, before: Any, after: Any, zero_point: Any, scale: Any, lowest: Any, highest: Any,
        factors: Any, multiplies: Any, plan: Any, leaves: Any,
    ) -> Any:  # fmt: skip
        """The code before it is clipped, what tells of its place, the code, and x̂."""
        quotient = value * divisor if multiplies else value / divisor * factors
        free, one, other = rounded(quotient, before, after, plan, leaves)
        code = choose(lowest > free, lowest, free)
        code = choose(highest < code, highest, code)
        x_hat = code * scale if centred else (code - zero_point) * scale
        return free, one, other, code, x_hat

    return part()(quantize_chunk)


chunk_centred = compose_chunk(round_centred, centred=True)
chunk_apart = compose_chunk(round_apart, centred=False)
chunk_of_floats = compose_chunk(round_float, centred=True)
chunk_of_levels = compose_chunk(round_to_leaf, centred=True)


def compose(prepared: Any, quantized: Any, placed: Any, *, across: bool = False) -> Any:
    """The steps for one kind of format.

    Parameters
    ----------
    prepared, quantized, placed : functions
        What is searched, how a chunk is quantized, and where levels are counted: see above.
    across : bool
        Whether neighbours belong to groups that are neighbours; otherwise they are runs.
    """
    parameter = one_for_each if across else same_for_all

    def quantize_them(
        x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, integers: Any, parameters: Any, strides: Any,
        plan: Any, numbers: Any, codebook: Any, ahead: Any, row_width: Any,
    ) -> Any:  # fmt: skip
        """Codes before they are clipped, x̂, and where each element is counted, of a stretch of runs or a tile.

        Parameters
        ----------
        n, deep : int
            Elements of the stretch, and chunks of each run; or columns of the tile, and its rows.
        first : int
            The first group.
        ahead : int
            Where what is looked at next begins: the first half of it is fetched, or of each row.
        row_width : int
            From a row to the next; of runs nobody asks.

        Returns
        -------
        doubtful : bool
            Whether codes and errors have to be counted step by step: not all places are to be believed.
        outside : bool
            Whether anything is clipped: `lane_sums` looks at that once more.
        """
        factor, low, high = np.float32(numbers[0]), np.float32(numbers[1]), np.float32(numbers[2])
        width, multiplies, counting = numbers[3], plan[MULTIPLIES], plan[JOINT]
        lowest, highest, factors = spread(low), spread(high), spread(factor)
        leaves = prepared(codebook, plan, work)
        # An error in bins is between these two; where both are in one bin, so is it.
        more, less = spread(np.float32((1.0 + DOUBT) / width)), spread(np.float32((1.0 - DOUBT) / width))
        window, first_near = np.float32(plan[WINDOW]), spread(np.float32(plan[WINDOW_START]))
        last_near = bits_of(spread(np.float32(window - ONE)))
        # What is clipped is counted behind the levels, below them or above: free codes have the signs of these ends.
        below = np.int32(plan[LEVELS] * plan[WINDOW] + plan[WINDOW_START] - plan[FIRST_BIN])
        places_below, places_above = spread(below), spread(np.int32(below + plan[BINS]))
        doubtful, anywhere_outside, none = no_marks(), no_marks(), spread(np.int32(0))
        scales = parameters[OF_SCALE] if plan[SCALE_AT] else parameters[OF_DIVISOR]
        per_scale = strides[OF_SCALE] if plan[SCALE_AT] else strides[OF_DIVISOR]
        run, step = (CHUNK_LENGTH, row_width) if across else (deep * CHUNK_LENGTH, CHUNK_LENGTH)
        target_step = n if across else CHUNK_LENGTH
        group, slot = np.uint64(first), np.uint64(0)
        fetch_step = row_width if across else HALF_CHUNK
        for start in range(np.uint64(0), n, run):
            divisor = parameter(parameters[OF_DIVISOR], group, strides[OF_DIVISOR])
            scale = parameter(scales, group, per_scale)
            before = parameter(parameters[OF_BEFORE], group, strides[OF_BEFORE])
            after = parameter(parameters[OF_AFTER], group, strides[OF_AFTER])
            zero_point = parameter(parameters[OF_ZERO], group, strides[OF_ZERO])
            source, target, fetched = at + start, np.uint64(start), ahead + (start >> ONE_BIT)
            for _ in range(deep):
                prefetch(x, fetched)
                value = load(x, source)
                free, one, other, code, x_hat = quantized(
                    value, divisor, before, after, zero_point, scale, lowest, highest, factors, multiplies, plan, leaves
                )
                clipped = code != free
                outside = marked(clipped)
                anywhere_outside = with_marks(anywhere_outside, outside)
                store(work, FREE + target, free)
                store(work, X_HAT + target, x_hat)
                if counting:
                    narrow = x_hat - value
                    bins = floored(narrow * more)
                    near = bins - first_near
                    place = placed(code, one, other, window, low, plan)
                    elsewhere = choose(bits_of(free) < none, places_below, places_above)
                    store_words(integers, PLACE + slot, choose(clipped, elsewhere, place) + whole(near))
                    strange = unmarked(marked(exceeds(bits_of(near), last_near)), outside)
                    doubtful = with_marks(doubtful, strange | marked(bins != floored(narrow * less)))
                source, target, slot = source + step, target + target_step, slot + CHUNK_LENGTH
                fetched += fetch_step
            group += CHUNK_LENGTH if across else np.uint64(1)
        return any_marks(doubtful), any_marks(anywhere_outside)

    return part()(quantize_them)


quantize_centred = compose(no_leaves, chunk_centred, place_whole)


def compose_for_all(*, across: bool) -> Any:
    """The steps for every format: see `compose`."""
    at_whole = compose(no_leaves, chunk_centred, place_whole, across=across)
    at_whole_apart = compose(no_leaves, chunk_apart, place_whole, across=across)
    at_floats = compose(no_leaves, chunk_of_floats, place_float, across=across)
    at_levels = compose(leaves_of, chunk_of_levels, place_leaf, across=across)

    def quantize_them(
        x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, integers: Any, parameters: Any, strides: Any,
        plan: Any, numbers: Any, codebook: Any, ahead: Any, row_width: Any,
    ) -> Any:  # fmt: skip
        """The steps for one format."""
        if plan[RULE] == GRID:
            return at_floats(
                x, at, n, deep, first, work, integers, parameters, strides, plan, numbers, codebook, ahead, row_width
            )
        if plan[RULE] == CODEBOOK:
            return at_levels(
                x, at, n, deep, first, work, integers, parameters, strides, plan, numbers, codebook, ahead, row_width
            )
        if plan[CENTRED]:
            return at_whole(
                x, at, n, deep, first, work, integers, parameters, strides, plan, numbers, codebook, ahead, row_width
            )
        return at_whole_apart(
            x, at, n, deep, first, work, integers, parameters, strides, plan, numbers, codebook, ahead, row_width
        )

    return part()(quantize_them)


quantize_runs, quantize_columns = compose_for_all(across=False), compose_for_all(across=True)
