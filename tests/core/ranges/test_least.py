"""Of small tensors the range of least MSE has the least there is: compared with every scale of a fine ladder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qviz.core import (
    MSE,
    FloatFormat,
    IntFormat,
    PerAxis,
    Scheme,
    choose_qparams,
    fake_quantize,
    prepare,
    qparams_from_values,
)
from qviz.core.ranges.least import KEPT, least_ranges
from qviz.core.ranges.rules import Grid


def squared_error(x: Any, q: Any) -> float:
    return float(np.sum((fake_quantize(x, q).astype(np.float64) - x) ** 2))


def brute_force(x: Any, f: IntFormat, symmetric: bool) -> float:
    """The least loss of 4,000 scales with every zero point."""
    largest = np.abs(x).max()
    wide = x.astype(np.float64)
    points = np.arange(f.quant_min, f.quant_max + 1)[:, None] if not symmetric else np.zeros((1, 1))
    best = np.inf
    every_scale = (largest / f.levels * np.geomspace(0.2, 40, 4000))[:, None, None]
    for scales in np.array_split(every_scale, min(4000, 1 + points.size * x.size // 8)):  # as many as the cache holds
        codes = np.clip(np.rint(wide / scales) + points, f.quant_min, f.quant_max)
        best = min(best, float((((codes - points) * scales - wide) ** 2).sum(axis=-1).min()))
    return best


@pytest.mark.parametrize("f", [IntFormat(2), IntFormat(3, False), IntFormat(4), IntFormat(4, False)], ids=str)
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
def test_no_scale_loses_less(f: IntFormat, symmetric: bool) -> None:
    if symmetric and not f.signed:
        return
    for seed in range(6):
        rng = np.random.default_rng(seed)
        x = (rng.standard_normal(9 + 7 * seed) if seed % 2 else rng.lognormal(0, 1, 20)).astype(np.float32)
        least = brute_force(x, f, symmetric)
        for given in (x, prepare(x)):
            q = choose_qparams(given, Scheme(f, symmetric, range_rule=MSE()))
            assert squared_error(x, q) <= least * (1 + 1e-6)


def test_of_500_elements_it_is_no_longer_a_search() -> None:
    x = np.random.default_rng(3).standard_t(3, 500).astype(np.float32)
    f = IntFormat(4, False)
    q = choose_qparams(x, Scheme(f, False, range_rule=MSE()))
    assert squared_error(x, q) <= brute_force(x, f, False) * (1 + 1e-6)


def test_every_channel_has_its_own() -> None:
    x = np.random.default_rng(1).standard_normal((3, 40)).astype(np.float32) * [[1], [20], [0.01]]
    x = x.astype(np.float32)
    q = choose_qparams(x, Scheme(IntFormat(4), False, PerAxis(0), MSE()))
    for row in range(3):
        alone = choose_qparams(x[row], Scheme(IntFormat(4), False, range_rule=MSE()))
        assert squared_error(x[row], q.for_group(row)) == pytest.approx(squared_error(x[row], alone), rel=1e-6)


def test_levels_that_are_no_whole_numbers_have_breakpoints_too() -> None:
    x = np.random.default_rng(2).standard_normal(60).astype(np.float32)
    scheme = Scheme(FloatFormat("e2m1fn"), range_rule=MSE())
    loss = squared_error(x, choose_qparams(x, scheme))
    ladder = np.abs(x).max() / 6 * np.geomspace(0.3, 3, 3000)
    assert loss <= min(squared_error(x, qparams_from_values(s, 0.0, scheme)) for s in ladder) * (1 + 1e-6)


def test_zeros_alone_have_no_candidates() -> None:
    grid = Grid(np.arange(-8.0, 8), np.zeros(1), -7.5, 7.5)
    ranges = least_ranges([np.zeros(4, np.float32), np.ones(4, np.float32)], grid)
    assert len(ranges) == KEPT
    assert all(low[0] == high[0] == 0 for low, high in ranges)
