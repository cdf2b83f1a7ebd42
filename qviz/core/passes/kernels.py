"""How far is one read of memory from the answer? One compiled walk for everything that a frame shows.

A piece of the tensor is walked stretch by stretch: quantized by the loops of `qviz.core.arithmetic.loops`, compared,
added up for each group, counted and drawn, each where somebody asked for it, while the stretch is in the nearest
cache. Where the groups lie decides how their parameters are spread over a stretch and how its sums are collected:
side by side (columns), in runs, or scattered.

An array is a dozen words, even where the compiler puts a part in its place: hence few of them, with many regions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import (
    CENTRED,
    RULE,
    SHIFTS,
    STRETCH,
    VALUE,
    WHOLE,
    fetch,
    fetch_ahead,
)
from qviz.core.arithmetic.spreading import (
    ALONG,
    BLOCK,
    CHUNK,
    COLUMNS,
    LENGTH,
    WIDTH,
    lie_of_stretch,
    lies_in_long_runs,
    spread_columns,
    spread_same,
    spread_stretch,
)
from qviz.core.compiler import Kernel, kernel
from qviz.core.passes.columns import walk_columns
from qviz.core.passes.comparing import (
    OF_VALUES,
    add_beyond,
    add_clipped,
    compare_columns,
    compare_run,
    compare_scattered,
    count_columns,
    settle_columns,
)
from qviz.core.passes.counting import (
    ENVELOPE,
    FIRST_BUCKET,
    HALF,
    HISTOGRAM,
    JOINT,
    LAST_BUCKET,
    MAYBE_NAN,
    OCCUPANCY,
    ONCE,
    ONE_BIT,
    SIGNAL,
    TOTALS,
    count_jointly,
)
from qviz.core.passes.lane_figures import add_figures_of_runs
from qviz.core.passes.lane_steps import knows, quantize_runs
from qviz.core.passes.lane_sums import add_clipped_runs, add_runs, add_values
from qviz.core.passes.plain_walk import walk_plainly
from qviz.core.passes.stretches import (
    BIN_WIDTH,
    CLIPPED_IN,
    HIGH,
    LOW,
    MISSING_IN,
    count_codes,
    dequantize_stretch,
    draw,
    example,
    hide,
    quantize_plain,
    round_stretch,
    show_values,
)

# --- the walk --------------------------------------------------------------------------------------------


@kernel(example)
def walk(  # noqa: PLR0912, PLR0915  (passing arrays on is not free)
    x: Any, start: Any, parameters: Any, strides: Any, plan: Any, numbers: Any, codebook: Any, sums: Any,
    spare: Any, table: Any, tallies: Any, low_of: Any, high_of: Any, ends: Any, errors_of: Any, saturated: Any,
    values_of: Any, missing: Any, work: Any, wide: Any, integers: Any, where: Any,
) -> None:  # fmt: skip
    """Look at a piece of a tensor, the elements from ``start`` on.

    Parameters
    ----------
    x : float32 array
        Flat and contiguous: whole rows, or a part of one.
    start : int
        The flat index of its first element.
    parameters, strides, codebook
        See `qviz.core.arithmetic.loops.Steps`.
    plan : int64 array, shape (PLAN,)
        Its ``kind``, then what is asked for, and how the groups and the bins lie; see the places above.
    numbers : float64 array, shape (4,)
        Factor, first and last code, width of an error bin.
    sums, spare : float64 arrays, shape (3,)
        Σ|e|, Σx·e, Σe² of the clipped; those of values as errors, which nobody asks for.
    table : uint32 array
        Counts of codes and errors together.
    tallies : int64 array
        Counts of codes, of rounding errors, and of errors of the clipped, in `IN_TURN` places each; `SPARE` more.
    low_of, high_of, ends : float32 arrays
        The buckets of the envelope, and those that the piece shares with others.
    errors_of, saturated, values_of, missing : arrays of shape (2, groups) and (groups,)
        Σe² and max |e| of each group, and its clipped elements; Σx² and max |x|, and its missing elements.
    work, wide, integers, where : arrays
        `memory`.
    """
    spread_same(parameters, work)
    low, high = np.float32(numbers[LOW]), np.float32(numbers[HIGH])
    columns, width = plan[COLUMNS], plan[WIDTH]
    length, along, block = plan[LENGTH], plan[ALONG], plan[BLOCK]
    first_row, left = start // width, start % width
    span, rows = min(width, x.size), max(1, x.size // width)
    at, tile, r = 0, 0, 0
    group, present = np.int64(0), np.int64(-1)
    # Few pieces of memory can be on their way at once: best one at a time, in a loop that has others to wait for.
    counts_ahead, once = plan[JOINT] > 0, plan[ONCE] > 0
    counting = plan[OCCUPANCY] or plan[HISTOGRAM]
    in_steps = not (plan[RULE] == WHOLE and plan[CENTRED] and not (plan[MAYBE_NAN] or plan[SHIFTS]))
    only_figures = not (plan[TOTALS] or counting or plan[ENVELOPE])
    looks = knows(plan, numbers[BIN_WIDTH])
    while True:
        chunks, settles = 0, False
        if columns:  # a stretch of one row, then of the next one
            if tile >= span:
                break
            n = min(STRETCH, span - tile)
            row, at = first_row + r, r * width + tile
            if r == 0 or (along > 0 and (row % length % block == 0 or row % length == 0)):
                group = (row // length * along + row % length // block) * width + left + tile
                spread_columns(parameters, strides, work, np.uint64(group), np.uint64(n))
            r += 1
            settles = r == rows or (along > 0 and ((row + 1) % length % block == 0 or (row + 1) % length == 0))
        else:
            if at >= x.size:
                break
            n, chunks, group = lie_of_stretch(plan, start + at, x.size - at)
        here, flat, clipped, lacking, run = np.uint64(at), np.uint64(start + at), 0, 0, np.int64(0)
        ahead = here + np.uint64(width) if columns else here + np.uint64(n)
        looked_at = looks and not columns and (chunks > 0 or (chunks == 0 and n >= CHUNK))
        placed = False
        if looked_at:
            n -= n % CHUNK
            run = np.int64(chunks if chunks > 0 else n // CHUNK)
            size, deep, first, doubtful = np.uint64(n), np.uint64(run), np.uint64(group), False
            if only_figures:
                add_figures_of_runs(
                    x, here, size, deep, first, work, wide, parameters, strides, plan, numbers, codebook,
                    errors_of, saturated, once, ahead,
                )  # fmt: skip
            else:
                doubtful, outside = quantize_runs(
                    x, here, size, deep, first, work, integers, parameters, strides, plan, numbers, codebook,
                    ahead, np.uint64(0),
                )  # fmt: skip
                behind = here if counts_ahead else ahead + (size >> ONE_BIT)
                add_runs(x, here, size, deep, first, work, wide, sums, errors_of, once, behind)
                if outside and add_clipped_runs(
                    x, here, size, deep, first, work, integers, plan, numbers, sums, saturated, np.uint64(0)
                ):
                    doubtful = True
            if plan[SIGNAL]:
                add_values(x, here, size, deep, first, wide, values_of, once)
            placed = counts_ahead and not doubtful
        size = np.uint64(n)
        if not looked_at or (counting and not placed):
            if not columns:
                present = spread_stretch(parameters, strides, plan, work, where, start + at, n, chunks, group, present)
            if in_steps:
                lacking = round_stretch(x, here, size, work, integers, plan, numbers, codebook)
                clipped = dequantize_stretch(work, size, plan, numbers)
                if lacking:
                    hide(work, integers, size)
            else:
                clipped, lacking = quantize_plain(x, here, size, work, integers, plan, numbers, codebook)
        maybe_nan = lacking > 0
        if placed:
            count_jointly(integers, size, table, x, ahead + (size >> ONE_BIT), HALF)
        elif counting:
            count_codes(work, integers, size, clipped, maybe_nan, x, ahead, table, tallies, plan, numbers)
        if plan[ENVELOPE]:
            first_bucket, last_bucket = np.uint64(plan[FIRST_BUCKET]), np.uint64(plan[LAST_BUCKET])
            draw(
                work, integers, np.uint64(0), size, flat, maybe_nan, first_bucket, last_bucket, low_of, high_of, ends
            )  # fmt: skip
        for of_values in range(0 if looked_at else 2 if plan[SIGNAL] else 1):
            found, counted, totals = (values_of, missing, spare) if of_values else (errors_of, saturated, sums)
            columns_at, counts_at = (OF_VALUES, MISSING_IN) if of_values else (np.uint64(0), CLIPPED_IN)
            if of_values:
                clipped = fetch(x, here, work, integers, size)
                show_values(work, integers, size, low)
            if columns:
                compare_columns(work, wide, size, columns_at, totals)
                if clipped:
                    count_columns(work, integers, size, low, high, counts_at)
                    add_beyond(work, size, low, high, totals)
                if settles:
                    settle_columns(wide, integers, size, columns_at, counts_at, np.uint64(group), found, counted)
            elif chunks > 0:
                fetch_ahead(x, ahead, ahead + size)
                add_runs(work, VALUE, size, np.uint64(chunks), np.uint64(group), work, wide, totals, found, once, VALUE)
                if clipped:
                    add_clipped(work, size, np.uint64(chunks), np.uint64(group), low, high, totals, counted)
            elif chunks < 0:
                compare_scattered(work, where, size, low, high, totals, found, counted)
            else:
                compare_run(work, size, group, totals, found)
                counted[group] += clipped
                if clipped:
                    add_beyond(work, size, low, high, totals)
        at += n
        if columns and r == rows:
            r, tile = 0, tile + n


def walk_for(plan: Any, width: float) -> Kernel:
    """The walk for a plan, of bins so wide; the plainest that knows it, as long as no other one is compiled."""
    if plan[COLUMNS] and walk_columns.ready and not plan[SIGNAL] and knows(plan, width):
        return walk_columns
    whole = plan[RULE] == WHOLE and plan[CENTRED] and knows(plan, width)
    plain = whole and not plan[COLUMNS] and lies_in_long_runs(plan)
    return walk_plainly if plain and not walk.ready else walk
