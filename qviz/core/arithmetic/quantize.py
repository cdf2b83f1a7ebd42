"""What are the codes of a tensor, and the values of codes?"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from qviz.core.arithmetic.conversion import from_codes, to_codes, to_values
from qviz.core.arithmetic.qparams import QParams
from qviz.core.arrays import Array, FloatArray
from qviz.core.runtimes.record import LAST, MIDDLE
from qviz.core.tensors.granularity import PerTensor
from qviz.core.tensors.layout import Block, Layout
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import in_two_threads

Kind = TypeVar("Kind", bound=Array)

BLOCK, BY_BLOCKS = 1 << 18, 1 << 20
"""Elements of a block, and from how many on they are taken block by block."""


def quantize(x: object, qparams: QParams, *, out: Array | None = None) -> Array:
    """The codes of ``x``: an integer array of its shape, in the smallest type that holds them.

    Integers as they are, small floats as their bit patterns, codebooks as the numbers of their
    levels. NaN gets the code that the runtime gives it, infinities the first and the last code.

    Parameters
    ----------
    x : array_like or Tensor
    qparams : QParams
    out : array, optional
        Where the codes go, of the shape of ``x`` and of the format's ``dtype``.

    Raises
    ------
    Problem
        When the shape of ``x`` does not fit the parameters.
    """
    array = _as_float32(x)
    _check(out, array.shape, qparams.number_format.dtype)
    number_format = qparams.number_format
    fixed = qparams.convention.nan_code == LAST
    fixed = fixed or (number_format.offers_zero_point and qparams.convention.nan_code != MIDDLE)
    known = not fixed and not number_format.has_nan
    quick = to_codes(array, qparams, out) if known or not np.isnan(array).any() else None
    if quick is not None:
        return quick
    quantizer = qparams.spread(array.shape)
    codes = quantizer.clip(quantizer.unclipped(array))
    return _put(qparams.number_format.encode(quantizer.stored(codes), array), out)


def dequantize(codes: object, qparams: QParams, *, out: FloatArray | None = None) -> FloatArray:
    """(Q − Z)·S as float32, the shape of ``codes``.

    Parameters
    ----------
    codes : array_like
    qparams : QParams
    out : float32 array, optional
        Where the values go, of the shape of ``codes``.

    Raises
    ------
    Problem
        When that shape does not fit the parameters.
    """
    stored = np.asarray(codes)
    _check(out, stored.shape, np.dtype(np.float32))
    quick = from_codes(stored, qparams, out)
    if quick is not None:
        return quick
    values = np.array(qparams.number_format.decode(stored), np.float32).reshape(stored.shape)
    return _put(qparams.spread(stored.shape).values_of(values), out)


def fake_quantize(x: object, qparams: QParams, *, out: FloatArray | None = None) -> FloatArray:
    """Quantized and dequantized again: what the network computes with. NaN stays NaN.

    Parameters
    ----------
    x : array_like or Tensor
    qparams : QParams
    out : float32 array, optional
        Where the values go, of the shape of ``x``; it may be ``x`` itself.

    Raises
    ------
    Problem
        When the shape of ``x`` does not fit the parameters.
    """
    array = _as_float32(x)
    _check(out, array.shape, np.dtype(np.float32))
    quick = to_values(array, qparams, out)
    if quick is not None:
        return quick
    large = array.size >= BY_BLOCKS and array.flags.c_contiguous and (out is None or out.flags.c_contiguous)
    granularity = PerTensor() if qparams.scale.ndim == 0 else qparams.scheme.granularity
    if not large or type(layout := granularity.layout(array.shape)) is not Layout or layout.groups != qparams.groups:
        return _put(qparams.spread(array.shape).quantized(array), out)
    values = np.empty(array.shape, np.float32) if out is None else out
    _by_blocks(array.reshape(-1), qparams, layout, values.reshape(-1))
    return values


def _by_blocks(given: FloatArray, qparams: QParams, layout: Layout, found: FloatArray) -> None:
    """The same block by block, which stays in the cache, in two threads."""
    quantizer, apart = qparams.shaped(1, -1, 1), not np.may_share_memory(given, found)

    def some(blocks: list[Block]) -> None:
        for block in blocks:
            target, part = layout.take(found, block), quantizer.part(block[1])
            codes = part.unclipped(layout.take(given, block), out=target if apart else None)
            np.copyto(target, part.dequantize(codes))

    blocks = list(layout.blocks(BLOCK))
    in_two_threads(some, blocks[::2], blocks[1::2])


def _check(out: Array | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if out is not None and (out.shape != shape or out.dtype != dtype):
        raise ValueError(f"out is {out.dtype} of shape {out.shape}, but the answer is {dtype} of shape {shape}")


def _put(answer: Kind, out: Kind | None) -> Kind:
    if out is None:
        return answer
    out[...] = answer
    return out


def _as_float32(x: object) -> FloatArray:
    if isinstance(x, Tensor):
        return x.original().reshape(x.shape)
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(np.float32, copy=False)
