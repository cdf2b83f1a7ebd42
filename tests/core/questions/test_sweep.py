"""Many schemes of one tensor: which there are, what each does, and which no other one beats."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qviz.core import (
    MSE,
    Entropy,
    FloatFormat,
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
    measure,
    prepare,
)
from qviz.core.questions.sweep import combine, pareto, sweep
from qviz.core.ranges.paddle import PaddleAverage
from qviz.core.work import Cancelled
from tests.every import every

F = np.float32
X = np.random.default_rng(0).standard_t(4, (40, 1000)).astype(F)
BITS = (IntFormat(3), IntFormat(8))
FIGURES = ("mse", "max_abs_error", "sqnr_db", "cosine", "saturated")


# --- which schemes there are -------------------------------------------------------------------------


def test_every_part_is_combined_with_every_other() -> None:
    made = combine(BITS, [PerTensor(), PerAxis(0)], [MinMax(), MSE()], symmetries=(True, False))
    assert len(made.schemes) == len(set(made.schemes)) == 16
    assert (made.missing, made.left_out) == ({}, 0)


def test_what_a_runtime_does_not_offer_is_counted_by_its_reason() -> None:
    unsigned = IntFormat(8, False)
    made = combine(
        [IntFormat(8), unsigned], [PerTensor()], [MinMax()], symmetries=(True, False), conventions=["paddle"]
    )
    assert made.schemes == (Scheme(convention="paddle"),)
    assert made.left_out == 3
    assert sorted(made.missing.values()) == [1, 2]
    assert any("signed codes only" in why for why in made.missing)


def test_what_does_not_fit_the_tensor_is_counted_by_its_reason() -> None:
    made = combine(BITS, [PerTensor(), PerAxis(2), PerBlock(-1, 32)], [MinMax(), MSE()], shape=(4, 8))
    assert {s.granularity for s in made.schemes} == {PerTensor()}
    assert list(made.missing.values()) == [4, 4]
    assert any("axis 2" in why for why in made.missing)
    assert any("longer than axis" in why for why in made.missing)


def test_granularities_that_group_alike_count_once() -> None:
    made = combine(BITS, [PerAxis(0), PerToken(), PerAxis(-2)], [MinMax()], shape=(4, 8))
    assert {s.granularity for s in made.schemes} == {PerAxis(0)}
    ((why, left_out),) = made.missing.items()
    assert "the same groups" in why
    assert left_out == 4


def test_equal_schemes_count_once() -> None:
    assert len(combine([IntFormat(), IntFormat()], [PerTensor()], [MinMax()]).schemes) == 1


def test_searches_come_last_and_those_for_each_group_at_the_end() -> None:
    made = combine(BITS[:1], [PerAxis(0), PerTensor()], [MSE(), MinMax()])
    assert [(s.granularity.kind, s.range_rule.kind) for s in made.schemes] == [
        ("tensor", "minmax"),
        ("axis", "minmax"),
        ("tensor", "mse"),
        ("axis", "mse"),
    ]


# --- what each does ----------------------------------------------------------------------------------

GRANULARITIES = [PerTensor(), PerAxis(0), PerAxis(1), PerBlock(-1, 32)]
SCHEMES = combine(
    (*BITS, FloatFormat("e4m3fn")),
    GRANULARITIES,
    [MinMax(), Percentile(99.0)],
    symmetries=(True, False),
    shape=X.shape,
).schemes


@pytest.mark.parametrize("source", [X, Tensor(X), prepare(X)], ids=["array", "tensor", "in order"])
def test_each_scheme_is_measured_as_it_would_be_alone(source: object) -> None:
    for scheme, found in zip(SCHEMES, sweep(source, SCHEMES), strict=True):
        alone = measure(X, scheme)
        assert found.scheme == scheme
        assert found.exact
        for name in FIGURES:
            assert getattr(found, name) == pytest.approx(getattr(alone, name), rel=1e-9), (scheme, name)
        assert found.storage == alone.storage
        np.testing.assert_array_equal(found.qparams.scale, alone.qparams.scale)


def test_searches_too() -> None:
    schemes = combine(BITS[:1], [PerTensor(), PerAxis(0)], [MSE(), Entropy(64, 16)], shape=(3, 300)).schemes
    for found in sweep(prepare(X[:3, :300]), schemes):
        np.testing.assert_array_equal(found.qparams.scale, measure(X[:3, :300], found.scheme).qparams.scale)


def test_a_large_tensor_that_is_not_in_order_is_judged_from_a_sample_but_per_group_exactly() -> None:
    x = Tensor(np.random.default_rng(1).standard_normal((300, 1000)).astype(F))
    schemes = [Scheme(), Scheme(granularity=PerAxis(0)), Scheme(range_rule=PaddleAverage())]
    assert [m.exact for m in sweep(x, schemes)] == [False, True, True]
    assert [m.exact for m in sweep(prepare(x), schemes)] == [True, True, True]


def test_progress_grows_to_the_end() -> None:
    told: list[float] = []
    list(sweep(X, SCHEMES[:4], progress=told.append))
    assert told == sorted(told)
    assert told[-1] == 1
    assert all(k / 4 in [pytest.approx(t) for t in told] for k in (1, 2, 3))


def test_it_stops_when_it_is_told_to() -> None:
    stop = False
    results = sweep(X, SCHEMES, cancelled=lambda: stop)
    assert [next(results).scheme, next(results).scheme] == list(SCHEMES[:2])
    stop = True
    with pytest.raises(Cancelled):
        next(results)


def test_a_scheme_that_does_not_fit_is_a_problem() -> None:
    with pytest.raises(Problem, match="axis 5"):
        list(sweep(X, [Scheme(granularity=PerAxis(5))]))


# --- which no other one beats ------------------------------------------------------------------------


@every(
    ("cost", "worth", "front"),
    [
        ([], [], []),
        ([1], [1], [0]),
        ([1, 2, 3], [1, 2, 3], [0, 1, 2]),
        ([3, 2, 1], [3, 2, 1], [2, 1, 0]),
        ([1, 2, 3], [2, 1, 3], [0, 2]),
        ([1, 1, 2], [1, 2, 2], [1]),
        ([1, 2], [math.nan, 1], [1]),
        ([math.nan, 2], [5, 1], [1]),
        ([1, 2], [math.inf, 1], [0]),
        ([1, 2, 3, 4], [1, 2, math.inf, math.inf], [0, 1, 2]),
        ([1, 2], [-math.inf, 1], [0, 1]),
    ],
)
def test_the_front_holds_what_no_other_one_beats(cost: list[float], worth: list[float], front: list[int]) -> None:
    assert pareto(cost, worth).tolist() == front
