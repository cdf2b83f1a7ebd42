"""What does every question about a tensor need first? Its finite float32 values, counted once."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import PerAxis, PerTensor, Problem, Tensor
from qviz.core.tensors.layout import BLOCK
from qviz.core.tensors.sample import SAMPLED_BLOCK, SAMPLED_BLOCKS
from qviz.core.tensors.tensor import FIRST
from qviz.core.work import Cancelled
from tests.every import every

F = np.float32
rng = np.random.default_rng(5)


def facts(t):
    return t.elements, t.finite, t.nan, t.inf, t.overflowed


# --- what comes in ---------------------------------------------------------------------------------


def test_the_facts_of_a_plain_tensor():
    x = np.array([[1, -2, 3], [4, 5, -6]], F)
    t = Tensor(x, "weights")
    assert (t.name, t.shape, t.dtype) == ("weights", (2, 3), "float32")
    assert facts(t) == (6, 6, 0, 0, 0)
    assert t.all_finite
    assert (t.minimum, t.maximum) == (-6, 5)
    np.testing.assert_array_equal(t.values, x.ravel(), strict=True)


@every("dtype", ["f2", "f4", "f8", ">f2", ">f4", ">f8", "i1", "u1", "i2", ">i4", "u4", "i8", "u8", "g", "?"])
def test_every_real_type_becomes_float32(dtype):
    x = np.array([[0, 1, 2], [3, 0, 127]]).astype(dtype)
    t = Tensor(x)
    np.testing.assert_array_equal(t.values, x.astype(F).ravel(), strict=True)
    assert t.values.dtype.isnative
    assert t.dtype == str(x.dtype)
    assert (t.minimum, t.maximum) == (0, 1 if dtype == "?" else 127)


@every(
    "arrange",
    [
        np.asfortranarray,
        np.transpose,
        lambda x: x[::2],
        lambda x: x[:, ::-1],
        lambda x: x[:, 1:3],
        lambda x: np.broadcast_to(x[:1], (7, 6, 5)),
        lambda x: x.astype(">f4")[..., ::2],
    ],
)
def test_any_arrangement_in_memory_is_read_in_c_order(arrange):
    x = arrange(rng.standard_normal((8, 6, 5)).astype(F))
    t = Tensor(x)
    assert t.shape == x.shape
    np.testing.assert_array_equal(t.values, x.astype(F).ravel(order="C"), strict=True)


def test_a_scalar_is_one_element():
    for scalar in (3.5, np.float64(3.5), np.array(3.5, F)):
        t = Tensor(scalar)
        assert (t.shape, t.elements, t.minimum) == ((1,), 1, 3.5)


def test_lists_and_matrices_are_arrays_too():
    assert Tensor([[1, 2], [3, 4]]).shape == (2, 2)
    matrix = np.ones((2, 3), F).view(type("Matrix", (np.ndarray,), {"reshape": None}))
    assert Tensor(matrix).values.shape == (6,)


def test_c_ordered_float32_is_kept_where_it_is(tmp_path):
    x = rng.standard_normal((30, 40)).astype(F)
    assert np.shares_memory(Tensor(x).values, x)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    t = Tensor(mapped)
    assert np.shares_memory(t.values, mapped)
    np.testing.assert_array_equal(t.values, x.ravel(), strict=True)


def test_a_read_only_map_with_infinities_is_copied_and_left_alone(tmp_path):
    x = rng.standard_normal(BLOCK + 10).astype(F)
    x[[3, BLOCK + 5]] = np.inf, np.nan
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    t = Tensor(mapped)
    assert facts(t) == (x.size, x.size - 2, 1, 1, 0)
    np.testing.assert_array_equal(t.values, np.where(np.isfinite(x), x, np.nan).astype(F))
    np.testing.assert_array_equal(mapped, x)


def test_the_callers_array_is_never_written_to():
    x = np.array([1, np.inf, -np.inf, np.nan, 2], F)
    before = x.copy()
    t = Tensor(x)
    np.testing.assert_array_equal(x, before)
    assert not np.shares_memory(t.values, x)


# --- what is not finite ----------------------------------------------------------------------------


@every("dtype", ["f2", "f4", "f8", ">f4"])
def test_nan_and_infinities_are_counted_and_left_out(dtype):
    x = np.array([1, np.nan, -np.inf, 5, np.inf, np.nan, np.nan], dtype)
    t = Tensor(x)
    assert facts(t) == (7, 2, 3, 2, 0)
    assert not t.all_finite
    assert (t.minimum, t.maximum) == (1, 5)
    np.testing.assert_array_equal(t.values, np.array([1, *[np.nan] * 2, 5, *[np.nan] * 3], F))


def test_the_first_number_is_looked_for_where_one_is_likely():
    x = np.full(FIRST + 2, np.nan, F)
    x[-1] = 1
    assert Tensor(x).first_number() == 0
    x[[7, 9]] = 2, 3
    assert Tensor(x).first_number() == 7
    assert Tensor(F([-np.inf, 4])).first_number() == 1


def test_only_nan_needs_no_copy():
    x = np.array([1, np.nan, 5], F)
    t = Tensor(x)
    assert np.shares_memory(t.values, x)
    assert facts(t) == (3, 2, 1, 0, 0)


def test_float64_beyond_float32_is_counted_apart_from_infinity():
    t = Tensor(np.array([1e300, -1e39, np.inf, 3.4e38, 1e-300, np.nan]))
    assert facts(t) == (6, 2, 1, 1, 2)
    assert (t.minimum, t.maximum) == (0, F(3.4e38))
    np.testing.assert_array_equal(np.isnan(t.values), [1, 1, 1, 0, 0, 1])


def test_the_counts_and_extremes_run_over_every_block():
    x = rng.standard_normal(2 * BLOCK + 77)
    x[[5, BLOCK, 2 * BLOCK + 70]] = np.nan, np.inf, 1e300
    x[BLOCK - 1], x[-1] = -50, 60
    t = Tensor(x)
    assert facts(t) == (x.size, x.size - 3, 1, 1, 1)
    assert (t.minimum, t.maximum) == (-50, 60)
    usable = np.isfinite(x) & (np.abs(x) < 1e38)
    np.testing.assert_array_equal(t.values[usable], x[usable].astype(F))
    assert np.all(np.isnan(t.values[~usable]))


def test_a_block_without_any_finite_value_does_no_harm():
    x = np.ones(2 * BLOCK, F)
    x[:BLOCK] = np.nan
    t = Tensor(x)
    assert (t.finite, t.minimum, t.maximum) == (BLOCK, 1, 1)


# --- what cannot be quantized ----------------------------------------------------------------------


@every(
    ("x", "message"),
    [
        (np.array([1j]), "complex128"),
        (np.array(["a"]), "<U1"),
        (np.array([None]), "object"),
        (np.array(["2020-01-01"], "M8[D]"), "datetime64"),
        (np.zeros(2, [("a", "f4")]), "real numbers"),
    ],
)
def test_what_is_not_a_real_number_is_a_problem(x, message):
    with pytest.raises(Problem, match=message):
        Tensor(x, "x")


@pytest.mark.parametrize("shape", [(0,), (3, 0, 2)])
def test_no_elements_is_a_problem(shape):
    with pytest.raises(Problem, match="bias has no elements"):
        Tensor(np.zeros(shape), "bias")


@every("x", [[np.nan], [np.inf, -np.inf], [[np.nan, 1e300]]])
def test_no_finite_value_is_a_problem(x):
    with pytest.raises(Problem, match="no finite value"):
        Tensor(x)


# --- what can be asked -----------------------------------------------------------------------------


@every("nan", [False, True])
@every("size", [1, 1000, BLOCK + 333])
def test_the_histogram_is_numpys(size, nan):
    x = rng.standard_cauchy(size).astype(F)
    if nan and size > 1:
        x[:: max(2, size // 9)] = np.nan
    t = Tensor(x)
    h = t.histogram()
    assert h.counts.sum() == t.finite
    wide = x[~np.isnan(x)].astype(np.float64)
    counts, edges = np.histogram(wide, h.counts.size, (h.edges[0], h.edges[-1]))
    np.testing.assert_array_equal(h.counts, counts)
    np.testing.assert_array_equal(h.edges, edges)
    if size > 1:
        assert (h.edges[0], h.edges[-1]) == (t.minimum, t.maximum)
    assert t.histogram() is h


@every("value", [0.0, 5.0, -3e38, 1e-45])
def test_the_histogram_of_one_value_has_it_inside(value):
    h = Tensor(np.full(9, value, F)).histogram()
    assert h.counts.sum() == h.counts.max() == 9
    assert h.edges[0] < F(value) < h.edges[-1]
    assert np.all(np.diff(h.edges) > 0)


@every(("low", "high"), [(1, np.nextafter(F(1), F(2))), (-3.4e38, 3.4e38), (0, 1e-45), (1e-45, 3e-45)])
def test_the_histogram_of_the_narrowest_and_the_widest_ranges(low, high):
    h = Tensor(np.array([low, high, high], F)).histogram()
    assert (h.counts[0], h.counts[-1], h.counts.sum()) == (1, 2, 3)
    assert np.all(np.diff(h.edges) > 0)


@every("shape", [(5, 7, 11), (3, 4, 70_000), (2, 90_000, 2), (300, 30, 40)])
@every("nan", [False, True])
def test_extremes_of_each_channel(shape, nan):
    x = rng.standard_normal(shape).astype(F)
    if nan:
        x.reshape(-1)[:: x.size // 13] = np.nan
    t = Tensor(x)
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        low, high = t.extremes(PerAxis(axis).layout(shape))
        np.testing.assert_array_equal(low, np.nanmin(x, others), strict=True)
        np.testing.assert_array_equal(high, np.nanmax(x, others), strict=True)
    low, high = t.extremes(PerTensor().layout(shape))
    assert (low.tolist(), high.tolist()) == ([t.minimum], [t.maximum])
    assert low.dtype == high.dtype == F
    assert t.extremes(PerAxis(0).layout(shape)) is t.extremes(PerAxis(0).layout(shape))


def test_extremes_are_known_once_they_were_looked_for():
    t, rows, whole = (
        Tensor(rng.standard_normal((300, 3000))),
        PerAxis(0).layout((300, 3000)),
        PerTensor().layout((300, 3000)),
    )
    assert t.known_extremes(rows) is None
    assert t.extremes(rows) is t.known_extremes(rows)
    assert t.known_extremes(whole) == t.extremes(whole)
    judged = Tensor(rng.standard_normal((1000, 3000)), counted=False)
    assert not judged.counted
    assert judged.known_extremes(whole) is None


@pytest.mark.parametrize("shape", [(5, 7, 11), (2, 3, 50_000), (2, 90_000, 2)])
@pytest.mark.parametrize("nan", [False, True])
def test_the_finite_values_of_each_group_in_fresh_copies(shape, nan):
    x = rng.standard_normal(shape).astype(F)
    if nan:
        x.reshape(-1)[:: x.size // 13] = np.nan
    t = Tensor(x)
    for granularity in (PerTensor(), PerAxis(0), PerAxis(1)):
        layout = granularity.layout(shape)
        groups = x.reshape(layout.shape).swapaxes(0, 1).reshape(layout.groups, -1)
        numbers = []
        for number, values in t.finite_groups(layout):
            numbers.append(number)
            expected = groups[number]
            assert np.array_equal(values, expected[~np.isnan(expected)])
            values[:] = 0
        assert numbers == list(range(layout.groups))
    np.testing.assert_array_equal(t.values, x.ravel())


@every("axis", [0, 1, 2])
def test_a_channel_is_a_tensor_of_its_own(axis):
    x = rng.standard_normal((4, 5, 6)).astype(F)
    t = Tensor(x, "conv")
    channel = t.channel(PerAxis(axis), 2)
    assert channel.name == "conv [2]"
    np.testing.assert_array_equal(channel.values, x.take(2, axis).ravel(), strict=True)
    assert channel.shape == PerAxis(axis).block_shape(x.shape)
    assert channel.corner == tuple(2 if i == axis else 0 for i in range(3))
    assert t.channel(PerAxis(axis), 2) is channel
    assert t.channel(PerAxis(axis), 3) is not channel


def test_a_channel_that_does_not_exist_or_holds_nothing_is_a_problem():
    t = Tensor(np.array([[1, 2], [np.nan, np.nan]]), "conv")
    for group in (-1, 2):
        with pytest.raises(Problem, match=rf"no channel {group} in conv: it has 2"):
            t.channel(PerAxis(0), group)
    with pytest.raises(Problem, match=r"conv \[1\] has no finite value"):
        t.channel(PerAxis(0), 1)


def test_values_that_only_float32_cannot_hold_are_not_called_infinite():
    with pytest.raises(Problem, match="all 2 elements are NaN, infinite or beyond float32"):
        Tensor(np.array([1e300, -1e308]), "huge")


@every("axis", [0, 1, 2])
def test_the_group_of_each_element(axis):
    shape = (3, 4, 5)
    t = Tensor(np.ones(shape))
    groups = t.group_of(PerAxis(axis).layout(shape), np.arange(60))
    np.testing.assert_array_equal(groups, np.indices(shape)[axis].ravel())
    assert t.group_of(PerTensor().layout(shape), 59) == 0


# --- figures before counting -----------------------------------------------------------------------

MANY = SAMPLED_BLOCKS * SAMPLED_BLOCK + 50_000


def test_a_large_tensor_may_wait_to_be_counted():
    x = rng.standard_normal((2, MANY // 2)).astype(F)
    t = Tensor(x, "big", counted=False)
    assert not t.counted
    assert (t.name, t.shape, t.dtype) == ("big", x.shape, "float32")
    assert facts(t) == (MANY, MANY, 0, 0, 0)
    assert t.sample().size == SAMPLED_BLOCKS * SAMPLED_BLOCK
    assert (t.minimum, t.maximum) == (t.sample().min(), t.sample().max())
    assert x.min() <= t.minimum < -3
    assert 3 < t.maximum <= x.max()
    np.testing.assert_array_equal(t.values[:], x.ravel())
    about, exact = t.histogram(), np.histogram(x, 50)
    assert about.counts.sum() == pytest.approx(MANY, rel=0.01)
    assert (about.counts * about.edges[1:]).sum() / MANY == pytest.approx(x.mean(), abs=0.02)
    assert t.histogram() is about
    assert exact[0].sum() == MANY
    assert t.nbytes == x.nbytes


def test_counting_makes_it_the_tensor_it_would_have_been():
    x = rng.standard_normal(MANY)
    x[[5, 70_000, MANY - 1]] = np.nan, np.inf, 1e300
    x[123] = -1000
    waiting, at_once = Tensor(x, "x", counted=False), Tensor(x, "x")
    told = []
    counted = waiting.count(progress=told.append)
    assert counted.counted
    assert not waiting.counted
    assert counted.same_data(waiting)
    assert waiting.same_data(counted)
    assert not counted.same_data(at_once)
    assert not counted.same_data(None)
    assert facts(counted) == facts(at_once)
    assert (counted.minimum, counted.maximum, counted.name) == (at_once.minimum, at_once.maximum, "x")
    np.testing.assert_array_equal(counted.values, at_once.values, strict=True)
    np.testing.assert_array_equal(counted.histogram().counts, at_once.histogram().counts)
    assert counted.count() is counted
    assert at_once.count() is at_once
    assert told == sorted(told)
    assert told[-1] == 1
    with pytest.raises(Cancelled):
        waiting.count(cancelled=lambda: True)


def test_a_tensor_no_larger_than_a_sample_is_counted_at_once():
    for size in (1, 1000, SAMPLED_BLOCKS * SAMPLED_BLOCK):
        assert Tensor(np.ones(size, F), counted=False).counted


def test_a_sample_without_a_finite_value_makes_it_count():
    x = np.full(MANY, np.nan, F)
    seen = np.arange(MANY, dtype=F)
    unseen = int(np.setdiff1d(seen, Tensor(seen).sample())[0])
    x[unseen] = 7
    t = Tensor(x, counted=False)
    assert t.counted
    assert facts(t) == (MANY, 1, MANY - 1, 0, 0)
    np.testing.assert_array_equal(t.sample(), [7, 7])  # its ends stand in for a sample
    with pytest.raises(Problem, match="no finite value"):
        Tensor(np.full(MANY, np.inf), counted=False)


@pytest.mark.parametrize("counted", [True, False])
def test_a_sample_is_made_of_finite_neighbours_from_all_over(counted):
    x = np.arange(MANY, dtype=np.float64)
    x[::3] = np.nan
    x[1::3] += 1e300 * (np.arange(x[1::3].size) % 2)
    t = Tensor(x, counted=counted)
    sample = t.sample()
    assert np.isfinite(sample).all()
    assert np.isin(sample, x).all()
    assert np.all(np.diff(sample) > 0)
    assert np.diff(sample).max() < 2 * MANY / SAMPLED_BLOCKS
    assert t.sample() is sample
    few = Tensor(np.array([1, np.nan, 3], F)).sample()
    np.testing.assert_array_equal(few, np.array([1, 3], F), strict=True)


def test_a_histogram_of_a_sample_where_one_is_enough():
    x = rng.standard_normal(MANY).astype(F)
    x[::2] = np.nan
    t = Tensor(x)
    about = t.histogram(sampled=True)
    assert about.counts.sum() == pytest.approx(t.finite, rel=0.01)
    assert t.histogram(sampled=True) is about
    exact = t.histogram()
    assert exact.counts.sum() == t.finite
    assert t.histogram(sampled=True) is exact  # what is known better is given


def test_the_groups_of_a_tensor_that_was_not_counted_know_nan():
    x = rng.standard_normal((4, MANY // 4)).astype(F)
    x[1, ::5], x[2, 7] = np.nan, np.inf
    t = Tensor(x, counted=False)
    layout = PerAxis(0).layout(x.shape)
    narrow = np.where(np.isinf(x), np.nan, x)
    for end, expected in zip(t.extremes(layout), (np.nanmin(narrow, 1), np.nanmax(narrow, 1)), strict=True):
        np.testing.assert_array_equal(end, expected)
    for group, values in t.finite_groups(layout):
        np.testing.assert_array_equal(values, narrow[group][~np.isnan(narrow[group])])


# --- how long it takes -----------------------------------------------------------------------------


def test_progress_rises_to_1():
    told = []
    Tensor(np.ones(2 * BLOCK + 1, F), progress=told.append)
    assert told == sorted(told)
    assert len(told) == 3
    assert told[-1] == 1


class AfterAsking:
    """Says no a few times, then yes."""

    def __init__(self, times):
        self.times = times

    def __call__(self):
        self.times -= 1
        return self.times < 0


@every("times", [0, 1, 2])
def test_reading_stops_at_the_next_block_when_cancelled(times):
    told = []
    with pytest.raises(Cancelled):
        Tensor(np.ones(3 * BLOCK, F), progress=told.append, cancelled=AfterAsking(times))
    assert len(told) == times


def test_a_cancelled_question_can_be_asked_again():
    t = Tensor(np.arange(2 * BLOCK, dtype=F).reshape(2, -1))
    layout = PerAxis(0).layout(t.shape)
    for ask in (
        lambda c: t.histogram(cancelled=c),
        lambda c: t.extremes(layout, cancelled=c),
        lambda c: list(t.finite_groups(layout, cancelled=c)),
    ):
        with pytest.raises(Cancelled):
            ask(AfterAsking(1))
    assert t.histogram().counts.sum() == 2 * BLOCK
    assert [float(end[1]) for end in t.extremes(layout)] == [BLOCK, 2 * BLOCK - 1]


def test_the_stored_type_can_be_told_where_the_array_does_not():
    assert Tensor(np.ones(3, np.float32), dtype="Q4_K").dtype == "Q4_K"
    assert Tensor(np.ones(3, np.float32), dtype=None).dtype == "float32"
