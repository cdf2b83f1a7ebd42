"""How does TFLite quantize: LiteRT, formerly TensorFlow Lite?"""

from __future__ import annotations

import numpy as np

from qviz.core.formats.integers import IntFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.problems import N_
from qviz.core.runtimes.expressions import Number
from qviz.core.runtimes.formulas import (
    ABSMAX,
    ALL_CODES,
    AT_LEAST,
    MAX,
    MIN,
    QMAX,
    QMIN,
    WHOLE,
    WITH_ZERO,
    S,
    affine,
    zero_point_before,
)
from qviz.core.runtimes.precision import BFLOAT16_IN_FLOAT16, PLAIN, Precision
from qviz.core.runtimes.record import NEVER, ZERO, Convention
from qviz.core.tensors.granularity import Granularity, PerBlock


def _codes(number_format: IntFormat, symmetric: bool) -> tuple[int, int]:
    narrow = symmetric and number_format.bits >= 8
    return -number_format.quant_max if narrow else number_format.quant_min, number_format.quant_max


def _blocks_store_float16(
    dtype: str, number_format: NumberFormat, symmetric: bool, granularity: Granularity
) -> Precision:
    # tensor_zp_scale_from_min_max of ai-edge-quantizer: 7 bits of mantissa, for the kernels of XNNPACK.
    return Precision(scale=BFLOAT16_IN_FLOAT16) if isinstance(granularity, PerBlock) else PLAIN


SMALLEST = Number(1e-9, "1e−9")

TFLITE = Convention(
    name="tflite",
    label=N_("TFLite"),
    summary=N_(
        "LiteRT, formerly TensorFlow Lite: signed only, all in float32. Symmetric from 8 bits on (weights) "
        "never uses the smallest code: −127…127. Asymmetric (activations) has a whole zero point. Scales of blocks "
        "are rounded to bfloat16 and stored as float16: below 3e−8 they are 0."
    ),
    range_includes_zero=True,
    zero_point=lambda f, low, high, scale: np.rint(f.quant_min - low / scale),
    code_range=_codes,
    formulas=affine(
        symmetric=AT_LEAST(ABSMAX, SMALLEST) / QMAX,
        scale=AT_LEAST(MAX - MIN, SMALLEST) / ALL_CODES,
        zero_point=WHOLE(QMIN - MIN / S),
        code=zero_point_before,
        note=WITH_ZERO,
    ),
    zero_point_before_rounding=True,
    single_precision=True,
    smallest_range=SMALLEST.fixed,
    signed_only=True,
    falls_back=lambda f: NEVER,
    nan_code=ZERO,
    precision=_blocks_store_float16,
)
