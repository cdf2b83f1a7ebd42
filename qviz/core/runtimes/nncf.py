"""How does NNCF compress weights for OpenVINO? ``do_integer_quantization`` of its weight compression."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Constant, Expression, Formula, Function
from qviz.core.runtimes.formulas import (
    ALL_CODES,
    CLIP,
    DEQUANTIZED,
    MAX,
    MIN,
    QMAX,
    QMIN,
    WHOLE,
    Formulas,
    R,
    S,
    Z,
    clipped,
    rounding,
)
from qviz.core.runtimes.record import ZERO, Convention, Recipe

EPSILON = np.finfo(np.float32).eps


def _not_smaller(scale: Any) -> Any:
    scale = np.asarray(scale, np.float32)
    return np.where(np.abs(scale) < EPSILON, EPSILON, scale)


def _recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """A signed scale of the extreme, or one from min to max with a whole zero point; in float32."""
    f = scheme.number_format
    if scheme.symmetric:
        scale = np.where(np.abs(low) >= high, np.abs(low), -high) / np.float32(f.levels // 2)
        scale = _not_smaller(scale)
        return Recipe(np.asarray(scale, np.float32), np.asarray(scale, np.float32))
    low, high = np.minimum(low, np.float32(0)), np.maximum(high, np.float32(0))
    with np.errstate(over="ignore"):
        scale = _not_smaller((high - low) / np.float32(f.levels - 1))
    point = np.clip(f.quant_min - np.rint(low / scale), f.quant_min, f.quant_max)
    return Recipe(np.asarray(scale, np.float32), np.asarray(scale, np.float32), np.asarray(point, np.float32))


NOT_SMALLER = Function(
    "{0}",
    "not_smaller({0})",
    _not_smaller,
    """\
def not_smaller(scale):
    scale, least = np.float32(scale), np.finfo(np.float32).eps
    return np.where(np.abs(scale) < least, least, scale)
""",
    hides=lambda scale: bool(np.any(np.abs(scale) < EPSILON)),
)
SIGNED = Function(
    "signed({0}, {1})",
    "signed({0}, {1})",
    lambda low, high: np.where(np.abs(low) >= high, np.abs(low), -high),
    """\
def signed(low, high):  # positive where the end below 0 is as far, negative where the other one is further
    return np.where(np.abs(low) >= high, np.abs(low), -high)
""",
)
TO_ZERO = Function("min({0}, 0)", "np.minimum({0}, 0)", lambda low: np.minimum(low, np.float32(0)))
FROM_ZERO = Function("max({0}, 0)", "np.maximum({0}, 0)", lambda high: np.maximum(high, np.float32(0)))


@lru_cache
def _formulas(number_format: NumberFormat, symmetric: bool) -> Formulas:
    assert isinstance(number_format, IntFormat)
    width: Expression = SIGNED(MIN, MAX) / Constant("middle", number_format.levels // 2)
    point = None
    if not symmetric:
        width = (FROM_ZERO(MAX) - TO_ZERO(MIN)) / ALL_CODES
        point = Formula(Z, CLIP(QMIN - WHOLE(TO_ZERO(MIN) / S), QMIN, QMAX))
    return Formulas(
        scale=Formula(S, NOT_SMALLER(width), note=N_(", at least 1.19e−7")),
        zero_point=point,
        code=clipped(rounding(number_format)(R / S + Z)),
        value=DEQUANTIZED,
    )


NNCF = Convention(
    name="nncf",
    label=N_("OpenVINO (NNCF weights)"),
    summary=N_(
        "compress_weights: symmetric int4 and int8 have a signed scale, absmax / 8 or / 128, negative where the "
        "largest value is further from 0 than the smallest; asymmetric uint4 and uint8 a whole zero point. Scales are "
        "at least 1.19e−7."
    ),
    range_includes_zero=False,
    formulas=_formulas,
    zero_point_before_rounding=True,
    symmetric_span=lambda f: f.levels,
    integers=frozenset({"int4", "int8", "uint4", "uint8"}),
    symmetric_integers_only=frozenset({"int4", "int8"}),
    asymmetric_integers_only=frozenset({"uint4", "uint8"}),
    recipe=_recipe,
    nan_code=ZERO,
)
