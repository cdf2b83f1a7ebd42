"""How does TFLite quantize: LiteRT, formerly TensorFlow Lite?"""

from __future__ import annotations

import numpy as np

from qviz.core.formats.integers import IntFormat
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
from qviz.core.runtimes.record import Convention


def _codes(number_format: IntFormat, symmetric: bool) -> tuple[int, int]:
    narrow = symmetric and number_format.bits >= 8
    return -number_format.quant_max if narrow else number_format.quant_min, number_format.quant_max


SMALLEST = Number(1e-9, "1e−9")

TFLITE = Convention(
    name="tflite",
    label=N_("TFLite"),
    summary=N_(
        "LiteRT, formerly TensorFlow Lite: signed only, all in float32. Symmetric from 8 bits on (weights) "
        "never uses the smallest code: −127…127. Asymmetric (activations) has a whole zero point."
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
)
