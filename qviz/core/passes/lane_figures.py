"""What do the errors of runs and columns come to, where only figures are asked? Quantized and added up at once.

Nothing is written but the sums. Where codes are counted or x̂ is drawn, `lane_steps` and `lane_sums` do the same one
after the other: few processors have registers for all of that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.loops import CENTRED, CLIPPED, CODEBOOK, GRID, MULTIPLIES, RULE, SCALE_AT
from qviz.core.arithmetic.spreading import CHUNK_LENGTH
from qviz.core.compiler import part, prefetch
from qviz.core.lanes import (
    anywhere_negative,
    first_eight,
    how_many_negative,
    larger,
    last_eight,
    load,
    load_eight,
    magnitude,
    marked,
    nothing,
    spread,
    store_eight,
    store_words,
    widened_eight,
    with_product,
)
from qviz.core.passes.lane_steps import (
    OF_AFTER,
    OF_BEFORE,
    OF_DIVISOR,
    OF_SCALE,
    OF_ZERO,
    chunk_apart,
    chunk_centred,
    chunk_of_floats,
    chunk_of_levels,
    leaves_of,
    no_leaves,
    one_for_each,
    same_for_all,
)
from qviz.core.passes.lane_sums import EIGHT, OF_TOPS, settle_runs


def compose_runs(prepared: Any, quantized: Any) -> Any:
    """The figures of runs in one kind of format: see `lane_steps.compose`."""

    def add_runs(
        x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, wide: Any, parameters: Any, strides: Any,
        plan: Any, numbers: Any, codebook: Any, found: Any, counted: Any, once: Any, ahead: Any,
    ) -> None:  # fmt: skip
        """Add up the errors of a stretch of runs of so many chunks each; as much is fetched from ``ahead`` on."""
        lowest, highest = spread(np.float32(numbers[1])), spread(np.float32(numbers[2]))
        factors, multiplies, leaves = spread(np.float32(numbers[0])), plan[MULTIPLIES], prepared(codebook, plan, work)
        scales = parameters[OF_SCALE] if plan[SCALE_AT] else parameters[OF_DIVISOR]
        per_scale = strides[OF_SCALE] if plan[SCALE_AT] else strides[OF_DIVISOR]
        source, fetched, group, row = at, ahead, np.uint64(first), np.uint64(0)
        for _ in range(np.uint64(0), n, deep * CHUNK_LENGTH):
            divisor = same_for_all(parameters[OF_DIVISOR], group, strides[OF_DIVISOR])
            scale = same_for_all(scales, group, per_scale)
            before = same_for_all(parameters[OF_BEFORE], group, strides[OF_BEFORE])
            after = same_for_all(parameters[OF_AFTER], group, strides[OF_AFTER])
            zero_point = same_for_all(parameters[OF_ZERO], group, strides[OF_ZERO])
            squares, tops, clipped = nothing(), nothing(), np.int64(0)
            for _ in range(deep):
                prefetch(x, fetched)
                free, _, _, code, x_hat = quantized(
                    load(x, source), divisor, before, after, zero_point, scale, lowest, highest, factors, multiplies,
                    plan, leaves,
                )  # fmt: skip
                outside = marked(code != free)
                clipped += how_many_negative(outside)
                one = first_eight(x_hat) - widened_eight(x, source)
                other = last_eight(x_hat) - widened_eight(x, source + EIGHT)
                squares = with_product(with_product(squares, one, one), other, other)
                tops = larger(larger(tops, magnitude(one)), magnitude(other))
                source, fetched = source + CHUNK_LENGTH, fetched + CHUNK_LENGTH
            store_eight(wide, row, squares)
            store_eight(wide, OF_TOPS + row, tops)
            counted[group] += clipped
            row, group = row + EIGHT, group + np.uint64(1)
        settle_runs(wide, row, first, found, once)

    return part(rare=True)(add_runs)


def compose_columns(prepared: Any, quantized: Any) -> Any:
    """The figures of columns in one kind of format: see `lane_steps.compose`."""

    def add_columns(
        x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, integers: Any, parameters: Any, strides: Any,
        plan: Any, numbers: Any, codebook: Any, found: Any, counted: Any, row_width: Any, ahead: Any,
    ) -> None:  # fmt: skip
        """Add up the errors of a tile of so many rows, each column for its group; as much is fetched."""
        lowest, highest = spread(np.float32(numbers[1])), spread(np.float32(numbers[2]))
        factors, multiplies, leaves = spread(np.float32(numbers[0])), plan[MULTIPLIES], prepared(codebook, plan, work)
        scales = parameters[OF_SCALE] if plan[SCALE_AT] else parameters[OF_DIVISOR]
        per_scale = strides[OF_SCALE] if plan[SCALE_AT] else strides[OF_DIVISOR]
        sums, largest, group = found[0], found[1], np.uint64(first)
        for start in range(np.uint64(0), n, CHUNK_LENGTH):
            divisor = one_for_each(parameters[OF_DIVISOR], group, strides[OF_DIVISOR])
            scale = one_for_each(scales, group, per_scale)
            before = one_for_each(parameters[OF_BEFORE], group, strides[OF_BEFORE])
            after = one_for_each(parameters[OF_AFTER], group, strides[OF_AFTER])
            zero_point = one_for_each(parameters[OF_ZERO], group, strides[OF_ZERO])
            squares, other_squares = load_eight(sums, group), load_eight(sums, group + EIGHT)
            tops, other_tops = load_eight(largest, group), load_eight(largest, group + EIGHT)
            source, fetched, clipped = at + start, ahead + start, spread(np.int32(0))
            for _ in range(deep):
                prefetch(x, fetched)
                free, _, _, code, x_hat = quantized(
                    load(x, source), divisor, before, after, zero_point, scale, lowest, highest, factors, multiplies,
                    plan, leaves,
                )  # fmt: skip
                outside = marked(code != free)
                clipped = clipped + outside
                one = first_eight(x_hat) - widened_eight(x, source)
                other = last_eight(x_hat) - widened_eight(x, source + EIGHT)
                squares, other_squares = with_product(squares, one, one), with_product(other_squares, other, other)
                tops, other_tops = larger(tops, magnitude(one)), larger(other_tops, magnitude(other))
                source, fetched = source + row_width, fetched + row_width
            store_eight(sums, group, squares)
            store_eight(sums, group + EIGHT, other_squares)
            store_eight(largest, group, tops)
            store_eight(largest, group + EIGHT, other_tops)
            if anywhere_negative(clipped):
                store_words(integers, CLIPPED, clipped)
                for i in range(CHUNK_LENGTH):
                    counted[group + i] -= integers[CLIPPED + i]
            group += CHUNK_LENGTH

    return part(rare=True)(add_columns)


def for_all(compose: Any) -> Any:
    """The figures for every format."""
    of_whole, of_whole_apart = compose(no_leaves, chunk_centred), compose(no_leaves, chunk_apart)
    of_floats, of_levels = compose(no_leaves, chunk_of_floats), compose(leaves_of, chunk_of_levels)

    def add_them(
        x: Any, at: Any, n: Any, deep: Any, first: Any, work: Any, memory: Any, parameters: Any, strides: Any,
        plan: Any, numbers: Any, codebook: Any, found: Any, counted: Any, how: Any, ahead: Any,
    ) -> None:  # fmt: skip
        """The figures for one format."""
        if plan[RULE] == GRID:
            of_floats(
                x, at, n, deep, first, work, memory, parameters, strides, plan, numbers, codebook, found,
                counted, how, ahead,
            )  # fmt: skip
        elif plan[RULE] == CODEBOOK:
            of_levels(
                x, at, n, deep, first, work, memory, parameters, strides, plan, numbers, codebook, found,
                counted, how, ahead,
            )  # fmt: skip
        elif plan[CENTRED]:
            of_whole(
                x, at, n, deep, first, work, memory, parameters, strides, plan, numbers, codebook, found,
                counted, how, ahead,
            )  # fmt: skip
        else:
            of_whole_apart(
                x, at, n, deep, first, work, memory, parameters, strides, plan, numbers, codebook, found,
                counted, how, ahead,
            )  # fmt: skip

    return part()(add_them)


add_figures_of_runs, add_figures_of_columns = for_all(compose_runs), for_all(compose_columns)
