"""Which numbers stand behind the symbols of a scheme's formulas, and do the formulas give its parameters?"""

from __future__ import annotations

from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams, is_too_narrow
from qviz.core.arrays import Array, FloatArray, distinct
from qviz.core.runtimes.expressions import Formula, Values, evaluate
from qviz.core.runtimes.formulas import ABSMAX, EXTREME, MAX, MIN, QMAX, QMIN, TENSOR_ABSMAX, Formulas, S, Z, absmax_of


def formulas_of(qparams: QParams) -> Formulas:
    """What was computed, as it is written down."""
    return qparams.convention.formulas_of(qparams.number_format, qparams.scheme.symmetric, qparams.precision)


def single_precision(qparams: QParams) -> bool:
    """Whether scale and zero point follow from the range in float32."""
    return qparams.convention.single_precision or qparams.convention.recipe is not None


def range_values(qparams: QParams, whole: QParams | None = None) -> dict[str, Any]:
    """What scales are made of, in the precision that they are computed in, by the key of each symbol.

    Parameters
    ----------
    qparams : QParams
    whole : QParams, optional
        Those of the whole tensor, where ``qparams`` are of one group; what the tensor has once is known only then.
    """
    precision = np.float32 if single_precision(qparams) else np.float64
    low: Any = qparams.low.astype(precision)
    high: Any = qparams.high.astype(precision)
    values = {
        MIN.key: low,
        MAX.key: high,
        ABSMAX.key: absmax_of(low, high),
        EXTREME.key: np.where(np.abs(low) >= np.abs(high), low, high),
        QMIN.key: qparams.quant_min,
        QMAX.key: qparams.quant_max,
    }
    if whole is not None:
        values[TENSOR_ABSMAX.key] = _farthest(whole.low, whole.high).astype(precision)
    return values


def _farthest(low: FloatArray, high: FloatArray) -> np.float32:
    """How far the widest of many ranges lies from 0, without an array in between: this is asked for each frame."""
    ends = [end for array in (distinct(low), distinct(high)) if array.size for end in (array.min(), array.max())]
    return np.float32(np.abs(ends).max(initial=0))


def group_values(qparams: QParams) -> dict[str, Any]:
    """What single elements meet: scales, zero points and whatever else the formulas name."""
    formulas = formulas_of(qparams)
    values: dict[str, Any] = {
        QMIN.key: qparams.quant_min,
        QMAX.key: qparams.quant_max,
        S.key: qparams.scale,
        Z.key: qparams.zero_point,
    }
    if qparams.shift is not None:
        values[MIN.key] = qparams.shift
    if formulas.divisor is not None:
        values[formulas.divisor.symbol.key] = qparams.divisor
    if formulas.offset is not None:
        values[formulas.offset.symbol.key] = qparams.offset
    if formulas.unstored is not None:
        unstored = qparams.unstored_zero_point
        values[formulas.unstored.symbol.key] = qparams.zero_point if unstored is None else unstored
    return values


def with_meanings(formula: Formula, values: Values) -> dict[str, Any]:
    """``values``, and what the symbols that the formula explains come to.

    Raises
    ------
    KeyError
        Where one of them is made of something unknown.
    """
    known = dict(values)
    for each in formula.where:
        known[each.symbol.key] = evaluate(each.expression, known)
    return known


def scale_of(formulas: Formulas, values: Values) -> Any:
    """What the formula of the scale comes to."""
    with np.errstate(all="ignore"):
        return evaluate(formulas.scale.expression, with_meanings(formulas.scale, values))


def too_narrow(qparams: QParams) -> Array:
    """Of which groups the range is too narrow for a scale: a scale of 1 stands in then."""
    convention = qparams.convention
    if convention.recipe is not None or convention.of_elements or not qparams.number_format.scaled:
        return np.zeros(qparams.scale.shape, np.bool_)
    values = range_values(qparams, qparams)
    with np.errstate(over="ignore"):
        width = values[ABSMAX.key] if qparams.scheme.symmetric else values[MAX.key] - values[MIN.key]
    scale = np.asarray(scale_of(formulas_of(qparams), values))
    return is_too_narrow(qparams.convention, qparams.number_format, width, scale)


def follow_from_range(qparams: QParams) -> bool:
    """Whether the formulas give exactly these parameters.

    Others follow from the elements, were given by hand, or lie where float32 ends.
    """
    formulas, convention = formulas_of(qparams), qparams.convention
    if not qparams.number_format.scaled:
        return True
    if convention.of_elements:
        return False
    points = distinct(qparams.zero_point)
    if formulas.zero_point is None and points.size > 1 and points.min() != points.max():
        return False
    values, narrow = range_values(qparams, qparams), too_narrow(qparams)
    with np.errstate(all="ignore"):
        exact = scale_of(formulas, values)
        known = with_meanings(formulas.scale, values) | {S.key: exact}
        scale = np.where(narrow, 1, exact)
        if formulas.zero_point is None:
            zero_point: Any = qparams.zero_point if convention.recipe else convention.middle(qparams.number_format)
            instead: Any = 0
        else:
            zero_point = evaluate(formulas.zero_point.expression, known)
            instead = convention.degenerate_zero_point(values[MAX.key])
        pairs = [(scale, qparams.scale), (np.where(narrow, instead, zero_point), qparams.zero_point)]
        if qparams.own_divisor is not None:
            known[S.key] = scale
            if formulas.divisor is not None:
                pairs.append((evaluate(formulas.divisor.expression, known), qparams.divisor))
            if formulas.offset is not None and qparams.offset is not None:
                pairs.append((evaluate(formulas.offset.expression, known), qparams.offset))
        return all(
            np.array_equal(np.float32(mine), np.broadcast_to(q, np.shape(mine)), equal_nan=True) for mine, q in pairs
        )
