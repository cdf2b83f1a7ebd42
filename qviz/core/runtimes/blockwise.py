"""How does ``quantize_static`` of ONNX Runtime quantize weights in blocks (``BlockSize``)?

``compute_scale_zp_blocked`` of ``onnxruntime.quantization.quant_utils`` 1.32: unlike that for tensors and channels it
finds the width of a range in the weight's own type, and the zero point from the scale as it is stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Constant, Expression, Formula, Function
from qviz.core.runtimes.formulas import (
    ABSMAX,
    ALL_CODES,
    DEQUANTIZED,
    MAX,
    MIN,
    QMAX,
    QMIN,
    WITH_ZERO,
    Formulas,
    FormulasOf,
    S,
    Z,
    as_float16,
    clipped,
    rounding,
    zero_point_after,
)
from qviz.core.runtimes.onnxruntime import ONNXRUNTIME, symmetric_range
from qviz.core.runtimes.precision import FLOAT16, PLAIN, Precision
from qviz.core.runtimes.record import NEVER
from qviz.core.tensors.granularity import Granularity

TINY, SMALLEST_FLOAT16 = float(np.finfo(np.float32).tiny), float(np.finfo(np.float16).smallest_subnormal)


def _usable(smallest: float) -> Function:
    """1 in the place of a scale that is too small."""
    written = "2**-126" if smallest == TINY else "2**-24"
    return Function(
        "{0}",
        "usable({0})",
        lambda scale: np.where(scale < np.float32(smallest), np.float32(1), scale),
        f"""\
def usable(scale):  # 1 in the place of less than {written}
    return np.where(scale < np.float32({written}), np.float32(1), np.float32(scale))
""",
        hides=lambda scale: bool(np.any(scale < np.float32(smallest))),
    )


def _point(smallest: float) -> Function:
    """The zero point, in float64; 0 where the scale was too small."""
    half = smallest == SMALLEST_FLOAT16
    narrow: Callable[[Any], Any] = as_float16 if half else np.float32

    def lacks_scale(low: Any, high: Any, first: Any, last: Any) -> Any:
        with np.errstate(all="ignore"):
            return narrow(np.float64(narrow(high - low)) / (last - first)) < np.float32(smallest)

    def point(low: Any, high: Any, scale: Any, first: Any, last: Any) -> Any:
        with np.errstate(all="ignore"):
            found = np.clip(np.round(first - np.float64(low) / np.float64(scale)), first, last)
        return np.where(lacks_scale(low, high, first, last), 0, found)

    kind = "np.float16" if half else "np.float32"
    return Function(
        "clip(round({3} − {0} / {2}), {3}, {4})",
        "point({0}, {1}, {2}, {3}, {4})",
        point,
        f"""\
def point(low, high, scale, qmin, qmax):  # 0 where there is no scale
    raw = {kind}({kind}(high - low).astype(float) / (qmax - qmin))
    found = np.clip(np.round(qmin - np.float64(low) / np.float64(scale)), qmin, qmax)
    return np.where(raw < {"2**-24" if half else "2**-126"}, 0, found)
""",
        hides=lambda low, high, scale, first, last: bool(np.any(lacks_scale(low, high, first, last))),
    )


def _formulas(smallest: float) -> FormulasOf:
    usable, point = _usable(smallest), _point(smallest)

    @lru_cache
    def of(number_format: NumberFormat, symmetric: bool) -> Formulas:
        assert isinstance(number_format, IntFormat)
        code = clipped(zero_point_after(rounding(number_format)))
        if symmetric:
            first, last = symmetric_range(number_format)
            width: Expression = 2 * ABSMAX / Constant("steps", last - first)
            return Formulas(Formula(S, usable(width)), None, code, DEQUANTIZED)
        scale = Formula(S, usable((MAX - MIN) / ALL_CODES), note=WITH_ZERO)
        return Formulas(scale, Formula(Z, point(MIN, MAX, S, QMIN, QMAX)), code, DEQUANTIZED)

    return of


_OF_FLOAT16 = Precision(ranges=FLOAT16, scale=FLOAT16, result=FLOAT16, formulas=_formulas(SMALLEST_FLOAT16))


def _precision(dtype: str, number_format: NumberFormat, symmetric: bool, granularity: Granularity) -> Precision:
    return _OF_FLOAT16 if dtype == FLOAT16 else PLAIN


ONNXRUNTIME_BLOCKS = replace(
    ONNXRUNTIME,
    name="onnxruntime_blocks",
    label=N_("ONNX Runtime, BlockSize"),
    summary=N_(
        "Weights in blocks by quantize_static with BlockSize: as its channels, but the width of a range is found in "
        "the weight's own type, so that it may be infinite, and the zero point follows from the stored scale."
    ),
    formulas=_formulas(TINY),
    single_precision=True,
    by_formulas=True,
    falls_back=lambda f: NEVER,
    others=frozenset(),
    integers=frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (4, 8, 16)),
    per_block=True,
    fills_blocks=True,
    of_blocks=None,
    precision=_precision,
)
