"""How do Microscaling formats (MX) choose the power of two that a block of 32 shares?

OCP Microscaling Formats 1.0, and torchao's ``to_mx``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.floats import EXPONENT_MASK, MANTISSA_BITS, ONE_EXPONENT, FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.block_scales import HALF_OF_NORMAL, powers_of_two
from qviz.core.runtimes.expressions import ATOM, POWER, Constant, Expression, Folded, Formula, Function, Number, Symbol
from qviz.core.runtimes.formulas import (
    ABSMAX,
    CLIP,
    DEQUANTIZED,
    QMAX,
    Formulas,
    FormulasOf,
    R,
    S,
    absmax_of,
    clipped,
    rounding,
)
from qviz.core.runtimes.record import Convention, Recipe

BIAS = 127
LARGEST_EXPONENT = 254
"""Of an E8M0 scale; 255 is NaN."""

BLOCK = 32
FORMATS = frozenset({"e4m3fn", "e5m2", "e2m3fn", "e3m2fn", "e2m1fn"})
DIVISOR = Symbol("S", "divisor")

INT8_FRACTION = 64.0
"""An MXINT8 element is a whole number of 64ths."""

TOGETHER = 1 << 15
"""Blocks whose scales are found together in NumPy: what is computed on the way stays in the cache."""


def _exponent(values: FloatArray) -> Any:
    """The biased exponent bits."""
    return (values.view(np.int32) & EXPONENT_MASK) >> MANTISSA_BITS


def _at_least_normal(scale: Any) -> Any:
    return np.maximum(scale, np.finfo(np.float32).tiny)


def _one_where_smallest(scale: Any) -> Any:
    return np.where(scale < np.finfo(np.float32).tiny, np.float32(1), scale)


EXPONENT_HELPER = """\
def exponent(a):  # floor(log2(a)); -127 below the normal numbers
    return (a.view(np.int32) >> 23) - 127
"""
EXPONENT_UP_HELPER = """\
def exponent_up(a):  # ceil(log2(a)); -127 for 0
    return (a.view(np.int32) >> 23) - 127 + ((a.view(np.int32) & 0x7FFFFF) > 0)
"""
LOG2_UP_HELPER = """\
def log2_up(a):  # ceil(log2(a)), of a logarithm rounded to float32
    with np.errstate(divide="ignore"):
        return np.ceil(np.float32(np.log2(a.astype(float))))
"""
POWER_HELPER = """\
def power_of_two(k):
    return np.ldexp(np.float32(1), np.asarray(k).astype(int))
"""


def _bits(values: Any) -> Any:
    return np.asarray(values, np.float32).view(np.int32)


def _exponent_of(values: Any) -> Any:
    return (_bits(values) >> MANTISSA_BITS) - BIAS


def _log2_up(values: Any) -> Any:
    with np.errstate(divide="ignore"):
        return np.ceil(np.log2(np.asarray(values, np.float64)).astype(np.float32))


EXPONENT = Function("floor(log2({0}))", "exponent({0})", _exponent_of, EXPONENT_HELPER)
EXPONENT_UP = Function(
    "ceil(log2({0}))",
    "exponent_up({0})",
    lambda values: _exponent_of(values) + ((_bits(values) & (ONE_EXPONENT - 1)) > 0),
    EXPONENT_UP_HELPER,
    # Among denormal numbers the exponent bits are no logarithm.
    hides=lambda values: bool(np.any((values > 0) & (values < np.finfo(np.float32).tiny))),
)
LOG2_UP = Function("ceil(log2({0}))", "log2_up({0})", _log2_up, LOG2_UP_HELPER)
TWO_TO = Function(
    "2^{0}",
    "power_of_two({0})",
    lambda k: np.ldexp(np.float32(1), np.asarray(k).astype(int)),
    POWER_HELPER,
    holds=POWER,
    asks=ATOM,
)
# A stored 0 stands for 2^-127, which is too small to divide by.
AT_LEAST_NORMAL = Function("max({0}, 2^−126)", "np.maximum({0}, np.finfo(np.float32).tiny)", _at_least_normal)
ONE_WHERE_SMALLEST = Function(
    "{0}, or 1 for 2^−127",
    "np.where({0} < np.finfo(np.float32).tiny, np.float32(1), {0})",
    _one_where_smallest,
)


def _rounded_down(mantissa: int) -> int:
    return 0


def _rounded_up(mantissa: int) -> int:
    return ONE_EXPONENT - 1


def _rounded_to_even(mantissa: int) -> int:
    # What rounds up to the next power of two in the element's precision counts as that.
    return 1 << (MANTISSA_BITS - mantissa - 1)


def _mx(rule: Callable[[int], int], low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """The largest element's exponent, less that of the format's largest value.

    ``rule`` tells what is added to the bits of a number, so that its exponent is the rounded one.
    """
    largest, fraction, mantissa = _element(scheme.number_format)
    added, taken_away = rule(mantissa), int(_exponent(np.array([largest], np.float32))[0] - BIAS) << MANTISSA_BITS
    scale, divisor, done, ends = powers_of_two(low, high, added, taken_away, fraction)
    lowest, highest = low.reshape(-1), high.reshape(-1)
    for start in range(done, low.size, TOGETHER):
        part = slice(start, start + TOGETHER)
        bits = absmax_of(lowest[part], highest[part]).view(np.int32) + np.int32(added)
        bits &= EXPONENT_MASK
        bits -= np.int32(taken_away)
        # A stored 0 stands for 2^-127, but 2^-126, the smallest normal number, is what is divided by.
        power = np.maximum(np.minimum(bits, LARGEST_EXPONENT << MANTISSA_BITS), HALF_OF_NORMAL).view(np.float32)
        np.divide(power, fraction, out=scale[part])
        np.divide(np.maximum(power, np.finfo(np.float32).tiny), fraction, out=divisor[part])
    return Recipe(scale.reshape(low.shape), divisor.reshape(low.shape), ends=ends)


def _mx_rceil(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """The smallest power of two that leaves nothing to clip, by a rounded logarithm."""
    largest, fraction, _ = _element(scheme.number_format)
    ratio = absmax_of(low, high) / np.float32(largest)
    with np.errstate(divide="ignore"):
        logarithm = np.log2(ratio.astype(np.float64)).astype(np.float32)
    stored = np.clip(np.ceil(logarithm), -BIAS, BIAS).astype(np.int32) + BIAS
    divisor = np.where(stored > 0, _power(stored), np.float32(1))  # so torchao has it
    return Recipe(_power(stored) / fraction, np.asarray(divisor / fraction, np.float32))


def _element(number_format: NumberFormat) -> tuple[float, np.float32, int]:
    """The largest value of an element, what its unit values are divided by, and its mantissa bits."""
    if isinstance(number_format, IntFormat):
        return number_format.quant_max / INT8_FRACTION, np.float32(INT8_FRACTION), number_format.bits - 2
    assert isinstance(number_format, FloatFormat)
    return number_format.quant_max, np.float32(1), number_format.grid[0]


def _power(stored: Any) -> FloatArray:
    """2^(stored − 127) as float32, of stored exponents from 0 (which is denormal) to 254."""
    bits = np.asarray(stored, np.int32) << MANTISSA_BITS
    return np.asarray(np.maximum(bits, HALF_OF_NORMAL)).view(np.float32)


def _largest_exponent(number_format: NumberFormat) -> Constant:
    return Constant("emax", int(np.frexp(_element(number_format)[0])[1]) - 1)


def _almost_one(number_format: NumberFormat) -> Expression:
    # What a mantissa of so many bits rounds up to a power of two, this does too.
    mantissa = _element(number_format)[2]
    return Constant(f"(1 − 2^−{mantissa + 2})", 1 - 2.0 ** -(mantissa + 2))


def _largest_value(number_format: NumberFormat) -> Expression:
    return Folded(QMAX / INT8_FRACTION) if isinstance(number_format, IntFormat) else QMAX


def _formulas(exponent: Callable[[NumberFormat], Expression], smallest_divisor: Function) -> FormulasOf:
    """2^exponent, in 64ths where elements are whole numbers of these."""

    @lru_cache
    def of(number_format: NumberFormat, symmetric: bool) -> Formulas:
        power = TWO_TO(CLIP(exponent(number_format), -BIAS, BIAS))
        whole = isinstance(number_format, IntFormat)
        fraction = Number(INT8_FRACTION)
        unscaled = S * fraction if whole else S
        divisor = smallest_divisor(unscaled)
        return Formulas(
            scale=Formula(S, power / fraction if whole else power),
            zero_point=None,
            code=clipped(rounding(number_format)(R / DIVISOR)),
            value=DEQUANTIZED,
            divisor=Formula(DIVISOR, divisor / fraction if whole else divisor),
        )

    return of


def _microscaling(
    name: str,
    label: str,
    summary: str,
    recipe: Any,
    exponent: Callable[[NumberFormat], Expression],
    smallest_divisor: Function = AT_LEAST_NORMAL,
) -> Convention:
    return Convention(
        name=name,
        label=label,
        summary=summary,
        range_includes_zero=False,
        formulas=_formulas(exponent, smallest_divisor),
        code_range=lambda f, symmetric: (-f.quant_max, f.quant_max),
        symmetric_only=True,
        integers=frozenset({"int8"}),
        others=FORMATS,
        block_size=BLOCK,
        whole_blocks=True,
        scale_bits=8,
        recipe=recipe,
        recipe_in_parts=True,
    )


MICROSCALING = (
    _microscaling(
        "mx_floor",
        N_("MX, scale rounded down"),
        N_(
            "OCP Microscaling: blocks of 32 share a power of two (E8M0, 8 bits), the largest "
            "element's exponent (the standard's rule): a block may lie up to twice beyond the largest value. "
            "torchao's to_mx."
        ),
        partial(_mx, _rounded_down),
        lambda f: EXPONENT(ABSMAX) - _largest_exponent(f),
    ),
    _microscaling(
        "mx_ceil",
        N_("MX, scale rounded up"),
        N_(
            "OCP Microscaling: blocks of 32 share a power of two (E8M0, 8 bits), "
            "rounded up so that nothing is clipped, which costs a bit of precision in most blocks. torchao's to_mx."
        ),
        partial(_mx, _rounded_up),
        lambda f: EXPONENT_UP(ABSMAX) - _largest_exponent(f),
    ),
    _microscaling(
        "mx_even",
        N_("MX, scale rounded to nearest"),
        N_(
            "OCP Microscaling: blocks of 32 share a power of two (E8M0, 8 bits), "
            "rounded up only where the largest element would round up to a power of two itself. torchao's to_mx."
        ),
        partial(_mx, _rounded_to_even),
        lambda f: EXPONENT(ABSMAX / _almost_one(f)) - _largest_exponent(f),
    ),
    _microscaling(
        "mx_rceil",
        N_("MX, smallest scale without clipping"),
        N_(
            "OCP Microscaling: blocks of 32 share a power of two (E8M0, 8 bits), "
            "the smallest one that clips nothing (the rule of NVIDIA's hardware). torchao's to_mx."
        ),
        _mx_rceil,
        lambda f: LOG2_UP(ABSMAX / _largest_value(f)),
        ONE_WHERE_SMALLEST,
    ),
)
"""The four rules for the shared power of two."""
