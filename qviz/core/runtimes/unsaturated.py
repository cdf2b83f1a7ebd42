"""What becomes of values beyond the last one of FP8 where nobody saturates: ONNX's ``saturate=0``, and bare casts."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.floats import FP8, FloatFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Expression, Formula, Function
from qviz.core.runtimes.formulas import ABSMAX, DEQUANTIZED, QMAX, Formulas, FormulasOf, Q, R, S, rounding
from qviz.core.runtimes.onnxruntime import ONNXRUNTIME
from qviz.core.runtimes.record import NEVER, Convention, Recipe

E4M3, E5M2 = "e4m3fn", "e5m2"
INFINITE = frozenset({E5M2})
"""The formats of eight bits that have infinities."""

FIRST_BEYOND, FIRST_LOST = np.float32(480), np.float32(496)
"""What is rounded to 480 is 448 in ONNX Runtime where it is at least 480 itself."""

FIRST_INFINITE = np.float32(65536)


def by_standard(number_format: FloatFormat, quotients: FloatArray, codes: FloatArray) -> FloatArray:
    """NaN where the format has no infinity."""
    end = np.float32(np.inf if number_format.format in INFINITE else np.nan)
    return np.where(np.abs(codes) > number_format.quant_max, np.copysign(end, codes), codes)


def by_onnxruntime(number_format: FloatFormat, quotients: FloatArray, codes: FloatArray) -> FloatArray:
    """The constructors ``Float8E4M3FN(value, false)`` and so on of its ``float8.h``, with what is peculiar to them."""
    size, end = np.abs(quotients), np.float32(np.nan)
    ends: Any = end
    if number_format.format == E4M3:
        ends = np.where((size >= FIRST_BEYOND) & (size < FIRST_LOST), np.float32(number_format.quant_max), end)
    elif number_format.format == E5M2:
        ends = np.where(size >= FIRST_INFINITE, np.float32(np.inf), end)
    return np.where(np.abs(codes) > number_format.quant_max, np.copysign(ends, codes), codes)


def _ending(number_format: FloatFormat, peculiar: bool) -> Function:
    """The code of a quotient and what it was rounded to."""
    ends = "np.inf" if number_format.format in INFINITE else "np.nan"
    if peculiar and number_format.format == E4M3:
        ends = "np.where((np.abs(y) >= 480) & (np.abs(y) < 496), 448, np.nan)"
    elif peculiar and number_format.format == E5M2:
        ends = "np.where(np.abs(y) >= 65536, np.inf, np.nan)"
    beyond = by_onnxruntime if peculiar else by_standard
    return Function(
        "{1}",
        "unsaturated({0}, {1})",
        lambda quotients, codes: beyond(number_format, np.asarray(quotients, np.float32), np.asarray(codes)),
        f"""\
def unsaturated(y, code):  # {number_format.label}, beyond its last value
    end = np.float32({ends})
    return np.where(np.abs(code) > qmax, np.copysign(end, code), code)
""",
        # What becomes 448 in spite of the rule is not written out as a rounding.
        hides=lambda quotients, codes: (
            peculiar
            and bool(np.any((np.abs(codes) > number_format.quant_max) & (np.abs(quotients) < FIRST_LOST)))
            and number_format.format == E4M3
        ),
    )


def _formulas(scale: Formula, peculiar: bool) -> FormulasOf:
    @lru_cache
    def of(number_format: NumberFormat, symmetric: bool) -> Formulas:
        assert isinstance(number_format, FloatFormat)
        quotient: Expression = R / S
        code = _ending(number_format, peculiar)(quotient, rounding(number_format, beyond=True)(quotient))
        infinite = number_format.format in INFINITE
        note = N_(", infinite beyond qmin … qmax") if infinite else N_(", NaN beyond qmin … qmax")
        return Formulas(scale=scale, zero_point=None, code=Formula(Q, code, note=note), value=DEQUANTIZED)

    return of


ONE = Function("1", "np.ones_like({0})", np.ones_like)
"""Of every group, whatever its range."""

CAST_FLOAT8 = Convention(
    name="cast_float8",
    label=N_("Cast to FP8 (JAX, ml_dtypes)"),
    summary=N_(
        "x.astype(float8_e4m3fn) of JAX and ml_dtypes, and .to(torch.float8_e4m3fn) of older releases of PyTorch: no "
        "scale, and nothing is clipped. What would be rounded beyond the last value is NaN, in E5M2 infinite. "
        "PyTorch 2.13 clips E4M3 and none of the others."
    ),
    range_includes_zero=False,
    formulas=_formulas(Formula(S, ONE(ABSMAX)), peculiar=False),
    falls_back=lambda f: NEVER,
    symmetric_only=True,
    integers=frozenset(),
    others=FP8,
    scale_bits=0,
    recipe=lambda low, high, scheme: Recipe(np.ones_like(low), np.ones_like(low)),
    beyond=by_standard,
)

ONNXRUNTIME_UNSATURATED = replace(
    ONNXRUNTIME,
    name="onnxruntime_unsaturated",
    label=N_("ONNX Runtime, saturate=0"),
    summary=N_(
        "QuantizeLinear with saturate=0, absmax / qmax: what would be rounded beyond the last value is NaN. ONNX "
        "Runtime has it a little otherwise: E4M3 from 480 to 496 is 448, and E5M2 is infinite from 65536 on only."
    ),
    formulas=_formulas(Formula(S, ABSMAX / QMAX), peculiar=True),
    symmetric_only=True,
    integers=frozenset(),
    others=FP8,
    of_blocks=None,
    beyond=by_onnxruntime,
)
