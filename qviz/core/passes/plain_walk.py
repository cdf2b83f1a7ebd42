"""How are whole numbers around 0 looked at, with one scale or one for each long run? What windows begin with.

It is compiled first, in a fraction of the time that `qviz.core.passes.kernels.walk` takes, and serves until that is.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import MULTIPLIES, SCALE_AT, X_HAT
from qviz.core.arithmetic.spreading import CHUNK, long_run
from qviz.core.compiler import kernel, part
from qviz.core.passes.comparing import BEYOND_CODES, MAGNITUDES, PRODUCTS
from qviz.core.passes.counting import (
    BINS,
    ENVELOPE,
    FIRST_BIN,
    FIRST_BUCKET,
    HALF,
    JOINT,
    LAST_BUCKET,
    LEVELS,
    ONE_BIT,
    SIGNAL,
    WINDOW,
    WINDOW_START,
    bin_of,
    count_jointly,
)
from qviz.core.passes.lane_steps import OF_DIVISOR, OF_SCALE, quantize_centred
from qviz.core.passes.lane_sums import add_clipped_runs, add_runs, add_values
from qviz.core.passes.stretches import BIN_WIDTH, FACTOR, HIGH, LOW, draw, example


@part(rare=True)
def take_one_by_one(
    x: Any, at: Any, n: Any, group: Any, compared: Any, parameters: Any, strides: Any, plan: Any, numbers: Any,
    sums: Any, table: Any, tallies: Any, errors_of: Any, saturated: Any, values_of: Any, work: Any,
) -> None:  # fmt: skip
    """All that is not told yet of elements of one group: few of them, and whole numbers around 0."""
    factor, low, high = np.float32(numbers[FACTOR]), np.float32(numbers[LOW]), np.float32(numbers[HIGH])
    bin_width, first = numbers[BIN_WIDTH], np.float64(plan[FIRST_BIN])
    last = first + np.float64(plan[BINS] - 1)
    divisor = parameters[OF_DIVISOR][group * strides[OF_DIVISOR]]
    scale = parameters[OF_SCALE][group * strides[OF_SCALE]] if plan[SCALE_AT] else divisor
    for i in range(n):
        value = x[at + i]
        free = np.rint(value * divisor if plan[MULTIPLIES] else value / divisor * factor)
        code = low if free < low else free
        code = high if code > high else code
        x_hat, exact = np.float32(code * scale), np.float64(value)
        work[X_HAT + i] = x_hat
        error = np.float64(x_hat) - exact
        square, magnitude = error * error, abs(error)
        if not compared:
            sums[MAGNITUDES] += magnitude
            sums[PRODUCTS] += exact * error
            errors_of[0, group] += square
            errors_of[1, group] = max(errors_of[1, group], magnitude)
            if code != free:
                sums[BEYOND_CODES] += square
                saturated[group] += 1
            if plan[SIGNAL]:
                values_of[0, group] += exact * exact
                values_of[1, group] = max(values_of[1, group], abs(exact))
        if plan[JOINT]:
            place = np.int64(bin_of(error, 1.0 / bin_width, bin_width, first, last))
            index, near = np.int64(code - low), place - plan[WINDOW_START]
            if code != free:
                below = plan[LEVELS] * plan[WINDOW] - plan[FIRST_BIN] + place
                table[below if free < low else below + plan[BINS]] += np.uint32(1)
            elif near < 0 or near >= plan[WINDOW]:
                tallies[index] += 1
                tallies[plan[LEVELS] - plan[FIRST_BIN] + place] += 1
            else:
                table[index * plan[WINDOW] + near] += np.uint32(1)


@kernel(example)
def walk_plainly(
    x: Any, start: Any, parameters: Any, strides: Any, plan: Any, numbers: Any, codebook: Any, sums: Any, spare: Any,
    table: Any, tallies: Any, low_of: Any, high_of: Any, ends: Any, errors_of: Any, saturated: Any, values_of: Any,
    missing: Any, work: Any, wide: Any, integers: Any, where: Any,
) -> None:  # fmt: skip
    """The walk for whole numbers around 0 with one scale, or one for each long run: see `walk`.

    It is compiled first, in a fraction of the time: windows begin with such numbers.
    """
    first_bucket, last_bucket = np.uint64(plan[FIRST_BUCKET]), np.uint64(plan[LAST_BUCKET])
    at = 0
    while at < x.size:
        n, _, group = long_run(plan, start + at, x.size - at)
        here, size, chunks = np.uint64(at), np.uint64(n), np.uint64(n // CHUNK)
        doubtful = False
        if chunks > 0:
            n = n // CHUNK * CHUNK
            size, first = np.uint64(n), np.uint64(group)
            doubtful, outside = quantize_centred(
                x, here, size, chunks, first, work, integers, parameters, strides, plan, numbers, codebook,
                here + size, np.uint64(0),
            )  # fmt: skip
            behind = here + size + (size >> ONE_BIT)
            add_runs(x, here, size, chunks, first, work, wide, sums, errors_of, False, here if plan[JOINT] else behind)
            if outside and add_clipped_runs(
                x, here, size, chunks, first, work, integers, plan, numbers, sums, saturated, np.uint64(0)
            ):
                doubtful = True
            if plan[SIGNAL]:
                add_values(x, here, size, chunks, first, wide, values_of, False)
        if chunks == 0 or (plan[JOINT] and doubtful):
            take_one_by_one(
                x, here, size, group, chunks > 0, parameters, strides, plan, numbers, sums, table, tallies, errors_of,
                saturated, values_of, work,
            )  # fmt: skip
        elif plan[JOINT]:
            count_jointly(integers, size, table, x, here + size + (size >> ONE_BIT), HALF)
        if plan[ENVELOPE]:
            flat = np.uint64(start + at)
            draw(work, integers, np.uint64(0), size, flat, False, first_bucket, last_bucket, low_of, high_of, ends)
        at += n
