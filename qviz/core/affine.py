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

LARGEST_WIDTH: dict[type, float] = {np.float32: float(np.finfo(np.float32).max), np.float64: float("inf")}
"""No range is wider; in float64 the range of any float32 tensor has room."""


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
        Codes are clipped to these: not always the first and the last of the number format.
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
    def divisor(self) -> FloatArray:
        """What values are divided by, the shape of ``scale``: mostly the scale itself, for Paddle the threshold."""
        factor = self.factor
        if factor is None:
            return self.scale
        narrow = self.high.astype(np.float64) / factor < SMALLEST_SCALE
        return np.asarray(np.where(narrow, factor, self.high), np.float32)

    @property
    def factor(self) -> np.float32 | None:
        """What they are multiplied by after that; None for nothing."""
        if not self.convention.divides_by_threshold:
            return None
        return np.float32(self.convention.symmetric_steps(self.scheme.number_format) / 2)

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
        scale, zero_point = self._spread(shape, self.scale, self.zero_point)
        return scale, zero_point

    def codes_of(self, x: FloatArray) -> FloatArray:
        """Rounded but unclipped codes of an array, as float32.

        Raises
        ------
        Problem
            When the parameters were chosen for another number of groups.
        """
        divisor, zero_point = self._spread(x.shape, self.divisor, self.zero_point)
        return unclipped_codes(x, divisor, zero_point, self)

    def _spread(self, shape: tuple[int, ...], *arrays: FloatArray) -> list[FloatArray]:
        if self.scale.ndim == 0:
            return list(arrays)
        layout, blocks = self.scheme.granularity.layout(shape), self.scheme.granularity.block_shape(shape)
        if layout.groups != self.groups:
            raise Problem(
                f"A tensor of shape {shape} needs {layout.groups:,} scales under this scheme, but there are "
                f"{self.groups:,}: choose the parameters for this shape."
            )
        grid = tuple(1 if b == n else n // b for n, b in zip(shape, blocks, strict=True))
        return [a.reshape(grid) for a in arrays]

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
    precision = np.float32 if convention.single_precision else np.float64
    lowest: Array = np.asarray(low, precision)
    highest: Array = np.asarray(high, precision)
    if scheme.symmetric:
        highest = np.maximum(np.abs(lowest), np.abs(highest))
        lowest = -highest
        half_steps = convention.symmetric_steps(number_format) / 2
        scale = np.maximum(highest, convention.smallest_range) / half_steps
        exact_scale = np.maximum(scale, convention.smallest_scale)
        zero_point = np.full(exact_scale.shape, convention.symmetric_zero_point(number_format))
        degenerate_zero_point = convention.degenerate_zero_point(np.zeros_like(zero_point))
    else:
        if convention.range_includes_zero:
            lowest, highest = np.minimum(lowest, 0.0), np.maximum(highest, 0.0)
        first, last = convention.scale_range(number_format)
        with np.errstate(over="ignore"):  # where float32 ends, PyTorch's scale is infinite and nothing is left
            width = np.minimum(highest - lowest, LARGEST_WIDTH[precision])
        scale = np.maximum(width, convention.smallest_range) / (last - first)
        exact_scale = np.maximum(scale, convention.smallest_scale)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            zero_point = convention.zero_point(number_format, lowest, highest, exact_scale)
        degenerate_zero_point = convention.degenerate_zero_point(highest)
    degenerate = exact_scale < SMALLEST_SCALE
    quant_min, quant_max = convention.code_range(number_format, scheme.symmetric)
    return QParams(
        scale=np.where(degenerate, 1.0, exact_scale).astype(np.float32),
        # Adding 0 makes −0 into 0.
        zero_point=np.asarray(np.where(degenerate, degenerate_zero_point, zero_point) + 0.0, np.float32),
        low=np.asarray(lowest, np.float32),
        high=np.asarray(highest, np.float32),
        quant_min=quant_min,
        quant_max=quant_max,
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
    codes = qparams.codes_of(array)
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
    return dequantize_in_place(qparams.codes_of(array), scale, zero_point, qparams)


def unclipped_codes(
    x: FloatArray,
    divisor: FloatArray,
    zero_point: FloatArray,
    qparams: QParams,
    out: FloatArray | None = None,
) -> FloatArray:
    """Rounded but unclipped codes as float32; the one place where a value meets a scale.

    Parameters
    ----------
    x, divisor, zero_point : float32 arrays
        The latter two are those of ``qparams``, or the part of them that belongs to ``x``.
    qparams : QParams
        Whose convention tells the order of the operations.
    out : float32 array, optional
        Where the codes go.
    """
    convention = qparams.convention
    with np.errstate(over="ignore"):
        codes = _divided(x, divisor, qparams, out)
        if convention.zero_point_before_rounding:
            np.add(codes, zero_point, out=codes)
        np.rint(codes, out=codes)
        if not convention.zero_point_before_rounding:
            np.add(codes, zero_point, out=codes)
    return codes


def _divided(x: FloatArray, divisor: FloatArray, qparams: QParams, out: FloatArray | None = None) -> FloatArray:
    """R/S, the way of the convention."""
    if qparams.convention.multiplies_by_reciprocal:
        return np.asarray(np.multiply(x, np.float32(1) / divisor, out=out))
    divided, factor = np.asarray(np.divide(x, divisor, out=out)), qparams.factor
    return divided if factor is None else np.multiply(divided, factor, out=divided)


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
        divided = _divided(values, qparams.divisor.reshape(-1)[groups], qparams)
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
