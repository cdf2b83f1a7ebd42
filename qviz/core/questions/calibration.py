"""Which scale and zero point does a tensor get under a scheme?"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from qviz.core.arithmetic.qparams import QParams
from qviz.core.arithmetic.scaling import qparams_from_range, qparams_from_recipe, qparams_from_values, qparams_of_known
from qviz.core.arrays import FloatArray, Floats, ends_of
from qviz.core.formats.floats import FloatFormat
from qviz.core.formats.integers import IntFormat
from qviz.core.passes import candidates
from qviz.core.passes.direct_pass import direct_sums
from qviz.core.passes.sorted_pass import sorted_squared_error
from qviz.core.problems import Problem
from qviz.core.questions.effort import plan, searches
from qviz.core.questions.fits import FITS
from qviz.core.ranges.entropy import Entropy
from qviz.core.ranges.histograms import is_remembered, remembered
from qviz.core.ranges.known import Known
from qviz.core.ranges.mse import MSE
from qviz.core.ranges.rules import Grid, Manual, MinMax, Percentile, Range, RangeInput, RangeRule
from qviz.core.runtimes.precision import Rounding, compute_dtype, rounding_to
from qviz.core.runtimes.record import Convention, Recipe
from qviz.core.schemes.scheme import Scheme, convention_of
from qviz.core.tensors.layout import BLOCK, Layout
from qviz.core.tensors.sorted_tensor import SortedTensor, prepare
from qviz.core.tensors.tensor import Tensor
from qviz.core.work import IsCancelled, Progress, check, ignore, never

FREE_OF_CODES = (MinMax.kind, Percentile.kind, Entropy.kind)
"""Range rules that look at the values alone: the same range at every bit width, under every convention."""

WITHOUT_SEARCH = (MinMax.kind, Manual.kind, Known.kind)
"""Range rules that take no time once the extremes of the groups are known."""

CODES_BEYOND, MOST_BEYOND = 2, 0.25
"""How many codes may lie beyond the data, and how much of the range at most."""


def choose_qparams(
    x: object,
    scheme: Scheme,
    *,
    known: dict[Any, Range] | None = None,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> QParams:
    """Scale and zero point for ``x``.

    Parameters
    ----------
    x : array_like, Tensor or SortedTensor
        Real numbers, any shape.
    scheme : Scheme
    known : dict, optional
        Remembers ranges that do not depend on the codes, for other schemes of the same ``x``.
    progress : Callable[[float], None]
        Told which share of the groups has its range, where that takes long.
    cancelled : Callable[[], bool]

    Raises
    ------
    Problem
        When ``x`` holds nothing to quantize, or the scheme's axis does not exist.
    Cancelled
        When asked to stop.
    """
    if isinstance(scheme.range_rule, Known):
        tensor = _tensor_of(x)
        return qparams_of_known(scheme.range_rule, tensor.shape, scheme, _compute(tensor, scheme))
    given = replace(range_input(x, scheme, cancelled=cancelled), progress=progress)
    convention = convention_of(scheme)
    convention.check_shape(given.tensor.shape, scheme.granularity)
    if convention.of_elements:
        return _fitted(given, scheme, convention)
    low, high = range_of(given, scheme, known)
    sought = isinstance(scheme.range_rule, MSE)  # with its sign
    if convention.signed_extreme(scheme.number_format, scheme.symmetric) and not sought:
        low = _break_absmax_tie(low, high, given)
    shape = scheme.granularity.scale_shape(given.tensor.shape)
    return qparams_from_range(low.reshape(shape), high.reshape(shape), scheme, _compute(given.tensor, scheme))


def _tensor_of(x: object) -> Tensor:
    return x.tensor if isinstance(x, SortedTensor) else x if isinstance(x, Tensor) else Tensor(x)


def _fitted(given: RangeInput, scheme: Scheme, convention: Convention) -> QParams:
    """Scales and zero points that follow from the elements, without a range between."""
    compute = _compute(given.tensor, scheme)
    fit = FITS[convention.of_elements]
    found = remembered(given.tensor, ("fit", scheme, given.layout), lambda: fit(given, scheme.number_format))
    shape = scheme.granularity.scale_shape(given.tensor.shape)
    types = convention.precision(compute, scheme.number_format, scheme.symmetric, scheme.granularity)
    stored = rounding_to(types.scale)
    if isinstance(found, Recipe):
        low, high = given.tensor.extremes(given.layout, cancelled=given.cancelled)
        q = qparams_from_recipe(found.shaped(shape), low.reshape(shape), high.reshape(shape), scheme)
        return q if stored is None else _stored_in(q, stored, compute)
    scale, zero_point = found
    exact = np.asarray(scale, np.float32).reshape(shape)
    scales = exact if stored is None else np.asarray(stored(exact), np.float32)
    q = qparams_from_values(scales, np.asarray(zero_point, np.float32).reshape(shape), scheme, compute)
    return replace(q, own_divisor=exact) if types.codes_from_exact_scale else q


def _stored_in(q: QParams, stored: Rounding, compute: str) -> QParams:
    """The same with scales and zero points in a narrower type, once codes have been made."""
    scale, zero_point = (np.asarray(stored(each), np.float32) for each in (q.scale, q.zero_point))
    return replace(q, scale=scale, zero_point=zero_point, unstored_zero_point=q.zero_point, compute=compute)


def _compute(tensor: Tensor, scheme: Scheme) -> str:
    return compute_dtype(tensor.dtype, scheme.compute_dtype)


def _break_absmax_tie(low: FloatArray, high: FloatArray, given: RangeInput) -> FloatArray:
    """The low ends, one float32 nearer to 0 where the high end is as far from 0 and its element comes first."""
    equal = np.flatnonzero((low == -high) & (high > 0))
    if not equal.size:
        return low

    def find() -> Any:
        first = np.zeros(given.layout.groups, np.bool_)
        for block in given.layout.blocks(BLOCK):
            check(given.cancelled)
            piece = given.tensor.block(given.layout, block)[0]
            place = np.argmax(np.nan_to_num(np.abs(piece)), axis=1, keepdims=True)
            first[block[1]] = np.take_along_axis(piece, place, axis=1)[:, 0] > 0
        return first

    first = remembered(given.tensor, ("first of the furthest is positive", given.layout), find)
    nearer: FloatArray = np.nextafter(low, np.float32(0))
    return np.where((low == -high) & first, nearer, low)


def range_of(given: RangeInput, scheme: Scheme, shared: dict[Any, Range] | None = None) -> Range:
    """What the range rule chooses; a search is remembered, and so is what costs more than a look at the extremes."""
    rule = scheme.range_rule
    free = rule.kind in FREE_OF_CODES
    if shared is not None and free:
        place = (given.layout, rule, scheme.symmetric)
        if place not in shared:
            shared[place] = _remembered_of_groups(given, scheme)
        return shared[place]
    if given.prepared is None or not searches(rule):
        return _remembered_of_groups(given, scheme)
    known = given.prepared.answers
    key = (scheme.number_format, scheme.symmetric, rule, scheme.convention, scheme.compute_dtype, scheme.power_of_two)
    if key not in known:
        known[key] = _estimated(given, rule)
    found: Range = known[key]
    return found


def _remembered_of_groups(given: RangeInput, scheme: Scheme) -> Range:
    """The range of each of many groups, sought once: another bit width may have the same, and people go back."""
    rule = scheme.range_rule
    if given.layout.groups == 1 or rule.kind in WITHOUT_SEARCH:
        return _estimated(given, rule)
    return remembered(given.tensor, _asked(scheme, given.layout), lambda: _estimated(given, rule))


def _asked(scheme: Scheme, layout: Layout) -> tuple[Any, ...]:
    """All that decides the ranges of a tensor's groups."""
    rule = scheme.range_rule
    return ("range", rule, layout, scheme.symmetric) if rule.kind in FREE_OF_CODES else ("range", scheme, layout)


def are_known(tensor: Tensor, scheme: Scheme) -> bool:
    """Whether the ranges of many groups need not be sought: none has to be, or each was."""
    asked = _asked(scheme, scheme.granularity.layout(tensor.shape))
    return scheme.range_rule.kind in WITHOUT_SEARCH or is_remembered(tensor, asked)


def _estimated(given: RangeInput, rule: RangeRule) -> Range:
    with np.errstate(over="ignore", invalid="ignore"):  # libraries' own arithmetic, to the last bit; looked at below
        low, high = rule.estimate(given)
    of_data = isinstance(rule, MinMax) and given.tensor.all_finite
    if not of_data and not all(map(math.isfinite, (*ends_of(low), *ends_of(high)))):
        raise Problem(
            "{rule} finds no range with an end: its own sums go beyond {largest:.2g}, the largest float32. "
            "Choose another range, or divide the tensor by a constant.",
            rule=rule.kind,
            largest=float(np.finfo(np.float32).max),
        )
    return low, high


def range_input(x: object, scheme: Scheme, *, cancelled: IsCancelled = never) -> RangeInput:
    """What the scheme's range rule is asked about."""
    tensor = _tensor_of(x)
    layout = scheme.granularity.layout(tensor.shape)
    prepared = x if isinstance(x, SortedTensor) and layout.groups == 1 else None
    if prepared is None and plan(tensor, None, scheme, layout=layout).searched:
        prepared = prepare(tensor, cancelled=cancelled)

    def chosen(low: FloatArray, high: FloatArray) -> QParams:
        return qparams_from_range(low, high, scheme, _compute(tensor, scheme))

    def squared_error(low: FloatArray, high: FloatArray) -> Floats:
        qparams = chosen(low, high)
        if prepared is not None:
            return np.array([sorted_squared_error(prepared, qparams)])
        return _direct_squared_error(tensor, qparams, layout, cancelled)

    def squared_errors(low: FloatArray, high: FloatArray) -> Floats:
        assert prepared is not None
        return candidates.squared_errors(prepared, chosen(low, high), cancelled)

    def clipping_errors(low: FloatArray, high: FloatArray) -> Floats:
        assert prepared is not None
        return candidates.clipping_errors(prepared, chosen(low, high), cancelled)

    searched = isinstance(scheme.range_rule, MSE)
    together = prepared is not None and convention_of(scheme).beyond is None  # where steps are known
    return RangeInput(
        tensor,
        prepared,
        layout,
        scheme.symmetric,
        scheme.number_format.levels,
        squared_error,
        squared_errors if together else None,
        clipping_errors if together else None,
        cancelled,
        reach=_reach(scheme) if searched else 1.0,
        grid=grid_of(scheme) if searched else None,
        fill=getattr(scheme.granularity, "block_size", 0),
        signed=searched and convention_of(scheme).signs_scales(scheme.number_format, scheme.symmetric),
    )


def grid_of(scheme: Scheme) -> Grid | None:
    """What codes stand for; None where a range does not give every scale, or a zero point that is no whole number."""
    number_format, convention = scheme.number_format, convention_of(scheme)
    own = convention.recipe is not None or convention.code is not None or convention.of_elements
    if own or scheme.power_of_two or not number_format.scaled:
        return None
    quant_min, quant_max = convention.ends(number_format, scheme.symmetric)
    values = number_format.values.astype(np.float64)
    values = values[(values >= quant_min) & (values <= quant_max)]
    if scheme.symmetric:
        half, nothing = convention.half_span(number_format), np.zeros(1)
        return Grid(values - convention.middle(number_format), nothing, -half, half)
    assert isinstance(number_format, IntFormat)
    if not convention.range_includes_zero:
        return None
    first, last = convention.scale_range(number_format)
    return Grid(values, np.arange(first, last + 1, dtype=np.float64), first, last)


def _reach(scheme: Scheme) -> float:
    """How far beyond the data a symmetric range is worth trying; an asymmetric one ends where they end.

    Where the last code falls short of the range (ONNX Runtime's int4 reaches 7/7.5 of it), the range
    has to be wider for that code to meet the data; one or two codes more may suit small groups. The
    steps of a float are alike in every binade: it gains up to the next one.
    """
    number_format, convention = scheme.number_format, convention_of(scheme)
    if not scheme.symmetric:
        return 1.0
    if isinstance(number_format, FloatFormat):
        return 2.0
    last = convention.ends(number_format, True)[1] - convention.middle(number_format)
    return float(convention.half_span(number_format) / last * (1 + min(CODES_BEYOND / last, MOST_BEYOND)))


def _direct_squared_error(tensor: Tensor, qparams: QParams, layout: Layout, cancelled: IsCancelled) -> Floats:
    sums = direct_sums(tensor, qparams, layout, occupancy=False, envelope=False, products=False, cancelled=cancelled)
    return sums.squared_error
