"""Which scale and zero point follow from a range, by a runtime's formulas, or from what somebody else chose?

Both are computed in float64, but where a runtime rounds every operation, and kept as float32.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams, is_too_narrow
from qviz.core.arrays import Array, FloatArray, distinct, empty, is_one_number
from qviz.core.formats.integers import IntFormat
from qviz.core.ranges.known import Known
from qviz.core.runtimes.block_scales import spans
from qviz.core.runtimes.expressions import evaluate
from qviz.core.runtimes.formulas import ABSMAX, MAX, MIN, QMAX, QMIN, S
from qviz.core.runtimes.precision import FLOAT32, HALVES, POWER_OF_TWO, Precision, as_power_of_two, rounding_to
from qviz.core.runtimes.record import BELOW_NORMAL, Convention, Recipe
from qviz.core.schemes.scheme import Scheme, convention_of

TOGETHER = 1 << 16
"""Groups whose parameters are found together: what is computed on the way stays in the cache."""


def qparams_from_range(low: Array, high: Array, scheme: Scheme, compute: str = FLOAT32) -> QParams:
    """Scale and zero point for a known range, by the formulas of the scheme's convention.

    Parameters
    ----------
    low, high : float32 arrays of one shape
    compute : str
        The type of the tensor, or float32 where that does not matter: see `compute_dtype`.
    """
    if is_one_number(low) and is_one_number(high) and not convention_of(scheme).nested_scales:
        return _from_one_range(low, high, scheme, compute)
    alone = low.size <= TOGETHER or _takes_all(convention_of(scheme))
    found = None if alone else _from_spans(low, high, scheme, compute)
    if found is not None:
        return found
    q = _from_range(low, high, scheme, compute) if alone else _from_ranges(low, high, scheme, compute)
    return q if compute == FLOAT32 else replace(q, compute=compute)


def _from_one_range(low: Array, high: Array, scheme: Scheme, compute: str) -> QParams:
    """The same where all groups have one range: their parameters are one number each, seen many times."""
    q = qparams_from_range(low.reshape(-1)[:1], high.reshape(-1)[:1], scheme, compute)
    names = ("scale", "zero_point", "low", "high", "own_divisor", "shift", "offset")
    given = {name: getattr(q, name) for name in names}
    seen: dict[str, Any] = {k: np.broadcast_to(a.reshape(()), low.shape) for k, a in given.items() if a is not None}
    return replace(q, **seen)


def _from_ranges(low: Array, high: Array, scheme: Scheme, compute: str) -> QParams:
    """The same for many groups, some at a time."""
    # In one piece: memory that the system gives in small pages is slow to come by.
    names = ("scale", "zero_point", "low", "high", "own_divisor", "shift", "offset")
    arrays = dict(zip(names, empty((len(names), low.size), np.float32), strict=True))
    lowest, highest = low.reshape(-1), high.reshape(-1)

    for start in range(0, low.size, TOGETHER):  # in two threads it would take longer: each step is too short
        part = slice(start, start + TOGETHER)
        q = _from_range(lowest[part], highest[part], scheme, compute)
        for name, array in arrays.items():
            found = getattr(q, name)
            if found is not None:
                array[part] = found
    points = arrays["zero_point"]
    if points.min() == points.max():
        arrays["zero_point"] = np.broadcast_to(points[0], points.shape)
    whole: dict[str, Any] = {
        name: array.reshape(low.shape) for name, array in arrays.items() if getattr(q, name) is not None
    }
    return replace(q, **whole)


def _takes_all(convention: Convention) -> bool:
    """Whether a recipe asks for all ranges, or sees to it that some are looked at together."""
    return convention.of_whole_tensor or convention.recipe_in_parts


def _from_spans(low: Array, high: Array, scheme: Scheme, compute: str) -> QParams | None:
    """The same of symmetric ranges whose scales are a quotient and no more; None of others, and where one is 0."""
    if low.dtype != np.float32 or high.dtype != np.float32 or not _are_quotients(scheme, compute):
        return None
    convention, number_format = convention_of(scheme), scheme.number_format
    span, extreme = convention.half_span(number_format), convention.scale_of_extreme
    found = spans(low, high, np.float32(-span if extreme else span), of_extreme=extreme)
    if found is None:
        return None
    scale, reach = (each.reshape(low.shape) for each in found[:2])
    quant_min, quant_max = convention.ends(number_format, True)
    zero_point = np.broadcast_to(np.float32(convention.middle(number_format)), low.shape)
    lowest, highest = (low, high) if extreme else (-reach, reach)
    q = QParams(scale, zero_point, lowest, highest, quant_min, quant_max, scheme)
    q = q if compute == FLOAT32 else replace(q, compute=compute)
    if not extreme:
        q.know_ends(found[2], found[2])
    return q


def _are_quotients(scheme: Scheme, compute: str) -> bool:
    """Whether scales are what ranges are divided by, a float32 number, and nothing is done to them."""
    convention, number_format = convention_of(scheme), scheme.number_format
    if not scheme.symmetric or not number_format.scaled or convention.recipe is not None or convention.by_formulas:
        return False
    types = convention.precision(compute, number_format, True, scheme.granularity)
    if types.ranges != FLOAT32 or types.scale != FLOAT32 or types.codes_from_exact_scale:
        return False
    if convention.smallest_range or (number_format.offers_zero_point and convention.smallest_scale):
        return False
    if convention.scale_of_extreme and convention.falls_back(number_format) == BELOW_NORMAL:  # which negative ones are
        return False
    span = convention.half_span(number_format)
    return bool(np.float32(span) == span)


def _from_range(low: Array, high: Array, scheme: Scheme, compute: str) -> QParams:
    convention, number_format = convention_of(scheme), scheme.number_format
    quant_min, quant_max = convention.ends(number_format, scheme.symmetric)
    precision = np.float32 if convention.single_precision else np.float64
    if not number_format.scaled:
        one = np.ones(np.shape(low), np.float32)
        return _qparams(scheme, one, one * 0, low, high, quant_min, quant_max)
    types = convention.precision(compute, number_format, scheme.symmetric, scheme.granularity)
    if types.ranges in HALVES or convention.by_formulas:
        return _from_formulas(np.asarray(low, precision), np.asarray(high, precision), scheme, types)
    if convention.recipe is not None:
        recipe = convention.recipe(np.asarray(low, np.float32), np.asarray(high, np.float32), scheme)
        return qparams_from_recipe(recipe, low, high, scheme)
    if scheme.symmetric:
        lowest, highest, width, exact_scale = _symmetric(low, high, scheme, precision)
        zero_point: Array = np.broadcast_to(np.float64(convention.middle(number_format)), exact_scale.shape)
    else:
        lowest, highest = np.asarray(low, precision), np.asarray(high, precision)
        assert isinstance(number_format, IntFormat)  # nothing else has a zero point
        if convention.range_includes_zero:
            lowest, highest = np.minimum(lowest, 0.0), np.maximum(highest, 0.0)
        first, last = convention.scale_range(number_format)
        with np.errstate(over="ignore"):  # where float32 ends, the scale is infinite and nothing is left
            width = highest - lowest
        scale = np.maximum(width, convention.smallest_range) / (last - first)
        exact_scale = np.maximum(scale, convention.smallest_scale)
        if types.scale == POWER_OF_TWO:
            exact_scale = as_power_of_two(exact_scale).astype(precision)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            zero_point = convention.zero_point(number_format, lowest, highest, exact_scale)
    stored, own_divisor = rounding_to(types.scale), None
    if types.codes_from_exact_scale:
        own_divisor = np.asarray(exact_scale, np.float32)
    exact_scale = exact_scale if stored is None else stored(exact_scale)
    degenerate = is_too_narrow(convention, number_format, width, exact_scale)
    if degenerate.any():
        exact_scale = np.where(degenerate, 1.0, exact_scale)
        nothing = np.zeros_like(zero_point)
        if not (scheme.symmetric and convention.scale_of_extreme):
            nothing = convention.degenerate_zero_point(nothing if scheme.symmetric else highest)
        zero_point = np.where(degenerate, nothing, zero_point)
    scales = np.asarray(exact_scale, np.float32)
    q = _qparams(scheme, scales, zero_point, lowest, highest, quant_min, quant_max)
    return q if own_divisor is None else replace(q, own_divisor=own_divisor)


def _symmetric(low: Array, high: Array, scheme: Scheme, precision: Any) -> tuple[Array, Array, Array, Array]:
    """The ends of symmetric ranges, how far they reach, and their scales.

    What is further from 0 is exact in the ends' own type, which may be half as wide as what is computed in.
    """
    convention, number_format = convention_of(scheme), scheme.number_format
    if convention.scale_of_extreme:
        width: Array = np.asarray(furthest(low, high), precision)
        return low, high, width, width / precision(-convention.half_span(number_format))
    highest = np.maximum(np.abs(low), np.abs(high))
    width = np.asarray(highest, precision)
    scale = np.maximum(width, convention.smallest_range) if convention.smallest_range else width
    scale = scale / convention.half_span(number_format)
    if number_format.offers_zero_point and convention.smallest_scale:
        scale = np.maximum(scale, convention.smallest_scale)
    return -highest, highest, width, scale


def furthest(low: Array, high: Array) -> Array:
    """The end of each range that is further from 0, the low one of equals.

    Chosen by their bits: `numpy.where` takes a branch for each, which processors guess wrongly half of the time.
    """
    low, high = np.asarray(low), np.asarray(high)
    if low.dtype != np.float32 or high.dtype != np.float32:
        return np.where(-low >= high, low, high)
    ours, others = low.view(np.int32), high.view(np.int32)
    all_or_none = -np.greater_equal(-low, high).astype(np.int32)
    chosen: Array = np.asarray(others ^ ((ours ^ others) & all_or_none)).view(np.float32)
    return chosen


def qparams_from_recipe(recipe: Recipe, low: Array, high: Array, scheme: Scheme) -> QParams:
    """The parameters of blocks, as a recipe made them of ranges, or a search of the values."""
    quant_min, quant_max = convention_of(scheme).ends(scheme.number_format, scheme.symmetric)
    made = QParams(
        recipe.scale,
        np.broadcast_to(np.asarray(recipe.zero_point, np.float32), recipe.scale.shape),
        np.asarray(low, np.float32),
        np.asarray(high, np.float32),
        quant_min,
        quant_max,
        scheme,
        recipe.divisor,
        recipe.shift,
        recipe.offset,
    )
    if recipe.ends is not None:
        made.know_ends(*recipe.ends)
    return made


def _from_formulas(low: Array, high: Array, scheme: Scheme, types: Precision) -> QParams:
    """Scale and zero point where every operation is rounded: the formulas know where."""
    convention, number_format = convention_of(scheme), scheme.number_format
    quant_min, quant_max = convention.ends(number_format, scheme.symmetric)
    formulas = convention.formulas_of(number_format, scheme.symmetric, types)
    if scheme.symmetric and convention.recipe is None:
        high = np.maximum(np.abs(low), np.abs(high))
        low = -high
    elif convention.range_includes_zero and convention.recipe is None:
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    values = {MIN.key: low, MAX.key: high, ABSMAX.key: high, QMIN.key: quant_min, QMAX.key: quant_max}
    with np.errstate(all="ignore"):
        values[S.key] = scale = np.asarray(evaluate(formulas.scale.expression, values), np.float32)
        zero_point = np.full(scale.shape, convention.middle(number_format))
        if formulas.zero_point is not None:
            zero_point = evaluate(formulas.zero_point.expression, values)
    return _qparams(scheme, scale, zero_point, low, high, quant_min, quant_max)


def qparams_of_known(rule: Known, shape: tuple[int, ...], scheme: Scheme, compute: str = FLOAT32) -> QParams:
    """The parameters of a tensor of a shape under a scheme whose scales and zero points are known.

    Raises
    ------
    Problem
        When there are other numbers of them than groups.
    """
    convention, number_format = convention_of(scheme), scheme.number_format
    scales = scheme.granularity.scale_shape(shape)
    if not number_format.scaled:
        return qparams_from_range(np.zeros(scales), np.zeros(scales), scheme, compute)
    scale, points = (each.reshape(scales) for each in rule.of_groups(math.prod(scales)))
    if scheme.symmetric:
        points = np.full(scales, np.float32(convention.middle(number_format)))
    return qparams_from_values(scale, points, scheme, compute)


def qparams_from_values(scale: object, zero_point: object, scheme: Scheme, compute: str = FLOAT32) -> QParams:
    """The parameters of a scheme whose scales and zero points somebody else chose: a file, a runtime.

    Parameters
    ----------
    scale, zero_point : array_like of one shape
        () per tensor, (channels,) per axis, ``granularity.scale_shape`` of the tensor for blocks.
    compute : str
        The type of the tensor, or float32 where that does not matter.
    """
    scales, points = (np.asarray(np.asarray(a), np.float32) for a in (scale, zero_point))
    points = np.broadcast_to(points, scales.shape)
    quant_min, quant_max = convention_of(scheme).ends(scheme.number_format, scheme.symmetric)
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = ((np.float32(end) - points) * scales for end in (quant_min, quant_max))
    return replace(_qparams(scheme, scales, points, low, high, quant_min, quant_max), compute=compute)


def _qparams(
    scheme: Scheme,
    scale: FloatArray,
    zero_point: Array,
    low: Array,
    high: Array,
    quant_min: float,
    quant_max: float,
) -> QParams:
    """Everything in float32."""
    # Adding 0 makes −0 into 0.
    points = np.asarray(distinct(zero_point) + 0.0, np.float32)
    if is_one_number(zero_point):
        points = np.full(zero_point.shape, points[0])
    lowest, highest = np.asarray(low, np.float32), np.asarray(high, np.float32)
    return QParams(scale, points, lowest, highest, quant_min, quant_max, scheme)
