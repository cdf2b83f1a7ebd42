"""How exactly a question is answered depends on the tensor's size, its order and the scheme, and on nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qviz.core import (
    MSE,
    Entropy,
    IntFormat,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    PerToken,
    Problem,
    Scheme,
    Tensor,
    analyze,
    prepare,
)
from qviz.core.passes.error_bins import BINS_TO_HALF_STEP
from qviz.core.questions.effort import Limits, Source, plan
from qviz.core.ranges.torch import MovingAverage
from qviz.core.tensors.layout import Layout
from tests.every import every

LIMITS = Limits(direct_up_to=20, estimated_above=40)


def tensor(*shape):
    return Tensor(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


SMALL, MIDDLE, LARGE = tensor(2, 10), tensor(2, 20), tensor(2, 21)


NORMAL = np.random.default_rng(0).standard_normal((600, 600)).astype(np.float32)


def test_the_usual_limits():
    assert Limits() == Limits(1 << 15, 1 << 17, 1 << 22, 1 << 25, 1 << 23, 0.1, 1 << 14, 1 << 20)
    almost = Tensor(np.ones(1 << 17, np.float32))
    assert plan(almost, None, Scheme()).exact
    assert not plan(Tensor(np.ones((1 << 17) + 1, np.float32)), None, Scheme()).exact


@every("rule", [MinMax(), Percentile(99.0), MSE(), Entropy()])
@every(
    ("x", "ordered", "exactly", "source"),
    [
        (SMALL, False, False, Source.ELEMENTS),
        (MIDDLE, False, False, Source.ELEMENTS),
        (LARGE, False, False, Source.SAMPLE),
        (LARGE, False, True, Source.ELEMENTS),
        (SMALL, True, False, Source.ELEMENTS),
        (MIDDLE, True, False, Source.ORDER),
        (LARGE, True, False, Source.ORDER),
        (LARGE, True, True, Source.ORDER),
    ],
)
def test_with_one_scale_a_large_tensor_is_judged_from_a_sample_until_it_is_in_order(x, ordered, exactly, source, rule):
    found = plan(x, prepare(x) if ordered else None, Scheme(range_rule=rule), LIMITS, exactly=exactly)
    assert found.source is source
    assert found.exact is (source is not Source.SAMPLE)
    assert found.searched is (rule.kind in ("mse", "entropy"))
    assert found.range_judged is (found.searched and x is LARGE and not ordered and exactly)


@every("ordered", [False, True])
@every("granularity", [PerAxis(0), PerBlock(-1, 7)])
def test_with_a_scale_for_each_group_every_element_is_counted(granularity, ordered):
    scheme = Scheme(granularity=granularity, range_rule=MSE())
    found = plan(LARGE, prepare(LARGE) if ordered else None, scheme, LIMITS)
    assert (found.source, found.searched, found.range_judged) == (Source.ELEMENTS, False, False)


@every(
    ("granularity", "known", "judged"),
    [
        (PerAxis(0), {}, True),
        (PerToken(), {}, True),
        (PerTensor(), {}, False),
        (PerAxis(1), {}, False),  # of 20 elements each
        (PerBlock(-1, 500), {}, False),
        (PerAxis(0), {"range_rule": MovingAverage(batch_axis=0)}, False),
        (PerBlock(-1, 32), {"number_format": "uint4", "convention": "onnxruntime_k_quant", "symmetric": False}, False),
    ],
    ids=str,
)
def test_over_very_many_elements_some_of_each_group_are_dragged(granularity, known, judged):
    x, limits = tensor(20, 2000), Limits(direct_up_to=20, estimated_above=40, many_of_groups=30_000, few_of_groups=4000)
    scheme = Scheme(granularity=granularity, **known)
    for order in (None, prepare(x)):
        assert plan(x, order, scheme, limits).judged_moving is judged
        assert not plan(x, order, scheme, replace(limits, many_of_groups=40_000)).judged_moving
        assert plan(x, order, scheme, limits).exact or granularity == PerTensor()
    assert not plan(Tensor(NORMAL, counted=False), None, scheme, LIMITS).judged_moving


def test_a_sample_knows_no_batches():
    rule = MovingAverage(batch_axis=0)
    assert plan(LARGE, None, Scheme(range_rule=rule), LIMITS).source is Source.ELEMENTS


def test_an_axis_of_length_one_is_one_scale():
    x = tensor(1, 42)
    assert plan(x, None, Scheme(granularity=PerAxis(0)), LIMITS).source is Source.SAMPLE
    assert plan(x, prepare(x), Scheme(granularity=PerAxis(0)), LIMITS).source is Source.ORDER


def test_a_piece_of_a_larger_tensor_has_a_layout_of_its_own():
    x = tensor(42)
    scheme = Scheme(granularity=PerBlock(-1, 7))
    assert plan(x, None, scheme, LIMITS).source is Source.ELEMENTS
    assert plan(x, None, scheme, LIMITS, layout=PerTensor().layout((42,))).source is Source.SAMPLE
    assert plan(x, None, Scheme(), LIMITS, layout=Layout(1, 6, 7)).source is Source.ELEMENTS


def test_a_scheme_that_does_not_fit_is_a_problem():
    with pytest.raises(Problem, match="axis 4"):
        plan(SMALL, None, Scheme(granularity=PerAxis(4)), LIMITS)


@every(
    ("bits", "moving", "at_rest"),
    [(4, 24, 24), (9, 16, 24), (10, 8, 24), (12, 2, 24), (14, 1, 24), (15, 1, 16), (16, 1, 8)],
)
def test_searches_for_error_bins_are_bounded(bits, moving, at_rest):
    ordered = prepare(MIDDLE)
    found = plan(MIDDLE, ordered, Scheme(IntFormat(bits)), LIMITS)
    assert (found.error_bins_moving, found.error_bins) == (moving, at_rest)
    for x, order in ((MIDDLE, None), (LARGE, None), (SMALL, prepare(SMALL))):  # one pass counts them all
        found = plan(x, order, Scheme(IntFormat(bits)), LIMITS)
        assert (found.error_bins_moving, found.error_bins) == (BINS_TO_HALF_STEP, BINS_TO_HALF_STEP)


def test_order_is_worth_something_where_there_is_none():
    worth = [
        (found.worth_sorting, found.worth_waiting)
        for found in (plan(x, None, Scheme(), LIMITS) for x in (SMALL, MIDDLE, LARGE))
    ]
    assert worth == [(False, False), (True, False), (True, True)]
    found = plan(LARGE, prepare(LARGE), Scheme(), LIMITS)
    assert (found.worth_sorting, found.worth_waiting) == (False, False)


def test_elements_that_are_not_finite_are_not_searched_in():
    x = Tensor(np.where(np.arange(42) < 20, np.arange(42), np.nan).astype(np.float32))
    assert plan(x, prepare(x), Scheme(), LIMITS).source is Source.ELEMENTS


def test_limits_are_handed_to_the_answer():
    ordered = prepare(MIDDLE)
    few, many = (analyze(ordered, Scheme(), limits=Limits(direct_up_to=n)) for n in (0, 40))
    assert few.mse == pytest.approx(many.mse, rel=1e-12)
