"""How do PyTorch's observers and torchao quantize?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qviz.core.arrays import Floats
from qviz.core.formats.floats import FP8, SIXTEEN_BITS
from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Constant, Expression, Folded, Function
from qviz.core.runtimes.formulas import (
    ABSMAX,
    ALL_CODES,
    AT_LEAST,
    CLIP,
    MAX,
    MIN,
    QMAX,
    QMIN,
    WHOLE,
    WITH_ZERO,
    FormulasOf,
    R,
    S,
    Z,
    affine,
    no_zero_point_in_codes,
)
from qviz.core.runtimes.precision import BFLOAT16, FLOAT16, HALVES, PLAIN, Precision, entirely
from qviz.core.runtimes.record import NEVER, ZERO, Convention
from qviz.core.tensors.granularity import Granularity, PerBlock, PerTile, PerToken

EPSILON, TINY = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).tiny)


def _span(number_format: IntFormat) -> float:
    return number_format.quant_max - number_format.quant_min


def _zero_point(number_format: IntFormat, low: Floats, high: Floats, scale: Floats) -> Floats:
    zero_point: Floats = number_format.quant_min - np.rint(low / scale)
    return zero_point.clip(number_format.quant_min, number_format.quant_max)


def _pytorch_middle(number_format: IntFormat) -> float:
    # 128 is written there; in a range of one's own, the middle is rounded down.
    if number_format.signed:
        return 0.0
    return 1 << (number_format.bits - 1) if number_format.bits in (8, 16) else number_format.quant_max // 2


def _middle_rounded_up(number_format: IntFormat) -> float:
    return (number_format.quant_min + number_format.quant_max + 1) // 2


def _reciprocal(round_: Function) -> Expression:
    return round_(R * (1 / S)) + Z


def _formulas(written: str, smallest_scale: float) -> FormulasOf:
    smallest = Constant(written, smallest_scale)

    def symmetric(number_format: NumberFormat) -> Expression:
        if not number_format.offers_zero_point:
            return ABSMAX / QMAX
        return AT_LEAST(ABSMAX / Folded((QMAX - QMIN) / 2), smallest)

    return affine(
        symmetric=symmetric,
        scale=AT_LEAST((MAX - MIN) / ALL_CODES, smallest),
        zero_point=CLIP(QMIN - WHOLE(MIN / S), QMIN, QMAX),
        code=_reciprocal,
        code_of_floats=no_zero_point_in_codes,
        note=WITH_ZERO,
    )


_OF_HALVES = {
    BFLOAT16: entirely(BFLOAT16, _formulas("1.18e-38", TINY)),
    FLOAT16: entirely(FLOAT16, _formulas("6.1e-5", float(np.finfo(np.float16).tiny))),
}
_OF_INT8 = _formulas("1.19e-7", EPSILON)


def _torchao_precision(dtype: str, number_format: NumberFormat, symmetric: bool, granularity: Granularity) -> Precision:
    """The types of what ``quantize_`` makes of a weight, and of activations on the fly.

    Int8Tensor (int8, per tensor, row or token) and Float8Tensor find the scale in the tensor's type, but store it
    as float32; IntxUnpackedToInt8Tensor (all other integers) stays in the tensor's type all the way.
    """
    if dtype not in HALVES:
        return PLAIN
    if not isinstance(number_format, IntFormat):
        return Precision(ranges=dtype, result=dtype)
    int8 = number_format.signed and number_format.bits == 8 and not isinstance(granularity, PerBlock | PerTile)
    if int8 and (symmetric or not isinstance(granularity, PerToken)):
        return Precision(ranges=dtype, result=dtype, formulas=_OF_INT8)
    return _OF_HALVES[dtype]


PYTORCH = Convention(
    name="pytorch",
    label=N_("PyTorch"),
    summary=N_(
        "Observers of torch.ao.quantization: all in float32, a scale of at least 1.19e-7, symmetric int8 "
        "in 255 steps (absmax / 127.5), and values times 1 / S instead of divided by S, "
        "which moves a few codes by one."
    ),
    range_includes_zero=True,
    symmetric_span=_span,
    symmetric_zero_point=_pytorch_middle,
    zero_point=_zero_point,
    formulas=_formulas("1.19e-7", EPSILON),
    multiplies_by_reciprocal=True,
    single_precision=True,
    smallest_scale=EPSILON,
    nan_code=ZERO,
    others=SIXTEEN_BITS,
)


def _reduced(number_format: IntFormat) -> tuple[int, int]:
    return number_format.quant_min // 2, number_format.quant_max // 2


def _reduced_zero_point(number_format: IntFormat, low: Floats, high: Floats, scale: Floats) -> Floats:
    first, last = _reduced(number_format)
    zero_point: Floats = first - np.rint(low / scale)
    return zero_point.clip(first, last)


PYTORCH_REDUCE_RANGE = replace(
    PYTORCH,
    name="pytorch_reduce_range",
    label=N_("PyTorch, reduce_range"),
    summary=N_(
        "Activations under the x86 and fbgemm qconfigs: as PyTorch's observers, but in 7 of 8 bits (uint8 0…127), so "
        "that sums of two products do not overflow 16 bits."
    ),
    symmetric_span=lambda f: _reduced(f)[1] - _reduced(f)[0],
    zero_point=_reduced_zero_point,
    scale_range=_reduced,
    code_range=lambda f, symmetric: _reduced(f),
    integers=frozenset({"int8", "uint8"}),
    others=frozenset(),
    asymmetric_only=True,
)

TORCHAO = Convention(
    name="torchao",
    label=N_("torchao"),
    summary=N_(
        "choose_qparams_affine and quantize_affine: as PyTorch's observers, but scales may be as small as "
        "1.18e-38, and the zero point of symmetric unsigned codes is the middle rounded up (uint4: 8, not 7). "
        "Scales of FP8 have no least value: zeros alone become NaN."
    ),
    range_includes_zero=True,
    symmetric_span=_span,
    symmetric_zero_point=_middle_rounded_up,
    zero_point=_zero_point,
    formulas=_formulas("1.18e-38", TINY),
    multiplies_by_reciprocal=True,
    single_precision=True,
    smallest_scale=TINY,
    falls_back=lambda f: NEVER,
    whole_blocks=True,
    group_scale_bits=16,  # int4 kernels take bfloat16 scales, as GPTQ and AWQ store float16
    nan_code=ZERO,
    others=FP8 | SIXTEEN_BITS,
    precision=_torchao_precision,
)

TORCHAO_INT8 = replace(
    TORCHAO,
    name="torchao_int8",
    label=N_("torchao, Int8 configs"),
    summary=N_(
        "Int8WeightOnlyConfig and Int8DynamicActivationInt8WeightConfig: as choose_qparams_affine, but a scale is at "
        "least 1.19e-7, in whatever type the weight is."
    ),
    formulas=_OF_INT8,
    smallest_scale=EPSILON,
    integers=frozenset({"int8"}),
    others=frozenset(),
    precision=lambda dtype, f, symmetric, g: (
        Precision(ranges=dtype, result=dtype, formulas=_OF_INT8) if dtype in HALVES else PLAIN
    ),
)
