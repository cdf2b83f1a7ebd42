"""Ratios of sums, and how many of their decibels lie in each bin, are those that NumPy finds."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core.passes.ratios import NARROWEST, SMALLEST, counted_decibels, ratios_of
from qviz.core.questions.figures import Groups
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


@every("size", [size for size in SIZES if size > 2])
@every("power", [-200, -1, 0, 1, 200])
@every("spread", [0.001, 1.0, 20.0])
def test_decibels_are_counted_in_the_bins_of_numpy(size, power, spread):
    ratio = 10.0**power * np.exp(spread * np.random.default_rng(size).standard_normal(size))
    ratio[::3] *= 2  # halves and doubles have the same digits
    ratio[-3:] = 0, np.inf, np.nan
    with np.errstate(divide="ignore"):
        known = 10 * np.log10(ratio[np.isfinite(ratio) & (ratio > 0)])
    edges = np.linspace(known.min(), known.max(), 65)
    counts = counted_decibels(ratios_of(ratio, np.ones(size)), edges[0], 64 / (edges[-1] - edges[0]), 64)
    # What lies on an edge, but for the last digits of a logarithm, is in either of two bins.
    near = np.abs(known[:, None] - edges).min(axis=1) <= 1e-9 + 1e-13 * np.abs(edges).max()
    assert counts.sum() == known.size
    assert np.abs(counts - np.histogram(known, edges)[0]).sum() <= 2 * np.count_nonzero(near)


def test_what_the_series_does_not_tell_is_left_to_numpy():
    ones = np.ones(4)
    assert counted_decibels(ratios_of(ones, ones), 0.0, 2 / NARROWEST, 8) is None
    assert counted_decibels(ratios_of(SMALLEST / 2 * ones, ones), -4000.0, 1.0, 8) is None
    assert counted_decibels(ratios_of(SMALLEST * ones, ones), -3011.0, 1.0, 8).tolist() == [4, 0, 0, 0, 0, 0, 0, 0]
