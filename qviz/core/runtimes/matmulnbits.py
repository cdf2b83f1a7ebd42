"""How does ONNX Runtime quantize weights in blocks: MatMulNBits, and the same as DequantizeLinear in front of MatMul?

``DefaultWeightOnlyQuantConfig`` of ``onnxruntime.quantization.matmul_nbits_quantizer`` 1.32, whose kernels are in
``onnxruntime/core/mlas/lib/q4_dq.cpp``: all in float32, with the scale as it is stored.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from qviz.core.arrays import FloatArray, Floats
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import (
    ATOM,
    PRODUCT,
    SIGN,
    Constant,
    Expression,
    Folded,
    Formula,
    Function,
    Number,
    Symbol,
)
from qviz.core.runtimes.formulas import (
    ALL_CODES,
    AT_MOST,
    AWAY,
    CLIP,
    DEQUANTIZED,
    HALVES_AWAY,
    MAX,
    MIN,
    QMAX,
    QMIN,
    VALUE,
    WHOLE,
    WHOLE_ABOVE,
    WITH_ZERO,
    Formulas,
    FormulasOf,
    Q,
    R,
    S,
    Z,
    clipped,
)
from qviz.core.runtimes.precision import BFLOAT16, FLOAT16, FLOAT32, HALVES, PLAIN, ROUNDINGS, Precision
from qviz.core.runtimes.record import FIRST, NEVER, Convention
from qviz.core.tensors.granularity import Granularity

BEYOND_INT32 = np.float32(2.0**31)


def _middle(number_format: IntFormat) -> float:
    return 0.0 if number_format.signed else number_format.levels / 2


def _ratio(first: Any, second: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.where(second == 0, np.float32(0), np.divide(first, second))[()]


def _away(values: FloatArray) -> FloatArray:
    """To the nearest whole number, halves away from 0, in their own memory."""
    np.clip(values, -WHOLE_ABOVE, WHOLE_ABOVE, out=values)
    whole = np.trunc(values)
    np.subtract(values, whole, out=values)  # what lies behind the point
    np.trunc(np.add(values, values, out=values), out=values)
    return np.copysign(np.add(whole, values, out=values), whole, out=values)


def _zero_point(number_format: IntFormat, low: Floats, high: Floats, scale: Floats) -> Floats:
    with np.errstate(all="ignore"):
        point = np.asarray(np.clip(_ratio(-low, scale), 0, number_format.quant_max))
    return AWAY.compute(point)  # type: ignore[no-any-return]


def _scaled(quantizer: Any, x: FloatArray, out: FloatArray | None) -> FloatArray:
    """R·(1/S), 0 where the scale is 0."""
    with np.errstate(all="ignore"):
        return np.asarray(np.multiply(x, _ratio(np.float32(1), quantizer.divisor), out=out))


def _codes(quantizer: Any, x: FloatArray, out: FloatArray | None) -> FloatArray:
    """The zero point is added before rounding."""
    y = _scaled(quantizer, x, out)
    return _away(np.asarray(np.add(y, quantizer.zero_point, out=y)))


def _whole_codes(quantizer: Any, x: FloatArray, out: FloatArray | None) -> FloatArray:
    """It is added behind; without a finite 1/S all become the smallest int32, as x86 casts what is none."""
    y = _scaled(quantizer, x, out)
    y = _away(y)
    np.add(y, quantizer.zero_point, out=y)
    if quantizer.qparams.breaks:
        np.copyto(y, -BEYOND_INT32, where=~np.isfinite(_ratio(np.float32(1), quantizer.divisor)) & ~np.isnan(x))
    return y


# --- formulas ----------------------------------------------------------------------------------------

FURTHEST = Symbol("extreme", "furthest")
FINE = Symbol("d", "divisor")
OF_BOTH = Function(
    "furthest({0}, {1})",
    "np.where(-{0} >= {1}, {0}, {1})",
    lambda low, high: np.asarray(np.where(-low >= high, low, high))[()],
)
"""The end that is further from 0, with its sign; of two as far the lower one."""
RATIO = Function(
    "{0} / {1}",
    "ratio({0}, {1})",
    _ratio,
    """\
def ratio(a, b):  # 0 where b is
    with np.errstate(all="ignore"):
        return np.where(b == 0, np.float32(0), np.float32(a) / b)
""",
    holds=PRODUCT,
    asks=ATOM,
)


def _to_int32(value: Any, inverse: Any) -> Any:
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(inverse), AWAY.compute(value * inverse), -BEYOND_INT32)[()]


TO_INT32 = Function(
    "round({0} · {1})",
    "to_int32({0}, {1})",
    _to_int32,
    """\
def to_int32(x, inverse):  # to the nearest whole number, halves away from 0; the smallest int32 for what is none
    y = x * inverse
    size = np.minimum(np.abs(y), np.float32(1 << 23))
    whole = np.floor(size)
    whole = np.copysign(whole + np.floor(2 * (size - whole)), y)
    return np.where(np.isfinite(inverse), whole, -np.float32(2**31))
""",
    asks=SIGN,
    hides=lambda value, inverse: not np.isfinite(inverse).all(),
)
TO_WHOLE = replace(AWAY, hides=lambda y: not np.isfinite(y).all())


def _of(added_first: bool, exact: bool) -> FormulasOf:
    """``exact`` where codes follow from the scale before it is stored."""

    @lru_cache
    def formulas(number_format: NumberFormat, symmetric: bool) -> Formulas:
        assert isinstance(number_format, IntFormat)
        inverse = RATIO(1, FINE if exact else S)
        code: Expression = TO_WHOLE(R * inverse + Z) if added_first else TO_INT32(R, inverse) + Z
        if symmetric:
            width: Expression = FURTHEST / Folded(-Constant("middle", number_format.levels // 2))
            scale = Formula(S, width, (Formula(FURTHEST, OF_BOTH(MIN, MAX)),))
        else:
            width = (MAX - MIN) / ALL_CODES
            scale = Formula(S, width, note=WITH_ZERO)
        return Formulas(
            scale=scale,
            zero_point=None if symmetric else Formula(Z, AWAY(CLIP(RATIO(-MIN, S), QMIN, QMAX)), note=HALVES_AWAY),
            code=replace(clipped(code), note=HALVES_AWAY),
            value=DEQUANTIZED,
            divisor=Formula(FINE, width) if exact else None,
        )

    return formulas


def _precision_of(added_first: bool) -> Any:
    bfloat16 = Precision(
        scale=BFLOAT16, result=BFLOAT16, formulas=_of(added_first, exact=True), codes_from_exact_scale=True
    )

    def precision(dtype: str, number_format: NumberFormat, symmetric: bool, granularity: Granularity) -> Precision:
        # float16 weights are divided by their stored scale; bfloat16 ones become float32, and the scale is cast last.
        return {FLOAT16: Precision(scale=FLOAT16, result=FLOAT16), BFLOAT16: bfloat16}.get(dtype, PLAIN)

    return precision


MATMULNBITS = Convention(
    name="onnxruntime_matmulnbits",
    label=N_("ONNX Runtime, MatMulNBits"),
    summary=N_(
        "Weights in blocks, in 2, 4 or 8 bits: MatMulNBitsQuantizer as it is by default. Symmetric: the element "
        "furthest from 0, with its sign, gets the first code, so that a scale may be negative. Values times 1 / S, "
        "zero point added before rounding, halves away from 0."
    ),
    range_includes_zero=True,
    formulas=_of(added_first=True, exact=False),
    symmetric_span=lambda f: f.levels,
    symmetric_zero_point=_middle,
    zero_point=_zero_point,
    zero_point_before_rounding=True,
    single_precision=True,
    falls_back=lambda f: NEVER,
    nan_code=FIRST,
    unsigned_only=True,
    integers=frozenset({"uint2", "uint4", "uint8"}),
    per_block=True,
    block_sizes=(16, 32, 64, 128, 256),
    fills_blocks=True,
    scale_of_extreme=True,
    implied_zero_point=True,
    inverse_overflows=True,
    halves_away=True,
    precision=_precision_of(added_first=True),
    code=_codes,
)

MATMULNBITS_QDQ = replace(
    MATMULNBITS,
    name="onnxruntime_matmulnbits_qdq",
    label=N_("ONNX Runtime, MatMulNBits as QDQ"),
    summary=N_(
        "Weights in blocks of int4 (symmetric) or uint4 (asymmetric): MatMulNBitsQuantizer with QuantFormat.QDQ. "
        "Symmetric: S = signed extreme / −8, so that a scale may be negative. Values times 1 / S, halves away "
        "from 0, zero point added behind."
    ),
    formulas=_of(added_first=False, exact=False),
    zero_point_before_rounding=False,
    unsigned_only=False,
    integers=frozenset({"int4", "uint4"}),
    symmetric_integers_only=frozenset({"int4"}),
    asymmetric_integers_only=frozenset({"uint4"}),
    block_sizes=(),
    precision=_precision_of(added_first=False),
    code=_whole_codes,
)


def _divided_codes(quantizer: Any, x: FloatArray, out: FloatArray | None) -> FloatArray:
    """round(R / S + Z) in float64."""
    with np.errstate(all="ignore"):
        codes = np.rint(x / quantizer.divisor.astype(np.float64) + quantizer.zero_point)
        unclipped: FloatArray = np.empty(x.shape, np.float32) if out is None else out
        np.copyto(unclipped, codes, casting="same_kind")
    return unclipped


def _wide(value: Any, scale: Any, zero_point: Any) -> Any:
    return np.float32(np.rint(np.asarray(value, np.float64) / scale + zero_point))


def _no_quotient(value: Any, scale: Any, zero_point: Any) -> bool:
    return not (np.isfinite(scale).all() and np.all(scale != 0))


WIDE = Function(
    "round({0} / {1} + {2})", "np.float32(np.rint(np.float64({0}) / {1} + {2}))", _wide, asks=ATOM, hides=_no_quotient
)
"""In float64."""


@lru_cache
def _of_k_quant(number_format: NumberFormat, symmetric: bool) -> Formulas:
    return Formulas(
        scale=Formula(S, BEST, note=N_(", of the line S·Q + m with the least weighted error")),
        zero_point=Formula(Z, CLIP(WHOLE(-LEAST / BEST), QMIN, QMAX)),
        code=clipped(WIDE(R, FINE, Z)),
        value=DEQUANTIZED,
        divisor=Formula(FINE, BEST),
    )


def _k_quant_precision(dtype: str, number_format: NumberFormat, symmetric: bool, granularity: Granularity) -> Precision:
    if dtype != FLOAT16:
        return PLAIN
    return Precision(scale=FLOAT16, result=FLOAT16, codes_from_exact_scale=True)


BEST, LEAST = Symbol("best", "best"), Symbol("m", "least")

K_QUANT = Convention(
    name="onnxruntime_k_quant",
    label=N_("ONNX Runtime, k_quant"),
    summary=N_(
        "MatMulNBitsQuantizer with KQuantWeightOnlyQuantConfig: weights in blocks of uint4 or uint8, with the scale "
        "and the minimum of least weighted squared error; the zero point is a whole number."
    ),
    range_includes_zero=True,
    formulas=_of_k_quant,
    zero_point_before_rounding=True,
    single_precision=True,
    falls_back=lambda f: NEVER,
    nan_code=FIRST,
    asymmetric_only=True,
    unsigned_only=True,
    integers=frozenset({"uint4", "uint8"}),
    per_block=True,
    fills_blocks=True,
    precision=_k_quant_precision,
    code=_divided_codes,
    of_elements="k_quant",
    beyond_loops=True,
)


# --- HQQ ---------------------------------------------------------------------------------------------

INVERSE, NEXT, KEPT = Symbol("I", "inverse"), Symbol("mean", "mean"), Symbol("e", "kept")
LARGEST = Number(2e4, "20000")
UNSTORED = Symbol("Z′", "unstored_zero_point")
FOUND = N_(" of Q − (R − e)·I over the block, where e is its error made smaller; up to 20 times")


def _of_hqq(stored: str = FLOAT32) -> FormulasOf:
    """``stored`` is what scales and zero points are stored in, once codes have been made."""

    @lru_cache
    def formulas(number_format: NumberFormat, symmetric: bool) -> Formulas:
        inverse = Formula(INVERSE, AT_MOST(ALL_CODES / (MAX - MIN), LARGEST))
        whole = stored == FLOAT32
        return Formulas(
            scale=Formula(S, 1 / INVERSE, (inverse,)),
            zero_point=Formula(Z, NEXT, note=FOUND) if whole else Formula(Z, ROUNDINGS[stored](UNSTORED)),
            code=clipped(WHOLE(R * INVERSE + (Z if whole else UNSTORED))),
            value=Formula(VALUE, Q * S - Z * S),
            divisor=inverse,
            unstored=None if whole else Formula(UNSTORED, NEXT, note=FOUND),
        )

    return formulas


_HQQ_IN_HALVES = {
    half: Precision(scale=half, result=half, codes_from_exact_scale=True, formulas=_of_hqq(half)) for half in HALVES
}


def _hqq_precision(dtype: str, number_format: NumberFormat, symmetric: bool, granularity: Granularity) -> Precision:
    return _HQQ_IN_HALVES.get(dtype, PLAIN)


HQQ = Convention(
    name="onnxruntime_hqq",
    label=N_("ONNX Runtime, HQQ"),
    summary=N_(
        "MatMulNBitsQuantizer with HQQWeightOnlyQuantConfig: weights in blocks of uint2, uint4 or uint8, whose zero "
        "points are real numbers that make the 0.7-norm of the errors small. They are stored in the weight's type, as "
        "scales are; codes are made before. Its kernel for processors runs 2 and 4 bits of them."
    ),
    range_includes_zero=False,
    formulas=_of_hqq(),
    zero_point_before_rounding=True,
    single_precision=True,
    falls_back=lambda f: NEVER,
    nan_code=FIRST,
    asymmetric_only=True,
    unsigned_only=True,
    integers=frozenset({"uint2", "uint4", "uint8"}),
    per_block=True,
    block_sizes=(16, 32, 64, 128, 256),
    fills_blocks=True,
    divisor_is_inverse=True,
    scales_zero_point=True,
    precision=_hqq_precision,
    of_elements="hqq",
)
