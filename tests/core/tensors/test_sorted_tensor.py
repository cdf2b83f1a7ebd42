"""How many elements lie below a value, and what do they add up to?"""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from qviz.core import Problem, Tensor, prepare
from qviz.core.tensors import ordering
from qviz.core.tensors import sorted_tensor as module
from qviz.core.tensors.ordering import PARTED_ABOVE
from qviz.core.tensors.sorted_tensor import WIDTH, SortedTensor, above, at_least, prepared_nbytes
from qviz.core.work import Cancelled
from tests.every import every

F = np.float32
LARGEST = float(np.finfo(F).max)
SIZES = [1, 31, 32, 33, 1000, 70_000]


@pytest.fixture(
    params=[(1 << 12, PARTED_ABOVE), (1, 0)], ids=["many superblocks, one thread", "few superblocks, two threads"]
)
def arrangement(request):
    """A tensor small enough for a test would else never be parted, nor have large superblocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SUPERBLOCKS", request.param[0])
        for each in (ordering, module):
            patch.setattr(each, "PARTED_ABOVE", request.param[1])
        yield


def numbers(size, kind="normal", seed=0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(size)
    if kind == "ties":
        values = np.round(values, 1)
    elif kind == "shifted":
        values = values + 1e5
    elif kind == "zeros":
        values = np.where(rng.random(size) < 0.5, 0.0, np.copysign(0.0, values))
    return values.astype(F)


def keys_for(x, seed=0):
    """Elements, their neighbours, numbers between and beyond, both zeros and infinities; in no order."""
    rng = np.random.default_rng(seed)
    some = rng.choice(x, 50)
    keys = np.concatenate(
        [
            some,
            np.nextafter(some, F(np.inf)),
            np.nextafter(some, F(-np.inf)),
            rng.uniform(x.min() - 1, x.max() + 1, 50),
            [x.min(), x.max(), 0.0, -0.0, np.inf, -np.inf, 3.4e38, -3.4e38, 1e-45, -1e-45],
        ]
    )
    return rng.permutation(keys.astype(F))


def parts(x, keys):
    """The elements of each cell, one by one."""
    return np.split(np.sort(x), np.searchsorted(np.sort(x), keys))


# --- the order -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("arrangement")
@every("size", SIZES)
def test_the_values_are_in_order(size):
    x = numbers(size)
    p = SortedTensor(Tensor(x))
    np.testing.assert_array_equal(p.values, np.sort(x), strict=True)
    assert p.values.base is not x
    assert p.tensor.elements == size


def test_the_tensor_is_left_as_it_is():
    x = numbers(1000)
    before = x.copy()
    prepare(x)
    np.testing.assert_array_equal(x, before)


@pytest.mark.usefixtures("arrangement")
def test_what_is_not_finite_is_left_out():
    x = numbers(5000).reshape(50, 100)
    holed = x.copy()
    holed[::7, ::3] = np.nan
    holed[1, 1], holed[2, 2] = np.inf, -np.inf
    p = prepare(holed)
    np.testing.assert_array_equal(p.values, np.sort(holed[np.isfinite(holed)]))
    assert p.values.size == p.tensor.finite


@pytest.mark.usefixtures("arrangement")
@every("kind", ["normal", "ties", "shifted"])
@every("size", SIZES)
def test_the_sums_of_values_and_squares(size, kind):
    x = numbers(size, kind)
    p = prepare(x)
    wide = x.astype(np.longdouble)
    assert p.sum == pytest.approx(float(wide.sum()), rel=1e-14, abs=1e-14 * float(np.abs(wide).sum()))
    assert p.squared_sum == pytest.approx(float((wide**2).sum()), rel=1e-14)


def test_more_elements_than_are_sorted_in_one_piece():
    x = numbers(PARTED_ABOVE + 12_345)
    told = []
    p = prepare(x, progress=told.append)
    expected = np.sort(x)
    np.testing.assert_array_equal(p.values, expected)
    keys = keys_for(x)
    np.testing.assert_array_equal(p.count_below(keys), np.searchsorted(expected, keys))
    wide = x.astype(np.float64)
    assert p.squared_sum == pytest.approx(np.dot(wide, wide), rel=1e-12)
    edges = np.linspace(-3, 3, 8)
    second = p.add_up(p.cut(edges.astype(F)), np.zeros(9))[1]
    pieces = np.split(expected.astype(np.float64), np.searchsorted(expected, edges.astype(F)))
    np.testing.assert_allclose(second, [np.dot(piece, piece) for piece in pieces], rtol=1e-12)
    assert told == sorted(told)
    assert told[-1] == 1


# --- how many are below ----------------------------------------------------------------------------


@pytest.mark.usefixtures("arrangement")
@every("kind", ["normal", "ties", "zeros"])
@every("size", SIZES)
def test_the_count_below_is_that_of_searchsorted(size, kind):
    x = numbers(size, kind)
    p = prepare(x)
    for keys in (keys_for(x), np.sort(keys_for(x)), np.zeros(0, F), np.array([0], F)):
        np.testing.assert_array_equal(p.count_below(keys), np.searchsorted(np.sort(x), keys))


def test_the_count_below_of_more_keys_than_are_looked_up_together():
    x = numbers(3000, "ties")
    keys = np.sort(np.resize(keys_for(x), 2 * module.ROWS + 7))
    p = prepare(x)
    np.testing.assert_array_equal(p.count_below(keys), np.searchsorted(p.values, keys))
    cuts = p.cut(keys)
    np.testing.assert_array_equal(cuts.position[1:-1], np.searchsorted(p.values, keys))
    assert np.add.reduce(p.add_up(cuts, np.zeros(keys.size + 1))[1]) == pytest.approx(p.squared_sum)


@settings(max_examples=200, deadline=None)
@given(
    x=hnp.arrays(F, st.integers(1, 200), elements=st.floats(allow_nan=False, allow_infinity=False, width=32)),
    keys=hnp.arrays(F, st.integers(0, 30), elements=st.floats(allow_nan=False, width=32)),
)
def test_the_count_below_any_key_in_any_values(x, keys):
    np.testing.assert_array_equal(prepare(x).count_below(keys), np.searchsorted(np.sort(x), keys))


# --- what they add up to ---------------------------------------------------------------------------


@pytest.mark.usefixtures("arrangement")
@every("kind", ["normal", "ties", "shifted", "zeros"])
@every("size", SIZES)
def test_sums_between_cuts_equal_brute_force(size, kind):
    x = numbers(size, kind)
    p = prepare(x)
    rng = np.random.default_rng(1)
    # Many cuts, some of them in the same place; few, with many superblocks between; one; none.
    for keys in (keys_for(x), keys_for(x)[:3], keys_for(x)[:1], np.array([np.inf], F), np.zeros(0, F)):
        keys.sort()
        cuts = p.cut(keys)
        cells = parts(x, keys)
        assert cuts.position.tolist() == [0, *np.cumsum([cell.size for cell in cells]).tolist()]
        near = np.array([cell.mean(dtype=float) if cell.size else 0.0 for cell in cells])
        for reference in (np.zeros(len(cells)), near, rng.uniform(-1e3, 1e3, len(cells))):
            first, second = p.add_up(cuts, reference)
            errors = [cell.astype(np.longdouble) - r for cell, r in zip(cells, reference, strict=True)]
            # Of what stands in one superblock or more, digits are lost of the whole of it.
            each = float(np.ptp(x.astype(float))) + 1e-30
            for got, error in zip(first, errors, strict=True):
                assert got == pytest.approx(float(error.sum()), rel=1e-11, abs=1e-14 * x.size * each)
            for got, error in zip(second, errors, strict=True):
                assert got == pytest.approx(float((error**2).sum()), rel=1e-11, abs=1e-14 * x.size * each**2)


def test_a_cut_into_nothing_adds_nothing():
    p = prepare(numbers(5000))
    keys = np.repeat(p.values[[17, 512, 1024, 4999]], 3)  # in the middle of a superblock, and at its first element
    first, second = p.add_up(p.cut(keys), np.full(keys.size + 1, 123.0))
    empty = np.diff(p.cut(keys).position) == 0
    assert empty.sum() == 8
    np.testing.assert_array_equal(first[empty], 0)
    np.testing.assert_array_equal(second[empty], 0)


# --- histograms ------------------------------------------------------------------------------------


@every("kind", ["normal", "ties", "zeros", "shifted"])
@every("size", [1, 33, 20_000])
def test_counts_between_edges_are_numpys(size, kind):
    x = numbers(size, kind)
    p, wide = prepare(x), x.astype(np.float64)
    rng = np.random.default_rng(2)
    low, high = wide.min(), wide.max()
    for edges in (
        np.linspace(low - 1, high + 1, 50),
        np.linspace(low, high + 1e-9, 50),  # float64 edges that lie between two float32 neighbours
        np.unique(rng.choice(wide, 30)),  # every edge is an element, the last one too
        np.append(np.unique(rng.choice(wide, 30)), 1e300),
        np.insert(np.unique(rng.choice(wide, 30)), 0, -1e300),
        np.array([low, low, high, high]),
        np.array([-0.0, 1e-46, 1e-45, 1.0]),
    ):
        if edges.size > 1:
            np.testing.assert_array_equal(p.counts(edges), np.histogram(wide, edges)[0])


@every("nan", [False, True])
@every("kind", ["normal", "ties", "zeros", "shifted"])
@every("size", [1, 50, 50_000])
def test_the_histogram_is_the_tensors_own(size, kind, nan):
    x = numbers(size, kind)
    if nan and size > 1:
        x[::9] = np.nan
    t = Tensor(x)
    p = prepare(t)
    ours, theirs = p.histogram(), Tensor(x).histogram()
    np.testing.assert_array_equal(ours.counts, theirs.counts, strict=True)
    np.testing.assert_array_equal(ours.edges, theirs.edges)
    assert p.histogram() is ours
    assert t.histogram() is ours  # the tensor need not count again


@settings(deadline=None)
@given(st.one_of(st.floats(allow_nan=False), st.floats(allow_nan=False, width=32)))
@example(LARGEST)
@example(-LARGEST)
@example(np.nextafter(LARGEST, np.inf))
def test_the_first_float32_at_least_or_above_a_number(value):
    for found, stays_below in ((at_least, np.less), (above, np.less_equal)):
        near = found(np.array([value]))
        assert near.dtype == F
        with np.errstate(over="ignore"):
            before = np.nextafter(near, F(-np.inf))
        assert not stays_below(float(near[0]), value) or near[0] == np.inf
        assert stays_below(float(before[0]), value) or near[0] == -np.inf


# --- single elements -------------------------------------------------------------------------------


@every("kind", ["normal", "ties", "zeros", "shifted"])
@every("size", [1, 31, 500])
def test_order_statistics_of_values_and_magnitudes(size, kind):
    x = numbers(size, kind)
    p = prepare(x)
    values, magnitudes = np.sort(x), np.sort(np.abs(x))
    for rank in {0, size // 3, size // 2, size - 1}:
        assert p.order_statistic(rank) == values[rank]
        assert p.magnitude_statistic(rank) == magnitudes[rank]


@every("x", [[-3.4028235e38, 3.4028235e38, 1], [1e-45, -1e-45, 0], [-5, -4, -3]])
def test_the_ends_of_float32(x):
    p = prepare(x)
    np.testing.assert_array_equal(p.histogram().counts, Tensor(x).histogram().counts)
    assert [p.magnitude_statistic(rank) for rank in range(3)] == np.sort(np.abs(np.array(x, F))).tolist()


# --- what it takes ---------------------------------------------------------------------------------


def test_it_takes_a_fifth_more_than_the_values():
    x = numbers(1_000_000)
    p = prepare(x)
    assert x.nbytes < p.nbytes < 1.2 * x.nbytes
    together = p.nbytes + p.tensor.envelope.nbytes
    assert together == pytest.approx(prepared_nbytes(x.size), rel=0.03)
    assert together < 1.25 * x.nbytes
    # Nothing else that grows with the tensor is kept.
    held = {id(a): a.nbytes for a in vars(p).values() if isinstance(a, np.ndarray) and a.base is None}
    assert sum(held.values()) <= p.nbytes


def test_a_block_more_or_less_makes_no_difference():
    for size in (WIDTH * 16 * k + d for k in (1, 2) for d in (-1, 0, 1)):
        x = numbers(size)
        p = prepare(x)
        first, _ = p.add_up(p.cut(np.array([0], F)), np.zeros(2))
        assert first == pytest.approx([x[x < 0].sum(dtype=float), x[x >= 0].sum(dtype=float)])


# --- preparing -------------------------------------------------------------------------------------


def test_what_is_prepared_is_given_back():
    p = prepare(numbers(100))
    assert prepare(p) is p


def test_a_tensor_that_was_not_counted_is_counted():
    t = Tensor(numbers(300_000), counted=False)
    p = prepare(t)
    assert p.tensor.counted
    assert p.tensor.same_data(t)
    counted = Tensor(numbers(100))
    assert prepare(counted).tensor is counted


def test_nothing_to_quantize_is_a_problem():
    with pytest.raises(Problem, match="no finite value"):
        prepare([np.nan])
    with pytest.raises(Problem, match="no finite value"):
        prepare(Tensor(np.full(300_000, np.nan), counted=False))


@pytest.mark.usefixtures("arrangement")
@every("nan", [False, True])
@every("size", [1, 600, 70_000, 40 * 512])
def test_progress_rises_to_1(size, nan):
    x = numbers(size)
    if nan and size > 1:
        x[::5] = np.nan
    told, lock = [], threading.Lock()

    def tell(fraction):
        with lock:
            told.append(fraction)

    prepare(x, progress=tell)
    assert told == sorted(told)
    assert told[0] >= 0
    assert told[-1] == 1


@pytest.mark.usefixtures("arrangement")
def test_it_stops_whenever_it_is_asked_to():
    x = numbers(70_000)
    asked, lock = [], threading.Lock()

    def after(times):
        def cancelled():
            with lock:
                asked.append(None)
                return len(asked) > times

        return cancelled

    prepare(x, cancelled=after(1000))
    times = len(asked)
    assert 4 <= times < 1000  # reading, gathering, sorting, adding up
    for stop_after in range(times):
        asked.clear()
        with pytest.raises(Cancelled):
            prepare(x, cancelled=after(stop_after))
