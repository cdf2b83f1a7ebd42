"""Which scale and zero point does a tensor get, and which ones are compared?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    MSE,
    Entropy,
    IntFormat,
    Manual,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    loss_curves,
    prepare,
)
from qviz.core.questions import calibration
from qviz.core.questions.calibration import range_input
from qviz.core.questions.effort import Limits
from qviz.core.questions.loss_curves import compare_ranges
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.schemes.scheme import convention_of
from qviz.core.work import Cancelled
from tests.every import every
from tests.pairs import pairs
from tests.schemes import FREE_CONVENTIONS

F = np.float32
INT4 = IntFormat(4)
X = np.random.default_rng(0).standard_t(4, (20, 50)).astype(F)
RULES = (MinMax(), Percentile(99.0), Percentile(97.3), Percentile(100), Manual(-1, 2), MSE(), Entropy(256))


def chosen(x, scheme):
    q = choose_qparams(x, scheme)
    return [a.tolist() for a in (q.scale, q.zero_point, q.low, q.high)]


@every(
    ("rule", "symmetric", "convention"),
    pairs(RULES, (True, False), FREE_CONVENTIONS, where=lambda _, both, name: CONVENTIONS[name].offers(INT4, both)),
    ids=str,
)
def test_prepared_or_not_the_choice_is_the_same(rule, symmetric, convention):
    x = X.copy()
    x[3, ::4] = np.nan
    for granularity in (Scheme().granularity, PerAxis(0)):
        if granularity.kind == "axis" and rule.kind == "mse":
            continue  # no order is of use there
        scheme = Scheme(IntFormat(4), symmetric, granularity, rule, convention)
        assert chosen(prepare(x), scheme) == chosen(Tensor(x), scheme) == chosen(x, scheme)


def test_a_search_sorts_first_and_is_remembered(monkeypatch):
    p = prepare(X)
    scheme = Scheme(range_rule=MSE())
    assert range_input(Tensor(X), scheme).prepared is not None
    assert range_input(Tensor(X), Scheme()).prepared is None
    assert range_input(p, scheme).prepared is p
    assert range_input(p, Scheme(granularity=PerAxis(0), range_rule=MSE())).prepared is None
    first = chosen(p, scheme)
    monkeypatch.setattr(MSE, "estimate", None)  # nobody searches again
    assert chosen(p, scheme) == first
    assert chosen(p, Scheme()) != first
    with pytest.raises(TypeError):
        chosen(p, Scheme(IntFormat(4), range_rule=MSE()))


@every("granularity", [PerAxis(0), PerAxis(1), PerBlock(-1, 8)], ids=str)
@every("kind", ["percentile", "entropy"])
def test_groups_are_sought_once_where_every_width_has_their_range(monkeypatch, kind, granularity):
    rule, tensor = RANGE_RULES[kind](), Tensor(X)
    first = chosen(tensor, Scheme(IntFormat(8), granularity=granularity, range_rule=rule))
    asked = chosen(Tensor(X), Scheme(IntFormat(4), granularity=granularity, range_rule=rule))
    monkeypatch.setattr(type(rule), "estimate", None)  # nobody searches again
    assert chosen(tensor, Scheme(IntFormat(4), granularity=granularity, range_rule=rule)) == asked != first
    with pytest.raises(TypeError):
        chosen(tensor, Scheme(IntFormat(4), symmetric=False, granularity=granularity, range_rule=rule))


def test_the_search_for_groups_is_remembered_by_all_that_decides_it(monkeypatch):
    tensor, by_rows = Tensor(X), Scheme(granularity=PerAxis(0), range_rule=MSE())
    first = chosen(tensor, by_rows)
    monkeypatch.setattr(MSE, "estimate", None)  # nobody searches again
    assert chosen(tensor, by_rows) == first
    for change in ({"symmetric": False}, {"number_format": IntFormat(4)}, {"granularity": PerAxis(1)}):
        with pytest.raises(TypeError):
            chosen(tensor, replace(by_rows, **change))
    with pytest.raises(TypeError):
        chosen(Tensor(X), by_rows)


def test_what_follows_from_the_elements_is_remembered(monkeypatch):
    scheme = Scheme("uint4", False, PerBlock(-1, 16), convention="onnxruntime_k_quant")
    tensor = Tensor(X)
    first = chosen(tensor, scheme)
    monkeypatch.setitem(calibration.FITS, convention_of(scheme).of_elements, None)  # nobody fits again
    assert chosen(tensor, scheme) == first
    with pytest.raises(TypeError):
        chosen(Tensor(X), scheme)


def test_what_a_range_loses_is_the_same_sorted_or_not():
    ends = np.array([-1.5], F), np.array([2.5], F)
    for symmetric in (True, False):
        scheme = Scheme(IntFormat(4), symmetric)
        plain, ordered = range_input(X, scheme), range_input(prepare(X), scheme)
        assert ordered.squared_error(*ends) == pytest.approx(plain.squared_error(*ends), rel=1e-12)
        assert plain.squared_errors is None and plain.clipping_errors is None
        np.testing.assert_allclose(ordered.squared_errors(*ends), ordered.squared_error(*ends), rtol=1e-12)
        assert 0 < ordered.clipping_errors(*ends)[0] <= ordered.squared_error(*ends)[0]


# --- comparing -------------------------------------------------------------------------------------


@every("rule", [MSE(), Entropy(512)])
@every("symmetric", [True, False])
def test_the_ranges_beside_the_curves_are_those_of_the_estimators(symmetric, rule):
    p = prepare(X)
    scheme = Scheme(IntFormat(4), symmetric, PerAxis(0), Percentile(98.0))
    found = compare_ranges(p, scheme, rule)
    assert (found.tensor, found.scheme, found.loss, found.exact) == (p.tensor, scheme, rule.kind, True)
    assert found.curves is loss_curves(p, scheme, rule)
    expected = {"best": rule, "minmax": MinMax(), "percentile": Percentile(98.0)}
    assert list(found.ranges) == list(expected)
    for name, each in expected.items():
        q = choose_qparams(p, Scheme(IntFormat(4), symmetric, range_rule=each))
        assert found.ranges[name] == (float(q.low), float(q.high))


def test_without_a_percentile_of_its_own_the_usual_one_is_compared():
    q = choose_qparams(X, Scheme(range_rule=Percentile()))
    assert compare_ranges(Tensor(X), Scheme(), MSE()).ranges["percentile"] == (float(q.low), float(q.high))


def test_a_large_tensor_out_of_order_is_judged_from_a_sample():
    x = np.random.default_rng(1).standard_normal(300_000).astype(F)
    scheme = Scheme(IntFormat(4))
    about = compare_ranges(Tensor(x, counted=False), scheme, MSE())
    exact = compare_ranges(prepare(x), scheme, MSE())
    assert (about.exact, exact.exact) == (False, True)
    assert about.ranges["best"][1] == pytest.approx(exact.ranges["best"][1], rel=0.02)
    assert about.curves[0].value.min() == pytest.approx(exact.curves[0].value.min(), rel=0.02)
    few = Limits(estimated_above=300_000)
    assert compare_ranges(Tensor(x, counted=False), scheme, MSE(), limits=few).ranges == exact.ranges


def test_comparing_stops_when_cancelled():
    with pytest.raises(Cancelled):
        compare_ranges(Tensor(X), Scheme(), MSE(), cancelled=lambda: True)


EACH_GROUP = (
    "entropy",
    "moving_average",
    "onnxruntime_percentile",
    "torch_histogram",
    "paddle_kl",
    "paddle_hist",
)


@every("kind", EACH_GROUP)
def test_a_rule_that_takes_each_group_by_itself_tells_how_far_it_is_and_can_be_stopped(kind):
    x = np.random.default_rng(0).normal(size=(12, 64)).astype(np.float32)
    scheme = Scheme(granularity=PerAxis(0), range_rule=RANGE_RULES[kind]())
    told = []
    choose_qparams(x, scheme, progress=told.append)
    assert told == [pytest.approx((i + 1) / 12) for i in range(12)]
    told.clear()
    with pytest.raises(Cancelled):
        choose_qparams(x + 1, scheme, progress=told.append, cancelled=lambda: len(told) > 2)
    assert len(told) < 12


@every("symmetric", [True, False])
@every("bits", [4, 8])
def test_a_search_of_the_least_error_tells_which_share_of_its_ranges_it_tried(symmetric, bits):
    x = np.random.default_rng(0).normal(size=(3, 20)).astype(np.float32)
    scheme = Scheme(IntFormat(bits), symmetric=symmetric, granularity=PerAxis(0), range_rule=MSE())
    told = []
    choose_qparams(x, scheme, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 1
    assert told[-2] < 1


def test_an_answer_tells_of_its_ranges_first_and_of_its_errors_then():
    x = np.random.default_rng(0).normal(size=(12, 64)).astype(np.float32)
    told = []
    analyze(x, Scheme(granularity=PerAxis(0), range_rule=RANGE_RULES["torch_histogram"]()), progress=told.append)
    assert told == sorted(told)
    assert len(told) > 12
    assert told[-1] == pytest.approx(1)
