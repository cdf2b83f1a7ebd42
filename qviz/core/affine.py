"""How does a value become a code, and a code a value again? Q = R/S + Z and R = (Q − Z)·S.

Everything here is float32 arithmetic with the order of operations of the scheme's convention, so
that the codes are the runtime's own. Scales and zero points follow from the range in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from qviz.core.conventions import Convention, convention_named
from qviz.core.envelope import FloatArray
from qviz.core.problems import Problem
from qviz.core.scheme import Scheme
from qviz.core.tensor import Tensor

Array = np.ndarray[Any, Any]

SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
"""Below this a scale is denormal and the division by it means nothing: the range is degenerate."""


@dataclass(frozen=True, eq=False)
class QParams:
    """The quantization parameters of one tensor under one scheme.

    Attributes
    ----------
    scale : float32 array, shape () per tensor, (channels,) per axis
    zero_point : float32 array, the shape of ``scale``
        A whole number except under conventions that keep it real.
    low, high : float32 arrays, the shape of ``scale``
        The range the scale was made for: the estimator's, made symmetric or widened to include 0.
    quant_min, quant_max : int
        Codes are clipped to these.
    scheme : Scheme
    """

    scale: FloatArray
    zero_point: FloatArray
    low: FloatArray
    high: FloatArray
    quant_min: int
    quant_max: int
    scheme: Scheme

    @property
    def convention(self) -> Convention:
        return convention_named(self.scheme.convention)

    @property
    def groups(self) -> int:
        """How many scales there are."""
        return int(self.scale.size)

    @property
    def whole_zero_point(self) -> bool:
        """Whether every zero point is itself a code, so that it can be stored as one."""
        z = self.zero_point
        return bool(np.all((z == np.rint(z)) & (z >= self.quant_min) & (z <= self.quant_max)))

    def grouped(self, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
        """Scale and zero point, shaped to broadcast against an array of ``shape``.

        Raises
        ------
        Problem
            When the parameters were chosen for another number of groups.
        """
        if self.scale.ndim == 0:
            return self.scale, self.zero_point
        layout, blocks = self.scheme.granularity.layout(shape), self.scheme.granularity.block_shape(shape)
        if layout.groups != self.groups:
            raise Problem(
                f"A tensor of shape {shape} needs {layout.groups:,} scales under this scheme, but there are "
                f"{self.groups:,}: choose the parameters for this shape."
            )
        grid = tuple(1 if b == n else n // b for n, b in zip(shape, blocks, strict=True))
        return self.scale.reshape(grid), self.zero_point.reshape(grid)

    def for_group(self, group: int) -> QParams:
        """The parameters of one group, as if it were a tensor of its own."""
        pick = [a.reshape(-1)[group] for a in (self.scale, self.zero_point, self.low, self.high)]
        scale, zero_point, low, high = (np.asarray(a) for a in pick)
        return QParams(scale, zero_point, low, high, self.quant_min, self.quant_max, self.scheme)

    def levels(self) -> FloatArray:
        """The value each code stands for, shape (groups, codes), in code order."""
        codes = np.arange(self.quant_min, self.quant_max + 1, dtype=np.float32)
        with np.errstate(over="ignore"):
            levels: FloatArray = (codes - self.zero_point.reshape(-1, 1)) * self.scale.reshape(-1, 1)
        return levels

    def clip_range(self) -> tuple[FloatArray, FloatArray]:
        """The values of the first and the last code, shape (groups,)."""
        ends = np.array([[self.quant_min, self.quant_max]], np.float32)
        with np.errstate(over="ignore"):
            values = (ends - self.zero_point.reshape(-1, 1)) * self.scale.reshape(-1, 1)
        return values[:, 0], values[:, 1]


def qparams_from_range(low: Array, high: Array, scheme: Scheme) -> QParams:
    """Scale and zero point for a known range (conventions.py has each runtime's formulas).

    Parameters
    ----------
    low, high : float32 arrays of one shape
    """
    convention, number_format = convention_named(scheme.convention), scheme.number_format
    lowest, highest = np.asarray(low, np.float64), np.asarray(high, np.float64)
    if scheme.symmetric:
        steps = convention.symmetric_steps(number_format)
        highest = np.maximum(np.abs(lowest), np.abs(highest))
        lowest = -highest
        exact_scale = np.asarray(2 * highest / steps)
        zero_point = np.full(exact_scale.shape, convention.symmetric_zero_point(number_format))
        degenerate_zero_point = convention.degenerate_zero_point(np.zeros_like(zero_point))
    else:
        if convention.range_includes_zero:
            lowest, highest = np.minimum(lowest, 0.0), np.maximum(highest, 0.0)
        exact_scale = np.asarray((highest - lowest) / (number_format.levels - 1))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            zero_point = convention.zero_point(number_format, lowest, highest, exact_scale)
        degenerate_zero_point = convention.degenerate_zero_point(highest)
    degenerate = exact_scale < SMALLEST_SCALE
    return QParams(
        scale=np.where(degenerate, 1.0, exact_scale).astype(np.float32),
        # Adding 0 makes −0 into 0.
        zero_point=np.asarray(np.where(degenerate, degenerate_zero_point, zero_point) + 0.0, np.float32),
        low=np.asarray(lowest, np.float32),
        high=np.asarray(highest, np.float32),
        quant_min=number_format.quant_min,
        quant_max=number_format.quant_max,
        scheme=scheme,
    )


def quantize(x: object, qparams: QParams) -> Array:
    """The codes of ``x``: an integer array of its shape, in the smallest type that holds them.

    NaN gets the code nearest to the zero point, infinities the first and the last code. A `Tensor`
    has NaN in the place of infinities.

    Raises
    ------
    Problem
        When the shape of ``x`` does not fit parameters per axis.
    """
    array = _as_float32(x)
    codes = unclipped_codes(array, *qparams.grouped(array.shape), qparams.convention)
    np.clip(codes, qparams.quant_min, qparams.quant_max, out=codes)
    if np.isnan(codes).any():
        zero = np.clip(np.rint(qparams.grouped(array.shape)[1]), qparams.quant_min, qparams.quant_max)
        codes = np.where(np.isnan(codes), zero, codes)
    return codes.astype(qparams.scheme.number_format.dtype)


def dequantize(codes: object, qparams: QParams) -> FloatArray:
    """(Q − Z)·S as float32, the shape of ``codes``.

    Raises
    ------
    Problem
        When that shape does not fit parameters per axis.
    """
    floats = np.asarray(codes).astype(np.float32)
    scale, zero_point = qparams.grouped(floats.shape)
    with np.errstate(over="ignore"):
        return np.asarray((floats - zero_point) * scale)


def fake_quantize(x: object, qparams: QParams) -> FloatArray:
    """Quantized and dequantized again: what the network computes with. NaN stays NaN.

    Raises
    ------
    Problem
        When the shape of ``x`` does not fit parameters per axis.
    """
    array = _as_float32(x)
    scale, zero_point = qparams.grouped(array.shape)
    codes = unclipped_codes(array, scale, zero_point, qparams.convention)
    return dequantize_in_place(codes, scale, zero_point, qparams)


def unclipped_codes(
    x: FloatArray,
    scale: FloatArray,
    zero_point: FloatArray,
    convention: Convention,
    out: FloatArray | None = None,
) -> FloatArray:
    """Rounded but unclipped codes as float32; the one place where a value meets a scale."""
    with np.errstate(over="ignore"):
        if convention.multiplies_by_reciprocal:
            codes = np.multiply(x, np.float32(1) / scale, out=out)
        else:
            codes = np.divide(x, scale, out=out)
        codes = np.asarray(codes)
        if convention.zero_point_before_rounding:
            np.add(codes, zero_point, out=codes)
        np.rint(codes, out=codes)
        if not convention.zero_point_before_rounding:
            np.add(codes, zero_point, out=codes)
    return codes


def dequantize_in_place(codes: FloatArray, scale: Array, zero_point: Array, qparams: QParams) -> FloatArray:
    """Clip ``codes`` and turn them into values, in their own memory."""
    with np.errstate(over="ignore"):
        np.clip(codes, qparams.quant_min, qparams.quant_max, out=codes)
        np.subtract(codes, zero_point, out=codes)
        np.multiply(codes, scale, out=codes)
    return codes


@dataclass(frozen=True, eq=False)
class Steps:
    """The walk of single elements through the formula, one array a column, float32 unless noted.

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


def walk(values: FloatArray, groups: Array, qparams: QParams) -> Steps:
    """Every step of the formula for some elements.

    Parameters
    ----------
    values : float32 array, shape (n,)
    groups : int array, shape (n,)
        The group that each belongs to.
    """
    scale = qparams.scale.reshape(-1)[groups]
    zero_point = qparams.zero_point.reshape(-1)[groups]
    convention = qparams.convention
    with np.errstate(over="ignore"):
        divided = values * (np.float32(1) / scale) if convention.multiplies_by_reciprocal else values / scale
        if convention.zero_point_before_rounding:
            shifted = divided + zero_point
            rounded = np.rint(shifted)
            before_clip = rounded
        else:
            rounded = np.rint(divided)
            shifted = rounded + zero_point
            before_clip = shifted
        clipped = np.clip(before_clip, qparams.quant_min, qparams.quant_max)
        dequantized = (clipped - zero_point) * scale
    middle = np.clip(np.rint(zero_point), qparams.quant_min, qparams.quant_max)
    code = np.where(np.isnan(clipped), middle, clipped).astype(qparams.scheme.number_format.dtype)
    return Steps(
        value=values,
        scale=scale,
        zero_point=zero_point,
        divided=divided,
        shifted=shifted,
        rounded=rounded,
        clipped=clipped,
        code=code,
        dequantized=dequantized,
        error=dequantized.astype(np.float64) - values,
    )


def _as_float32(x: object) -> FloatArray:
    if isinstance(x, Tensor):
        return np.asarray(x.values[:]).reshape(x.shape)
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(np.float32, copy=False)
