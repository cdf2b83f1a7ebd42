"""Ratios of sums, and how many of them lie in each bin, are those that NumPy finds."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core.formats.integers import IntFormat
from qviz.core.passes.ratios import count_ratios, counted_ratios, ratios_of
from qviz.core.questions.analysis import measure
from qviz.core.questions.figures import Groups
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerBlock
from tests.every import every

pytestmark = pytest.mark.usefixtures("kernels")

SIZES = (0, 1, 7, 255, 256, 257, 5000)


def sums_of(size, hard):
    chance = np.random.default_rng(size)
    signal, noise = chance.random(size) * 32, chance.random(size) * 0.1
    if hard:
        odd = [0.0, np.inf, np.nan, 1e-310, 5e-324, 1e308, 1.0]
        pairs = np.array([(a, b) for a in odd for b in odd])[:size]
        signal[: len(pairs)], noise[: len(pairs)] = pairs[:, 0], pairs[:, 1]
    return signal, noise


@every("size", SIZES)
@every("hard", [False, True])
def test_each_ratio_is_that_of_numpy_to_the_last_bit(size, hard, monkeypatch):
    signal, noise = sums_of(size, hard)
    found = ratios_of(signal, noise)
    monkeypatch.setattr("qviz.core.questions.figures.ratios_of", lambda *_: None)
    nothing = np.zeros(size, np.int64)
    by_numpy = Groups(nothing, signal, noise, noise, nothing)._ratios
    np.testing.assert_array_equal(found.each, by_numpy.each)
    assert (found.lowest, found.highest, found.all_known) == (by_numpy.lowest, by_numpy.highest, by_numpy.all_known)


@every("size", [size for size in SIZES if size > 5])
@every("power", [-307, -200, -1, 0, 1, 200])
@every("spread", [0.0, 1e-15, 0.001, 1.0, 20.0])
@every("compiled", [True, False])
def test_ratios_are_counted_where_they_lie(size, power, spread, compiled, monkeypatch):
    ratio = 10.0**power * np.exp(spread * np.random.default_rng(size).standard_normal(size))
    ratio[::3] *= 2  # halves and doubles have the same digits
    ratio[-3:] = 0, np.inf, np.nan
    known = ratio[np.isfinite(ratio) & (ratio > 0)]
    ratios = ratios_of(ratio, np.ones(size))
    if not compiled:
        monkeypatch.setattr(count_ratios, "compiled", None)
    edges, counts = counted_ratios(ratios, 64)
    assert edges.size == counts.size + 1 <= 65
    assert (edges[0], edges[-1]) == (known.min(), known.max())
    below = np.searchsorted(np.sort(known), edges[1:-1], "left")
    np.testing.assert_array_equal(np.cumsum(counts)[:-1], below)
    assert counts.sum() == known.size
    widths = np.diff(edges)[1:-1]
    steps = np.log2(widths[1:] / widths[:-1])  # as wide as the bin before, but for a power of two between them
    assert (widths > 0).all()
    assert (steps == np.rint(steps)).all()


@pytest.mark.parametrize("rows, on_the_way", [(2**15, True), (2**6, False)])
def test_those_found_on_the_way_are_those_of_the_sums(rows, on_the_way):
    x = np.random.default_rng(0).standard_normal((rows, 64), dtype=np.float32)
    x[5], x[7, :] = 0, 1e-30
    groups = measure(x, Scheme(IntFormat(4), granularity=PerBlock(-1, 32))).groups
    found = ratios_of(groups.squared_value, groups.squared_error)
    np.testing.assert_array_equal(groups.signal_to_noise, found.each)
    ratios = groups._ratios
    assert (ratios is groups.known_ratios) == on_the_way
    assert (ratios.lowest, ratios.highest, ratios.all_known) == (found.lowest, found.highest, found.all_known)
    assert groups.worst == np.argmin(found.each)
