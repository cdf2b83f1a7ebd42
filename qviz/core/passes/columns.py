"""How are groups that lie side by side looked at? By tiles: a few columns, whose sums stay in registers."""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.spreading import (
    ALONG,
    BLOCK,
    CHUNK,
    LENGTH,
    WIDTH,
    spread_columns,
    spread_same,
)
from qviz.core.compiler import kernel, part
from qviz.core.passes.comparing import (
    compare_scattered,
)
from qviz.core.passes.counting import (
    ALL,
    ENVELOPE,
    FIRST_BUCKET,
    HISTOGRAM,
    JOINT,
    LAST_BUCKET,
    OCCUPANCY,
    ONE_BIT,
    TOTALS,
    count_jointly,
)
from qviz.core.passes.lane_figures import add_figures_of_columns
from qviz.core.passes.lane_steps import quantize_columns
from qviz.core.passes.lane_sums import add_clipped_columns, add_columns
from qviz.core.passes.stretches import (
    HIGH,
    LOW,
    count_codes,
    dequantize_stretch,
    draw,
    example,
    round_stretch,
)

TILE, TALLEST = 256, 4
"""Columns and rows of a tile: as many elements as a stretch has, and whole buckets of the envelope."""


@part(rare=True)
def look_at_row(
    x: Any, at: Any, n: Any, flat: Any, group: Any, compared: Any, parameters: Any, strides: Any, plan: Any,
    numbers: Any, codebook: Any, sums: Any, table: Any, tallies: Any, low_of: Any, high_of: Any, ends: Any,
    errors_of: Any, saturated: Any, work: Any, integers: Any, where: Any,
) -> None:  # fmt: skip
    """Look at a row of a tile step by step, for what of it is not told yet."""
    low, high = np.float32(numbers[LOW]), np.float32(numbers[HIGH])
    spread_columns(parameters, strides, work, np.uint64(group), n)
    round_stretch(x, at, n, work, integers, plan, numbers, codebook)
    clipped = dequantize_stretch(work, n, plan, numbers)
    for i in range(n):
        where[i] = np.uint64(group) + i
    if not compared:
        compare_scattered(work, where, n, low, high, sums, errors_of, saturated)
    if plan[OCCUPANCY] or plan[HISTOGRAM]:
        count_codes(work, integers, n, clipped, False, x, at, table, tallies, plan, numbers)
    if plan[ENVELOPE]:
        first_bucket, last_bucket = np.uint64(plan[FIRST_BUCKET]), np.uint64(plan[LAST_BUCKET])
        draw(work, integers, np.uint64(0), n, flat, False, first_bucket, last_bucket, low_of, high_of, ends)


@kernel(example)
def walk_columns(
    x: Any, start: Any, parameters: Any, strides: Any, plan: Any, numbers: Any, codebook: Any, sums: Any, spare: Any,
    table: Any, tallies: Any, low_of: Any, high_of: Any, ends: Any, errors_of: Any, saturated: Any, values_of: Any,
    missing: Any, work: Any, wide: Any, integers: Any, where: Any,
) -> None:  # fmt: skip
    """The walk where groups lie side by side, by tiles of some columns and some rows: see `kernels.walk`.

    A tile with a doubtful place is looked at again row by row.
    """
    spread_same(parameters, work)
    width, length, along, block = plan[WIDTH], plan[LENGTH], plan[ALONG], plan[BLOCK]
    first_row, left = start // width, start % width
    span, rows = min(width, x.size), max(1, x.size // width)
    counting, drawing = plan[OCCUPANCY] or plan[HISTOGRAM], plan[ENVELOPE] > 0
    only_figures = not (plan[TOTALS] or counting or drawing)
    first_bucket, last_bucket = np.uint64(plan[FIRST_BUCKET]), np.uint64(plan[LAST_BUCKET])
    for tile in range(0, span, TILE):
        n = min(TILE, span - tile)
        whole, r = n // CHUNK * CHUNK, 0
        while r < rows:
            row = first_row + r
            deep, group = min(TALLEST, rows - r), left + tile
            if along > 0:
                into = row % length
                deep = min(deep, block - into % block, length - into)
                group += (row // length * along + into // block) * width
            here, size, tall, doubtful = np.uint64(r * width + tile), np.uint64(whole), np.uint64(deep), False
            # What comes next: rows as wide as a power of two have few places in a cache, where no tile would last.
            ahead = np.uint64((r + deep) * width + tile if r + deep < rows else tile + TILE)
            if whole > 0 and only_figures:
                add_figures_of_columns(
                    x, here, size, tall, np.uint64(group), work, integers, parameters, strides, plan, numbers, codebook,
                    errors_of, saturated, np.uint64(width), ahead,
                )  # fmt: skip
            elif whole > 0:
                doubtful, outside = quantize_columns(
                    x, here, size, tall, np.uint64(group), work, integers, parameters, strides, plan, numbers, codebook,
                    ahead, np.uint64(width),
                )  # fmt: skip
                add_columns(
                    x, here, size, tall, np.uint64(group), work, sums, errors_of, np.uint64(width),
                    ahead + (size >> ONE_BIT),
                )  # fmt: skip
                if outside and add_clipped_columns(
                    x, here, size, tall, np.uint64(group), work, integers, plan, numbers, sums, saturated,
                    np.uint64(width),
                ):  # fmt: skip
                    doubtful = True
            certain = whole > 0 and not (counting and doubtful)
            if certain and plan[JOINT]:
                count_jointly(integers, size * tall, table, x, here, ALL)
            for k in range(tall):
                at = here + k * np.uint64(width)
                flat = np.uint64(start) + at
                if not certain and whole > 0:
                    look_at_row(
                        x, at, size, flat, group, True, parameters, strides, plan, numbers,
                        codebook, sums, table, tallies, low_of, high_of, ends, errors_of, saturated, work, integers,
                        where,
                    )  # fmt: skip
                elif drawing:
                    draw(
                        work, integers, k * size, size, flat, False, first_bucket, last_bucket,
                        low_of, high_of, ends,
                    )  # fmt: skip
                if whole < n:
                    look_at_row(
                        x, at + size, np.uint64(n - whole), flat + size, group + whole, False,
                        parameters, strides, plan, numbers, codebook, sums, table, tallies, low_of, high_of,
                        ends, errors_of, saturated, work, integers, where,
                    )  # fmt: skip
            r += deep
