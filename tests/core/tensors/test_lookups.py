"""Compiled, a sorted tensor is cut where NumPy cuts it, and adds up to the same."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import compiler, prepare, work
from qviz.core.tensors import sorted_tensor
from tests.every import every

F = np.float32

pytestmark = [
    pytest.mark.skipif(not compiler.available(), reason="numba knows no such Python yet"),
    pytest.mark.usefixtures("kernels"),
]

SIZES = (1, 5, 31, 32, 33, 64, 1000, 70_000)
KINDS = ("normal", "ties", "zeros", "denormal")
KEYS = (0, 1, 31, 33, 5000)


def numbers(size, kind):
    rng = np.random.default_rng(size)
    x = rng.standard_normal(size)
    if kind == "ties":
        x = np.round(x, 1)
    elif kind == "zeros":
        x = np.where(rng.random(size) < 0.5, 0.0, np.copysign(0.0, x))
    elif kind == "denormal":
        x = x * 1e-40
    return x.astype(F)


def keys_for(x, count):
    """Ascending: elements, their neighbours, others, and both infinities."""
    rng = np.random.default_rng(count)
    some = rng.choice(x, count)
    beside = np.nextafter(some, F(np.inf))
    return np.sort(
        np.concatenate((some, beside, 3 * x.std() * rng.standard_normal(count), [-np.inf, 0, np.inf])).astype(F)
    )


def by_numpy(work):
    """Do something without kernels."""
    with pytest.MonkeyPatch.context() as patch:
        for each in compiler.known():
            patch.setattr(each, "compiled", None)
        return work()


def by_numpy_prepared(x):
    """Added up beforehand in NumPy."""
    return by_numpy(lambda: prepare(x))


CASES = [(size, kind, count) for size in SIZES for kind in KINDS for count in KEYS]


@pytest.mark.parametrize("shared_from", [1, 1 << 30], ids=["two threads", "one thread"])
@every("size, kind, count", CASES)
def test_it_is_cut_as_numpy_cuts_it(size, kind, count, shared_from, monkeypatch):
    monkeypatch.setattr(sorted_tensor, "SHARED_FROM", shared_from)
    monkeypatch.setattr(work, "THREADS", 2)
    x = numbers(size, kind)
    prepared, keys = prepare(x), keys_for(x, count)
    ours, theirs = prepared.cut(keys), by_numpy(lambda: prepared.cut(keys))
    np.testing.assert_array_equal(ours.position, theirs.position)
    np.testing.assert_array_equal(ours.position[1:-1], np.searchsorted(np.sort(x), keys))
    np.testing.assert_array_equal(ours.position[1:-1], prepared.count_below(keys))
    np.testing.assert_array_equal(ours.superblock, theirs.superblock)
    largest = float(np.abs(x.astype(np.float64)).max()) * 2
    np.testing.assert_allclose(ours.first, theirs.first, rtol=1e-12, atol=1e-14 * largest * size)
    np.testing.assert_allclose(ours.second, theirs.second, rtol=1e-12, atol=1e-14 * largest**2 * size)


@every("size, kind", [(size, kind) for size in SIZES for kind in KINDS])
def test_keys_in_any_order_are_counted_as_numpy_counts_them(size, kind):
    x = numbers(size, kind)
    prepared = prepare(x)
    keys = np.random.default_rng(1).permutation(keys_for(x, 200))
    np.testing.assert_array_equal(prepared.count_below(keys), by_numpy(lambda: prepared.count_below(keys)))
    ours, theirs = prepared.cut(keys), by_numpy(lambda: prepared.cut(keys))
    np.testing.assert_array_equal(ours.position, theirs.position)
    np.testing.assert_array_equal(ours.superblock, theirs.superblock)


@every("prepare_it", [prepare, by_numpy_prepared])
@every("size, kind", [(size, kind) for size in SIZES for kind in KINDS])
def test_nothing_lies_between_cuts_in_one_place_however_they_were_added_up(size, kind, prepare_it):
    """The ends of a tensor are added up beforehand, in another order than what lies before a cut."""
    x = numbers(size, kind)
    prepared = prepare_it(x)
    cuts = prepared.cut(np.sort(np.concatenate((keys_for(x, 50), [-np.inf] * 2, [np.inf] * 2)).astype(F)))
    nothing = np.diff(cuts.position) == 0
    assert nothing[0]
    assert nothing[-1]
    first, second = prepared.add_up(cuts, np.full(nothing.size, 1 / 3))
    np.testing.assert_array_equal(first[nothing], 0)
    np.testing.assert_array_equal(second[nothing], 0)
    whole = cuts.pick(np.array([0])), cuts.pick(np.array([-1]))
    wide = np.sort(x).astype(np.float64)
    np.testing.assert_allclose(prepared.between(*whole, np.zeros(1))[1], [np.dot(wide, wide)], rtol=1e-12)
