"""How does a value become a code, and a code a value again? Q = R/S + Z and R = (Q − Z)·S.

Everything here is float32 arithmetic with the order of operations of the scheme's convention, so
that the codes are the runtime's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from qviz.core.arrays import Array, FloatArray, distinct, ends_of, is_one_number
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.table import NumberFormat
from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.core.runtimes.formulas import as_float16
from qviz.core.runtimes.precision import BYTE, FLOAT16, FLOAT32, Precision, Rounding, rounding_to
from qviz.core.runtimes.record import BELOW_NORMAL, FIRST, LAST, MIDDLE, NEVER, ZERO, Convention
from qviz.core.schemes.scheme import Scheme, convention_of

FP4_BITS, NAN_AS_FP4 = 4, np.float32(-2)
"""What torchao's cast makes of 0 / 0, as NaN is no FP4 number."""

FLOAT16_MAX = float(np.finfo(np.float16).max)

SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
"""Below this a scale is denormal and the division by it means nothing: the range is degenerate."""

LARGEST_SCALE = float(np.finfo(np.float32).max)
"""Between these two a scale is a number, and so is its inverse."""


def is_too_narrow(convention: Convention, number_format: NumberFormat, width: Array, scale: Array) -> Array:
    """Whether a range has so little width that 1 stands in for its scale."""
    rule = convention.falls_back(number_format)
    if rule == NEVER:
        return np.zeros(np.shape(scale), np.bool_)
    return np.asarray(scale < SMALLEST_SCALE) if rule == BELOW_NORMAL else np.asarray(width == 0)


@frozen(eq=False)
class Quantizer:
    """How some groups turn values into codes and back: float32 arrays that broadcast against the values.

    Attributes
    ----------
    qparams : QParams
        What these are a part of.
    scale, divisor, zero_point : float32 arrays
    shift, offset : float32 arrays or None
        What is taken from a value first, and given back in the end (GGUF's minima); None for nothing.
    unstored_zero_point : float32 array or None
        What codes are made with in the place of the zero point.
    """

    qparams: QParams
    scale: FloatArray
    divisor: FloatArray
    zero_point: FloatArray
    shift: FloatArray | None
    offset: FloatArray | None
    unstored_zero_point: FloatArray | None = None

    @property
    def added(self) -> FloatArray:
        """The zero point that codes are made with."""
        return self.zero_point if self.unstored_zero_point is None else self.unstored_zero_point

    def map(self, change: Callable[[FloatArray], FloatArray]) -> Quantizer:
        """The same with every array changed."""
        arrays = (self.scale, self.divisor, self.zero_point, self.shift, self.offset, self.unstored_zero_point)
        scale, divisor, zero_point, *others = (None if a is None else change(a) for a in arrays)
        assert scale is not None and divisor is not None and zero_point is not None
        return Quantizer(self.qparams, scale, divisor, zero_point, *others)

    def part(self, groups: slice) -> Quantizer:
        """Of some of the groups of one of shape (1, groups, 1)."""
        return self if self.scale.size == 1 else self.map(lambda a: a[:, groups])

    def divided(self, x: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """R/S, the way of the convention."""
        if self.shift is not None:
            x = x - self.shift
        if self.qparams.multiplies:
            product = np.multiply(x, self.qparams.inverse(self.divisor), out=out)
            return _rounded(self.qparams.round_code, np.asarray(product))
        divided, factor = np.asarray(np.divide(x, self.divisor, out=out)), self.qparams.factor
        return divided if factor is None else np.multiply(divided, factor, out=divided)

    def unclipped(self, x: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Rounded but unclipped codes as float32; the one place where a value meets a scale.

        Parameters
        ----------
        x : float32 array
        out : float32 array, optional
            Where the codes go.
        """
        convention, round_ = self.qparams.convention, self.qparams.number_format.round
        if convention.beyond is not None:
            unsaturated = self._unsaturated(x)
            return unsaturated if out is None else np.positive(unsaturated, out=out)
        with np.errstate(over="ignore"):
            if convention.code is not None:
                codes = convention.code(self, x, out)
                if self.qparams.breaks:
                    missing = np.isnan(codes) & ~np.isnan(x)
                    np.copyto(codes, self.qparams.nan_code(self.zero_point), where=missing)
                return codes
            if self.qparams.breaks:
                anyhow = self._unclipped_anyhow(x)
                return anyhow if out is None else np.positive(anyhow, out=out)
            codes = self.divided(x, out)
            if convention.zero_point_before_rounding:
                np.add(codes, self.added, out=codes)
            round_(codes, out=codes)
            if not convention.zero_point_before_rounding:
                rounding = self.qparams.round_code
                np.add(codes, self.zero_point if rounding is None else rounding(self.zero_point), out=codes)
                codes = _rounded(rounding, codes)
        return codes

    def _unsaturated(self, x: FloatArray) -> FloatArray:
        """Codes of a runtime that does not clip them: NaN or infinite beyond the last one."""
        number_format, beyond = self.qparams.number_format, self.qparams.convention.beyond
        assert isinstance(number_format, FloatFormat) and beyond is not None
        with np.errstate(all="ignore"):
            quotients = np.array(self.divided(x))
            return beyond(number_format, quotients, number_format.round(quotients, np.empty_like(quotients)))

    def _unclipped_anyhow(self, x: FloatArray) -> FloatArray:
        """The same where a scale is 0, infinite or NaN: what a division gives, and a code where that is NaN."""
        q = self.qparams
        with np.errstate(all="ignore"):
            codes = np.array(self.divided(x))
            before = q.convention.zero_point_before_rounding
            codes = codes + self.added if before else codes
            q.number_format.round(codes, out=codes)
            if not before:
                zero_point = self.zero_point if q.round_code is None else q.round_code(self.zero_point)
                codes = _rounded(q.round_code, codes + zero_point)
            missing = np.isnan(codes) & ~np.isnan(x)
            if q.number_format.has_nan:
                return codes
            fp4 = isinstance(q.number_format, FloatFormat) and q.number_format.bits == FP4_BITS
            return np.where(missing, NAN_AS_FP4 if fp4 else q.nan_code(self.zero_point), codes)

    def clip(self, codes: FloatArray) -> FloatArray:
        """Clip ``codes`` in their own memory, unless the runtime does not."""
        if self.qparams.saturates:
            np.clip(codes, self.qparams.quant_min, self.qparams.quant_max, out=codes)
        return codes

    def stored(self, codes: FloatArray) -> FloatArray:
        """Clipped codes, with the runtime's code for NaN where the format has none."""
        missing = np.isnan(codes)
        if self.qparams.number_format.has_nan or not missing.any():
            return codes
        return np.where(missing, self.qparams.nan_code(self.zero_point), codes)

    def dequantize(self, codes: FloatArray) -> FloatArray:
        """Clip ``codes`` and turn them into values, in their own memory."""
        return self.values_of(self.clip(codes))

    def values_of(self, codes: FloatArray) -> FloatArray:
        """The values of clipped ``codes``, in their own memory."""
        each, result = self.qparams.round_value, self.qparams.round_result
        with np.errstate(over="ignore", invalid="ignore"):
            factor = self.qparams.factor
            if factor is not None and self.qparams.convention.multiplies_by_threshold:
                np.multiply(codes, self.divisor, out=codes)
                return np.asarray(np.divide(codes, factor, out=codes))
            if self.qparams.convention.scales_zero_point:
                np.multiply(codes, self.scale, out=codes)
                return _rounded(result, np.asarray(np.subtract(codes, self.zero_point * self.scale, out=codes)))
            _rounded(each, codes)
            zero_point = self.zero_point if each is None else each(self.zero_point)
            _rounded(each, np.subtract(codes, zero_point, out=codes))
            _rounded(each, np.multiply(codes, self.scale, out=codes))
            if self.offset is not None:
                np.add(codes, self.offset, out=codes)
            return _rounded(result, codes)

    def quantized(self, x: FloatArray) -> FloatArray:
        """x̂: there and back again."""
        return self.dequantize(self.unclipped(x))


def _rounded(rounding: Rounding | None, values: FloatArray) -> FloatArray:
    """``values`` in their own memory, rounded to a narrower type where one is given."""
    if rounding is not None:
        values[...] = rounding(values)
    return values


@frozen(eq=False, repr=False)
class QParams:
    """The quantization parameters of one tensor under one scheme.

    Attributes
    ----------
    scale : float32 array, shape () per tensor, (channels,) per axis, one for each block in the tensor's order
        What a code is multiplied by.
    zero_point : float32 array, the shape of ``scale``
        A whole number except under conventions that keep it real.
    low, high : float32 arrays, the shape of ``scale``
        The range the scale was made for: the estimator's, made symmetric or widened to include 0.
    quant_min, quant_max : int, or float where the codes stand for floats
        Codes are clipped to these: not always the first and the last of the number format.
    scheme : Scheme
    own_divisor : float32 array, the shape of ``scale``, or None
        A `divisor` that does not follow from the scale and the range.
    shift, offset : float32 arrays, the shape of ``scale``, or None
        What is taken from a value before that, and given back in the end; None for nothing.
    compute : str
        The type of tensor that they were chosen for, which decides what the runtime computes in: see `precision`.
    unstored_zero_point : float32 array, the shape of ``scale``, or None
        The zero point before it was stored in a narrower type, where codes are made with that.
    """

    scale: FloatArray
    zero_point: FloatArray
    low: FloatArray
    high: FloatArray
    quant_min: int | float
    quant_max: int | float
    scheme: Scheme
    own_divisor: FloatArray | None = None
    shift: FloatArray | None = None
    offset: FloatArray | None = None
    compute: str = FLOAT32
    unstored_zero_point: FloatArray | None = None

    def __repr__(self) -> str:
        scales = "scale" if self.scale.size == 1 else f"{self.scale.size:,} scales"
        return (
            f"QParams({self.scheme.number_format.name} of {self.scheme.convention}, {scales} {_spread(self.scale)}, "
            f"zero_point {_spread(self.zero_point)}, codes {self.quant_min:g} … {self.quant_max:g})"
        )

    def __getstate__(self) -> dict[str, Any]:
        # What was computed meanwhile follows from these; a convention's functions cannot be pickled.
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @cached_property
    def convention(self) -> Convention:
        """The record of the runtime's arithmetic."""
        return convention_of(self.scheme)

    @property
    def number_format(self) -> NumberFormat:
        return self.scheme.number_format

    @cached_property
    def precision(self) -> Precision:
        """The types that are computed in."""
        scheme = self.scheme
        return self.convention.precision(self.compute, scheme.number_format, scheme.symmetric, scheme.granularity)

    @property
    def compilable(self) -> bool:
        """Whether compiled loops know the arithmetic: that of float32."""
        convention = self.convention
        own = convention.beyond_loops or convention.scales_zero_point or not self.saturates
        return not (self.precision.rounds_elements or self.breaks or own)

    @property
    def saturates(self) -> bool:
        """Whether values beyond the last code get it: others become NaN or infinite."""
        return self.convention.beyond is None

    @cached_property
    def broken(self) -> Array:
        """Of which groups the scale is 0, infinite or NaN, so that values come out as NaN: the shape of ``scale``."""
        broken = ~np.isfinite(self.scale)
        if self.offset is not None:
            broken = broken | ~np.isfinite(self.offset)
        if self.unstorable_zero_points:
            broken = broken | ~np.isfinite(as_float16(self.zero_point))
        if self.convention.divisor_is_inverse:
            return broken | ~np.isfinite(self.divisor)
        if self.convention.multiplies_by_threshold:
            with np.errstate(over="ignore"):
                broken = broken | ~np.isfinite(self.divisor * np.float32(self.quant_min))
        if self.convention.inverse_overflows:
            with np.errstate(all="ignore"):
                broken = broken | (~np.isfinite(np.float32(1) / self.divisor) & (self.divisor != 0))
        by_zero = self.convention.code is None or self.convention.beyond_loops
        return broken | (self.divisor == 0) if by_zero else broken

    @property
    def unstorable_zero_points(self) -> bool:
        """Whether some of them lie beyond float16, where codes are made in it."""
        wide = self.precision.codes == FLOAT16 and self.number_format.bits > BYTE
        return wide and bool((np.abs(distinct(self.zero_point)) > FLOAT16_MAX).any())

    @cached_property
    def breaks(self) -> bool:
        """Whether any group is `broken`."""
        if self.unstorable_zero_points:
            return bool(self.broken.any())
        largest = LARGEST_SCALE
        if self.convention.multiplies_by_threshold:  # what codes are multiplied by first
            largest /= max(1, -self.quant_min)
        usual = _are_usual(self.scale, self.scale_ends, largest)
        usual = usual and (self.divisor is self.scale or _are_usual(self.divisor, self.divisor_ends, largest))
        return not (usual and self.offset is None) and bool(self.broken.any())

    def know_ends(self, scales: tuple[float, float], divisors: tuple[float, float]) -> None:
        """`scale_ends` and `divisor_ends`, found on the way: a million numbers are not looked through again."""
        vars(self).update(scale_ends=scales, divisor_ends=divisors)

    @cached_property
    def scale_ends(self) -> tuple[float, float]:
        """The smallest and the largest scale."""
        return ends_of(self.scale)

    @cached_property
    def divisor_ends(self) -> tuple[float, float]:
        """The smallest and the largest divisor."""
        return ends_of(self.divisor)

    @cached_property
    def climbs(self) -> bool:
        """Whether larger values get larger codes under every scale: no staircase is known elsewhere."""
        return self.saturates and not self.breaks and not self.scale_ends[0] < 0

    @cached_property
    def outermost(self) -> tuple[float, float]:
        """From where to where the ranges of all groups reach."""
        return float(distinct(self.low).min()), float(distinct(self.high).max())

    def nan_code(self, zero_point: FloatArray) -> FloatArray:
        """The code that NaN gets where the format has none for it."""
        if self.convention.nan_code == LAST:
            return np.full_like(zero_point, self.quant_max)
        if not self.number_format.offers_zero_point:
            nothing = np.zeros_like(zero_point)  # or the level nearest to it
            return self.number_format.round(nothing, np.empty_like(nothing))
        code: Any = {FIRST: self.quant_min, ZERO: 0, MIDDLE: np.rint(zero_point)}[self.convention.nan_code]
        return np.broadcast_to(np.float32(np.clip(code, self.quant_min, self.quant_max)), np.shape(zero_point))

    @cached_property
    def round_code(self) -> Rounding | None:
        """What every operation between a value and its code is rounded by; None for float32."""
        return rounding_to(self.precision.codes)

    @cached_property
    def round_value(self) -> Rounding | None:
        """What every operation between a code and its value is rounded by."""
        return rounding_to(self.precision.values)

    @cached_property
    def round_result(self) -> Rounding | None:
        """What a value is rounded by in the end."""
        return rounding_to(self.precision.result)

    @property
    def alike(self) -> bool:
        """Whether all of several groups have the same parameters: of one range that a person drew, say."""
        return all(array is None or is_one_number(array) for array in self._arrays.values())

    @property
    def _arrays(self) -> dict[str, FloatArray | None]:
        """All that there is one of for each group."""
        names = ("scale", "zero_point", "low", "high", "own_divisor", "shift", "offset", "unstored_zero_point")
        return {name: getattr(self, name) for name in names}

    @property
    def groups(self) -> int:
        """How many scales there are."""
        return int(self.scale.size)

    @cached_property
    def multiplies(self) -> bool:
        """Whether values are multiplied by an inverse instead of divided."""
        convention = self.convention
        # Small floats are divided under every runtime's convention.
        reciprocal = convention.multiplies_by_reciprocal and self.number_format.offers_zero_point
        return reciprocal or convention.divisor_is_inverse

    def inverse(self, divisor: FloatArray) -> FloatArray:
        """What values are multiplied by, where they are."""
        if self.convention.divisor_is_inverse:
            return divisor
        return _rounded(self.round_code, np.asarray(np.float32(1) / divisor))

    @cached_property
    def factor(self) -> np.float32 | None:
        """What they are multiplied by after that; None for nothing."""
        if not self.convention.divides_by_threshold:
            return None
        return np.float32(self.convention.half_span(self.number_format))

    @cached_property
    def divisor(self) -> FloatArray:
        """What values are divided by, the shape of ``scale``: mostly the scale itself.

        For Paddle the threshold; for GGUF the scale before it is stored as float16; for NVFP4 what
        they are multiplied by.
        """
        if self.own_divisor is not None:
            return self.own_divisor
        factor = self.factor
        if factor is None:
            return self.scale
        narrow = is_too_narrow(self.convention, self.number_format, self.high, self.high.astype(np.float64) / factor)
        return np.asarray(np.where(narrow, factor, self.high), np.float32)

    @cached_property
    def whole_zero_point(self) -> bool:
        """Whether every zero point is itself a code, so that it can be stored as one."""
        z = distinct(self.zero_point)
        return bool(np.all((z == np.rint(z)) & (z >= self.quant_min) & (z <= self.quant_max)))

    @cached_property
    def codes(self) -> FloatArray:
        """The unit value of every code in use, ascending, shape (codes,)."""
        values = self.number_format.values
        return values[(values >= self.quant_min) & (values <= self.quant_max)]

    @property
    def levels_count(self) -> int:
        """How many codes are in use."""
        return self.codes.size

    def quantizer(self, groups: Any) -> Quantizer:
        """Of single groups: arrays of the shape of the index ``groups``."""
        return self._whole.map(lambda a: a.reshape(-1)[groups])

    def shaped(self, *shape: int) -> Quantizer:
        """Of all groups, with arrays of that shape."""
        return self._whole.map(lambda a: a.reshape(shape))

    def spread(self, shape: tuple[int, ...]) -> Quantizer:
        """Of all groups, shaped to broadcast against an array of ``shape``.

        Raises
        ------
        Problem
            When the parameters were chosen for another number of groups.
        """
        if self.scale.ndim == 0:
            return self._whole
        blocks = self.scheme.granularity.block_shape(shape)
        grid = tuple(1 if b == n else -(-n // b) for n, b in zip(shape, blocks, strict=True))
        if math.prod(grid) != self.groups:
            raise Problem(
                "A tensor of shape {shape} needs {scales:,} scales under this scheme, but there are {groups:,}: "
                "choose the parameters for this shape.",
                shape=shape,
                scales=math.prod(grid),
                groups=self.groups,
            )
        longer = [(i, b, n) for i, (b, n) in enumerate(zip(blocks, shape, strict=True)) if 1 < b < n]

        def spread(array: FloatArray) -> FloatArray:
            array = array.reshape(grid)
            for axis, block, length in longer:
                array = np.repeat(array, block, axis=axis).take(np.arange(length), axis=axis)
            return array

        return self._whole.map(spread)

    def grouped(self, shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
        """Scale and zero point, shaped to broadcast against an array of ``shape``.

        Raises
        ------
        Problem
            When the parameters were chosen for another number of groups.
        """
        quantizer = self.spread(shape)
        return quantizer.scale, quantizer.zero_point

    @property  # kept, it would hold on to this, and both live until cycles are looked for
    def _whole(self) -> Quantizer:
        unstored = self.unstored_zero_point
        return Quantizer(self, self.scale, self.divisor, self.zero_point, self.shift, self.offset, unstored)

    def for_group(self, group: int) -> QParams:
        """The parameters of one group, as if it were a tensor of its own."""
        arrays = self._arrays.items()
        picked: dict[str, Any] = {name: np.asarray(a.reshape(-1)[group]) for name, a in arrays if a is not None}
        return replace(self, **picked)

    def codes_of(self, x: FloatArray) -> FloatArray:
        """Rounded but unclipped codes of an array, as float32.

        Raises
        ------
        Problem
            When the parameters were chosen for another number of groups.
        """
        return self.spread(x.shape).unclipped(x)

    def levels(self) -> FloatArray:
        """The value each code stands for, shape (groups, codes), in code order."""
        return self._values_of(self.codes)

    def clip_range(self) -> tuple[FloatArray, FloatArray]:
        """The values of the first and the last code, the smaller one first, shape (groups,)."""
        ends = self._values_of(np.array([self.quant_min, self.quant_max], np.float32))
        return np.minimum(ends[:, 0], ends[:, 1]), np.maximum(ends[:, 0], ends[:, 1])

    def _values_of(self, codes: FloatArray) -> FloatArray:
        return self.shaped(-1, 1).dequantize(np.repeat(codes[None], self.groups, axis=0))


def _are_usual(scales: FloatArray, ends: tuple[float, float], largest: float) -> bool:
    """Whether each is a number no larger than that, and its inverse is a number, too."""
    low, high = ends if ends[0] >= 0 else ends_of(np.abs(distinct(scales)))
    return low >= SMALLEST_SCALE and high <= largest


def _spread(values: FloatArray) -> str:
    """One number, or from where to where many are."""
    values = distinct(values)
    low, high = float(values.min()), float(values.max())
    return f"{low:.4g}" if low == high else f"{low:.4g} … {high:.4g}"
