"""Which scale and minimum does ggml find for a few values? Its searches, operation by operation, to be compiled.

The source of every formula is ggml's ``ggml-quants.c`` (functions ``make_qx_quants``, ``make_q3_quants``,
``make_qkx2_quants``, ``make_qkx3_quants``, ``make_qp_quants`` and ``quantize_row_iq4_nl_impl``), compiled without
fused multiply-adds: every operation is in float32 and in the order written there. Values ``x``, weights ``w`` and
codes ``codes`` are looked at from ``at`` on, which is unsigned: a place that may be negative costs a look each time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.compiler import part
from qviz.core.formats import codebooks

ZERO, HALF, ONE, TENTH = np.float32(0), np.float32(0.5), np.float32(1), np.float32(0.1)
SMALLEST = np.float32(1e-15)
"""``GROUP_MAX_EPS``: what is smaller everywhere is taken for nothing."""

WHOLE = np.float32(12582912)
"""Added to a float32 of ordinary size, it leaves the nearest whole number in the mantissa."""

MANTISSA, MIDDLE = np.int32(0x007FFFFF), np.int32(0x00400000)

STEPS, TURNS = 9, 5
"""Scales tried on both sides of the first one, and turns in which codes are moved one by one."""

HALF_BITS = np.uint32(0x7E00)
"""NaN as float16."""

IQ4_NL = np.array(codebooks.IQ4_NL, np.float32)
"""The levels of IQ4_NL and IQ4_XS (``kvalues_iq4nl``)."""


@part()
def nearest(value: Any) -> Any:
    """The nearest whole number, halves to even; what the bits say for a value of another size, as there."""
    return np.int32((np.float32(value + WHOLE).view(np.int32) & MANTISSA) - MIDDLE)


@part()
def half_bits(value: Any) -> Any:
    """The bits of the nearest float16 (``ggml_compute_fp32_to_fp16``)."""
    bits = np.float32(value).view(np.uint32)
    twice = np.uint32(bits + bits)
    bias = max(np.uint32(twice & np.uint32(0xFF000000)), np.uint32(0x71000000))
    base = np.float32(
        np.float32(abs(value) * np.uint32(0x77800000).view(np.float32)) * np.uint32(0x08800000).view(np.float32)
    )
    base = np.float32(np.uint32((bias >> np.uint32(1)) + np.uint32(0x07800000)).view(np.float32) + base)
    rounded = base.view(np.uint32)
    magnitude = np.uint32(((rounded >> np.uint32(13)) & np.uint32(0x7C00)) + (rounded & np.uint32(0x0FFF)))
    if twice > np.uint32(0xFF000000):
        magnitude = HALF_BITS
    return np.uint16(((bits & np.uint32(0x80000000)) >> np.uint32(16)) | magnitude)


@part()
def half_value(bits: Any) -> Any:
    """The float32 that a float16 of those bits is (``ggml_compute_fp16_to_fp32``)."""
    word = np.uint32(np.uint32(bits) << np.uint32(16))
    sign = np.uint32(word & np.uint32(0x80000000))
    twice = np.uint32(word + word)
    normal = np.float32(
        np.uint32((twice >> np.uint32(4)) + np.uint32(0x70000000)).view(np.float32)
        * np.uint32(0x07800000).view(np.float32)
    )
    small = np.float32(np.uint32((twice >> np.uint32(17)) | np.uint32(0x3F000000)).view(np.float32) - HALF)
    magnitude = small.view(np.uint32) if twice < np.uint32(0x08000000) else normal.view(np.uint32)
    return np.uint32(sign | magnitude).view(np.float32)


@part()
def furthest(x: Any, at: Any, n: Any) -> Any:
    """The first of the values that lie furthest from 0, and how far that is."""
    at, n = np.uint64(at), np.uint64(n)
    most, size = ZERO, ZERO
    for i in range(n):
        distance = abs(x[at + i])
        if distance > size:
            size, most = distance, x[at + i]
    return most, size


@part()
def signed_scale(x: Any, w: Any, codes: Any, at: Any, n: Any, top: Any, weighted: Any) -> Any:
    """``make_qx_quants``: the scale of codes −top to top − 1, stored with ``top`` added; x² weighs by itself."""
    most, size = furthest(x, at, n)
    at, n = np.uint64(at), np.uint64(n)
    if size < SMALLEST:
        for i in range(n):
            codes[at + i] = 0
        return ZERO
    first, last = np.int32(-top), np.int32(top - 1)
    inverse = np.float32(first) / most
    products, squares = ZERO, ZERO
    for i in range(n):
        value = x[at + i]
        code = np.int32(max(first, min(last, nearest(inverse * value))))
        codes[at + i] = code + top
        weight = w[at + i] if weighted else value * value
        products += weight * value * np.float32(code)
        squares += weight * np.float32(code) * np.float32(code)
    scale = products / squares if squares != ZERO else ZERO
    best = scale * products
    for step in range(-STEPS, STEPS + 1):
        if step == 0:
            continue
        inverse = -(np.float32(top) + TENTH * np.float32(step)) / most
        products, squares = ZERO, ZERO
        for i in range(n):
            value = x[at + i]
            code = np.int32(max(first, min(last, nearest(inverse * value))))
            weight = w[at + i] if weighted else value * value
            products += weight * value * np.float32(code)
            squares += weight * np.float32(code) * np.float32(code)
        if squares > ZERO and products * products > best * squares:
            for i in range(n):
                codes[at + i] = top + max(first, min(last, nearest(inverse * x[at + i])))
            scale = products / squares
            best = scale * products
    return scale


@part()
def moved_scale(x: Any, codes: Any, at: Any, n: Any, top: Any) -> Any:
    """``make_q3_quants``: the scale of codes −top to top − 1, each of which is then moved where that helps."""
    most, size = furthest(x, at, n)
    at, n = np.uint64(at), np.uint64(n)
    if size < SMALLEST:
        for i in range(n):
            codes[at + i] = 0
        return ZERO
    first, last = np.int32(-top), np.int32(top - 1)
    inverse = np.float32(first) / most
    products, squares = ZERO, ZERO
    for i in range(n):
        value = x[at + i]
        code = np.int32(max(first, min(last, nearest(inverse * value))))
        codes[at + i] = code
        weight = value * value
        products += weight * value * np.float32(code)
        squares += weight * np.float32(code) * np.float32(code)
    for _ in range(TURNS):
        changed = 0
        for i in range(n):
            value, code = x[at + i], np.int32(codes[at + i])
            weight = value * value
            others = products - weight * value * np.float32(code)
            if others > ZERO:
                rest = squares - weight * np.float32(code) * np.float32(code)
                other = np.int32(max(first, min(last, nearest(value * rest / others))))
                if other != code:
                    others += weight * value * np.float32(other)
                    rest += weight * np.float32(other) * np.float32(other)
                    if rest > ZERO and others * others * squares > products * products * rest:
                        codes[at + i] = other
                        products, squares = others, rest
                        changed += 1
        if changed == 0:
            break
    for i in range(n):
        codes[at + i] += top
    return products / squares if squares > ZERO else ZERO


@part()
def scale_and_minimum(
    x: Any,
    w: Any,
    codes: Any,
    tried: Any,
    at: Any,
    n: Any,
    top: Any,
    start: Any,
    width: Any,
    steps: Any,
    absolute: Any,
    strict: Any,
) -> Any:
    """``make_qkx2_quants``, and ``make_qkx3_quants`` where ``strict``: scale and −minimum of codes 0 to top."""
    at, n = np.uint64(at), np.uint64(n)
    low = high = x[at]
    weights = w[at]
    sums = weights * x[at]
    for i in range(np.uint64(1), n):
        value, weight = x[at + i], w[at + i]
        if value < low:
            low = value
        if value > high:
            high = value
        weights += weight
        sums += weight * value
    if low > ZERO:
        low = ZERO
    bottom, top = np.int32(0), np.int32(top)
    if high == low or (strict and high <= low):
        for i in range(n):
            codes[at + i] = 0
        return ZERO, -low
    top_value = np.float32(top)
    inverse = top_value / (high - low)
    scale, minimum, least = ONE / inverse, low, ZERO
    for i in range(n):
        value = x[at + i]
        code = np.int32(max(bottom, min(top, nearest(inverse * (value - low)))))
        codes[at + i] = code
        difference = scale * np.float32(code) + low - value
        difference = abs(difference) if absolute else difference * difference
        least += w[at + i] * difference
    for step in range(steps + 1):
        inverse = (start + width * np.float32(step) + top_value) / (high - minimum)
        of_codes, squares, products = ZERO, ZERO, ZERO
        for i in range(n):
            value, weight = x[at + i], w[at + i]
            code = np.int32(max(bottom, min(top, nearest(inverse * (value - minimum)))))
            tried[i] = code
            each = weight * np.float32(code)
            of_codes += each
            squares += each * np.float32(code)
            products += each * value
        determinant = weights * squares - of_codes * of_codes
        if determinant > ZERO:
            this_scale = (weights * products - sums * of_codes) / determinant
            this_minimum = (squares * sums - of_codes * products) / determinant
            if this_minimum > ZERO:
                this_minimum = ZERO
                this_scale = products / squares
            error = ZERO
            for i in range(n):
                difference = this_scale * np.float32(tried[i]) + this_minimum - x[at + i]
                difference = abs(difference) if absolute else difference * difference
                error += w[at + i] * difference
            if error < least:
                for i in range(n):
                    codes[at + i] = tried[i]
                least, scale, minimum = error, this_scale, this_minimum
    return scale, -minimum


@part()
def positive_scale(x: Any, w: Any, codes: Any, n: Any, top: Any) -> Any:
    """``make_qp_quants``: the scale of codes 0 to top of numbers that are not negative."""
    most = ZERO
    for i in range(n):
        most = most if most > x[i] else x[i]
    if most < SMALLEST:
        for i in range(n):
            codes[i] = 0
        return ZERO
    top_value = np.float32(top)
    inverse = top_value / most
    scale, least = ONE / inverse, ZERO
    for i in range(n):
        codes[i] = np.uint8(nearest(inverse * x[i]))
        difference = x[i] - scale * np.float32(codes[i])
        least += w[i] * difference * difference
    for step in range(-4, 5):
        if step == 0:
            continue
        other = (TENTH * np.float32(step) + top_value) / most
        scale = ONE / other
        error = ZERO
        for i in range(n):
            code = min(top, nearest(other * x[i]))
            difference = x[i] - scale * np.float32(code)
            error += w[i] * difference * difference
        if error < least:
            least, inverse = error, other
    products, squares = ZERO, ZERO
    for i in range(n):
        code = min(top, nearest(inverse * x[i]))
        codes[i] = np.uint8(code)
        products += w[i] * x[i] * np.float32(code)
        squares += w[i] * np.float32(code) * np.float32(code)
    for _ in range(TURNS):
        changed = 0
        for i in range(n):
            weight, code = w[i], np.int32(codes[i])
            others = products - weight * x[i] * np.float32(code)
            rest = squares - weight * np.float32(code) * np.float32(code)
            if others > ZERO and rest > ZERO:
                moved = min(top, nearest(x[i] * rest / others))
                if moved != code:
                    others += weight * x[i] * np.float32(moved)
                    rest += weight * np.float32(moved) * np.float32(moved)
                    if others * others * squares > products * products * rest:
                        codes[i] = np.uint8(moved)
                        products, squares = others, rest
                        changed += 1
        if changed == 0:
            break
    return products / squares if squares > ZERO else ZERO


@part()
def level(levels: Any, value: Any) -> Any:
    """``best_index_int8``: the place of the level nearest to a value; the upper one where two are as near."""
    last = levels.size - 1
    if value <= levels[0]:
        return 0
    if value >= levels[last]:
        return last
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        if value < levels[middle]:
            high = middle
        else:
            low = middle
    return high - 1 if value - levels[high - 1] < levels[high] - value else high


@part()
def level_scale(x: Any, w: Any, levels: Any, at: Any, n: Any, tries: Any) -> Any:
    """The scale of the levels of IQ4_NL, of the best of some."""
    most, size = furthest(x, at, n)
    at, n = np.uint64(at), np.uint64(n)
    if size < SMALLEST:
        return ZERO
    scale = -most / levels[0] if tries > 0 else most / levels[0]
    inverse = ONE / scale
    products, squares = ZERO, ZERO
    for i in range(n):
        value, weight = x[at + i], w[at + i]
        q = levels[level(levels, inverse * value)]
        products += weight * q * value
        squares += weight * q * q
    scale = products / squares if squares > ZERO else ZERO
    best = scale * products
    for step in range(-tries, tries + 1):
        inverse = (np.float32(step) + levels[0]) / most
        products, squares = ZERO, ZERO
        for i in range(n):
            value, weight = x[at + i], w[at + i]
            q = levels[level(levels, inverse * value)]
            products += weight * q * value
            squares += weight * q * q
        if squares > ZERO and products * products > best * squares:
            scale = products / squares
            best = scale * products
    return scale
