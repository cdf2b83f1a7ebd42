"""Answers from a sorted tensor against every element one by one, in float64."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qviz.core import (
    CONVENTIONS,
    IntFormat,
    Manual,
    MinMax,
    PerAxis,
    Percentile,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    fake_quantize,
    measure,
    prepare,
    quantize,
)
from qviz.core.passes.direct_pass import direct_sums
from qviz.core.passes.error_bins import error_edges
from qviz.core.passes.sorted_pass import code_steps, sorted_squared_error, sorted_sums
from qviz.core.questions import analysis as analysis_module
from qviz.core.questions.effort import Limits
from tests.every import every
from tests.pairs import pairs
from tests.schemes import FREE_CONVENTIONS

F = np.float32
LARGEST = float(np.finfo(F).max)


def kinds(size, seed=0):
    """Float32 values that find out where digits are lost, and where a tie is on the wrong side."""
    rng = np.random.default_rng(seed)
    made = {
        "normal": rng.standard_normal(size),
        "laplace": rng.laplace(size=size),
        "student t": rng.standard_t(2, size),
        "shifted": 1e4 + rng.standard_normal(size),
        "ties": np.round(rng.standard_normal(size), 1),
        "constant but one": np.append(np.full(size - 1, 0.3), 5.0),
        "denormal": rng.standard_normal(size) * 1e-40,
        "half zeros": np.maximum(rng.standard_normal(size), 0),
    }
    return {name: values.astype(F) for name, values in made.items()}


VALUES = {name: prepare(x[np.random.default_rng(1).permutation(x.size)]) for name, x in kinds(4000).items()}
WITH_INTEGERS = [name for name in FREE_CONVENTIONS if CONVENTIONS[name].integers != frozenset()]
RULES = (MinMax(), Percentile(99.0), Manual(-1.0, 2.0))


def tolerance(bits):
    return 1e-12 if bits <= 8 else 1e-9


class BruteForce:
    """Every element through the quantizer itself; its error in float64."""

    def __init__(self, x, q):
        self.x = x.astype(np.float64)
        self.x_hat = fake_quantize(x, q).astype(np.float64)
        self.error = self.x_hat - self.x
        free = q.shaped().unclipped(x)
        self.saturated = (free < q.quant_min) | (free > q.quant_max)
        codes = q.quant_max - q.quant_min + 1
        self.occupancy = np.bincount(quantize(x, q).astype(int) - q.quant_min, minlength=codes)


def assert_equals(sums, brute, rel):
    error, clipped = brute.error, brute.error[brute.saturated]
    total = float(np.sum(error.astype(np.longdouble) ** 2))
    np.testing.assert_array_equal(sums.occupancy, brute.occupancy, strict=True)
    assert sums.finite.tolist() == [error.size]
    assert sums.saturated.tolist() == [clipped.size]
    assert sums.max_abs_error.tolist() == [np.abs(error).max()]
    assert sums.squared_error[0] == pytest.approx(total, rel=rel, abs=0)
    assert sums.squared_value[0] == pytest.approx(np.dot(brute.x, brute.x), rel=1e-12)
    assert sums.clipping_squared_error == pytest.approx(np.dot(clipped, clipped), rel=rel, abs=1e-12 * total)
    assert sums.absolute_error == pytest.approx(np.abs(error).sum(), rel=100 * rel, abs=0)
    assert sums.product == pytest.approx(np.dot(brute.x, brute.x_hat), rel=1e-12, abs=0)
    assert sums.squared_dequantized == pytest.approx(np.dot(brute.x_hat, brute.x_hat), rel=1e-12)
    assert sums.dequantized is None
    h = sums.error_histogram
    np.testing.assert_array_equal(h.rounding + h.clipping, np.histogram(error, h.edges)[0])
    np.testing.assert_array_equal(h.clipping, np.histogram(clipped, h.edges)[0])


# --- the sweep -------------------------------------------------------------------------------------


@functools.cache
def choices(bits):
    @functools.cache
    def offers(signed, symmetric, convention):
        return CONVENTIONS[convention].offers(IntFormat(bits, signed), symmetric)

    both = (True, False)
    found = pairs(both, both, FREE_CONVENTIONS, RULES, where=lambda *those: offers(*those[:3]))
    return found if bits in {2, 4, 8} else found[bits % 5 :: 5]


@every("bits", range(2, 17))
@every("name", VALUES)
def test_any_values_at_any_bits_under_any_scheme(name, bits):
    """At 2, 4 and 8 bits any two choices meet; of others there are some, other ones at each."""
    p = VALUES[name]
    for signed, symmetric, convention, rule in choices(bits):
        scheme = Scheme(IntFormat(bits, signed), symmetric, range_rule=rule, convention=convention)
        q = choose_qparams(p, scheme)
        layout = scheme.granularity.layout(p.tensor.shape)
        edges = error_edges(p.tensor, q, layout, 24 if bits <= 8 else 4)
        sums, brute = sorted_sums(p, q, edges), BruteForce(p.tensor.values, q)
        assert_equals(sums, brute, tolerance(bits))
        assert sums.error_histogram.half_step == abs(float(q.scale)) / 2
        expected = float(np.sum(brute.error.astype(np.longdouble) ** 2))
        assert sorted_squared_error(p, q) == pytest.approx(expected, rel=tolerance(bits), abs=0)


@pytest.mark.parametrize("name", ["normal", "student t", "shifted"])
def test_many_superblocks(name):
    """Every convention at every number of bits and both ways."""
    x = kinds(150_000, seed=2)[name]
    p = prepare(x)

    def offers(bits, symmetric, convention):
        return CONVENTIONS[convention].offers(IntFormat(bits), symmetric)

    for bits, symmetric, convention in pairs((2, 4, 8, 16), (True, False), FREE_CONVENTIONS, where=offers):
        q = choose_qparams(p, Scheme(IntFormat(bits), symmetric, range_rule=Percentile(99.9), convention=convention))
        edges = error_edges(p.tensor, q, q.scheme.granularity.layout(x.shape), 2)
        assert_equals(sorted_sums(p, q, edges), BruteForce(x, q), tolerance(bits))


@settings(max_examples=200, deadline=None)
@given(
    x=hnp.arrays(F, st.integers(1, 80), elements=st.floats(-1e6, 1e6, width=32)),
    number_format=st.builds(IntFormat, st.integers(2, 12), st.booleans()),
    symmetric=st.booleans(),
    rule=st.sampled_from([*RULES, Manual(-1e5, 1e-3), Manual(3, 4), Manual(-0.5, 1e-30)]),
    convention=st.sampled_from(FREE_CONVENTIONS),
)
def test_any_tensor_under_any_scheme(x, number_format, symmetric, rule, convention):
    assume(CONVENTIONS[convention].offers(number_format, symmetric))
    scheme = Scheme(number_format, symmetric, range_rule=rule, convention=convention)
    p = prepare(x)
    q = choose_qparams(p, scheme)
    edges = error_edges(p.tensor, q, scheme.granularity.layout(x.shape))
    sums, brute = sorted_sums(p, q, edges), BruteForce(x, q)
    np.testing.assert_array_equal(sums.occupancy, brute.occupancy)
    assert sums.max_abs_error[0] == np.abs(brute.error).max()
    assert sums.saturated[0] == brute.saturated.sum()
    # A few elements far apart share a superblock, whose spread is what the digits are lost of.
    slack = 1e-13 * x.size * float(np.ptp(x.astype(float))) ** 2
    assert sums.squared_error[0] == pytest.approx(np.dot(brute.error, brute.error), rel=1e-12, abs=slack)
    h = sums.error_histogram
    np.testing.assert_array_equal(h.rounding, np.histogram(brute.error[~brute.saturated], h.edges)[0])
    np.testing.assert_array_equal(h.clipping, np.histogram(brute.error[brute.saturated], h.edges)[0])


@every("number_format", [IntFormat(2), IntFormat(3, False), IntFormat(8), IntFormat(8, False)])
@every("convention", FREE_CONVENTIONS)
def test_ties_go_where_the_quantizer_sends_them(convention, number_format):
    # Every half of a scale, and the float32 neighbours of each.
    x = np.arange(-300, 300, 0.5).astype(F)
    x = np.concatenate([x, np.nextafter(x, F(np.inf)), np.nextafter(x, F(-np.inf))])
    p = prepare(x)
    for rule in (Manual(-4, 4), Manual(-0.25, 3), Manual(-128, 127), Manual(0, 255), Manual(-0.1, 0.7)):
        for symmetric in (True, False):
            if not CONVENTIONS[convention].offers(number_format, symmetric):
                continue
            scheme = Scheme(number_format, symmetric, range_rule=rule, convention=convention)
            q = choose_qparams(p, scheme)
            edges = error_edges(p.tensor, q, scheme.granularity.layout(x.shape))
            assert_equals(sorted_sums(p, q, edges), BruteForce(x, q), 1e-12)


@every("bits", [2, 8, 16])
@every("convention", WITH_INTEGERS)
@every("rule", [Manual(-1, 2), Manual(-1e-37, 1e-37), Manual(-3e38, 1e38), Manual(1e6, 1e6 + 3)])
def test_each_code_starts_where_it_says(rule, convention, bits):
    number_format, symmetric, _ = CONVENTIONS[convention].nearest(IntFormat(bits), False)
    q = choose_qparams([0.0], Scheme(number_format, symmetric, range_rule=rule, convention=convention))
    steps = code_steps(q)[0]
    codes = np.arange(q.quant_min, q.quant_max + 2)
    assert steps.shape == codes.shape
    with np.errstate(over="ignore"):
        at = q.shaped().unclipped(steps)
        below = q.shaped().unclipped(np.nextafter(steps, F(-np.inf)))
    assert np.all((at >= codes) | (steps == np.inf))
    assert np.all((below < codes) | (steps == -np.inf))


def test_no_histogram_where_none_was_asked_for():
    p = VALUES["normal"]
    assert sorted_sums(p, choose_qparams(p, Scheme())).error_histogram is None


# --- beyond float32 --------------------------------------------------------------------------------

HUGE = {
    "both ends": np.array([-LARGEST, LARGEST, 1e38, 1.0, 0.0, -2e38]),
    "all float32": np.random.default_rng(3).uniform(-1, 1, 3000) * LARGEST,
    "one sided": np.append(np.random.default_rng(4).uniform(0, 1, 500), LARGEST),
    "low side": np.append(-np.random.default_rng(4).uniform(0, 1, 500), -LARGEST),
}


@every("name", HUGE)
@every("convention", WITH_INTEGERS)
def test_infinite_dequantized_values_are_what_the_direct_pass_makes_of_them(convention, name):
    p = prepare(HUGE[name])
    rules = (MinMax(), Manual(-LARGEST, 3e38), Manual(-3e38, LARGEST), Manual(-LARGEST, LARGEST), Manual(-1, 1))
    formats = [IntFormat(bits, signed) for bits in (2, 4, 8) for signed in (True, False)]
    infinite = 0
    for number_format, symmetric, rule in itertools.product(formats, (True, False), rules):
        if not CONVENTIONS[convention].offers(number_format, symmetric):
            continue
        scheme = Scheme(number_format, symmetric, range_rule=rule, convention=convention)
        q = choose_qparams(p, scheme)
        layout = scheme.granularity.layout(p.tensor.shape)
        edges = error_edges(p.tensor, q, layout)
        ours, theirs = sorted_sums(p, q, edges), direct_sums(p.tensor, q, layout, error_edges=edges)
        assert_same_sums(ours, theirs)
        expected = float(theirs.squared_error[0])  # NaN where the scale itself is infinite
        assert sorted_squared_error(p, q) == pytest.approx(expected, rel=1e-12, nan_ok=True)
        infinite += not math.isfinite(expected)
    if name != "one sided" and not CONVENTIONS[convention].unsigned_only:
        assert infinite


def test_the_finite_part_of_a_clipping_error_stays_finite_beside_infinite_rounding():
    # x / s = ±127.5 and Z = 128: −128 is a code, and s · −128 = −inf; 256 is clipped to 255.
    scheme = Scheme(IntFormat(8, False), False)
    for x in ([-LARGEST, LARGEST], [-LARGEST, LARGEST, *np.linspace(-3e38, 3e38, 99)]):
        p = prepare(x)
        layout = scheme.granularity.layout(p.tensor.shape)
        q = choose_qparams(p, scheme)
        ours, theirs = sorted_sums(p, q), direct_sums(p.tensor, q, layout)
        assert math.isinf(theirs.squared_error[0])
        assert 0 < theirs.clipping_squared_error < math.inf
        assert ours.clipping_squared_error == pytest.approx(theirs.clipping_squared_error, rel=1e-12)


def assert_same_sums(ours, theirs):
    for field in fields(ours):
        a, b = (getattr(sums, field.name) for sums in (ours, theirs))
        if field.name in {"finite", "saturated", "occupancy", "max_abs_error"}:
            np.testing.assert_array_equal(a, b)
        elif field.name == "error_histogram":
            for part in ("edges", "rounding", "clipping"):
                np.testing.assert_array_equal(getattr(a, part), getattr(b, part))
            assert a.half_step == b.half_step
        elif field.name not in {"dequantized", "overall"}:
            a, b = np.asarray(a), np.asarray(b)
            # With infinities a product is one or is NaN, by chance; neither gives an angle.
            lost = field.name == "product" and not math.isfinite(theirs.squared_dequantized)
            both_lost = (a == b) | lost
            np.testing.assert_allclose(np.where(both_lost, 0, a), np.where(both_lost, 0, b), rtol=1e-12)


# --- the whole answer ------------------------------------------------------------------------------


BY_ORDER = Limits(direct_up_to=0)
"""Small tensors would be answered by a direct pass."""


def assert_same_answer(a, b, rel):
    """Two analyses of the same elements."""
    assert a.tensor.same_data(b.tensor)
    assert (a.scheme, a.layout, a.storage, a.groups, a.exact) == (b.scheme, b.layout, b.storage, b.groups, b.exact)
    assert (a.qparams.scale, a.qparams.zero_point) == (b.qparams.scale, b.qparams.zero_point)
    assert (a.max_abs_error, a.saturated, a.levels_used) == (b.max_abs_error, b.saturated, b.levels_used)
    np.testing.assert_array_equal(a.occupancy, b.occupancy, strict=True)
    h, k = a.error_histogram, b.error_histogram
    for part in ("edges", "rounding", "clipping"):
        np.testing.assert_array_equal(getattr(h, part), getattr(k, part), strict=True)
    assert h.half_step == k.half_step
    assert a.mse == pytest.approx(b.mse, rel=rel, abs=0)
    assert a.mae == pytest.approx(b.mae, rel=100 * rel, abs=0)
    assert a.sqnr_db == pytest.approx(b.sqnr_db, rel=rel)
    assert a.relative_rmse == pytest.approx(b.relative_rmse, rel=rel, nan_ok=True)
    assert a.cosine == pytest.approx(b.cosine, rel=1e-12, nan_ok=True)
    assert a.rounding_mse == pytest.approx(b.rounding_mse, rel=rel, abs=1e-12 * b.mse)
    assert a.clipping_mse == pytest.approx(b.clipping_mse, rel=rel, abs=1e-12 * b.mse)


@every("bits", [3, 8, 13])
@every("name", VALUES)
def test_prepared_or_not_the_answer_is_the_same(name, bits):
    p = VALUES[name]
    for symmetric, convention, rule in list(itertools.product((True, False), FREE_CONVENTIONS, RULES))[bits % 3 :: 3]:
        if not CONVENTIONS[convention].offers(IntFormat(bits), symmetric):
            continue
        scheme = Scheme(IntFormat(bits), symmetric, range_rule=rule, convention=convention)
        a, b = (
            analyze(p, scheme, error_bins=4, limits=BY_ORDER),
            analyze(p.tensor, scheme, error_bins=4, limits=BY_ORDER),
        )
        assert_same_answer(a, b, tolerance(bits))
        assert a.prepared is p
        assert b.prepared is None


def test_a_large_tensor_is_answered_from_its_order_a_small_one_by_a_direct_pass(monkeypatch):
    x = kinds(40_000)["normal"]
    x[::100] = np.nan
    p = prepare(x)
    asked = []
    monkeypatch.setattr(analysis_module, "sorted_sums", lambda *a: (asked.append(a), sorted_sums(*a))[1])
    a, b = analyze(p, Scheme()), analyze(p.tensor, Scheme())
    assert len(asked) == 1
    assert_same_answer(a, b, 1e-12)
    few = prepare(x[:1000])
    assert analyze(few, Scheme()).prepared is few
    assert len(asked) == 1


def test_a_scheme_with_many_scales_is_answered_by_a_direct_pass():
    p = prepare(kinds(6000)["normal"].reshape(6, -1))
    scheme = Scheme(granularity=PerAxis(0))
    a, b = analyze(p, scheme), analyze(p.tensor, scheme)
    assert a.prepared is None
    np.testing.assert_array_equal(a.groups.mse, b.groups.mse)
    np.testing.assert_array_equal(a.qparams.scale, b.qparams.scale)
    assert analyze(p, replace(scheme, granularity=PerAxis(-1))).layout.groups == 1000


@pytest.mark.parametrize("granularity", [Scheme().granularity, PerAxis(1)])
def test_the_figures_alone_are_those_of_the_analysis(granularity):
    x = kinds(6000)["laplace"].reshape(60, 100)
    p = prepare(x)
    scheme = Scheme(IntFormat(4), False, granularity, Percentile(99.0))
    for source in (x, Tensor(x), p):
        a, m = analyze(source, scheme, limits=BY_ORDER), measure(source, scheme, limits=BY_ORDER)
        for figure in ("mse", "mae", "max_abs_error", "sqnr_db", "cosine", "rounding_mse", "clipping_mse", "saturated"):
            assert getattr(m, figure) == pytest.approx(getattr(a, figure), rel=1e-12)
        assert m.exact
        assert m.seconds > 0
        assert m.storage == a.storage
        assert (m.groups is None) == (a.groups is None)
        if m.groups is not None:
            np.testing.assert_allclose(m.groups.mse, a.groups.mse, rtol=1e-12)


def test_no_error_bins_no_histogram():
    p = VALUES["normal"]
    for source in (p, p.tensor):
        a = analyze(source, Scheme(), error_bins=0, limits=BY_ORDER)
        assert a.error_histogram.rounding.size == a.error_histogram.clipping.size == 0
        assert a.mse == pytest.approx(analyze(source, Scheme(), limits=BY_ORDER).mse, rel=1e-12)


def test_fewer_error_bins_are_those_that_were_asked_for():
    p = prepare(kinds(40_000)["normal"])
    for bins in (1, 6, 24, 60):
        h = analyze(p, Scheme(), error_bins=bins).error_histogram
        assert np.diff(h.edges) == pytest.approx(h.half_step / min(bins, 50))
        assert h.rounding.sum() + h.clipping.sum() == 40_000


def test_zeros_have_no_error_and_no_direction():
    a = analyze(prepare(np.zeros(5000)), Scheme(), limits=BY_ORDER)
    assert (a.mse, a.mae, a.max_abs_error, a.saturated, a.levels_used) == (0, 0, 0, 0, 1)
    assert a.sqnr_db == math.inf
    assert math.isnan(a.cosine)


@every("value", [5.0, -0.3, 1e-40, 3e38])
def test_the_textbook_keeps_a_constant_without_error(value):
    a = analyze(
        prepare(np.full(5000, value)),
        Scheme(IntFormat(8, False), False, convention="textbook"),
        limits=BY_ORDER,
    )
    assert (a.mse, a.max_abs_error, a.saturated, a.levels_used) == (0, 0, 0, 1)
    assert a.cosine == pytest.approx(1, abs=1e-15)
