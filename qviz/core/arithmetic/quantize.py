"""What are the codes of a tensor, and the values of codes?"""

from __future__ import annotations

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import Array, FloatArray
from qviz.core.tensors.tensor import Tensor


def quantize(x: object, qparams: QParams) -> Array:
    """The codes of ``x``: an integer array of its shape, in the smallest type that holds them.

    Integers as they are, small floats as their bit patterns, codebooks as the numbers of their
    levels. NaN gets the code nearest to the zero point, infinities the first and the last code. A
    `Tensor` has NaN in the place of infinities.

    Raises
    ------
    Problem
        When the shape of ``x`` does not fit the parameters.
    """
    array = _as_float32(x)
    quantizer = qparams.spread(array.shape)
    codes = quantizer.unclipped(array)
    np.clip(codes, qparams.quant_min, qparams.quant_max, out=codes)
    if np.isnan(codes).any():
        zero = np.clip(np.rint(quantizer.zero_point), qparams.quant_min, qparams.quant_max)
        codes = np.where(np.isnan(codes), zero, codes)
    return qparams.number_format.encode(codes, array)


def dequantize(codes: object, qparams: QParams) -> FloatArray:
    """(Q − Z)·S as float32, the shape of ``codes``.

    Raises
    ------
    Problem
        When that shape does not fit the parameters.
    """
    stored = np.asarray(codes)
    values = np.array(qparams.number_format.decode(stored), np.float32).reshape(stored.shape)
    quantizer = qparams.spread(stored.shape)
    with np.errstate(over="ignore"):
        values = np.asarray((values - quantizer.zero_point) * quantizer.scale)
        return values if quantizer.offset is None else values + quantizer.offset


def fake_quantize(x: object, qparams: QParams) -> FloatArray:
    """Quantized and dequantized again: what the network computes with. NaN stays NaN.

    Raises
    ------
    Problem
        When the shape of ``x`` does not fit the parameters.
    """
    array = _as_float32(x)
    return qparams.spread(array.shape).quantized(array)


def _as_float32(x: object) -> FloatArray:
    if isinstance(x, Tensor):
        return np.asarray(x.values[:]).reshape(x.shape)
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(np.float32, copy=False)
