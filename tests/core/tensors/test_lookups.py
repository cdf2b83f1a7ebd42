"""Compiled, a sorted tensor is cut where NumPy cuts it."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import compiler, prepare
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


CASES = [(size, kind, count) for size in SIZES for kind in KINDS for count in KEYS]


@pytest.mark.parametrize("shared_from", [1, 1 << 30], ids=["two threads", "one thread"])
@every("size, kind, count", CASES)
def test_it_is_cut_as_numpy_cuts_it(size, kind, count, shared_from, monkeypatch):
    monkeypatch.setattr(sorted_tensor, "SHARED_FROM", shared_from)
    monkeypatch.setattr(sorted_tensor, "THREADS", 2)
    x = numbers(size, kind)
    prepared, keys = prepare(x), keys_for(x, count)
    ours, theirs = prepared.count_below(keys), by_numpy(lambda: prepared.count_below(keys))
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(ours, np.searchsorted(np.sort(x), keys))


@every("size, kind", [(size, kind) for size in SIZES for kind in KINDS])
def test_keys_in_any_order_are_counted_as_numpy_counts_them(size, kind):
    x = numbers(size, kind)
    prepared = prepare(x)
    keys = np.random.default_rng(1).permutation(keys_for(x, 200))
    np.testing.assert_array_equal(prepared.count_below(keys), by_numpy(lambda: prepared.count_below(keys)))
