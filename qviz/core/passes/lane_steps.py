"""What do runs and columns come to, when every step is done while sixteen of their numbers are in registers?

All that a frame shows but for the envelope: what the errors of each group add up to, which are clipped, and where each
code is counted together with its error. What float32 is not sure of is told, and counted again step by step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import (
    AWAY,
    BEYOND,
    BFLOAT16,
    CENTRED,
    CLIPPED,
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
    REGION,
    RULE,
    SCALE_AT,
    SHIFTS,
    SIGNIFICANT,
    X_HAT,
)
from qviz.core.arithmetic.spreading import CHUNK_LENGTH
from qviz.core.compiler import part, prefetch
from qviz.core.lanes import (
    anywhere,
    bits_of,
    choose,
    either,
    exceeds,
    floored,
    how_many,
    larger,
    largest_of,
    largest_of_eight,
    load,
    load_eight,
    load_wide,
    looked_up,
    magnitude,
    moved_down,
    nearest,
    nothing,
    nothing_wide,
    numbers_of,
    only,
    spread,
    store,
    store_eight,
    store_wide,
    store_words,
    sum_of,
    sums_of_eight,
    truncated,
    whole,
    widened,
    with_each_largest,
    with_each_product,
    with_largest,
    with_product,
    with_products,
    with_sum,
    without,
)
from qviz.core.passes.comparing import BEYOND_CODES, MAGNITUDES, PRODUCTS
from qviz.core.passes.counting import (
    BINS,
    DOUBT,
    ENVELOPE,
    FIRST_BIN,
    HISTOGRAM,
    JOINT,
    LEVELS,
    MAYBE_NAN,
    OCCUPANCY,
    WINDOW,
    WINDOW_START,
)

LARGEST_WIDTH = 1.0
"""Divided by no more, an error that is not 0 does not become 0."""

LEAVES = 16
"""Levels of the largest codebook that is searched in registers."""

SIGN = np.int32(-0x80000000)
NEVER = np.float32(np.inf)

EIGHT = np.uint64(8)
OF_TOPS = np.uint64(REGION)
"""Where the magnitudes of runs are kept, behind the sums."""

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
def place_whole(code: Any, one: Any, other: Any, near: Any, window: Any, low: Any, plan: Any) -> Any:
    """Levels one after the other; float32 holds their places without an error."""
    return whole(with_product(near - spread(low * window), code, spread(window)))


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
def place_float(code: Any, units: Any, binade: Any, near: Any, window: Any, low: Any, plan: Any) -> Any:
    """Levels of one sign one after the other: a binade has as many as there are units in the first of its numbers."""
    below = moved_down(binade - spread(np.int32(plan[LOWEST])), np.int32(plan[LACKING] & 31))
    zero = spread(np.int32(plan[PLACE_OF_ZERO])) + units
    index = choose(units < spread(np.int32(0)), zero - below, zero + below)
    return index * spread(np.int32(window)) + whole(near)


@part()
def round_to_leaf(y: Any, before: Any, after: Any, plan: Any, leaves: Any) -> Any:
    """Levels of a codebook, infinite beyond them, by four comparisons each."""
    fourth, eighth, twelfth, after_one, after_two, after_three, levels, first, last = leaves
    four, one, none = spread(np.int32(4)), spread(np.int32(1)), spread(np.int32(0))
    quarter = choose(y >= fourth, four, none) + choose(y >= eighth, four, none) + choose(y >= twelfth, four, none)
    cell = quarter + choose(y >= looked_up(after_one, quarter), one, none)
    cell = cell + choose(y >= looked_up(after_two, quarter), one, none)
    cell = cell + choose(y >= looked_up(after_three, quarter), one, none)
    code = choose(y >= last, spread(NEVER), looked_up(levels, cell))
    return choose(y >= first, code, spread(-NEVER)), cell, cell


@part()
def place_leaf(code: Any, cell: Any, other: Any, near: Any, window: Any, low: Any, plan: Any) -> Any:
    """The level that was found when it was rounded to."""
    return cell * spread(np.int32(window)) + whole(near)


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
        work[FREE + np.uint64(k)] = codebook[k] if k < count else NEVER
        work[FREE + np.uint64(LEAVES + k)] = codebook[after + min(k, count - 1)]
    quarters = spread(work[FREE + np.uint64(4)]), spread(work[FREE + np.uint64(8)]), spread(work[FREE + np.uint64(12)])
    after = load(work, FREE + np.uint64(1)), load(work, FREE + np.uint64(2)), load(work, FREE + np.uint64(3))
    levels = load(work, FREE + np.uint64(LEAVES))
    return *quarters, *after, levels, spread(codebook[0]), spread(codebook[count])


# --- how groups lie: their parameters, and what their errors are added to ----------------------------------------


@part()
def same_for_all(parameters: Any, group: Any, stride: Any) -> Any:
    """One group's parameter for sixteen neighbours."""
    return spread(parameters[group * np.uint64(stride)])


@part()
def one_for_each(parameters: Any, group: Any, stride: Any) -> Any:
    """The parameters of sixteen neighbouring groups."""
    return load(parameters, group) if stride else spread(parameters[0])


@part()
def keep_run(wide: Any, row: Any, squares: Any, tops: Any, found: Any, group: Any) -> None:
    """Keep sums and magnitudes of a run until there are those of eight."""
    store_eight(wide, row, squares)
    store_eight(wide, OF_TOPS + row, tops)


@part()
def keep_columns(wide: Any, row: Any, squares: Any, tops: Any, found: Any, group: Any) -> None:
    """Give the sums and magnitudes of sixteen columns to their groups."""
    sums, largest = found[0], found[1]
    store_wide(sums, group, load_wide(sums, group) + squares)
    store_wide(largest, group, larger(load_wide(largest, group), tops))


@part()
def none_of_run() -> Any:
    """Nothing was clipped yet, of a run."""
    return np.int32(0)


@part()
def none_of_columns() -> Any:
    """Nothing was clipped yet, of sixteen columns."""
    return spread(np.int32(0))


@part()
def more_of_run(clipped: Any, outside: Any) -> Any:
    """How many are clipped of a run with sixteen more."""
    return np.int32(clipped + how_many(outside))


@part()
def more_of_columns(clipped: Any, outside: Any) -> Any:
    """How many are clipped of each of sixteen columns with one more row."""
    return clipped + choose(outside, spread(np.int32(1)), spread(np.int32(0)))


@part()
def count_run(integers: Any, counted: Any, group: Any, clipped: Any) -> None:
    """Count what was clipped of a run."""
    counted[group] += clipped


@part()
def count_columns(integers: Any, counted: Any, group: Any, clipped: Any) -> None:
    """Count what was clipped of sixteen columns."""
    store_words(integers, CLIPPED, clipped)
    for i in range(CHUNK_LENGTH):
        counted[group + i] += integers[CLIPPED + i]


@part(rare=True)
def settle_runs(wide: Any, end: Any, first: Any, found: Any) -> None:
    """Give eight sums and eight magnitudes of each run to its group: those of eight runs at a time."""
    squares, tops = found[0], found[1]
    group, at = first, np.uint64(0)
    while at + EIGHT * EIGHT <= end:
        store_eight(squares, group, load_eight(squares, group) + sums_of_eight(wide, at))
        store_eight(tops, group, larger(load_eight(tops, group), largest_of_eight(wide, OF_TOPS + at)))
        group, at = group + EIGHT, at + EIGHT * EIGHT
    while at < end:
        squares[group] += sum_of(load_eight(wide, at))
        top = largest_of(load_eight(wide, OF_TOPS + at))
        tops[group] = top if top > tops[group] else tops[group]
        group, at = group + np.uint64(1), at + EIGHT


@part(rare=True)
def look_at_values(x: Any, at: Any, n: Any, deep: Any, first: Any, wide: Any, found: Any) -> None:
    """The squares and the largest magnitudes of a stretch of runs of so many chunks each."""
    run, row = deep * CHUNK_LENGTH, np.uint64(0)
    for start in range(np.uint64(0), n, run):
        squares, tops = nothing(), nothing()
        for i in range(start, start + run, CHUNK_LENGTH):
            value = widened(load(x, at + i))
            squares, tops = with_products(squares, value, value), with_largest(tops, magnitude(value))
        store_eight(wide, row, squares)
        store_eight(wide, OF_TOPS + row, tops)
        row += EIGHT
    settle_runs(wide, row, first, found)


RUNS = same_for_all, nothing, with_products, with_largest, keep_run, none_of_run, more_of_run, count_run
COLUMNS = (
    one_for_each,
    nothing_wide,
    with_each_product,
    with_each_largest,
    keep_columns,
    none_of_columns,
    more_of_columns,
    count_columns,
)


# --- the steps ----------------------------------------------------------------------------------------------


def compose(  # noqa: PLR0915  (in registers, or not at all)
    prepared: Any, rounded: Any, placed: Any, *, centred: bool, across: bool = False
) -> Any:
    """The steps for one kind of format.

    Parameters
    ----------
    prepared, rounded, placed : functions
        What is searched, how it is rounded, and where levels are counted: see above.
    centred : bool
        Whether there are no zero points.
    across : bool
        Whether neighbours belong to groups that are neighbours; otherwise they are runs.
    """
    parameter, nothing_yet, with_squares, with_tops, keep, none, more_clipped, count_clipped = (
        COLUMNS if across else RUNS
    )

    def look(  # noqa: PLR0915
        x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, wide: Any, integers: Any, parameters: Any,
        strides: Any, plan: Any, numbers: Any, codebook: Any, totals: Any, found: Any, counted: Any, ahead: Any,
        clips: Any, row_width: Any,
    ) -> Any:  # fmt: skip
        """Look at a stretch of runs, or at a tile of columns.

        Parameters
        ----------
        n, deep : int
            Elements of the stretch, and chunks of each run; or columns of the tile, and its rows.
        first : int
            The first group.
        ahead : int
            Where what is looked at next begins: it is fetched.
        clips : bool
            Whether anything was clipped before; what is clipped is added up only then.
        row_width : int
            From a row to the next; of runs nobody asks.

        Returns
        -------
        doubtful : bool
            Whether codes and errors have to be counted step by step: not all places are to be believed.
        outside : bool
            Whether anything is clipped.
        """
        factor, low, high = np.float32(numbers[0]), np.float32(numbers[1]), np.float32(numbers[2])
        width, multiplies, counting, drawing = numbers[3], plan[MULTIPLIES], plan[JOINT], plan[ENVELOPE]
        lowest, highest, factors, nowhere = spread(low), spread(high), spread(factor), spread(low) != spread(low)
        leaves = prepared(codebook, plan, work)
        # An error in bins is between these two; where both are in one bin, so is it.
        more, less = spread(np.float32((1.0 + DOUBT) / width)), spread(np.float32((1.0 - DOUBT) / width))
        window, first_near = np.float32(plan[WINDOW]), spread(np.float32(plan[WINDOW_START]))
        last_near = bits_of(spread(np.float32(window - ONE)))
        below = np.int32(plan[LEVELS] * plan[WINDOW] + plan[WINDOW_START] - plan[FIRST_BIN])
        places_below, places_above = spread(below), spread(np.int32(below + plan[BINS]))
        last_place = spread(np.int32(plan[LEVELS] * plan[WINDOW] + np.int64(2) * plan[BINS] - 1))
        doubtful = nowhere
        magnitudes, products, beyond, anywhere_outside = nothing(), nothing(), nothing(), nowhere
        scales = parameters[OF_SCALE] if plan[SCALE_AT] else parameters[OF_DIVISOR]
        per_scale = strides[OF_SCALE] if plan[SCALE_AT] else strides[OF_DIVISOR]
        run, step = (CHUNK_LENGTH, row_width) if across else (deep * CHUNK_LENGTH, CHUNK_LENGTH)
        x_hat_step = n if across else CHUNK_LENGTH
        group, row, slot, distance = np.uint64(first), np.uint64(0), np.uint64(0), ahead - at
        for start in range(np.uint64(0), n, run):
            divisor = parameter(parameters[OF_DIVISOR], group, strides[OF_DIVISOR])
            scale = parameter(scales, group, per_scale)
            before = parameter(parameters[OF_BEFORE], group, strides[OF_BEFORE])
            after = parameter(parameters[OF_AFTER], group, strides[OF_AFTER])
            zero_point = parameter(parameters[OF_ZERO], group, strides[OF_ZERO])
            squares, tops, clipped = nothing_yet(), nothing_yet(), none()
            source, target = at + start, X_HAT + start
            for _ in range(deep):
                prefetch(x, source + distance)
                value = load(x, source)
                quotient = value * divisor if multiplies else value / divisor * factors
                free, one, other = rounded(quotient, before, after, plan, leaves)
                code = choose(lowest > free, lowest, free)
                code = choose(highest < code, highest, code)
                outside = code != free
                anywhere_outside = either(anywhere_outside, outside)
                x_hat = code * scale if centred else (code - zero_point) * scale
                exact = widened(value)
                error = widened(x_hat) - exact
                distance_from = magnitude(error)
                magnitudes = with_sum(magnitudes, distance_from)
                products = with_products(products, exact, error)
                squares = with_squares(squares, error, error)
                tops = with_tops(tops, distance_from)
                if clips:
                    lost = only(outside, error)
                    beyond = with_products(beyond, lost, lost)
                    clipped = more_clipped(clipped, outside)
                if drawing:
                    store(work, target, x_hat)
                if counting:
                    narrow = x_hat - value
                    bins = floored(narrow * more)
                    near = bins - first_near
                    place = placed(code, one, other, near, window, low, plan)
                    strange = exceeds(bits_of(near), last_near)
                    if clips:
                        place = choose(free < lowest, places_below + whole(near), place)
                        place = choose(free > highest, places_above + whole(near), place)
                        strange = either(without(strange, outside), exceeds(place, last_place))
                    doubtful = either(doubtful, either(strange, bins != floored(narrow * less)))
                    store_words(integers, PLACE + slot, place)
                source, target, slot = source + step, target + x_hat_step, slot + CHUNK_LENGTH
            keep(wide, row, squares, tops, found, group)
            row += EIGHT
            if clips:
                count_clipped(integers, counted, group, clipped)
            group += CHUNK_LENGTH if across else np.uint64(1)
        if not across:
            settle_runs(wide, row, np.uint64(first), found)
        totals[MAGNITUDES] += sum_of(magnitudes)
        totals[PRODUCTS] += sum_of(products)
        if clips:
            totals[BEYOND_CODES] += sum_of(beyond)
        return anywhere(doubtful), anywhere(anywhere_outside)

    return part()(look)


look_centred = compose(no_leaves, round_centred, place_whole, centred=True)


def compose_for_all(*, across: bool) -> Any:
    """The steps for every format: see `compose`."""
    at_whole = compose(no_leaves, round_centred, place_whole, centred=True, across=across)
    at_whole_apart = compose(no_leaves, round_apart, place_whole, centred=False, across=across)
    at_floats = compose(no_leaves, round_float, place_float, centred=True, across=across)
    at_levels = compose(leaves_of, round_to_leaf, place_leaf, centred=True, across=across)

    def look(
        x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, wide: Any, integers: Any, parameters: Any,
        strides: Any, plan: Any, numbers: Any, codebook: Any, totals: Any, found: Any, counted: Any, ahead: Any,
        clips: Any, row_width: Any,
    ) -> Any:  # fmt: skip
        """The steps for one format."""
        if plan[RULE] == GRID:
            return at_floats(
                x, at, n, deep, first, work, wide, integers, parameters, strides, plan, numbers, codebook, totals,
                found, counted, ahead, clips, row_width,
            )  # fmt: skip
        if plan[RULE] == CODEBOOK:
            return at_levels(
                x, at, n, deep, first, work, wide, integers, parameters, strides, plan, numbers, codebook, totals,
                found, counted, ahead, clips, row_width,
            )  # fmt: skip
        if plan[CENTRED]:
            return at_whole(
                x, at, n, deep, first, work, wide, integers, parameters, strides, plan, numbers, codebook, totals,
                found, counted, ahead, clips, row_width,
            )  # fmt: skip
        return at_whole_apart(
            x, at, n, deep, first, work, wide, integers, parameters, strides, plan, numbers, codebook, totals, found,
            counted, ahead, clips, row_width,
        )  # fmt: skip

    return part()(look)


look_at_runs, look_at_columns = compose_for_all(across=False), compose_for_all(across=True)
