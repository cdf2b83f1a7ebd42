"""How does a script turn unit values into stored codes?"""

from __future__ import annotations

from qviz.core.formats.codebooks import Codebook
from qviz.core.formats.floats import MANTISSA_BITS, NAN_PATTERNS, FloatFormat
from qviz.core.formats.table import NumberFormat

INFINITIES = {"e5m2": 0x7C}
"""The stored infinity of the layouts that have one, where codes are not clipped."""


def encoding_helper(number_format: NumberFormat, with_nan: bool = False, saturates: bool = True) -> list[str]:
    """What a script has to define first; ``with_nan`` where there may be NaN among the codes."""
    if not isinstance(number_format, FloatFormat):
        return []
    mantissa, lowest, _ = number_format.grid
    exponent = (lowest >> MANTISSA_BITS) - 127
    # The FNUZ formats have no negative zero.
    sign = "values < 0" if number_format.format.endswith("fnuz") else "np.signbit(np.where(values == 0, like, values))"
    end = f"    return pattern + ({sign}) * {1 << (number_format.bits - 1)}"
    if with_nan and number_format.has_nan:
        signed = (
            "" if number_format.format.endswith("fnuz") else f" + np.signbit(values) * {1 << (number_format.bits - 1)}"
        )
        end = f"""\
    pattern = pattern + ({sign}) * {1 << (number_format.bits - 1)}
    return np.where(np.isnan(values), {NAN_PATTERNS[number_format.format]}{signed}, pattern)"""
    if not saturates and number_format.format in INFINITIES:
        infinity = INFINITIES[number_format.format]
        end = f"    pattern = np.where(np.isinf(values), {infinity}, pattern)\n{end}"
    return [
        f"""\
def bits(values, like):  # {number_format.label}; a zero keeps the sign of like
    power = np.where(values == 0, {exponent}, np.maximum(np.frexp(values)[1] - 1, {exponent}))
    pattern = np.ldexp(np.abs(values), {mantissa} - power).astype(int) + (power + {-exponent}) * {1 << mantissa}
{end}
"""
    ]


def encoded(number_format: NumberFormat) -> str:
    """The stored codes, as an expression of ``codes`` and ``x``."""
    cast = f".astype(np.{number_format.dtype})"
    if isinstance(number_format, FloatFormat):
        return f"bits(codes, x){cast}"
    return f"np.searchsorted(levels, codes){cast}" if isinstance(number_format, Codebook) else f"codes{cast}"
