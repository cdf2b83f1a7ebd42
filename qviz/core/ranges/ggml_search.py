"""Which scale does ggml find for a few values? Its searches, operation by operation, to be compiled.

Here is what is looked for once a block, for the scales of its groups; sixteen groups at once are `ggml_lanes`. The
source of every formula is ggml's ``ggml-quants.c`` (functions ``make_qx_quants`` and ``make_qp_quants``), compiled
without fused multiply-adds: every operation is in float32 and in the order written there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.compiler import part
from qviz.core.formats import codebooks
from qviz.core.lanes import MANTISSA, MIDDLE, WHOLE

ZERO, HALF, ONE, TENTH = np.float32(0), np.float32(0.5), np.float32(1), np.float32(0.1)
SMALLEST = np.float32(1e-15)
"""``GROUP_MAX_EPS``: what is smaller everywhere is taken for nothing."""

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
def scale_of_scales(x: Any, w: Any, codes: Any, n: Any, top: Any) -> Any:
    """``make_qx_quants``: the scale of codes −top to top − 1, stored with ``top`` added, of one group."""
    most, size = ZERO, ZERO
    for i in range(n):
        distance = abs(x[i])
        if distance > size:
            size, most = distance, x[i]
    if size < SMALLEST:
        for i in range(n):
            codes[i] = 0
        return ZERO
    first, last = np.int32(-top), np.int32(top - 1)
    inverse = chosen = np.float32(first) / most
    scale, best = ZERO, ZERO
    for step in range(-STEPS - 1, STEPS + 1):
        if step == 0:
            continue
        if step >= -STEPS:  # the first one stands outside of ggml's loop
            inverse = -(np.float32(top) + TENTH * np.float32(step)) / most
        products, squares = ZERO, ZERO
        for i in range(n):
            code = np.float32(max(first, min(last, nearest(inverse * x[i]))))
            products += w[i] * x[i] * code
            squares += w[i] * code * code
        if step < -STEPS:
            scale = products / squares if squares != ZERO else ZERO
            best = scale * products
        elif squares > ZERO and products * products > best * squares:
            scale, chosen = products / squares, inverse
            best = scale * products
    for i in range(n):
        codes[i] = top + max(first, min(last, nearest(chosen * x[i])))
    return scale


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
