"""What is said of a tensor before every element was counted?"""

from __future__ import annotations

import math
from functools import cache

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
    Percentile,
    PerToken,
    Problem,
    Scheme,
    Tensor,
    analyze,
    estimate,
)
from qviz.core.questions.effort import Limits
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.tensors.sorted_tensor import prepare_sample
from qviz.core.work import Cancelled
from tests.every import every
from tests.pairs import pairs
from tests.schemes import FREE_CONVENTIONS

F = np.float32
SIZE = 1_000_000
NORMAL = np.random.default_rng(0).standard_normal(SIZE).astype(F)
SCHEMES = [
    Scheme(IntFormat(bits, signed), symmetric, range_rule=rule, convention=convention)
    for (bits, signed, symmetric), rule, convention in pairs(
        ((2, True, True), (4, False, False), (8, True, True), (8, False, False)),
        (MinMax(), Percentile(99.0), Manual(-1.0, 2.0)),
        [name for name in FREE_CONVENTIONS if name != "nncf"],  # whose negative scales are answered exactly
        where=lambda codes, rule, name: CONVENTIONS[name].offers(IntFormat(*codes[:2]), codes[2]),
    )
]


@cache
def exactly(scheme):
    """What every element of them says."""
    return analyze(NORMAL, scheme)


@every("counted", [True, False])
@every("scheme", SCHEMES, ids=lambda s: f"{s.number_format.name} {s.range_rule.kind} {s.convention}")
def test_it_is_close_for_normal_values(scheme, counted):
    t = Tensor(NORMAL, counted=counted)
    about = estimate(t, scheme)
    assert not about.exact
    assert about.tensor is t
    assert about.prepared is None
    # A sample knows the ends of a distribution less well than its middle.
    rel = 0.02 if counted or scheme.range_rule.kind != "minmax" else 0.3
    exact = exactly(scheme)
    assert about.mse == pytest.approx(exact.mse, rel=5 * rel)
    assert about.mae == pytest.approx(exact.mae, rel=rel)
    assert about.sqnr_db == pytest.approx(exact.sqnr_db, abs=20 * rel)
    assert about.cosine == pytest.approx(exact.cosine, abs=rel)
    assert about.saturated_share == pytest.approx(exact.saturated_share, abs=rel / 2)


@pytest.mark.parametrize("counted", [True, False])
def test_counts_are_scaled_to_the_whole(counted):
    t = Tensor(NORMAL, counted=counted)
    about = estimate(t, Scheme(IntFormat(4), range_rule=Percentile(99.0)))
    half_a_unit_each = about.occupancy.size
    assert about.occupancy.sum() == pytest.approx(SIZE, abs=half_a_unit_each)
    assert about.saturated == pytest.approx(about.occupancy[[0, -1]].sum(), rel=1)
    h = about.error_histogram
    assert h.rounding.sum() + h.clipping.sum() == pytest.approx(SIZE, abs=2 * h.rounding.size)
    assert about.storage.quantized_bytes == analyze(NORMAL, about.scheme).storage.quantized_bytes
    assert about.histogram().counts.sum() == pytest.approx(SIZE, abs=about.histogram().counts.size)


def test_a_counted_tensor_gives_its_true_ends():
    x = NORMAL.copy()
    unseen = np.flatnonzero(~np.isin(x, Tensor(x).sample()))[[1000, -1000]]
    x[unseen] = -50, 70
    about, exact = (ask(Tensor(x), Scheme(symmetric=False)) for ask in (estimate, analyze))
    assert (float(about.qparams.low), float(about.qparams.high)) == (-50, 70)
    assert about.qparams.scale == exact.qparams.scale
    assert estimate(Tensor(x, counted=False), Scheme()).qparams.high < 10


def test_a_small_tensor_is_its_own_sample():
    x = NORMAL[:5000].copy()
    x[::7] = np.nan
    for scheme in SCHEMES[::3]:
        about, exact = (ask(Tensor(x), scheme) for ask in (estimate, analyze))
        assert not about.exact
        np.testing.assert_array_equal(about.occupancy, exact.occupancy)
        assert about.mse == pytest.approx(exact.mse, rel=1e-12)


def test_nan_are_not_counted_as_elements():
    x = NORMAL.copy()
    x[::2] = np.nan
    t = Tensor(x)
    about = estimate(t, Scheme(IntFormat(4)))
    assert about.occupancy.sum() == pytest.approx(t.finite, abs=16)
    assert about.mse == pytest.approx(analyze(t, Scheme(IntFormat(4))).mse, rel=0.03)


@pytest.mark.parametrize("rule", [MSE(), Entropy()])
def test_it_searches_for_a_range_in_the_sample(rule):
    about = estimate(Tensor(NORMAL, counted=False), Scheme(IntFormat(4), range_rule=rule))
    exact = analyze(NORMAL, Scheme(IntFormat(4), range_rule=rule))
    assert about.mse == pytest.approx(exact.mse, rel=0.15)
    assert about.qparams.high == pytest.approx(exact.qparams.high, rel=0.15)


def test_groups_cannot_be_judged():
    t = Tensor(NORMAL.reshape(1000, 1000), counted=False)
    with pytest.raises(Problem, match="one scale for the whole tensor"):
        estimate(t, Scheme(granularity=PerAxis(0)))
    alone = Tensor(NORMAL.reshape(1, -1), counted=False)
    assert estimate(alone, Scheme(granularity=PerAxis(0))).groups is None


LIMITS = Limits(few_of_groups=60_000)
GROUPED = [
    ((100, 10_000), PerAxis(0)),
    ((10_000, 100), PerAxis(1)),
    ((500, 2000), PerToken()),
    ((10, 100, 1000), PerAxis(1)),
    ((2500, 16, 5, 5), PerAxis(1)),
]


@cache
def grouped(shape, granularity):
    """Groups of unlike sizes."""
    layout = granularity.layout(shape)
    sizes = (1 + layout.group_of(np.arange(SIZE)) % 7).astype(F)
    return Tensor((NORMAL * sizes).reshape(shape))


@every("rule", [MinMax(), Percentile(99.0), Manual(-2.0, 3.0), MSE()])
@every(("shape", "granularity"), GROUPED, ids=str)
def test_groups_are_judged_from_some_elements_of_each(shape, granularity, rule):
    t, scheme = grouped(shape, granularity), Scheme(IntFormat(4), granularity=granularity, range_rule=rule)
    about, exact = estimate(t, scheme, limits=LIMITS), analyze(t, scheme)
    assert (about.exact, about.tensor, about.scheme, about.layout) == (False, t, scheme, exact.layout)
    assert 50_000 < about.looked_at < SIZE / 2
    assert about.qparams.scale.shape == exact.qparams.scale.shape
    if rule.kind in ("minmax", "manual"):
        np.testing.assert_array_equal(about.qparams.scale, exact.qparams.scale)
    # A range that is sought suits the few that it was sought in.
    assert about.mse == pytest.approx(exact.mse, rel=0.15 if rule.kind == "mse" else 0.1)
    assert about.sqnr_db == pytest.approx(exact.sqnr_db, abs=0.7)
    assert about.saturated_share == pytest.approx(exact.saturated_share, abs=0.02)
    assert np.abs(np.log(about.groups.mse / exact.groups.mse)).mean() < 0.3
    assert about.occupancy.sum() == pytest.approx(SIZE, abs=16)
    h, e = about.error_histogram, exact.error_histogram
    assert h.rounding.sum() + h.clipping.sum() == pytest.approx(SIZE, abs=2 * h.rounding.size)
    if rule.kind == "minmax":
        np.testing.assert_array_equal(h.edges, e.edges)
        assert np.abs(h.rounding - e.rounding).max() < 0.15 * e.rounding.max()


@every("rule", [Percentile(99.0), MSE()])
def test_ranges_that_were_sought_among_all_elements_are_those_of_some(rule):
    t = Tensor(NORMAL.reshape(100, -1))
    scheme = Scheme(IntFormat(4), granularity=PerAxis(0), range_rule=rule)
    sought = estimate(t, scheme, limits=LIMITS).qparams.scale
    known = analyze(t, scheme).qparams.scale
    assert (sought != known).any()
    np.testing.assert_array_equal(estimate(t, scheme, limits=LIMITS).qparams.scale, known)


@every(("shape", "granularity"), GROUPED, ids=str)
def test_judged_groups_are_drawn_where_they_lie(shape, granularity):
    t, scheme = grouped(shape, granularity), Scheme(IntFormat(4), granularity=granularity)
    about, exact = estimate(t, scheme, limits=LIMITS, envelope=False), analyze(t, scheme)
    for start, stop in ((0, SIZE), (SIZE // 4, SIZE)):
        original, dequantized = about.views(start, stop, 20)
        np.testing.assert_array_equal(original.start, dequantized.start)
        assert original.start[0] <= start and original.start[-1] >= stop - 1 and original.start[-1] <= SIZE
        assert (np.diff(original.start) > 0).all()
        _, truth = exact.views(start, stop, 20)
        assert dequantized.low.min() >= truth.low.min() and dequantized.high.max() <= truth.high.max()
        assert dequantized.high.max() - dequantized.low.min() > 0.6 * (truth.high.max() - truth.low.min())
    for ours, theirs in zip(about.views(70, 900, 100), exact.views(70, 900, 100), strict=True):  # every element
        np.testing.assert_array_equal(ours.low, theirs.low)


def test_loud_parts_of_judged_groups_are_seen_where_they_are():
    x = NORMAL.reshape(1000, 1000).copy()
    x[600:650] *= 20
    for granularity in (PerAxis(0), PerAxis(1), PerToken()):
        about = estimate(Tensor(x), Scheme(granularity=granularity), limits=LIMITS)
        original, dequantized = about.views(0, SIZE, 50)
        for view in (original, dequantized):
            loud = view.start[:-1][view.high > 20]
            assert abs(loud.min() - 600_000) < 40_000 and abs(loud.max() - 650_000) < 40_000


def test_groups_of_nothing_finite_that_is_looked_at_are_answered_exactly():
    x = np.full((100, 10_001), np.nan, F)
    x[:, -1] = 1
    about = estimate(Tensor(x), Scheme(granularity=PerAxis(0)), limits=LIMITS)
    assert about.exact
    assert about.finite == 100


def test_some_elements_of_groups_say_nothing_of_batches():
    rule = RANGE_RULES["moving_average"](batch_axis=0)
    with pytest.raises(Problem):
        estimate(grouped(*GROUPED[0]), Scheme(granularity=PerAxis(1), range_rule=rule), limits=LIMITS)


def test_it_is_drawn_and_written_like_any_answer():
    about = estimate(Tensor(NORMAL, counted=False), Scheme(IntFormat(4)))
    original, dequantized = about.views(0, SIZE, 100)
    np.testing.assert_array_equal(original.start, dequantized.start)
    assert np.all(original.low <= original.high)
    assert np.all(np.isin(dequantized.low, about.qparams.levels()))
    assert about.to_dict()["elements"] == SIZE
    assert math.isfinite(about.to_dict()["mse"])
    assert about.levels_used == 16 - 1 * (about.occupancy[0] == 0)


def test_it_stops_when_cancelled():
    with pytest.raises(Cancelled):
        estimate(Tensor(NORMAL, counted=False), Scheme(), cancelled=lambda: True)


def test_the_sample_is_sorted_once():
    tensor = Tensor(NORMAL, counted=False)
    assert prepare_sample(tensor) is prepare_sample(tensor)
