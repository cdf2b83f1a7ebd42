"""Compiled, a tensor is counted and added up as NumPy does it."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import Tensor, compiler, prepare, work
from qviz.core.tensors import counting, sorted_tensor

F = np.float32

pytestmark = [
    pytest.mark.skipif(not compiler.available(), reason="numba knows no such Python yet"),
    pytest.mark.usefixtures("kernels"),
]


@pytest.fixture
def by_numpy(monkeypatch):
    """Do something without kernels."""

    def do(work):
        with monkeypatch.context() as patch:
            for each in compiler.known():
                patch.setattr(each, "compiled", None)
            return work()

    return do


def hard(size, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(size).astype(F)
    few = [0, -0.0, 1e-45, -1e-45, 1e-39, 3e38, -3e38]
    x[rng.integers(0, size, size // 10)] = rng.choice(np.array(few, F), size // 10)
    return x


SIZES = [1, 63, 64, 65, 1000, 100_003]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("special", [None, np.nan, np.inf])
def test_every_figure_of_a_tensor_is_the_same(size, special, by_numpy, monkeypatch):
    monkeypatch.setattr(counting, "QUICK", 1 << 12)
    x = hard(size)
    if special is not None and size > 1:
        x[size // 2] = special
    ours, theirs = Tensor(x), by_numpy(lambda: Tensor(x))
    for name in ("finite", "nan", "inf", "overflowed", "minimum", "maximum"):
        assert getattr(ours, name) == getattr(theirs, name), name
    for a, b in zip(ours.envelope._levels, theirs.envelope._levels, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])


def test_two_threads_count_the_same(by_numpy, monkeypatch):
    monkeypatch.setattr(work, "THREADS", 2)
    x = hard(3 << 20)
    ours, theirs = Tensor(x), by_numpy(lambda: Tensor(x))
    np.testing.assert_array_equal(ours.envelope.finest, theirs.envelope.finest)


@pytest.mark.parametrize("size", [1, 31, 32, 1000, 100_003, 1 << 20])
@pytest.mark.parametrize("offset", [0, 1000])
def test_every_sum_of_a_sorted_tensor_is_the_same(size, offset, by_numpy, monkeypatch):
    monkeypatch.setattr(sorted_tensor, "PARTED_ABOVE", 1 << 16)
    x = np.random.default_rng(size).standard_normal(size).astype(F) + F(offset)
    ours, theirs = prepare(x), by_numpy(lambda: prepare(x))
    assert ours.sum == pytest.approx(theirs.sum, rel=1e-13)
    assert ours.squared_sum == pytest.approx(theirs.squared_sum, rel=1e-13)
    for name in ("_first", "_second", "_first_ends", "_second_ends"):
        a, b = getattr(ours, name), getattr(theirs, name)
        scale = np.abs(theirs._second).max() + np.abs(theirs._first).max() + 1e-300
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13 * scale)
