"""How does OpenVINO quantize weights to int8? What NNCF's ``quantize`` makes of FakeQuantize in front of constants.

``symmetric_range`` of NNCF 3.4 finds the ends of 255 levels, ``compress_quantize_weights_transformation`` of OpenVINO
the codes that are stored, in float32.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Formula, Function, Number, Symbol
from qviz.core.runtimes.formulas import (
    ABSMAX,
    ALL_CODES,
    AT_LEAST,
    DEQUANTIZED,
    QMAX,
    QMIN,
    TENSOR_ABSMAX,
    Formulas,
    R,
    S,
    absmax_of,
    clipped,
)
from qviz.core.runtimes.record import ZERO, Convention, Recipe

F = np.float32
SHARE, SMALLEST = Number(0.01), Number(8e-5, "8e−5")
"""The least end of a channel, as a part of the largest one, and at all."""

END = Symbol("T", "end")


def _codes_ends(number_format: IntFormat, symmetric: bool) -> tuple[int, int]:
    return -number_format.quant_max, number_format.quant_max


def _recipe(low: FloatArray, high: FloatArray, scheme: Any) -> Recipe:
    """The ends of all groups, no smaller than 1 % of the largest of them; twice too large a one is infinite."""
    absmax = absmax_of(low, high)
    least = np.maximum(absmax.max(initial=0) * F(SHARE.fixed), F(SMALLEST.fixed))
    end = np.asarray(np.maximum(absmax, least), F)
    with np.errstate(over="ignore"):
        return Recipe(np.asarray((end + end) / F(2 * scheme.number_format.quant_max), F), end)


def _levels(x: Any, end: Any, first: Any, last: Any) -> Any:
    """Counted from the lower end; of a range wider than float32 the last one or 0, as OpenVINO answers."""
    with np.errstate(all="ignore"):
        above, width = x + end, end + end
        levels = np.rint(above / width * F(last - first)) + F(first)
        lost = np.where(np.isnan(x), x, np.where(np.isinf(above), F(last), F(0)))
    return np.where(np.isinf(width), lost, levels)


LEVELS = Function(
    "round(({0} + {1}) / (2·{1}) · 254) − 127",
    "levels({0}, {1}, {2}, {3})",
    _levels,
    """\
def levels(x, end, first, last):  # of a range wider than float32 the last one or 0, as OpenVINO answers
    with np.errstate(all="ignore"):
        above, width = x + end, end + end
        codes = np.rint(above / width * np.float32(last - first)) + np.float32(first)
        lost = np.where(np.isnan(x), x, np.where(np.isinf(above), np.float32(last), np.float32(0)))
    return np.where(np.isinf(width), lost, codes)
""",
    hides=lambda x, end, *_: not np.isfinite(end + end).all(),
)


def _codes(quantizer: Any, x: FloatArray, out: FloatArray | None) -> FloatArray:
    q = quantizer.qparams
    codes = _levels(x, quantizer.divisor, q.quant_min, q.quant_max)
    return np.asarray(codes if out is None else np.positive(codes, out=out), F)


@lru_cache
def _formulas(number_format: NumberFormat, symmetric: bool) -> Formulas:
    end = Formula(END, AT_LEAST(ABSMAX, AT_LEAST(TENSOR_ABSMAX * SHARE, SMALLEST)))
    return Formulas(
        scale=Formula(S, (END + END) / ALL_CODES, (end,)),
        zero_point=None,
        code=clipped(LEVELS(R, END, QMIN, QMAX)),
        value=DEQUANTIZED,
        divisor=end,
    )


NNCF_QUANTIZED = Convention(
    name="nncf_quantized",
    label=N_("OpenVINO (NNCF quantize, weights)"),
    summary=N_(
        "nncf.quantize: weights symmetric in 255 levels, −127…127, by default a scale for each output. A channel's "
        "range is at least 1 % of the largest one's and 8e−5: zeros and small channels get few levels. Codes are "
        "counted from the lower end, in float32; values are Q · S."
    ),
    range_includes_zero=False,
    formulas=_formulas,
    code_range=_codes_ends,
    symmetric_only=True,
    integers=frozenset({"int8"}),
    nan_code=ZERO,
    of_whole_tensor=True,
    recipe=_recipe,
    code=_codes,
    beyond_loops=True,
)
