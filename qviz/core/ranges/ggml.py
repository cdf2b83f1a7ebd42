"""Which scales, minima and codes does ggml give to blocks of 256? K-quants and IQ4, with and without importances.

The source is ggml's ``ggml-quants.c``, compiled without fused multiply-adds: ``quantize_row_*_ref`` without
importances, ``quantize_row_*_impl`` with them. Equal to the last bit (`tests/golden/record_ggml.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.compiler import demand, kernel, part
from qviz.core.problems import Problem
from qviz.core.ranges.ggml_search import (
    IQ4_NL,
    ONE,
    SMALLEST,
    ZERO,
    half_bits,
    half_value,
    level,
    level_scale,
    moved_scale,
    nearest,
    positive_scale,
    scale_and_minimum,
    signed_scale,
)
from qviz.core.ranges.ggml_types import LEVELS, Q2, Q3, Q4, Q5, Q6, SUPERBLOCK, TYPES, Blocks
from qviz.core.work import IsCancelled, Progress, check, ignore, never

MOST_GROUPS = 16
"""Groups of a block, at most."""

TRIES = 7
"""Scales that IQ4 tries on both sides."""

_PIECE = 256
"""Blocks between two looks at the cancel flag."""


@part()
def _weigh(x: Any, given: Any, w: Any, at: Any, block: Any, group: Any, kind: Any, weighted: Any) -> None:
    """What an error of each element of a block costs."""
    at, block, group = np.uint64(at), np.uint64(block), np.uint64(group)
    squares = ZERO
    if weighted or kind == LEVELS:
        for i in range(block):
            squares += x[at + i] * x[at + i]
    if kind == LEVELS:
        variance = squares * (np.float32(2) / np.float32(block))
    elif kind == Q2:
        variance = squares / np.float32(block)
    else:
        variance = np.float32(2) * squares / np.float32(block)
    for first in range(np.uint64(0), block, group):
        mean = ZERO
        if not weighted and (kind == Q4 or kind == Q5):
            for i in range(group):
                mean += x[at + first + i] * x[at + first + i]
            mean = np.float32(math.sqrt(mean / np.float32(group)))
        for i in range(group):
            value = x[at + first + i]
            if weighted and kind == Q6:
                w[first + i] = given[first + i]
            elif weighted:
                w[first + i] = given[first + i] * np.float32(math.sqrt(variance + value * value))
            elif kind == Q2:
                w[first + i] = abs(value)
            elif kind == Q4 or kind == Q5:
                w[first + i] = mean + abs(value)
            else:
                w[first + i] = value * value


def _example() -> tuple[Any, ...]:
    f, i = np.zeros(256, np.float32), np.zeros(256, np.int32)
    x = np.zeros(256, np.float32)
    x.flags.writeable = False  # as what is mapped; one that may be written to passes as such
    return x, x, False, Q4, 256, 32, i, i, i, np.zeros(2, np.uint16), f, IQ4_NL, f, f, f, f, f, i, i, 0, 1


@kernel(_example, later=True)
def search(
    x: Any,
    given: Any,
    weighted: Any,
    kind: Any,
    block: Any,
    group: Any,
    codes: Any,
    scales: Any,
    minima: Any,
    halves: Any,
    inverses: Any,
    levels: Any,
    xs: Any,
    w: Any,
    found: Any,
    lows: Any,
    sums: Any,
    each: Any,
    tried: Any,
    start: Any,
    stop: Any,
) -> None:
    """Encode the blocks from ``start`` to ``stop``; ``xs`` to ``tried`` are a thread's own memory."""
    groups = block // group
    for number in range(start, stop):
        at, row = number * block, number * groups
        for i in range(np.uint64(block)):
            xs[i] = x[np.uint64(at) + i]
        importances = given[(at % given.size) :] if weighted else given
        _weigh(xs, importances, w, 0, block, group, kind, weighted)
        if kind == LEVELS:
            _levels(xs, w, levels, block, group, found, each, scales, minima, row, halves, inverses, number)
        elif kind == Q3 or kind == Q6:
            _signed(xs, w, kind, weighted, block, group, found, sums, each, tried, scales, minima, row, halves, number)
        else:
            _with_minima(
                xs, w, kind, weighted, block, group, found, lows, sums, each, tried, scales, minima, row, halves, number
            )
        for i in range(np.uint64(block)):
            codes[np.uint64(at) + i] = each[i]


@part()
def _with_minima(
    x: Any,
    w: Any,
    kind: Any,
    weighted: Any,
    block: Any,
    group: Any,
    found: Any,
    lows: Any,
    sums: Any,
    each: Any,
    tried: Any,
    scales: Any,
    minima: Any,
    row: Any,
    halves: Any,
    number: Any,
) -> None:
    groups = block // group
    last = 3 if kind == Q2 else 15 if kind == Q4 else 31
    most = 15 if kind == Q2 else 63
    if weighted:
        start, width, steps = np.float32(-0.9), np.float32(0.05), 36
    elif kind == Q4:
        start, width, steps = np.float32(-1), np.float32(0.1), 20
    else:
        start, width, steps = np.float32(-0.5), np.float32(0.1), 15
    top_scale, top_low = ZERO, ZERO
    for j in range(groups):
        total = ZERO
        for i in range(np.uint64(group)):
            total += w[np.uint64(j * group) + i]
        sums[j] = total
        scale, low = scale_and_minimum(
            x, w, each, tried, j * group, group, last, start, width, steps, kind == Q2 and not weighted, weighted
        )
        found[j], lows[j] = scale, low
        top_scale = scale if scale > top_scale else top_scale
        top_low = low if low > top_low else top_low
    if weighted:
        half = half_bits(positive_scale(found, sums, tried, groups, most))
        for j in range(groups):
            scales[row + j] = min(most, tried[j])
        low_half = half_bits(positive_scale(lows, sums, tried, groups, most))
        for j in range(groups):
            minima[row + j] = min(most, tried[j])
    else:
        top = np.float32(most)
        inverse = top / top_scale if top_scale > ZERO else ZERO
        low_inverse = top / top_low if top_low > ZERO else ZERO
        for j in range(groups):
            scales[row + j] = min(most, np.int32(np.uint8(nearest(inverse * found[j]))))
            minima[row + j] = min(most, np.int32(np.uint8(nearest(low_inverse * lows[j]))))
        half, low_half = half_bits(top_scale / top), half_bits(top_low / top)
    halves[2 * number], halves[2 * number + 1] = half, low_half
    for j in range(groups):
        step = half_value(half) * np.float32(scales[row + j])
        if step != ZERO:
            low = half_value(low_half) * np.float32(minima[row + j])
            for i in range(np.uint64(j * group), np.uint64((j + 1) * group)):
                each[i] = max(0, min(last, nearest((x[i] + low) / step)))


@part()
def _signed(
    x: Any,
    w: Any,
    kind: Any,
    weighted: Any,
    block: Any,
    group: Any,
    found: Any,
    sums: Any,
    each: Any,
    tried: Any,
    scales: Any,
    minima: Any,
    row: Any,
    halves: Any,
    number: Any,
) -> None:
    groups = block // group
    middle = 4 if kind == Q3 else 32
    most, most_size = ZERO, ZERO
    for j in range(groups):
        total = ZERO
        for i in range(np.uint64(group)):
            total += w[np.uint64(j * group) + i]
        sums[j] = total
        if kind == Q3 and not weighted:
            found[j] = moved_scale(x, each, j * group, group, middle)
        else:
            found[j] = signed_scale(x, w, each, j * group, group, middle, weighted)
        minima[row + j] = 0
        size = abs(found[j])
        if size > most_size:
            most, most_size = found[j], size
    half = np.uint16(0)
    if kind == Q6:
        if most_size < SMALLEST:
            for i in range(block):
                each[i] = 0
            for j in range(groups):
                scales[row + j] = 0
            halves[2 * number] = half
            return
        inverse = np.float32(-128) / most
        half = half_bits(ONE / inverse)
        for j in range(groups):
            scales[row + j] = np.int32(np.int8(min(127, nearest(inverse * found[j]))))
    elif weighted:
        half = half_bits(signed_scale(found, sums, tried, 0, groups, 32, True))
        for j in range(groups):
            scales[row + j] = tried[j] - 32
    elif most != ZERO:
        inverse = np.float32(-32) / most
        half = half_bits(ONE / inverse)
        for j in range(groups):
            scales[row + j] = max(-32, min(31, np.int32(np.int8(nearest(inverse * found[j])))))
    else:
        for j in range(groups):
            scales[row + j] = -32
    halves[2 * number] = half
    for j in range(groups):
        step = half_value(half) * np.float32(scales[row + j])
        if step != ZERO:
            for i in range(np.uint64(j * group), np.uint64((j + 1) * group)):
                each[i] = max(-middle, min(middle - 1, nearest(x[i] / step))) + middle


@part()
def _levels(
    x: Any,
    w: Any,
    levels: Any,
    block: Any,
    group: Any,
    found: Any,
    each: Any,
    scales: Any,
    minima: Any,
    row: Any,
    halves: Any,
    inverses: Any,
    number: Any,
) -> None:
    groups = block // group
    most, most_size = ZERO, ZERO
    for j in range(groups):
        found[j] = level_scale(x, w, levels, j * group, group, TRIES)
        minima[row + j] = 0
        size = abs(found[j])
        if size > most_size:
            most, most_size = found[j], size
    if groups == 1:
        halves[2 * number] = half_bits(found[0])
        scales[row] = 1
        inverse = ONE / found[0] if found[0] != ZERO else ZERO
        inverses[row] = inverse
        for i in range(block):
            each[i] = level(levels, inverse * x[i])
        return
    step = -most / np.float32(32)
    halves[2 * number] = half_bits(step)
    inverse = ONE / step if step != ZERO else ZERO
    for j in range(groups):
        whole = max(-32, min(31, nearest(inverse * found[j])))
        scales[row + j] = whole
        of_group = step * np.float32(whole)
        back = ONE / of_group if of_group != ZERO else ZERO
        inverses[row + j] = back
        for i in range(np.uint64(j * group), np.uint64((j + 1) * group)):
            each[i] = level(levels, back * x[i])


def encode(
    x: FloatArray,
    name: str,
    importances: FloatArray | None = None,
    *,
    threads: int = 1,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Blocks:
    """Rows of values as ggml encodes them.

    Parameters
    ----------
    x : float32 array of shape (rows, columns)
        Finite values; ``columns`` is a multiple of the type's block.
    name : str
        One of `TYPES`.
    importances : float32 array of shape (columns,), optional
        What an error of each column costs, as an importance matrix has it; the same for every row.
    threads : int
    progress, cancelled : callables

    Raises
    ------
    Problem
        Where rows do not divide into blocks, or the compiled searches are not to be had.
    Cancelled
        When asked to stop.
    """
    kind = TYPES[name]
    columns = x.shape[1]
    if columns % kind.block:
        raise Problem(
            "{type} needs rows of a multiple of {block} elements, and these have {columns}: choose a type of "
            "smaller blocks, as llama.cpp does for such rows.",
            type=name,
            block=kind.block,
            columns=columns,
        )
    if not demand(search):
        raise Problem(
            "{type} is found by searches that only compiled code does in reasonable time, and numba is not to be had "
            "here: install it, or choose Q4_0, Q5_0 or Q8_0.",
            type=name,
        )
    flat = np.ascontiguousarray(x, np.float32).reshape(-1)
    given = np.ones(1, np.float32) if importances is None else np.ascontiguousarray(importances, np.float32)
    blocks, groups = flat.size // kind.block, kind.block // kind.group
    codes = np.empty(flat.size, np.int32)
    scales, minima = np.empty(blocks * groups, np.int32), np.zeros(blocks * groups, np.int32)
    halves = np.zeros(2 * blocks, np.uint16)
    inverses = np.zeros(blocks * groups, np.float32)

    def work(pieces: Sequence[int]) -> None:
        own = [np.empty(SUPERBLOCK, np.float32) for _ in range(5)] + [np.empty(SUPERBLOCK, np.int32) for _ in range(2)]
        for start in pieces:
            check(cancelled)
            stop = min(start + _PIECE, blocks)
            search(
                flat,
                given,
                importances is not None,
                kind.kind,
                kind.block,
                kind.group,
                codes,
                scales,
                minima,
                halves,
                inverses,
                IQ4_NL,
                *own,
                start,
                stop,
            )
            progress(min(1.0, stop / blocks))

    pieces = range(0, blocks, _PIECE)
    if threads > 1 and len(pieces) > 1:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, [pieces[i::threads] for i in range(threads)]))
    else:
        work(pieces)
    return Blocks(
        kind,
        codes.astype(np.uint8).reshape(blocks, kind.block),
        scales.astype(np.int8).reshape(blocks, groups),
        minima.astype(np.int8).reshape(blocks, groups),
        halves.reshape(blocks, 2),
        inverses.reshape(blocks, groups),
    )
