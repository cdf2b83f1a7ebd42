"""How do PyTorch's QAT and torchao find a symmetric scale from both ends of a range, each against its own last code?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.arrays import Array, FloatArray
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import POWER, Constant, Expression, Formula, Function
from qviz.core.runtimes.formulas import (
    AT_LEAST,
    DEQUANTIZED,
    MAX,
    MIN,
    QMAX,
    QMIN,
    Formulas,
    FormulasOf,
    R,
    S,
    Z,
    clipped,
    rounding,
)
from qviz.core.runtimes.precision import BFLOAT16, FLOAT16, HALVES, PLAIN, Precision, entirely
from qviz.core.runtimes.record import Recipe
from qviz.core.runtimes.torch import PYTORCH, TINY, TORCHAO
from qviz.core.tensors.granularity import Granularity

F = np.float32

# --- torchao's SYMMETRIC_NO_CLIPPING_ERR -----------------------------------------------------------


def _no_clipping(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """The smallest scale under which neither end is clipped."""
    first, last = scheme.number_format.quant_min, scheme.number_format.quant_max
    scale = np.asarray(np.maximum(np.maximum(low / F(first), high / F(last)), F(TINY)), F)
    return Recipe(scale, scale)


def _both_ends(written: str, smallest: float) -> FormulasOf:
    least = Constant(written, smallest)

    @lru_cache
    def of(number_format: NumberFormat, symmetric: bool) -> Formulas:
        width = AT_LEAST(AT_LEAST(MIN / QMIN, MAX / QMAX), least)
        code = clipped(rounding(number_format)(R * (1 / S)) + Z)
        return Formulas(Formula(S, width), None, code, DEQUANTIZED)

    return of


_OF_HALVES = {
    BFLOAT16: entirely(BFLOAT16, _both_ends("1.18e-38", TINY)),
    FLOAT16: entirely(FLOAT16, _both_ends("6.1e-5", float(np.finfo(np.float16).tiny))),
}


def _in_tensors_type(dtype: str, number_format: NumberFormat, symmetric: bool, granularity: Granularity) -> Precision:
    return _OF_HALVES[dtype] if dtype in HALVES else PLAIN


TORCHAO_NO_CLIPPING = replace(
    TORCHAO,
    name="torchao_no_clipping",
    label=N_("torchao, no clipping error"),
    summary=N_(
        "MappingType.SYMMETRIC_NO_CLIPPING_ERR: the larger of min / qmin and max / qmax, so that nothing is clipped, "
        "and a range that reaches further below 0 gets the finer scale (int4: absmax / 8)."
    ),
    formulas=_both_ends("1.18e-38", TINY),
    symmetric_only=True,
    signed_only=True,
    others=frozenset(),
    recipe=_no_clipping,
    precision=_in_tensors_type,
)

# --- the fused observer of quantization-aware training ---------------------------------------------

SMALL_SCALE = F(6.1e-5)


def _fused(low: Any, high: Any, first: int, last: int, symmetric: bool) -> tuple[Array, Array]:
    """Scale and zero point of ``ChooseQuantizationParams`` (ATen, ``quant_utils.h``), step by step."""
    with np.errstate(all="ignore"):
        low, high = np.asarray(low, F), np.asarray(high, F)
        middle = (low < 0) & (high > 0) & symmetric
        below, above = -((last - first) // 2 + 1), (last - first) // 2
        most = np.maximum(np.abs(low / F(below)), np.abs(high / F(above))).astype(np.float64)
        low, high = np.where(middle, F(most * below), low), np.where(middle, F(most * above), high)
        low, high = np.minimum(low, F(0)), np.maximum(high, F(0))
        scale = (high.astype(np.float64) - low) / (last - first)
        scale = np.where((F(scale) == 0) | np.isinf(F(1) / F(scale)), 0.1, scale)
        small, grown, width = scale < SMALL_SCALE, SMALL_SCALE / F(scale), SMALL_SCALE * F(last - first)
        tops = np.where(low == 0, width, np.where(high == 0, high, high * grown))
        ends = np.where(low == 0, low, np.where(high == 0, -width, low * grown))
        low, high = np.where(small, ends, low), np.where(small, tops, high)
        scale = np.where(small, SMALL_SCALE, F(scale)).astype(np.float64)
        nearer = abs(first) + np.abs(low / scale) < abs(last) + np.abs(high / scale)
        point = np.where(nearer, first - low / scale, last - high / scale)
        middle = (low < 0) & (high > 0) & symmetric
        point = np.where(middle, (first + last + 1) // 2, np.rint(np.clip(point, first, last)))
    return np.asarray(scale, F), np.asarray(point, F)


_FUSED_HELPER = """\
def fused(low, high, first, last, symmetric):  # ChooseQuantizationParams of ATen: scale, zero point
    f = np.float32
    with np.errstate(all="ignore"):
        low, high = np.asarray(low, f), np.asarray(high, f)
        middle = (low < 0) & (high > 0) & symmetric
        below, above = -((last - first) // 2 + 1), (last - first) // 2
        most = np.maximum(np.abs(low / f(below)), np.abs(high / f(above))).astype(float)
        low, high = np.where(middle, f(most * below), low), np.where(middle, f(most * above), high)
        low, high = np.minimum(low, f(0)), np.maximum(high, f(0))
        scale = (high.astype(float) - low) / (last - first)
        scale = np.where((f(scale) == 0) | np.isinf(f(1) / f(scale)), 0.1, scale)
        small, grown, width = scale < f(6.1e-5), f(6.1e-5) / f(scale), f(6.1e-5) * f(last - first)
        tops = np.where(low == 0, width, np.where(high == 0, high, high * grown))
        ends = np.where(low == 0, low, np.where(high == 0, -width, low * grown))
        low, high = np.where(small, ends, low), np.where(small, tops, high)
        scale = np.where(small, f(6.1e-5), f(scale)).astype(float)
        nearer = abs(first) + np.abs(low / scale) < abs(last) + np.abs(high / scale)
        point = np.where(nearer, first - low / scale, last - high / scale)
        middle = (low < 0) & (high > 0) & symmetric
        point = np.where(middle, (first + last + 1) // 2, np.rint(np.clip(point, first, last)))
    return f(scale), f(point)
"""


def _fused_recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    f = scheme.number_format
    scale, point = _fused(low, high, f.quant_min, f.quant_max, scheme.symmetric)
    return Recipe(scale, scale, point)


def _plain(low: Any, high: Any, first: int, last: int, symmetric: bool) -> Any:
    """The scale of a range on both sides of 0 that is wide enough."""
    both = np.maximum(low / F(first), high / F(last))
    return both if symmetric else (np.float64(high) - np.float64(low)) / (last - first)


@lru_cache
def _fused_formulas(number_format: NumberFormat, symmetric: bool) -> Formulas:
    assert isinstance(number_format, IntFormat)
    first, last = number_format.quant_min, number_format.quant_max
    ends: tuple[Expression, ...] = (MIN, MAX, QMIN, QMAX)
    if symmetric:  # as of signed codes
        ends = (MIN, MAX, Constant("first", -((last - first) // 2 + 1)), Constant("last", (last - first) // 2))

    def part(which: int, written: str, hides: Callable[..., bool]) -> Expression:
        return Function(
            written,
            f"fused({{0}}, {{1}}, qmin, qmax, {symmetric})[{which}]",
            lambda low, high, *_: _fused(low, high, first, last, symmetric)[which],
            _FUSED_HELPER,
            asks=POWER,
            hides=hides,
        )(*ends)

    def is_another(low: Any, high: Any, below: Any, above: Any) -> bool:
        """Whether the steps lead to another scale than the formula as it is written."""
        with np.errstate(all="ignore"):
            found = _fused(low, high, first, last, symmetric)[0]
            plain = _plain(low, high, below, above, symmetric)
            return not np.isclose(plain, found, rtol=1e-6, atol=0).all()

    width = "max({0} / {2}, {1} / {3})" if symmetric else "({1} − {0}) / ({3} − {2})"
    point = "clip(round(qmin − {0} / S), qmin, qmax)"
    return Formulas(
        scale=Formula(S, part(0, width, is_another), note=N_(", at least 6.1e−5")),
        zero_point=Formula(Z, part(1, f"0, or {point} on one side of 0" if symmetric else point, lambda *_: True)),
        code=clipped(rounding(number_format)(R * (1 / S)) + Z),
        value=DEQUANTIZED,
    )


PYTORCH_QAT = replace(
    PYTORCH,
    name="pytorch_qat",
    label=N_("PyTorch, QAT"),
    summary=N_(
        "FusedMovingAvgObsFakeQuantize while training: symmetric scales are the larger of min / −128 and max / 127, at "
        "least 6.1e−5, and a range on one side of 0 gets a zero point. What is converted in the end has the observers' "
        "scale again (absmax / 127.5)."
    ),
    formulas=_fused_formulas,
    integers=frozenset({"int8", "uint8"}),
    others=frozenset(),
    recipe=_fused_recipe,
)
