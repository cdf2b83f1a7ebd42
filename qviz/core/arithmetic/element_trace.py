"""What happens to single elements on their way through the formula?"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import Array, FloatArray
from qviz.core.frozen import frozen


@frozen(eq=False)
class ElementTrace:
    """What single elements become at each stage of the formula, one array a column, float32 unless noted.

    ``shifted`` is R/S + Z where the convention adds Z before it rounds; elsewhere it is the
    rounded value + Z. ``error`` is float64: x̂ − x without a rounding of its own.
    """

    value: FloatArray
    scale: FloatArray
    zero_point: FloatArray
    divided: FloatArray
    shifted: FloatArray
    rounded: FloatArray
    clipped: FloatArray
    code: Array
    dequantized: FloatArray
    error: np.ndarray[Any, np.dtype[np.float64]]


def trace_elements(values: FloatArray, groups: Array, qparams: QParams) -> ElementTrace:
    """Every stage of the formula for some elements.

    Parameters
    ----------
    values : float32 array, shape (n,)
    groups : int array, shape (n,)
        The group that each belongs to.
    """
    quantizer = qparams.quantizer(groups)
    scale, zero_point = quantizer.scale, quantizer.zero_point
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        own = qparams.convention.beyond_loops  # whose codes meet something else on the way
        divided = values / scale if own else quantizer.divided(values)
        if qparams.convention.code is not None:  # GGUF multiplies by 0 where it cannot divide
            divided = np.where(quantizer.divisor == 0, np.float32(0), divided)
        unclipped = quantizer.unclipped(values)
        shifted = divided + quantizer.added if qparams.convention.zero_point_before_rounding else unclipped
        rounded = unclipped
        if not qparams.convention.zero_point_before_rounding:
            own = qparams.convention.code is not None
            rounded = unclipped - zero_point if own else qparams.number_format.round(divided, np.empty_like(divided))
        clipped = quantizer.stored(quantizer.clip(unclipped.copy()))
        dequantized = quantizer.dequantize(clipped.copy())
        error = dequantized.astype(np.float64) - values
    code = qparams.number_format.encode(clipped, values)
    return ElementTrace(
        value=values,
        scale=scale,
        zero_point=zero_point,
        divided=divided,
        shifted=shifted,
        rounded=rounded,
        clipped=clipped,
        code=code,
        dequantized=dequantized,
        error=error,
    )
