"""Which formulas and functions do several runtimes share?"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray, Floats
from qviz.core.formats.codebooks import DOWN, SINGLE_MIDDLES, TO_ZERO, UP, Codebook
from qviz.core.formats.floats import MANTISSA_BITS, FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.frozen import frozen
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Expression, Folded, Formula, Function, Number, Symbol

# --- what the symbols of every formula stand for ---------------------------------------------------

R, Q, VALUE = Symbol("R", "x"), Symbol("Q", "codes"), Symbol("x̂", "x_hat")
S, Z = Symbol("S", "scale"), Symbol("Z", "zero_point")
MIN, MAX, ABSMAX = Symbol("min", "low"), Symbol("max", "high"), Symbol("absmax", "absmax")
EXTREME = Symbol("extreme", "extreme")
"""The element furthest from 0, with its sign."""
TENSOR_ABSMAX = Symbol("tensor absmax", "tensor_absmax", "np.max(absmax)")
QMIN, QMAX = Symbol("qmin", "qmin"), Symbol("qmax", "qmax")

HALF = Number(0.5, "½")
ALL_CODES = Folded(QMAX - QMIN)

# --- functions -------------------------------------------------------------------------------------

CLIP = Function("clip({0}, {1}, {2})", "np.clip({0}, {1}, {2})", np.clip)
AT_LEAST = Function("max({0}, {1})", "np.maximum({0}, {1})", np.maximum)
AT_MOST = Function("min({0}, {1})", "np.minimum({0}, {1})", np.minimum)
FLOOR = Function("floor({0})", "np.floor({0})", np.floor)
WHOLE = Function("round({0})", "np.rint({0})", np.rint)
"""To the nearest whole number, ties to even."""


def as_float16(values: Any) -> Any:
    """The nearest float16, as float32; infinite where there is none."""
    with np.errstate(over="ignore"):
        return np.float16(values).astype(np.float32)


WHOLE_ABOVE = np.float32(1 << MANTISSA_BITS)
"""From here on every float32 is a whole number."""


def _away(values: Any) -> Any:
    magnitude = np.minimum(np.abs(values), WHOLE_ABOVE)
    whole = np.floor(magnitude)
    return np.copysign(whole + np.floor(2 * (magnitude - whole)), values)


AWAY = Function(
    "round({0})",
    "away({0})",
    _away,
    """\
def away(y):  # to the nearest whole number, halves away from 0
    size = np.minimum(np.abs(y), np.float32(1 << 23))
    whole = np.floor(size)
    return np.copysign(whole + np.floor(2 * (size - whole)), y)
""",
)
HALVES_AWAY = N_(", halves away from 0")


FLOAT16 = Function("f16({0})", "np.float32(np.float16({0}))", as_float16)


def rounding(number_format: NumberFormat, beyond: bool = False) -> Function:
    """``round`` to the nearest unit value of a format; where that matters ``beyond`` the last one, too."""
    if isinstance(number_format, IntFormat):
        return WHOLE

    def nearest(values: Any) -> Any:
        array = np.asarray(values, np.float32)
        return number_format.round(array.reshape(-1), np.empty(array.size, np.float32)).reshape(array.shape)[()]

    helper = (
        _float_helper(number_format, beyond)
        if isinstance(number_format, FloatFormat)
        else _codebook_helper(number_format)
    )
    return Function("round({0})", "nearest({0})", nearest, helper)


def _float_helper(number_format: FloatFormat, beyond: bool) -> str:
    mantissa, lowest, _ = number_format.grid
    exponent = (lowest >> MANTISSA_BITS) - 127
    ends = "2 * qmin, 2 * qmax" if beyond else "qmin, qmax"
    return f"""\
def nearest(y):  # value of {number_format.label}, ties to an even mantissa
    y = np.clip(y, {ends})
    last = np.maximum(np.frexp(y)[1] - 1, {exponent}) - {mantissa}  # power of two of the last bit
    return np.ldexp(np.rint(np.ldexp(y, -last)), last)
"""


_TIES_IN_SCRIPTS = {
    DOWN: ("the lower one", "np.searchsorted(middles, y)"),
    UP: ("the upper one", 'np.searchsorted(middles, y, side="right")'),
    TO_ZERO: (
        "the one nearer to 0",
        'np.where(y < 0, np.searchsorted(middles, y, side="right"), np.searchsorted(middles, y))',
    ),
}


def _codebook_helper(codebook: Codebook) -> str:
    numbers = [repr(level) for level in codebook.values.tolist()]
    exact = "" if codebook.format in SINGLE_MIDDLES else ".astype(float)"
    levels = "\n".join(f"    {', '.join(numbers[i : i + 4])}," for i in range(0, len(numbers), 4))
    which, place = _TIES_IN_SCRIPTS[codebook.ties]
    return f"""\
levels = np.float32([
{levels}
])


def nearest(y):  # level of {codebook.label}, {which} of two as near
    middles = (levels[:-1]{exact} + levels[1:]) / 2
    return levels[{place}]
"""


# --- the formulas of a scheme ----------------------------------------------------------------------


@frozen
class Formulas:
    """Everything that a scheme computes, written once.

    Attributes
    ----------
    scale : Formula
    zero_point : Formula or None
        None where symmetry fixes it.
    code, value : Formula
    divisor : Formula or None
        What a value meets in the place of the scale; None for the scale itself.
    offset : Formula or None
        What is added in the end.
    unstored : Formula or None
        The zero point before it is stored in a narrower type, where codes are made with that.
    """

    scale: Formula
    zero_point: Formula | None
    code: Formula
    value: Formula
    divisor: Formula | None = None
    offset: Formula | None = None
    unstored: Formula | None = None


FormulasOf = Callable[[NumberFormat, bool], Formulas]
"""The formulas of a number format, symmetric or not."""

CodeRule = Callable[[Function], Expression]
"""An unclipped code, given how its format rounds."""

DEQUANTIZED = Formula(VALUE, (Q - Z) * S)


def zero_point_after(round_: Function) -> Expression:
    """``round(R / S) + Z``."""
    return round_(R / S) + Z


def zero_point_before(round_: Function) -> Expression:
    """``round(R / S + Z)``."""
    return round_(R / S + Z)


def no_zero_point_in_codes(round_: Function) -> Expression:
    """``round(R / S)``."""
    return round_(R / S)


def clipped(code: Expression) -> Formula:
    """A code that ends where the codes end."""
    return Formula(Q, CLIP(code, QMIN, QMAX))


def unscaled(number_format: NumberFormat) -> Formulas:
    """Of floats that are rounded as they are."""
    return Formulas(
        scale=Formula(S, Number(1), note=N_(": values are rounded as they are")),
        zero_point=None,
        code=clipped(rounding(number_format)(R)),
        value=Formula(VALUE, Q),
    )


def affine(
    symmetric: Expression | Callable[[NumberFormat], Expression],
    code: CodeRule,
    scale: Expression | Callable[[IntFormat], Expression] | None = None,
    zero_point: Expression | Callable[[IntFormat], Expression] | None = None,
    *,
    code_of_floats: CodeRule | None = None,
    divisor: Formula | None = None,
    value: Formula = DEQUANTIZED,
    note: str = "",
) -> FormulasOf:
    """The formulas of a runtime whose scale follows from a range, and whose zero point follows from both.

    Parameters
    ----------
    symmetric : Expression, or a function of the number format that gives it
        The scale of a symmetric range.
    code : Callable[[Function], Expression]
        The code before it is clipped, given ``round``.
    scale, zero_point : Expression, or a function of the integer format, or None
        Of an asymmetric range; None where the runtime has none.
    code_of_floats : Callable[[Function], Expression], optional
        The same as ``code`` for formats without a zero point, where these differ.
    divisor, value : Formula, optional
    note : str
        What is said of an asymmetric range besides.
    """

    @lru_cache
    def of(number_format: NumberFormat, is_symmetric: bool) -> Formulas:
        rule = code if number_format.offers_zero_point else code_of_floats or code
        codes = clipped(rule(rounding(number_format)))
        if is_symmetric:
            width = symmetric(number_format) if callable(symmetric) else symmetric
            return Formulas(Formula(S, width), None, codes, value, divisor)
        assert isinstance(number_format, IntFormat) and scale is not None and zero_point is not None
        width = scale(number_format) if callable(scale) else scale
        point = zero_point(number_format) if callable(zero_point) else zero_point
        return Formulas(Formula(S, width, note=note), Formula(Z, point), codes, value, divisor)

    return of


WITH_ZERO = N_(", with min ≤ 0 ≤ max")

# --- functions of records --------------------------------------------------------------------------


def full_range(number_format: IntFormat) -> tuple[int, int]:
    """The first and the last code of the format."""
    return number_format.quant_min, number_format.quant_max


def all_codes(number_format: IntFormat, symmetric: bool) -> tuple[int, int]:
    """The same, whatever the mode."""
    return full_range(number_format)


def twice_the_last(number_format: IntFormat) -> float:
    """How many scales wide [-absmax, absmax] is, where absmax gets the last code."""
    return 2 * number_format.quant_max


def no_middle(number_format: IntFormat) -> float:
    """The zero point of symmetric codes around 0."""
    return 0.0


def no_zero_point(number_format: IntFormat, low: Floats, high: Floats, scale: Floats) -> Floats:
    """Zero points of a runtime that has none."""
    return np.zeros_like(scale)


def absmax_of(low: FloatArray, high: FloatArray) -> FloatArray:
    """How far a range lies from 0."""
    return np.maximum(np.abs(low), np.abs(high))
