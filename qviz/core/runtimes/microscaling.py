"""How do Microscaling formats (MX) choose the power of two that a block of 32 shares?

OCP Microscaling Formats 1.0, and torchao's ``to_mx``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.floats import EXPONENT_MASK, MANTISSA_BITS, ONE_EXPONENT, FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.formulas import absmax_of
from qviz.core.runtimes.record import Convention, Recipe

BIAS = 127
LARGEST_EXPONENT = 254
"""Of an E8M0 scale; 255 is NaN."""

BLOCK = 32
FORMATS = frozenset({"e4m3fn", "e5m2", "e2m3fn", "e3m2fn", "e2m1fn"})
INT8_FRACTION = 64.0
"""An MXINT8 element is a whole number of 64ths."""


def _exponent(values: FloatArray) -> Any:
    """The biased exponent bits."""
    return (values.view(np.int32) & EXPONENT_MASK) >> MANTISSA_BITS


def _floor_exponent(absmax: FloatArray, mantissa: int) -> Any:
    return _exponent(absmax)


def _ceil_exponent(absmax: FloatArray, mantissa: int) -> Any:
    return _exponent(absmax) + ((absmax.view(np.int32) & (ONE_EXPONENT - 1)) > 0)


def _even_exponent(absmax: FloatArray, mantissa: int) -> Any:
    # What rounds up to the next power of two in the element's precision counts as that.
    return _exponent((absmax.view(np.int32) + (1 << (MANTISSA_BITS - mantissa - 1))).view(np.float32))


def _mx(rule: Callable[[FloatArray, int], Any], low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """The largest element's exponent, less that of the format's largest value."""
    number_format, absmax = scheme.number_format, np.ascontiguousarray(absmax_of(low, high))
    largest, fraction, mantissa = _element(number_format)
    stored = np.clip(
        rule(absmax, mantissa) - (_exponent(np.array([largest], np.float32))[0] - BIAS), 0, LARGEST_EXPONENT
    )
    # A stored 0 stands for 2^-127, but 2^-126, the smallest normal number, is what is divided by.
    divisor = np.maximum(_power(stored), np.finfo(np.float32).tiny)
    return Recipe(_power(stored) / fraction, np.asarray(divisor / fraction, np.float32))


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
    """2^(stored − 127) as float32, a denormal one too."""
    return np.asarray(np.ldexp(np.float32(1), np.asarray(stored) - BIAS), np.float32)


def _microscaling(name: str, label: str, summary: str, formula: str, recipe: Any) -> Convention:
    return Convention(
        name=name,
        label=label,
        summary=summary,
        range_includes_zero=False,
        scale_formula=formula,
        symmetric_scale_formula=formula,
        zero_point_formula="Z = 0",
        code_formula="Q = clip(round(R / S), −qmax, qmax)",
        code_range=lambda f, symmetric: (-f.quant_max, f.quant_max),
        symmetric_only=True,
        integers=frozenset({"int8"}),
        others=FORMATS,
        block_size=BLOCK,
        scale_bits=8,
        recipe=recipe,
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
        "S = 2^(floor(log2 absmax) − emax)",
        partial(_mx, _floor_exponent),
    ),
    _microscaling(
        "mx_ceil",
        N_("MX, scale rounded up"),
        N_(
            "OCP Microscaling: blocks of 32 share a power of two (E8M0, 8 bits), "
            "rounded up so that nothing is clipped, which costs a bit of precision in most blocks. torchao's to_mx."
        ),
        "S = 2^(ceil(log2 absmax) − emax)",
        partial(_mx, _ceil_exponent),
    ),
    _microscaling(
        "mx_even",
        N_("MX, scale rounded to nearest"),
        N_(
            "OCP Microscaling: blocks of 32 share a power of two (E8M0, 8 bits), "
            "rounded up only where the largest element would round up to a power of two itself. torchao's to_mx."
        ),
        "S = 2^(floor(log2 round(absmax)) − emax)",
        partial(_mx, _even_exponent),
    ),
    _microscaling(
        "mx_rceil",
        N_("MX, smallest scale without clipping"),
        N_(
            "OCP Microscaling: blocks of 32 share a power of two (E8M0, 8 bits), "
            "the smallest one that clips nothing (the rule of NVIDIA's hardware). torchao's to_mx."
        ),
        "S = 2^ceil(log2(absmax / qmax))",
        _mx_rceil,
    ),
)
"""The four rules for the shared power of two."""
