"""Which scales, minima and codes do sixteen groups get? ggml's searches, each lane of a vector one of them.

The source of every formula is ggml's ``ggml-quants.c`` (functions ``make_qx_quants``, ``make_q3_quants``,
``make_qkx2_quants``, ``make_qkx3_quants`` and ``quantize_row_iq4_nl_impl``), compiled without fused multiply-adds:
every operation is in float32, and each group's in the order written there. Element i of the groups lies at ``16 i`` of
values ``x``, weights ``w`` and codes ``codes``. What ggml skips is computed here, and not chosen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.compiler import part
from qviz.core.lanes import (
    LANES,
    anywhere,
    choose,
    clamped,
    load,
    magnitude,
    spread,
    store,
)
from qviz.core.ranges.ggml_search import ONE, SMALLEST, STEPS, TENTH, TURNS, ZERO

AT = np.uint64(LANES)
"""How far apart neighbours of a group lie; unsigned: a place that may be negative costs a look each time."""

BOUNDS = (
    np.array([-104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
    + np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89], np.float32)
) / np.float32(2)
"""Where the next level of IQ4_NL becomes the nearest: in the middle, whose two distances float32 has exactly."""


@part()
def furthest(x: Any, n: Any) -> Any:
    """The first of the values that lie furthest from 0, and how far that is."""
    most, size = spread(ZERO), spread(ZERO)
    for i in range(np.uint64(n)):
        value = load(x, i * AT)
        distance = magnitude(value)
        further = distance > size
        most, size = choose(further, value, most), choose(further, distance, size)
    return most, size


@part()
def signed_scale(x: Any, w: Any, codes: Any, n: Any, top: Any) -> Any:
    """``make_qx_quants``: the scale of codes −top to top − 1, stored with ``top`` added."""
    n, first, last = np.uint64(n), np.int32(-top), np.int32(top - 1)
    zero = spread(ZERO)
    most, size = furthest(x, n)
    inverse = spread(np.float32(first)) / most
    products, squares = zero, zero
    for i in range(n):
        value, weight = load(x, i * AT), load(w, i * AT)
        code = clamped(inverse * value, first, last)
        products = products + weight * value * code
        squares = squares + weight * code * code
    scale = choose(squares != zero, products / squares, zero)
    best = scale * products
    chosen = inverse
    for step in range(-STEPS, STEPS + 1):
        if step == 0:
            continue
        inverse = spread(-(np.float32(top) + TENTH * np.float32(step))) / most
        products, squares = zero, zero
        for i in range(n):
            value, weight = load(x, i * AT), load(w, i * AT)
            code = clamped(inverse * value, first, last)
            products = products + weight * value * code
            squares = squares + weight * code * code
        better = (squares > zero) & (products * products > best * squares)
        scale = choose(better, products / squares, scale)
        best = choose(better, scale * products, best)
        chosen = choose(better, inverse, chosen)
    nothing = size < spread(SMALLEST)
    middle = spread(np.float32(top))
    for i in range(n):
        code = clamped(chosen * load(x, i * AT), first, last) + middle
        store(codes, i * AT, choose(nothing, zero, code))
    return choose(nothing, zero, scale)


@part()
def moved_scale(x: Any, codes: Any, n: Any, top: Any) -> Any:
    """``make_q3_quants``: the scale of codes −top to top − 1, each of which is then moved where that helps."""
    n, first, last = np.uint64(n), np.int32(-top), np.int32(top - 1)
    zero = spread(ZERO)
    most, size = furthest(x, n)
    nothing = size < spread(SMALLEST)
    inverse = spread(np.float32(first)) / most
    products, squares = zero, zero
    for i in range(n):
        value = load(x, i * AT)
        code = clamped(inverse * value, first, last)
        store(codes, i * AT, code)
        weight = value * value
        products = products + weight * value * code
        squares = squares + weight * code * code
    # A group in which a turn changed nothing is changed by no later one: the others may have theirs.
    for _ in range(TURNS):
        changed = False
        for i in range(n):
            value, code = load(x, i * AT), load(codes, i * AT)
            weight = value * value
            others = products - weight * value * code
            rest = squares - weight * code * code
            moved = clamped(value * rest / others, first, last)
            better = (others > zero) & (moved != code)
            others = others + weight * value * moved
            rest = rest + weight * moved * moved
            better = better & (rest > zero) & (others * others * squares > products * products * rest)
            if anywhere(better):
                store(codes, i * AT, choose(better, moved, code))
                products, squares = choose(better, others, products), choose(better, rest, squares)
                changed = True
        if not changed:
            break
    middle = spread(np.float32(top))
    for i in range(n):
        store(codes, i * AT, choose(nothing, zero, load(codes, i * AT) + middle))
    return choose(nothing, zero, choose(squares > zero, products / squares, zero))


@part()
def _error(x: Any, w: Any, codes: Any, n: Any, scale: Any, minimum: Any, absolute: Any) -> Any:
    """What the errors of the codes come to."""
    total = spread(ZERO)
    if absolute:
        for i in range(n):
            total = total + load(w, i * AT) * magnitude(scale * load(codes, i * AT) + minimum - load(x, i * AT))
    else:
        for i in range(n):
            difference = scale * load(codes, i * AT) + minimum - load(x, i * AT)
            total = total + load(w, i * AT) * (difference * difference)
    return total


@part()
def scale_and_minimum(
    x: Any,
    w: Any,
    codes: Any,
    tried: Any,
    n: Any,
    top: Any,
    start: Any,
    width: Any,
    steps: Any,
    absolute: Any,
) -> Any:
    """``make_qkx2_quants`` and ``make_qkx3_quants``: scale and −minimum of codes 0 to top."""
    n, bottom, top = np.uint64(n), np.int32(0), np.int32(top)
    zero, top_value = spread(ZERO), spread(np.float32(top))
    value, weights = load(x, np.uint64(0)), load(w, np.uint64(0))
    low, high, sums = value, value, weights * value
    for i in range(np.uint64(1), n):
        value, weight = load(x, i * AT), load(w, i * AT)
        low, high = choose(value < low, value, low), choose(value > high, value, high)
        weights = weights + weight
        sums = sums + weight * value
    low = choose(low > zero, zero, low)
    nothing, nothing_low = high == low, low
    inverse = top_value / (high - low)
    scale, minimum = spread(ONE) / inverse, low
    for i in range(n):
        store(tried, i * AT, clamped(inverse * (load(x, i * AT) - low), bottom, top))
    least = _error(x, w, tried, n, scale, low, absolute)
    chosen, from_low = inverse, low
    for step in range(steps + 1):
        inverse = spread(start + width * np.float32(step) + np.float32(top)) / (high - minimum)
        of_codes, squares, products = zero, zero, zero
        for i in range(n):
            value, weight = load(x, i * AT), load(w, i * AT)
            code = clamped(inverse * (value - minimum), bottom, top)
            store(tried, i * AT, code)
            each = weight * code
            of_codes = of_codes + each
            squares = squares + each * code
            products = products + each * value
        determinant = weights * squares - of_codes * of_codes
        sound = determinant > zero
        this_scale = (weights * products - sums * of_codes) / determinant
        this_minimum = (squares * sums - of_codes * products) / determinant
        above = this_minimum > zero
        this_scale = choose(above, products / squares, this_scale)
        this_minimum = choose(above, zero, this_minimum)
        error = _error(x, w, tried, n, this_scale, this_minimum, absolute)
        better = sound & (error < least)
        chosen, from_low = choose(better, inverse, chosen), choose(better, minimum, from_low)
        least, scale = choose(better, error, least), choose(better, this_scale, scale)
        minimum = choose(better, this_minimum, minimum)
    for i in range(n):
        code = clamped(chosen * (load(x, i * AT) - from_low), bottom, top)
        store(codes, i * AT, choose(nothing, zero, code))
    return choose(nothing, zero, scale), -choose(nothing, nothing_low, minimum)


@part()
def level(bounds: Any, value: Any) -> Any:
    """``best_index_int8``: the place of the level nearest to a value; the upper one where two are as near."""
    zero, one = spread(ZERO), spread(ONE)
    place = zero
    for i in range(np.uint64(bounds.size)):
        place = place + choose(value < spread(bounds[i]), zero, one)  # of NaN the last one
    return place


@part()
def _of_level(levels: Any, bounds: Any, value: Any) -> Any:
    """The level nearest to a value."""
    zero = spread(ZERO)
    found = spread(levels[0])
    for i in range(np.uint64(bounds.size)):
        found = found + choose(value < spread(bounds[i]), zero, spread(levels[i + np.uint64(1)] - levels[i]))
    return found


@part()
def level_scale(x: Any, w: Any, levels: Any, bounds: Any, n: Any, tries: Any) -> Any:
    """The scale of the levels of IQ4_NL, of the best of some."""
    n, zero = np.uint64(n), spread(ZERO)
    most, size = furthest(x, n)
    first = spread(levels[0])
    scale = -most / first if tries > 0 else most / first
    inverse = spread(ONE) / scale
    products, squares = zero, zero
    for i in range(n):
        value, weight = load(x, i * AT), load(w, i * AT)
        q = _of_level(levels, bounds, inverse * value)
        products = products + weight * q * value
        squares = squares + weight * q * q
    scale = choose(squares > zero, products / squares, zero)
    best = scale * products
    for step in range(-tries, tries + 1):
        inverse = (spread(np.float32(step)) + first) / most
        products, squares = zero, zero
        for i in range(n):
            value, weight = load(x, i * AT), load(w, i * AT)
            q = _of_level(levels, bounds, inverse * value)
            products = products + weight * q * value
            squares = squares + weight * q * q
        better = (squares > zero) & (products * products > best * squares)
        scale = choose(better, products / squares, scale)
        best = choose(better, scale * products, best)
    return choose(size < spread(SMALLEST), zero, scale)
