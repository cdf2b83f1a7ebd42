"""How does ONNX Runtime quantize: its quantization tools, with reduce_range, and DynamicQuantizeLinear?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qviz.core.formats.floats import FP8, SIXTEEN_BITS
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Constant, Expression, Folded, Number, Symbol
from qviz.core.runtimes.formulas import (
    ABSMAX,
    ALL_CODES,
    CLIP,
    MAX,
    MIN,
    QMAX,
    QMIN,
    WHOLE,
    WITH_ZERO,
    S,
    affine,
    full_range,
    no_zero_point_in_codes,
    zero_point_after,
)
from qviz.core.runtimes.matmulnbits import MATMULNBITS_QDQ
from qviz.core.runtimes.precision import FLOAT16, PLAIN, Precision
from qviz.core.runtimes.record import AT_ZERO, FIRST, NEVER, Convention
from qviz.core.tensors.granularity import Granularity


def symmetric_range(number_format: IntFormat) -> tuple[int, int]:
    """The codes that a symmetric scale is chosen for."""
    # ONNX_INT_TYPE_SYMMETRIC_RANGE of onnxruntime.quantization: int8 and int16 alone leave out
    # their smallest code when the scale is chosen.
    if number_format.signed and number_format.bits in (8, 16):
        return -number_format.quant_max, number_format.quant_max
    return number_format.quant_min, number_format.quant_max


def _span(number_format: IntFormat) -> float:
    low, high = symmetric_range(number_format)
    return high - low


def _middle(number_format: IntFormat) -> float:
    return float(np.rint(sum(symmetric_range(number_format)) / 2))


def _reduced_range(number_format: IntFormat) -> tuple[int, int]:
    # ONNX_INT_TYPE_REDUCED_RANGE of onnxruntime.quantization, which knows 4, 8 and 16 bits; with 2 or 3 there is
    # nothing to spare.
    if number_format.bits < 4:
        return full_range(number_format)
    half = 1 << (number_format.bits - 2)
    if not number_format.signed:
        return 0, 2 * half - 1
    return -half, half if number_format.bits in (8, 16) else half - 1


def _symmetric_scale(codes: Callable[[IntFormat], tuple[int, int]]) -> Callable[[NumberFormat], Expression]:
    def scale(number_format: NumberFormat) -> Expression:
        if not isinstance(number_format, IntFormat):
            return ABSMAX / QMAX
        first, last = codes(number_format)
        return 2 * ABSMAX / Constant("steps", last - first)

    return scale


def _first(number_format: IntFormat) -> Constant:
    return Constant("first", _reduced_range(number_format)[0])


def _last(number_format: IntFormat) -> Constant:
    return Constant("last", _reduced_range(number_format)[1])


def _stored_as_float16(dtype: str, number_format: NumberFormat, symmetric: bool, granularity: Granularity) -> Precision:
    # quantize_data finds the scale in float64 and stores it as the tensor's type; float32 data are divided by it.
    return Precision(scale=FLOAT16, result=FLOAT16) if dtype == FLOAT16 else PLAIN


ONNXRUNTIME = Convention(
    name="onnxruntime",
    label=N_("ONNX Runtime"),
    summary=N_(
        "The range always includes 0; the zero point is a whole number, added after rounding. "
        "Symmetric int8 and int16 leave out the smallest code when scaling (254 steps), not when clipping; "
        "int4 uses all of −8…7 (15 steps); blocks of 4 bits are those of MatMulNBits as QDQ."
    ),
    range_includes_zero=True,
    symmetric_span=_span,
    symmetric_zero_point=_middle,
    zero_point=lambda f, low, high, scale: np.rint(f.quant_min - low / scale),
    formulas=affine(
        symmetric=_symmetric_scale(symmetric_range),
        scale=(MAX - MIN) / ALL_CODES,
        zero_point=WHOLE(QMIN - MIN / S),
        code=zero_point_after,
        note=WITH_ZERO,
    ),
    others=FP8 | SIXTEEN_BITS | {"e2m1fn"},
    nan_code=FIRST,
    precision=_stored_as_float16,
    of_blocks=MATMULNBITS_QDQ,
)

ONNXRUNTIME_REDUCE_RANGE = Convention(
    name="onnxruntime_reduce_range",
    label=N_("ONNX Runtime, reduce_range"),
    summary=N_(
        "The scale is chosen for 7 of 8 bits (int8 −64…64, uint8 0…127), so that older processors do not "
        "overflow when they add products up. Codes beyond that are still clipped at the full type."
    ),
    range_includes_zero=True,
    symmetric_span=lambda f: _reduced_range(f)[1] - _reduced_range(f)[0],
    symmetric_zero_point=lambda f: float(np.rint(sum(_reduced_range(f)) / 2)) + 0.0,
    zero_point=lambda f, low, high, scale: np.rint(_reduced_range(f)[0] - low / scale),
    scale_range=_reduced_range,
    nan_code=FIRST,
    precision=_stored_as_float16,
    formulas=affine(
        symmetric=_symmetric_scale(_reduced_range),
        scale=lambda f: (MAX - MIN) / Folded(_last(f) - _first(f)),
        zero_point=lambda f: WHOLE(_first(f) - MIN / S),
        code=zero_point_after,
        note=WITH_ZERO,
    ),
)

ONNXRUNTIME_DYNAMIC = Convention(
    name="onnxruntime_dynamic",
    label=N_("ONNX Runtime, dynamic"),
    summary=N_(
        "DynamicQuantizeLinear, for activations: unsigned and asymmetric, with scale and zero point "
        "computed in float32 whenever a tensor arrives."
    ),
    range_includes_zero=True,
    # NaN, of 0 / 0, becomes the last code.
    zero_point=lambda f, low, high, scale: np.rint(
        np.nan_to_num(np.clip(f.quant_min - low / scale, f.quant_min, f.quant_max), nan=f.quant_max)
    ),
    formulas=affine(
        symmetric=(MAX - MIN) / ALL_CODES,
        scale=(MAX - MIN) / ALL_CODES,
        zero_point=WHOLE(CLIP(QMIN - MIN / S, QMIN, QMAX)),
        code=zero_point_after,
        note=WITH_ZERO,
    ),
    single_precision=True,
    falls_back=lambda f: AT_ZERO,
    nan_code=FIRST,
    asymmetric_only=True,
    unsigned_only=True,
)

STD = Symbol("std", "std")
STD_OF_E4M3 = 100.057724
"""Of all its finite values."""

ONNXRUNTIME_FLOAT8 = Convention(
    name="onnxruntime_float8",
    label=N_("ONNX Runtime, FP8"),
    summary=N_(
        "quantize_data with FLOAT8E4M3FN: the scale is the standard deviation of the tensor through that of all values "
        "of E4M3, not absmax / 448, so that what lies far out is clipped."
    ),
    range_includes_zero=False,
    formulas=affine(symmetric=STD / Number(STD_OF_E4M3), code=no_zero_point_in_codes),
    single_precision=True,
    falls_back=lambda f: NEVER,
    nan_code=FIRST,
    symmetric_only=True,
    integers=frozenset(),
    others=frozenset({"e4m3fn"}),
    of_elements="deviation",
)
