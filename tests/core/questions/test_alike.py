"""Where one range serves all groups, the order of all values tells what they come to together: the same answer."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    Codebook,
    FloatFormat,
    IntFormat,
    Manual,
    PerAxis,
    PerBlock,
    PerTensor,
    PerToken,
    Problem,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    prepare,
)
from qviz.core.questions import analysis
from qviz.core.questions.effort import Limits
from tests.every import every
from tests.pairs import pairs

F = np.float32
NONE = Limits(direct_up_to=0)
FORMATS = (IntFormat(2), IntFormat(4), IntFormat(8), IntFormat(8, False), FloatFormat("e4m3fn"), FloatFormat("e2m1fn"))
RANGES = (Manual(-1.5, 1.5), Manual(-0.2, 1.1), Manual(0.5, 4.0), Manual(-1e-3, 1e-3), Manual(-1e38, 3e38))


def normal():
    return np.random.default_rng(0).standard_normal((24, 96)).astype(F)


def hard():
    x = normal()
    x[3], x[5, ::3], x[7, 0], x[8, 1], x[:, 4] = np.nan, np.nan, np.inf, 3e38, 0
    x[9] = 0.75  # ties
    x[10] = 1e-40
    return x


def offered():
    """One scheme a pair of what may matter."""
    for granularity, number_format, rule, symmetric, convention in pairs(
        (PerAxis(0), PerAxis(1), PerToken(), PerBlock(-1, 16)),
        (*FORMATS, Codebook("nf4"), IntFormat(12)),
        RANGES,
        (True, False),
        tuple(CONVENTIONS),
    ):
        try:
            yield Scheme(number_format, symmetric, granularity, rule, convention)
        except Problem:
            continue


@every("x", [normal(), hard()], ids=["normal", "hard"])
@every("scheme", list(offered()), ids=repr)
def test_the_order_tells_what_a_pass_finds(x, scheme):
    assert choose_qparams(Tensor(x), scheme).alike
    passed = analyze(Tensor(x), scheme)
    told = analyze(prepare(x), scheme, limits=NONE)
    np.testing.assert_array_equal(told.occupancy, passed.occupancy)
    for part in ("edges", "rounding", "clipping"):
        ours, theirs = (getattr(a.error_histogram, part) for a in (told, passed))
        np.testing.assert_array_equal(ours, theirs)
    for name in ("mse", "mae", "max_abs_error", "sqnr_db", "cosine", "clipping_mse", "saturated", "levels_used"):
        assert getattr(told, name) == pytest.approx(getattr(passed, name), rel=1e-11, nan_ok=True), name
    for name in ("finite", "squared_error", "max_abs_error", "saturated"):
        ours, theirs = (getattr(a.groups, name) for a in (told, passed))
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    for start, stop, buckets in ((0, x.size, 7), (100, 600, 500), (90, 1500, 11)):
        for ours, theirs in zip(told.views(start, stop, buckets), passed.views(start, stop, buckets), strict=True):
            np.testing.assert_array_equal(ours.low, theirs.low)
            np.testing.assert_array_equal(ours.high, theirs.high)


def test_it_is_asked_for_few_codes_of_large_tensors_alone(monkeypatch):
    asked = []

    def told(*known):
        asked.append(known)
        return analysis.direct_sums(known[0].tensor, known[1], PerTensor().layout(normal().shape), error_edges=known[2])

    monkeypatch.setattr(analysis, "sorted_sums", told)
    order = prepare(normal())

    def asks(scheme, limits):
        asked.clear()
        analyze(order, scheme, limits=limits)
        return len(asked)

    by_rows = Scheme(granularity=PerAxis(0), range_rule=Manual())
    assert asks(by_rows, NONE) == 1
    assert asks(by_rows, Limits()) == 0
    assert asks(Scheme(IntFormat(14), granularity=PerAxis(0), range_rule=Manual()), NONE) == 1
    assert asks(Scheme(IntFormat(15), granularity=PerAxis(0), range_rule=Manual()), NONE) == 0
    assert asks(Scheme(granularity=PerAxis(0)), NONE) == 0
    assert choose_qparams(normal(), by_rows).alike
    assert not choose_qparams(normal(), Scheme(granularity=PerAxis(0))).alike
    assert not choose_qparams(normal(), Scheme(range_rule=Manual())).alike  # nothing is seen several times


def test_no_envelope_is_made_where_that_of_the_values_tells_it():
    x = np.random.default_rng(0).standard_normal((8, 100_000)).astype(F)
    found = analyze(x, Scheme(IntFormat(3), granularity=PerAxis(0), range_rule=Manual(-1.5, 1.5)))
    assert found._dequantized is None
    alone = analyze(x, Scheme(IntFormat(3), range_rule=Manual(-1.5, 1.5)))
    for ours, theirs in zip(found.views(0, x.size, 9), alone.views(0, x.size, 9), strict=True):
        np.testing.assert_array_equal(ours.low, theirs.low)
        np.testing.assert_array_equal(ours.high, theirs.high)
