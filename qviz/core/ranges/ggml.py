"""Which scales, minima and codes does ggml give to blocks of 256? K-quants and IQ4, with and without importances.

The source is ggml's ``ggml-quants.c``, compiled without fused multiply-adds: ``quantize_row_*_ref`` without
importances, ``quantize_row_*_impl`` with them. Equal to the last bit (`tests/golden/record_ggml.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.compiler import demand, kernel, part
from qviz.core.lanes import LANES, choose, clamped, load, magnitude, root, spread, store, store_codes
from qviz.core.problems import Problem
from qviz.core.ranges.ggml_lanes import (
    AT,
    BOUNDS,
    level,
    level_scale,
    moved_scale,
    scale_and_minimum,
    signed_scale,
)
from qviz.core.ranges.ggml_search import (
    IQ4_NL,
    ONE,
    SMALLEST,
    ZERO,
    half_bits,
    half_value,
    nearest,
    positive_scale,
    scale_of_scales,
)
from qviz.core.ranges.ggml_types import LEVELS, Q2, Q3, Q4, Q5, Q6, SUPERBLOCK, TYPES, Blocks
from qviz.core.work import IsCancelled, Progress, check, ignore, never

TRIES = 7
"""Scales that IQ4 tries on both sides."""

_PIECE = 256
"""Blocks between two looks at the cancel flag."""


@part()
def _gather(x: Any, at: Any, to: Any, block: Any, group: Any, first: Any) -> None:
    """Put the groups of a block beside one another, from lane ``first`` on."""
    at, group, lane = np.uint64(at), np.uint64(group), np.uint64(first)
    for start in range(np.uint64(0), np.uint64(block), group):
        for i in range(group):
            to[i * AT + lane] = x[at + start + i]
        lane += np.uint64(1)


@part()
def _squares(x: Any, at: Any, block: Any) -> Any:
    """The sum of the squares of a block."""
    at, squares = np.uint64(at), ZERO
    for i in range(np.uint64(block)):
        squares += x[at + i] * x[at + i]
    return squares


@part()
def _weigh(x: Any, given: Any, w: Any, variances: Any, group: Any, kind: Any, weighted: Any) -> None:
    """What an error of each element costs."""
    n = np.uint64(group)
    if weighted and kind == Q6:
        for i in range(n):
            store(w, i * AT, load(given, i * AT))
    elif weighted:
        variance = load(variances, np.uint64(0))
        for i in range(n):
            value = load(x, i * AT)
            store(w, i * AT, load(given, i * AT) * root(variance + value * value))
    elif kind == Q2:
        for i in range(n):
            store(w, i * AT, magnitude(load(x, i * AT)))
    elif kind == Q4 or kind == Q5:
        mean = spread(ZERO)
        for i in range(n):
            value = load(x, i * AT)
            mean = mean + value * value
        mean = root(mean / spread(np.float32(group)))
        for i in range(n):
            store(w, i * AT, mean + magnitude(load(x, i * AT)))
    else:
        for i in range(n):
            value = load(x, i * AT)
            store(w, i * AT, value * value)


@part()
def _add_up(w: Any, group: Any, sums: Any) -> None:
    """The weights of each group."""
    total = spread(ZERO)
    for i in range(np.uint64(group)):
        total = total + load(w, i * AT)
    store(sums, np.uint64(0), total)


def _example() -> tuple[Any, ...]:
    f, i, u = np.zeros(SUPERBLOCK, np.float32), np.zeros(SUPERBLOCK, np.int32), np.zeros(SUPERBLOCK, np.uint8)
    x = np.zeros(SUPERBLOCK, np.float32)
    x.flags.writeable = False  # as what is mapped; one that may be written to passes as such
    halves = np.zeros(2, np.uint16)
    return x, x, False, Q4, 256, 32, u, i, i, halves, f, IQ4_NL, BOUNDS, *[f] * 8, i, u, 0, 1


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
    bounds: Any,
    xs: Any,
    importances: Any,
    w: Any,
    chosen: Any,
    trial: Any,
    found: Any,
    lows: Any,
    sums: Any,
    tried: Any,
    each: Any,
    start: Any,
    stop: Any,
) -> None:
    """Encode the blocks from ``start`` to ``stop``, sixteen groups at a time; ``xs`` to ``each`` are a thread's own."""
    groups = block // group
    together = LANES // groups
    for first in range(start, stop, together):
        here = min(together, stop - first)
        for b in range(together):
            number = min(first + b, stop - 1)  # the last one again where there are no more
            at = number * block
            _gather(x, at, xs, block, group, b * groups)
            if weighted:
                _gather(given, at % given.size, importances, block, group, b * groups)
                if kind != Q6:
                    squares = _squares(x, at, block)
                    twice = squares if kind == Q2 else np.float32(2) * squares
                    variance = (
                        squares * (np.float32(2) / np.float32(block)) if kind == LEVELS else twice / np.float32(block)
                    )
                    for j in range(groups):
                        sums[b * groups + j] = variance
        _weigh(xs, importances, w, sums, group, kind, weighted)
        row = first * groups
        if kind == LEVELS:
            store(found, np.uint64(0), level_scale(xs, w, levels, bounds, group, TRIES))
            _levels(xs, bounds, group, groups, here, found, each, scales, row, halves, inverses, first)
        elif kind == Q3 or kind == Q6:
            _signed(xs, w, kind, weighted, group, chosen, found, sums, tried, each, scales, row, halves, first)
        else:
            _with_minima(
                xs,
                w,
                kind,
                weighted,
                group,
                groups,
                here,
                chosen,
                trial,
                found,
                lows,
                sums,
                tried,
                each,
                scales,
                minima,
                row,
                halves,
                first,
            )
        for b in range(here):
            at, lane = np.uint64((first + b) * block), np.uint64(b * groups)
            for begin in range(np.uint64(0), np.uint64(block), np.uint64(group)):
                for i in range(np.uint64(group)):
                    codes[at + begin + i] = each[i * AT + lane]
                lane += np.uint64(1)


@part()
def _with_minima(
    x: Any,
    w: Any,
    kind: Any,
    weighted: Any,
    group: Any,
    groups: Any,
    here: Any,
    chosen: Any,
    trial: Any,
    found: Any,
    lows: Any,
    sums: Any,
    tried: Any,
    each: Any,
    scales: Any,
    minima: Any,
    row: Any,
    halves: Any,
    first: Any,
) -> None:
    last = 3 if kind == Q2 else 15 if kind == Q4 else 31
    most = 15 if kind == Q2 else 63
    if weighted:
        start, width, steps = np.float32(-0.9), np.float32(0.05), 36
    elif kind == Q4:
        start, width, steps = np.float32(-1), np.float32(0.1), 20
    else:
        start, width, steps = np.float32(-0.5), np.float32(0.1), 15
    _add_up(w, group, sums)
    absolute = kind == Q2 and not weighted
    scale, low = scale_and_minimum(x, w, chosen, trial, group, last, start, width, steps, absolute)
    store(found, np.uint64(0), scale)
    store(lows, np.uint64(0), low)
    for b in range(here):
        at, to = b * groups, row + b * groups
        if weighted:
            half = half_bits(positive_scale(found[at:], sums[at:], tried, groups, most))
            for j in range(groups):
                scales[to + j] = min(most, tried[j])
            low_half = half_bits(positive_scale(lows[at:], sums[at:], tried, groups, most))
            for j in range(groups):
                minima[to + j] = min(most, tried[j])
        else:
            top_scale, top_low = ZERO, ZERO
            for j in range(groups):
                top_scale = found[at + j] if found[at + j] > top_scale else top_scale
                top_low = lows[at + j] if lows[at + j] > top_low else top_low
            top = np.float32(most)
            inverse = top / top_scale if top_scale > ZERO else ZERO
            low_inverse = top / top_low if top_low > ZERO else ZERO
            for j in range(groups):
                scales[to + j] = min(most, np.int32(np.uint8(nearest(inverse * found[at + j]))))
                minima[to + j] = min(most, np.int32(np.uint8(nearest(low_inverse * lows[at + j]))))
            half, low_half = half_bits(top_scale / top), half_bits(top_low / top)
        halves[2 * (first + b)], halves[2 * (first + b) + 1] = half, low_half
        for j in range(groups):
            found[at + j] = half_value(half) * np.float32(scales[to + j])
            lows[at + j] = half_value(low_half) * np.float32(minima[to + j])
    step, low, zero = load(found, np.uint64(0)), load(lows, np.uint64(0)), spread(ZERO)
    for i in range(np.uint64(group)):
        code = clamped((load(x, i * AT) + low) / step, np.int32(0), np.int32(last))
        store_codes(each, i * AT, choose(step != zero, code, load(chosen, i * AT)))


@part()
def _signed(
    x: Any,
    w: Any,
    kind: Any,
    weighted: Any,
    group: Any,
    chosen: Any,
    found: Any,
    sums: Any,
    tried: Any,
    each: Any,
    scales: Any,
    row: Any,
    halves: Any,
    first: Any,
) -> None:
    middle = 4 if kind == Q3 else 32
    if kind == Q3 and not weighted:
        store(found, np.uint64(0), moved_scale(x, chosen, group, middle))
    else:
        store(found, np.uint64(0), signed_scale(x, w, chosen, group, middle))
    most, most_size = ZERO, ZERO
    for j in range(LANES):
        size = abs(found[j])
        if size > most_size:
            most, most_size = found[j], size
    half = np.uint16(0)
    if kind == Q6:
        if most_size < SMALLEST:
            for j in range(LANES):
                scales[row + j] = 0
            for i in range(np.uint64(SUPERBLOCK)):
                each[i] = np.uint8(0)
            halves[2 * first] = half
            return
        inverse = np.float32(-128) / most
        half = half_bits(ONE / inverse)
        for j in range(LANES):
            scales[row + j] = np.int32(np.int8(min(127, nearest(inverse * found[j]))))
    elif weighted:
        _add_up(w, group, sums)
        half = half_bits(scale_of_scales(found, sums, tried, LANES, 32))
        for j in range(LANES):
            scales[row + j] = tried[j] - 32
    elif most != ZERO:
        inverse = np.float32(-32) / most
        half = half_bits(ONE / inverse)
        for j in range(LANES):
            scales[row + j] = max(-32, min(31, np.int32(np.int8(nearest(inverse * found[j])))))
    else:
        for j in range(LANES):
            scales[row + j] = -32
    halves[2 * first] = half
    for j in range(LANES):
        found[j] = half_value(half) * np.float32(scales[row + j])
    step, zero, up = load(found, np.uint64(0)), spread(ZERO), spread(np.float32(middle))
    for i in range(np.uint64(group)):
        code = clamped(load(x, i * AT) / step, np.int32(-middle), np.int32(middle - 1)) + up
        store_codes(each, i * AT, choose(step != zero, code, load(chosen, i * AT)))


@part()
def _levels(
    x: Any,
    bounds: Any,
    group: Any,
    groups: Any,
    here: Any,
    found: Any,
    each: Any,
    scales: Any,
    row: Any,
    halves: Any,
    inverses: Any,
    first: Any,
) -> None:
    for b in range(here):
        at, to = b * groups, row + b * groups
        if groups == 1:
            halves[2 * (first + b)] = half_bits(found[at])
            scales[to] = 1
            inverses[to] = ONE / found[at] if found[at] != ZERO else ZERO
            found[at] = inverses[to]
            continue
        most, most_size = ZERO, ZERO
        for j in range(groups):
            size = abs(found[at + j])
            if size > most_size:
                most, most_size = found[at + j], size
        step = -most / np.float32(32)
        halves[2 * (first + b)] = half_bits(step)
        inverse = ONE / step if step != ZERO else ZERO
        for j in range(groups):
            whole = max(-32, min(31, nearest(inverse * found[at + j])))
            scales[to + j] = whole
            of_group = step * np.float32(whole)
            inverses[to + j] = ONE / of_group if of_group != ZERO else ZERO
            found[at + j] = inverses[to + j]
    back = load(found, np.uint64(0))
    for i in range(np.uint64(group)):
        store_codes(each, i * AT, level(bounds, back * load(x, i * AT)))


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
    codes = np.empty(flat.size, np.uint8)
    scales, minima = np.empty(blocks * groups, np.int32), np.zeros(blocks * groups, np.int32)
    halves = np.zeros(2 * blocks, np.uint16)
    inverses = np.zeros(blocks * groups, np.float32)

    def work(pieces: Sequence[int]) -> None:
        own = [np.zeros(LANES * kind.group, kind_of) for kind_of in (*[np.float32] * 8, np.int32, np.uint8)]
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
                BOUNDS,
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
        codes.reshape(blocks, kind.block),
        scales.astype(np.int8).reshape(blocks, groups),
        minima.astype(np.int8).reshape(blocks, groups),
        halves.reshape(blocks, 2),
        inverses.reshape(blocks, groups),
    )
