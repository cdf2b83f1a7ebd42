"""How does TFLite quantize: LiteRT, formerly TensorFlow Lite?"""

from __future__ import annotations

import numpy as np

from qviz.core.formats.integers import IntFormat
from qviz.core.problems import N_
from qviz.core.runtimes.record import Convention


def _codes(number_format: IntFormat, symmetric: bool) -> tuple[int, int]:
    narrow = symmetric and number_format.bits >= 8
    return -number_format.quant_max if narrow else number_format.quant_min, number_format.quant_max


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
    scale_formula="S = max(max − min, 1e-9) / (qmax − qmin), with min ≤ 0 ≤ max",
    symmetric_scale_formula="S = max(absmax, 1e-9) / qmax",
    zero_point_formula="Z = round(qmin − min / S)",
    code_formula="Q = clip(round(R / S + Z), qmin, qmax)",
    zero_point_before_rounding=True,
    single_precision=True,
    smallest_range=1e-9,
    signed_only=True,
)
