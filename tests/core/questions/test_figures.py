"""Figures alone say what the answer says, are small, and hold on to nothing large."""

from __future__ import annotations

import pickle

import numpy as np

from qviz.core import Figures, IntFormat, Manual, PerAxis, PerTensor, Scheme, Tensor, analyze, measure
from qviz.core.passes.ratios import counted_ratios
from qviz.core.questions import figures
from qviz.core.questions.figures import Groups, WorstGroup
from qviz.core.tensors.robust_range import robust_range
from tests.every import every


@every("granularity", [PerTensor(), PerAxis(0), PerAxis(1)])
@every("answer", [analyze, measure])
def test_the_figures_of_a_million_elements_are_a_kilobyte(answer, granularity):
    x = np.random.default_rng(0).normal(0, 1, (1000, 1000)).astype(np.float32)
    metrics = answer(Tensor(x, "blocks.0.attention.query.weight"), Scheme(granularity=granularity))
    pickled = pickle.dumps(metrics.figures)
    assert len(pickled) < 1500
    assert pickle.loads(pickled) == metrics.figures  # noqa: S301


def test_the_figures_are_those_of_the_answer():
    x = np.array([[1.0, 2.0, np.nan], [100.0, 3.0, 0.1]], np.float32)
    metrics = analyze(Tensor(x, "w"), Scheme(IntFormat(4), granularity=PerAxis(0), range_rule=Manual(-10, 10)))
    figures = metrics.figures
    assert type(figures) is Figures
    assert (figures.name, figures.shape, figures.dtype) == ("w", (2, 3), "float32")
    assert (figures.elements, figures.finite) == (6, 5)
    for name in ("scheme", "mse", "mae", "max_abs_error", "sqnr_db", "relative_rmse", "cosine", "saturated", "storage"):
        assert getattr(figures, name) == getattr(metrics, name), name
    assert figures.saturated_share == metrics.saturated_share == 1 / 5
    groups = metrics.groups
    assert groups is not None
    assert figures.group_count == 2
    assert figures.worst_group == WorstGroup(
        1, 3, groups.mse[1], groups.max_abs_error[1], groups.sqnr_db[1], groups.saturated[1]
    )
    assert groups.sqnr_db[1] < groups.sqnr_db[0]


def test_per_tensor_there_is_no_worst_group():
    assert measure([1.0, 2.0], Scheme()).figures.worst_group is None
    assert measure([1.0, 2.0], Scheme()).figures.group_count == 1


def test_an_answer_is_equal_to_itself_alone():
    a, b = analyze([1.0, 2.0], Scheme()), analyze([1.0, 2.0], Scheme())
    assert a == a  # noqa: PLR0124
    assert a != b
    assert len({a, b}) == 2


def test_groups_without_a_finite_sqnr_are_drawn_as_the_best_that_has() -> None:
    signal, noise = np.array([100.0, 1.0, 1000.0, 0.0]), np.array([1.0, 0.0, 1.0, 1.0])
    groups = Groups(np.ones(4, np.int64), signal, noise, np.ones(4), np.zeros(4, np.int64))
    assert groups.sqnr_range == (20.0, 30.0)
    assert [groups.drawn_sqnr_db(group) for group in range(4)] == [20.0, 30.0, 30.0, 30.0]
    assert groups.lowest_sqnr_db(np.array([0, 1, 3]), 4).tolist() == [20.0, 30.0, 30.0]
    assert groups.lowest_sqnr_db(np.array([1]), 3).tolist() == [30.0]


def test_groups_that_all_lack_one_are_drawn_at_0() -> None:
    groups = Groups(np.ones(2, np.int64), np.ones(2), np.zeros(2), np.zeros(2), np.zeros(2, np.int64))
    assert groups.sqnr_range == (0.0, 1.0)
    assert [groups.drawn_sqnr_db(group) for group in range(2)] == [0.0, 0.0]
    assert groups.robust_sqnr_range is None
    assert groups.lossless


@every(
    ("signal", "noise", "lossless"),
    [([1, 1], [0, 0], True), ([1, 0], [0, 0], True), ([1, 1], [0, 1], False), ([0, 1], [1, 0], False)],
)
def test_groups_are_lossless_where_none_has_noise(signal: list[float], noise: list[float], lossless: bool) -> None:
    groups = Groups(np.ones(2, np.int64), np.array(signal, float), np.array(noise, float), np.ones(2), np.zeros(2, int))
    assert groups.lossless is lossless


def test_the_worst_of_many_groups_is_the_first_of_the_lowest_sqnr(monkeypatch) -> None:
    monkeypatch.setattr(figures, "TOGETHER", 3)
    signal = np.array([4.0, 9.0, 2.0, 2.0, 0.0, 8.0, 2.0])
    noise = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0])
    assert groups_of(signal, noise).worst == 2
    assert groups_of(signal, np.where(np.arange(7) == 5, np.nan, noise)).worst == 5
    assert groups_of(np.ones(7), np.zeros(7)).worst == 0
    assert np.isnan(groups_of(np.ones(1), np.array([np.nan])).sqnr_db[0])


def groups_of(signal, noise):
    return Groups(np.ones(signal.size, np.int64), signal, noise, noise, np.zeros(signal.size, np.int64))


@every("scale", [1.0, 1e-30, 1e30, 1e150])
@every("spread", [1e-9, 1e-5, 1.0, 3.0])
def test_outliers_are_those_of_decibels_in_double(scale, spread):
    chance = np.random.default_rng(0)
    ratio = scale * np.exp(spread * chance.normal(size=100_003))
    ratio[::5001] *= 10 ** (40 * spread)
    ratio[7], ratio[8], ratio[9] = 0, np.inf, np.nan
    signal, noise = ratio.copy(), np.ones(ratio.size)
    signal[8], noise[8], signal[9], noise[9] = 1.0, 0.0, 1.0, np.nan
    groups = groups_of(signal, noise)
    known = 10 * np.log10(ratio[np.isfinite(ratio) & (ratio > 0)])
    assert groups.sqnr_range == (known.min(), known.max())
    found = groups.robust_sqnr_range
    edges = figures.decibels(counted_ratios(groups._ratios, figures.FINER * figures.SQNR_BINS)[0])
    assert found == robust_range(edges, np.histogram(known, edges)[0])
    width = (known.max() - known.min()) / figures.SQNR_BINS
    assert np.diff(edges).max() <= width
    counts, edges = np.histogram(known, 64 * figures.SQNR_BINS)
    exact = robust_range(edges, counts)
    assert (found is None) == (exact is None)
    if found is None or exact is None:
        return
    assert max(abs(found.low - exact.low), abs(found.high - exact.high)) <= 1.01 * width
    assert max(abs(found.lowest - exact.lowest), abs(found.highest - exact.highest)) <= width
    assert max(abs(found.below - exact.below), abs(found.above - exact.above)) <= 3


@every("step", [0.0, 1e-15, 1e-13])
def test_groups_that_are_all_but_alike_have_no_outliers(step: float) -> None:
    squares = np.ones(64) * (1 + step * np.arange(64))
    groups = Groups(np.full(64, 8), squares, np.full(64, 0.01), np.full(64, 0.1), np.zeros(64, np.int64))

    assert groups.robust_sqnr_range is None
