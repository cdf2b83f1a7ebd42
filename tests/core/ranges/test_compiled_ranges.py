"""The compiled searches for a range find what NumPy finds, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import Entropy, IntFormat, PerAxis, PerBlock, Scheme, Tensor, compiler
from qviz.core.questions.calibration import range_input
from qviz.core.ranges import entropy
from qviz.core.ranges.divergences import EXACT, BinSums, crossed
from qviz.core.ranges.histograms import edge_counts
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.work import never
from tests.every import every

F = np.float32
LARGE = np.finfo(F).max
BINS = ((2048, 128), (129, 128), (200, 3), (301, 128), (64, 2), (128, 128), (700, 512))


def groups(size, seed=0):
    """What groups may be like."""
    chance = np.random.default_rng(seed)
    yield "normal", chance.standard_normal(size)
    yield "heavy tails", chance.standard_t(1, size)
    yield "ties", np.round(2 * chance.standard_normal(size))
    yield "few values", chance.choice([-1.5, 0, 0.25, 3], size)
    yield "zeros", np.zeros(size)
    yield "zeros of both signs", np.where(chance.random(size) < 0.5, -0.0, 0.0)
    yield "constant", np.full(size, -2.5)
    yield "positive", chance.exponential(size=size)
    yield "negative", -chance.lognormal(0, 2, size)
    yield "mostly zeros", np.where(chance.random(size) < 0.02, chance.standard_normal(size), 0)
    yield "one far out", np.append(chance.standard_normal(size - 1), 1e4)
    yield "huge", chance.uniform(-1, 1, size) * LARGE
    yield "some huge", np.where(chance.random(size) < 0.1, LARGE, chance.standard_normal(size))
    yield "denormal", chance.standard_normal(size) * 1e-40
    yield "few denormals", chance.integers(-9, 10, size) * 2.0**-149
    yield "smallest", np.where(chance.random(size) < 0.5, 2.0**-149, 0)
    yield "with NaN", np.where(chance.random(size) < 0.3, np.nan, chance.standard_normal(size))
    yield "with infinities", np.where(chance.random(size) < 0.3, -np.inf, chance.standard_normal(size))
    yield "one value", np.append(np.full(size - 1, np.nan), 7)
    yield "nothing", np.full(size, np.nan)


def tensor(size, seed=0):
    return np.stack([values.astype(F) for _, values in groups(size, seed)])


def without(kernels, monkeypatch):
    """NumPy again."""
    for each in compiler.known():
        monkeypatch.setattr(each, "compiled", None)


def bits(found):
    return [end.view(np.uint32).tolist() for end in found]


def estimate(x, scheme):
    with np.errstate(over="ignore", invalid="ignore"):
        return scheme.range_rule.estimate(range_input(Tensor(x), scheme))


@every("size", [1, 2, 17, 300, 5000])
def test_values_are_counted_between_edges_as_numpy_counts_them(size, kernels):
    for seed, (_, values) in enumerate(groups(size)):
        x = values[np.isfinite(values)].astype(F)
        if not x.size:
            continue
        reach = max(abs(x.min()), abs(x.max())) or F(0.5)
        for bins in (1, 2, 7, 2048):
            wide = np.linspace(-np.float64(reach), np.float64(reach), bins + 1)
            assert edge_counts([x], wide).tolist() == np.histogram(x, wide)[0].tolist(), seed
            edges = Entropy(max(bins, 2), 2)._edges(x.min(), x.max())
            below = np.array([(x < edge).sum() for edge in edges[:-1]] + [x.size])
            assert edge_counts([x[: size // 2], x[size // 2 :]], edges).tolist() == np.diff(below).tolist(), seed


def test_values_beyond_the_edges_are_counted_nowhere(kernels):
    x = np.array([-3, -1, 0, 1, 2, 3, 1.5, -LARGE, LARGE], F)
    for edges in (np.array([-1, 0, 2]), np.array([-1, 0, 2], F), np.array([0.1, 0.2]), np.array([5, 5, 5], F)):
        assert edge_counts([x], edges).tolist() == np.histogram(x, edges)[0].tolist()


@pytest.mark.parametrize("bins, merged", BINS)
def test_compiled_losses_are_numpys(bins, merged, kernels):
    for size in (1, 2, 40, 3000):
        for name, values in groups(size):
            x = values[np.isfinite(values)].astype(F)
            if not x.size:
                continue
            rule = Entropy(bins, merged)
            counts = rule._counted(x).counts
            first, last = rule._thresholds(counts)
            found, slack = entropy._bounded(counts, first, last, merged, never)
            losses, expected = entropy._estimates(BinSums.of(counts), first, last, merged)
            np.testing.assert_allclose(found, losses, rtol=1e-10, atol=1e-10, err_msg=name)
            np.testing.assert_allclose(slack, expected, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("bins, merged", BINS)
def test_compiled_entropy_finds_numpys_ranges(bins, merged, kernels, monkeypatch):
    cases = [
        (tensor(size, size), Scheme(granularity=PerAxis(0), range_rule=Entropy(bins, merged)))
        for size in (1, 3, 50, 900)
    ]
    compiled = [bits(estimate(*case)) for case in cases]
    without(kernels, monkeypatch)
    assert compiled == [bits(estimate(*case)) for case in cases]


@every("ceiled", [True, False])
@every("merged", [1, 2, 3, 127, 128, 700])
def test_compiled_sums_of_merged_bins_are_numpys(ceiled, merged, kernels, monkeypatch):
    chance = np.random.default_rng(merged)
    cases = []
    for filled in (1, 0.5, 0.01):
        counts = np.where(chance.random(2048) < filled, chance.integers(1, 1000, 2048), 0).astype(float)
        sizes = np.unique(chance.integers(merged, 2049, 50))
        cases.append((BinSums.of(counts), sizes, counts.sum() - np.cumsum(counts)[sizes - 1]))
    compiled = [crossed(*case, merged, ceiled=ceiled) for case in cases]
    without(kernels, monkeypatch)
    for found, case in zip(compiled, cases, strict=True):
        total = case[0].elements[-1]
        np.testing.assert_allclose(found / total, crossed(*case, merged, ceiled=ceiled) / total, rtol=0, atol=EXACT / 9)


@pytest.mark.parametrize("kind", ["tensorrt_entropy", "paddle_kl"])
def test_other_compiled_entropies_find_numpys_ranges(kind, kernels, monkeypatch):
    schemes = [Scheme(IntFormat(n), granularity=PerAxis(0), range_rule=RANGE_RULES[kind]()) for n in (2, 5, 8, 12)]
    cases = [(tensor(size, size), scheme) for size in (1, 3, 50, 900) for scheme in schemes]
    compiled = [bits(estimate(*case)) for case in cases]
    without(kernels, monkeypatch)
    assert compiled == [bits(estimate(*case)) for case in cases]


def test_compiled_entropy_finds_each_groups_own_range_whatever_lies_beside_it(kernels):
    """Also of what is sorted, of columns, and of blocks, the last of which is shorter."""
    x = tensor(333)
    rule = Entropy(512)
    rows = estimate(x, Scheme(granularity=PerAxis(0), range_rule=rule))
    assert bits(rows) == bits(estimate(np.ascontiguousarray(x.T), Scheme(granularity=PerAxis(1), range_rule=rule)))
    blocks = estimate(x, Scheme(granularity=PerBlock(1, 100), range_rule=rule))
    alone = [estimate(x[:, i : i + 100], Scheme(granularity=PerAxis(0), range_rule=rule)) for i in range(0, 333, 100)]
    for found, expected in zip(blocks, zip(*alone, strict=True), strict=True):
        np.testing.assert_array_equal(found.reshape(-1, 4), np.stack(expected, axis=1))


@every("kind", [kind for kind in RANGE_RULES if kind not in ("known", "mse", "manual")])
def test_groups_beside_each_other_have_the_ranges_that_they_have_alone(kind):
    x = tensor(150)[:8] * F(3)
    scheme = Scheme(IntFormat(8), granularity=PerAxis(0), range_rule=RANGE_RULES[kind]())
    found = estimate(x, scheme)
    alone = [estimate(row[None], scheme) for row in x]
    np.testing.assert_array_equal(found, [np.concatenate(ends) for ends in zip(*alone, strict=True)])


@every("kind", ["entropy", "tensorrt_entropy", "percentile"])
@every("symmetric", [True, False])
def test_many_groups_beside_each_other_have_the_ranges_that_they_have_alone(kind, symmetric, kernels):
    """Of more elements than are gathered at once."""
    x = (
        np.random.default_rng(1).standard_normal((45, 1 << 14)).astype(F)
        * np.geomspace(1e-3, 1e3, 45, dtype=F)[:, None]
    )
    scheme = Scheme(IntFormat(8), symmetric, granularity=PerAxis(0), range_rule=RANGE_RULES[kind]())
    found = estimate(x, scheme)
    alone = [estimate(row[None], scheme) for row in x]
    assert bits(found) == [np.concatenate(ends).view(np.uint32).tolist() for ends in zip(*alone, strict=True)]
