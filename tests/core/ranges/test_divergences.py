"""Sums of bins tell which thresholds may lose the least: never others than going through all of them finds."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core.ranges import entropy, paddle, tensorrt
from qviz.core.ranges.divergences import EXACT, BinSums, likely_least
from qviz.core.work import never

BINS = 2048


def histograms():
    chance = np.random.default_rng(7)
    yield "normal", chance.standard_normal(100_000)
    yield "one element", np.array([3.0])
    yield "two", np.array([-1.0, 0.25])
    yield "constant", np.full(17, -2.0)
    yield "zeros", np.zeros(9)
    yield "five apart", chance.uniform(0, 511, 5)
    yield "whole numbers", chance.integers(-3, 4, 400).astype(float)
    yield "one far out", np.append(chance.standard_normal(4096), 100.0)
    yield "heavy tails", chance.standard_t(2, 3000)
    yield "positive", np.abs(chance.laplace(size=500))


@pytest.fixture(params=list(histograms()), ids=lambda each: each[0])
def values(request):
    return request.param[1]


@pytest.mark.parametrize("bins, merged", [(BINS, 128), (129, 128), (200, 3)])
def test_onnx_runtimes_entropy_is_that_of_all_thresholds(values, bins, merged):
    reach = max(abs(values.min()), abs(values.max())) or 0.5
    counts = np.histogram(values, np.linspace(-reach, reach, bins + 1))[0]
    first, last = entropy.Entropy(bins, merged)._thresholds(counts)
    losses = np.array([entropy._divergence(counts, a, b, merged) for a, b in zip(first, last, strict=True)])
    estimates, slack = entropy._estimates(BinSums.of(counts), first, last, merged)
    known = np.isfinite(losses)
    assert (np.isfinite(estimates) == known).all()
    assert (np.abs(estimates[known] - losses[known]) <= slack[known] / 2).all()
    assert np.argmin(losses) in entropy._likely(counts, first, last, merged, never)


@pytest.mark.parametrize("merged", [2, 128, 1024, 32768])
def test_tensorrts_entropy_is_that_of_all_thresholds(values, merged):
    bins = np.histogram(np.abs(values), BINS, (0, np.abs(values).max() or 1))[0].astype(float)
    found = tensorrt._best(bins, merged, never)
    bins[0] = bins[1]
    beyond = np.append(np.cumsum(bins[::-1])[::-1], 0.0)
    # Around those that were found, and here and there: all of them take a second.
    sizes = np.unique(np.clip(np.r_[128:2049:97, found - 2 : found + 3], 128, BINS))
    losses = np.array([tensorrt._divergence(bins[:n], bins[:n] != 0, beyond[n], merged) for n in sizes])
    estimates = tensorrt._estimates(BinSums.of(bins), sizes, beyond, merged)
    known = np.isfinite(losses)
    assert (np.isfinite(estimates) == known).all()
    assert np.allclose(estimates[known], losses[known], rtol=0, atol=EXACT / 2)
    least = losses.min()
    assert losses[sizes == found] == least
    assert found >= sizes[losses == least].max()


@pytest.mark.parametrize("merged", [1, 127])
def test_paddles_divergence_is_that_of_all_thresholds(values, merged):
    counts = np.histogram(np.abs(values), BINS)[0]
    found = paddle._least_divergence(counts, merged, never)
    divergence = paddle._Divergence(counts, merged)
    kept = [n for n in range((BINS - 1) // 2, BINS) if counts[n - 1]]
    losses = [divergence.of(n) for n in kept]
    assert not kept or found == kept[int(np.argmin(losses))]
    estimates = paddle._estimates(BinSums.of(counts), np.array(kept, np.int64), merged)
    assert np.allclose(estimates, losses, rtol=0, atol=EXACT / 2)


def test_where_nothing_is_known_all_are_likely():
    assert likely_least(np.full(5, np.inf), 1.0).tolist() == [0, 1, 2, 3, 4]
    assert likely_least(np.array([3.0, 1.0, 1.1, np.inf]), 0.06).tolist() == [1, 2]
