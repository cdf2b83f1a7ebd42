"""In which types does a runtime compute with a tensor of a narrower type than float32?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.formats.table import NumberFormat
from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import POWER, Expression, Formula, Function, Rounded, each_rounded, replaced
from qviz.core.runtimes.formulas import Formulas, FormulasOf, Q, S, Z, as_float16
from qviz.core.tensors.granularity import Granularity

FLOAT32, BFLOAT16, FLOAT16 = "float32", "bfloat16", "float16"
BFLOAT16_IN_FLOAT16 = "bfloat16 in float16"
"""Of scales that are rounded to the mantissa of bfloat16, and then stored as float16."""

POWER_OF_TWO = "power of two"
"""Of scales that are rounded up to it: 8 bits, as E8M0."""

AUTO = "auto"
"""A scheme's word for the type of the tensor."""

HALVES = (BFLOAT16, FLOAT16)
_STEPS = {FLOAT32: 0.0, BFLOAT16: 2.0**-7, FLOAT16: 2.0**-10}
BYTE = 8
COMPUTE_DTYPES = (AUTO, FLOAT32)
"""What a scheme can ask for."""


def as_bfloat16(values: Any) -> Any:
    """The nearest bfloat16, as float32."""
    import ml_dtypes

    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(values, np.float32).astype(ml_dtypes.bfloat16).astype(np.float32)


_BFLOAT16_HELPER = """\
def bf16(y):  # the nearest bfloat16, ties to even
    y = np.asarray(y, np.float32)
    bits = y.view(np.uint32)
    nearest = (bits + np.uint32(0x7FFF) + (bits >> 16 & np.uint32(1))) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(y), y, nearest.view(np.float32))
"""
_FLOAT16_HELPER = """\
def f16(y):  # the nearest float16, ties to even
    with np.errstate(over="ignore"):
        return np.float32(np.asarray(y).astype(np.float16))
"""

_BOTH_HELPER = """\
def f16_bf16(y):  # rounded to 8 bits of mantissa as bfloat16 is, then the nearest float16, ties to even
    bits = np.asarray(y, np.float32).view(np.uint32)
    coarse = (bits + np.uint32(0x7FFF) + (bits >> 16 & np.uint32(1))) & np.uint32(0xFFFF0000)
    with np.errstate(over="ignore"):
        return np.float32(coarse.view(np.float32).astype(np.float16))
"""


def as_power_of_two(values: Any) -> Any:
    """The smallest power of two that is not below, as float32; 0 stays."""
    exact = np.asarray(values, np.float64)
    mantissa, exponent = np.frexp(exact)
    with np.errstate(over="ignore", under="ignore"):
        power = np.ldexp(1.0, exponent - (mantissa == HALF_MANTISSA)).astype(np.float32)
    return np.where(np.isfinite(exact) & (exact != 0), power, exact.astype(np.float32))


HALF_MANTISSA = 0.5
_POWER_HELPER = """\
def power_up(y):  # the smallest power of two that is not below
    y = np.asarray(y, float)
    mantissa, exponent = np.frexp(y)
    power = np.ldexp(1.0, exponent - (mantissa == 0.5)).astype(np.float32)
    return np.where(np.isfinite(y) & (y != 0), power, np.float32(y))
"""

ROUNDINGS = {
    BFLOAT16: Function("{0}", "bf16({0})", as_bfloat16, _BFLOAT16_HELPER),
    FLOAT16: Function("{0}", "f16({0})", as_float16, _FLOAT16_HELPER),
    BFLOAT16_IN_FLOAT16: Function(
        "f16(bf16({0}))", "f16_bf16({0})", lambda values: as_float16(as_bfloat16(values)), _BOTH_HELPER
    ),
    POWER_OF_TWO: Function("2^ceil(log2({0}))", "power_up({0})", as_power_of_two, _POWER_HELPER, holds=POWER),
}
"""How the result of an operation is rounded, where float32 is not what is computed in."""

Rounding = Callable[[Any], Any]


def rounding_to(dtype: str) -> Rounding | None:
    """What rounds to a type; None for float32."""
    return ROUNDINGS[dtype].compute if dtype in ROUNDINGS else None


@frozen
class Precision:
    """The types that one runtime computes in, for one type of tensor: float32 where nothing else is said.

    Attributes
    ----------
    ranges : str
        Every operation between a range and its scale and zero point is rounded to it. float32 stands for the
        convention's own way, which may be float64.
    scale : str
        The scale is stored in it.
    codes : str
        Every operation between a value and its code is rounded to it.
    values : str
        Every operation between a code and its value is.
    result : str
        The dequantized value is.
    codes_from_exact_scale : bool
        Whether codes follow from the scale before it is stored.
    formulas : FormulasOf or None
        The convention's formulas, where they are others for this type of tensor.
    """

    ranges: str = FLOAT32
    scale: str = FLOAT32
    codes: str = FLOAT32
    values: str = FLOAT32
    result: str = FLOAT32
    formulas: FormulasOf | None = None
    codes_from_exact_scale: bool = False

    @property
    def rounds_elements(self) -> bool:
        """Whether codes or values do not come from float32 arithmetic alone."""
        return {self.codes, self.values, self.result} != {FLOAT32}

    @property
    def coarsest(self) -> float:
        """The relative step of the narrowest type that an element meets; 0 where that is float32."""
        return max(_STEPS[dtype] for dtype in (self.codes, self.values, self.result))


PLAIN = Precision()


def entirely(dtype: str, formulas: FormulasOf | None = None) -> Precision:
    """Of runtimes that never leave the tensor's type."""
    return Precision(dtype, dtype, dtype, dtype, dtype, formulas)


PrecisionOf = Callable[[str, NumberFormat, bool, Granularity], Precision]
"""The types for a tensor of a type, under a number format, symmetric or not, per tensor or in groups."""


def always_float32(dtype: str, number_format: NumberFormat, symmetric: bool, granularity: Granularity) -> Precision:
    """Of runtimes that convert a tensor first."""
    return PLAIN


def compute_dtype(tensor_dtype: str, asked: str) -> str:
    """The type that decides: that of the tensor, unless the scheme asks for float32."""
    return tensor_dtype if asked == AUTO and tensor_dtype in HALVES else FLOAT32


_NOTES = {
    BFLOAT16: (N_(", each step rounded to bfloat16"), N_(", rounded to bfloat16")),
    FLOAT16: (N_(", each step rounded to float16"), N_(", rounded to float16")),
}


@lru_cache(maxsize=512)
def in_precision(formulas: Formulas, precision: Precision, number_format: NumberFormat) -> Formulas:
    """The same with every rounding to a narrower type written into it."""
    # Codes of a byte have room in every type.
    given = frozenset[Expression]({Q, Z} if number_format.bits > BYTE else ())
    scale, zero_point = formulas.scale, formulas.zero_point
    if precision.ranges in HALVES:
        scale = _each(scale, precision.ranges)
        zero_point = zero_point and _each(zero_point, precision.ranges)
    elif precision.scale in ROUNDINGS:
        # The zero point follows from the scale before it is stored.
        exact, stored = scale.expression, ROUNDINGS[precision.scale]
        if zero_point is not None and precision.scale != POWER_OF_TWO:
            zero_point = replace(zero_point, expression=replaced(zero_point.expression, S, exact))
        if precision.scale in HALVES:
            scale = replace(scale, expression=Rounded(stored, exact), rounded=_NOTES[precision.scale][1])
        else:
            scale = replace(scale, expression=stored(exact))
    value = _each(formulas.value, precision.values, given)
    if precision.result != precision.values:
        rounded = Rounded(ROUNDINGS[precision.result], value.expression)
        value = replace(value, expression=rounded, rounded=_NOTES[precision.result][1])
    return replace(
        formulas,
        scale=scale,
        zero_point=zero_point,
        code=_each(formulas.code, precision.codes, given),
        value=value,
    )


def _each(formula: Formula, dtype: str, given: frozenset[Expression] = frozenset()) -> Formula:
    if dtype not in ROUNDINGS:
        return formula
    expression: Expression = each_rounded(formula.expression, ROUNDINGS[dtype], given)
    if expression == formula.expression:  # no step is left to this
        return formula
    return replace(formula, expression=expression, rounded=_NOTES[dtype][0])
