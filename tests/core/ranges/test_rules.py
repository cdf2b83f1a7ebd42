"""From where to where shall the codes reach?"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qviz.core import (
    Manual,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    Problem,
    Scheme,
    Tensor,
    choose_qparams,
    prepare,
)
from qviz.core.questions.calibration import range_input
from qviz.core.ranges import histograms
from qviz.core.tensors.latest import MOST_ANSWERS
from qviz.core.work import Cancelled
from tests.every import every

F = np.float32
rng = np.random.default_rng(11)


def estimate(rule, x, granularity=None, symmetric=False):
    scheme = Scheme(symmetric=symmetric, granularity=granularity or PerTensor(), range_rule=rule)
    return rule.estimate(range_input(Tensor(x), scheme))


@pytest.mark.parametrize("symmetric", [True, False])
def test_minmax_reaches_from_the_smallest_value_to_the_largest(symmetric):
    x = rng.standard_normal((4, 5, 6)).astype(F)
    low, high = estimate(MinMax(), x, symmetric=symmetric)
    assert (low.tolist(), high.tolist()) == ([x.min()], [x.max()])
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        low, high = estimate(MinMax(), x, PerAxis(axis), symmetric)
        np.testing.assert_array_equal(low, x.min(others), strict=True)
        np.testing.assert_array_equal(high, x.max(others), strict=True)


def assert_within_one_float32(ours, exact):
    """Equal but for the rounding to float32: numpy interpolates a hair differently in float64."""
    exact = np.asarray(exact, np.float64)
    assert ours.dtype == F
    np.testing.assert_allclose(ours, exact, rtol=np.finfo(F).eps, atol=float(np.finfo(F).smallest_subnormal))


percents = st.one_of(st.floats(50.001, 100), st.sampled_from([90.0, 99.0, 99.9, 99.99, 99.999, 100.0]))


@given(
    x=hnp.arrays(F, st.integers(1, 300), elements=st.floats(-1e6, 1e6, width=32)),
    percent=percents,
)
def test_percentiles_equal_numpys(x, percent):
    wide = x.astype(np.float64)
    # Two order statistics a gap apart: the last bit of the position moves the value by 1e-13 gaps.
    slack = 1e-12 * float(np.ptp(wide))
    low, high = estimate(Percentile(percent), x, symmetric=True)
    np.testing.assert_allclose(high, np.percentile(np.abs(wide), percent), rtol=2e-7, atol=slack + 1e-45)
    np.testing.assert_array_equal(low, -high)
    low, high = estimate(Percentile(percent), x)
    rest = (100 - percent) / 2
    np.testing.assert_allclose(low, np.percentile(wide, rest), rtol=2e-7, atol=slack + 1e-45)
    np.testing.assert_allclose(high, np.percentile(wide, 100 - rest), rtol=2e-7, atol=slack + 1e-45)


@every("percent", [75.0, 90.0, 99.0, 99.9])
@every("axis", [0, 1, 2, -1])
def test_percentiles_of_each_channel(axis, percent):
    x = rng.standard_cauchy((5, 40, 30)).astype(F)
    others = tuple(a for a in range(3) if a != axis % 3)
    low, high = estimate(Percentile(percent), x, PerAxis(axis))
    wide, rest = x.astype(np.float64), (100 - percent) / 2
    assert_within_one_float32(low, np.percentile(wide, rest, axis=others))
    assert_within_one_float32(high, np.percentile(wide, 100 - rest, axis=others))
    low, high = estimate(Percentile(percent), x, PerAxis(axis), symmetric=True)
    assert_within_one_float32(high, np.percentile(np.abs(wide), percent, axis=others))
    np.testing.assert_array_equal(low, -high)


def test_a_percentile_by_hand():
    x = np.arange(101, dtype=F)  # position and value are the same
    assert [float(end[0]) for end in estimate(Percentile(90), x)] == [5, 95]
    assert [float(end[0]) for end in estimate(Percentile(90), x - 20, symmetric=True)] == [-70, 70]
    assert [float(end[0]) for end in estimate(Percentile(99), np.array([0, 1], F))] == pytest.approx([0.005, 0.995])


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_hundredth_percentile_clips_nothing(symmetric):
    x = rng.standard_normal((6, 70)).astype(F)
    for granularity in (PerTensor(), PerAxis(0)):
        low, high = estimate(Percentile(100.0), x, granularity, symmetric)
        smallest, largest = estimate(MinMax(), x, granularity, symmetric)
        if symmetric:
            np.testing.assert_array_equal(high, np.maximum(-smallest, largest))
        else:
            np.testing.assert_array_equal(low, smallest)
            np.testing.assert_array_equal(high, largest)


@every("rule", [MinMax(), Percentile(90.0)])
@every("symmetric", [True, False])
def test_what_is_not_finite_is_left_out(rule, symmetric):
    x = rng.standard_normal((3, 50)).astype(F)
    holed = np.concatenate([x, np.full((3, 2), np.nan, F), np.full((3, 1), np.inf, F)], axis=1)
    for granularity in (PerTensor(), PerAxis(0)):
        np.testing.assert_array_equal(
            estimate(rule, holed, granularity, symmetric), estimate(rule, x, granularity, symmetric)
        )


@every("rule", [MinMax(), Percentile(90.0)])
@every("symmetric", [True, False])
def test_a_channel_without_a_finite_value_ranges_from_0_to_0(rule, symmetric):
    x = np.array([[1, 2, 3], [np.nan, np.inf, np.nan], [-1, 0, 5]], F)
    low, high = estimate(rule, x, PerAxis(0), symmetric)
    assert (low[1], high[1]) == (0, 0)
    assert np.all(high[[0, 2]] > 0)


def test_estimating_leaves_the_tensor_as_it_is():
    x = rng.standard_normal(1000).astype(F)
    before = x.copy()
    for symmetric in (True, False):
        estimate(Percentile(99.0), x, symmetric=symmetric)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_manual_range_is_the_same_for_every_group(symmetric):
    low, high = estimate(Manual(-0.1, 2.0), np.ones((4, 3)), PerAxis(0), symmetric)
    np.testing.assert_array_equal(low, np.full(4, -0.1, F), strict=True)
    np.testing.assert_array_equal(high, np.full(4, 2.0, F), strict=True)


@every(("low", "high"), [(1, 1), (2, 1), (math.nan, 1), (0, math.nan), (-math.inf, 0), (0, math.inf)])
def test_an_empty_manual_range_is_a_problem(low, high):
    with pytest.raises(Problem, match="is empty: the low end must be below the high"):
        Manual(low, high)


@every(("low", "high"), [(-1, 1e39), (-1e300, 0), (-3.5e38, 3.5e38)])
def test_a_manual_range_beyond_float32_is_a_problem(low, high):
    with pytest.raises(Problem, match="beyond float32"):
        Manual(low, high)


def test_a_manual_range_may_reach_over_all_of_float32():
    largest = float(np.finfo(F).max)
    low, high = estimate(Manual(-largest, largest), np.ones(2))
    assert (low[0], high[0]) == (-F(largest), F(largest))


@every("percent", [50, 0, -1, 100.001, math.nan, math.inf])
def test_a_percentile_that_keeps_too_little_is_a_problem(percent):
    with pytest.raises(Problem, match="choose one above 50, up to 100"):
        Percentile(percent)


def test_rules_are_values_and_write_themselves():
    assert Percentile(99) == Percentile(99.0)
    assert MinMax().to_dict() == {"kind": "minmax"}
    assert Percentile(99.5).to_dict() == {"kind": "percentile", "percentile": 99.5}
    assert Manual(-1, 2).to_dict() == {"kind": "manual", "low": -1, "high": 2}


@pytest.mark.parametrize("rule", [MinMax(), Percentile(90.0)])
def test_a_cancelled_estimate_stops(rule):
    with pytest.raises(Cancelled):
        choose_qparams(Tensor(np.ones((4, 5))), Scheme(granularity=PerAxis(0), range_rule=rule), cancelled=lambda: True)


def test_what_was_found_for_a_tensor_is_remembered_within_bounds():
    tensor, asked = Tensor(np.ones(4, np.float32)), []

    def ask(question):
        return histograms.remembered(tensor, question, lambda: asked.append(question) or -question)

    for question in range(3 * MOST_ANSWERS):
        assert ask(question) == ask(question) == -question
    assert asked == list(range(3 * MOST_ANSWERS))
    assert len(histograms._known[tensor]) == MOST_ANSWERS


def test_percentiles_are_those_of_numpy_to_the_last_bit() -> None:
    # A middle of two float32 numbers in float64, which the other way round is a bit less.
    rng = np.random.default_rng(3)
    x = np.abs(rng.standard_normal((4000, 16)) + rng.uniform(0, 3, (4000, 1))).astype(np.float32)
    scheme = Scheme("int8", True, PerBlock(-1, 16), Percentile(99.0))
    expected = np.float32(np.quantile(x.astype(float), 99.0 / 100, axis=1))
    np.testing.assert_array_equal(choose_qparams(x, scheme).high.ravel(), expected)
    for row in x[:50]:
        high = choose_qparams(prepare(Tensor(row)), Scheme("int8", True, range_rule=Percentile(99.0))).high
        assert high == np.float32(np.quantile(row.astype(float), 99.0 / 100))
