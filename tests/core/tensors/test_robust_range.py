"""A chart opens on nearly all values when a few lie far away, and on all of them otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from qviz.core.tensors.robust_range import FAR, robust_range
from tests.every import every

NORMAL = np.random.default_rng(1).normal(0, 1, 5000)


def histogram(values: np.ndarray, bins: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    counts, edges = np.histogram(values, bins)
    return edges, counts


def test_one_far_value_is_an_outlier_and_is_counted_to_the_last() -> None:
    found = robust_range(*histogram(np.append(NORMAL, 41.0)))
    assert found is not None
    assert (found.below, found.above) == (0, 1)
    assert found.highest == pytest.approx(41)
    assert found.low <= NORMAL.min()
    assert NORMAL.max() <= found.high < 6


def test_both_sides_are_counted_apart() -> None:
    found = robust_range(*histogram(np.concatenate((NORMAL, [-60, -50, 41]))))
    assert found is not None
    assert (found.below, found.above) == (2, 1)


@every("draw", ["normal", "laplace", "uniform", "exponential"])
def test_tails_that_belong_to_the_whole_are_shown(draw: str) -> None:
    values = getattr(np.random.default_rng(2), draw)(size=100_000)
    assert robust_range(*histogram(values)) is None


def test_two_heaps_of_many_values_have_no_outliers() -> None:
    assert robust_range(*histogram(np.concatenate((NORMAL, NORMAL[:500] + 100)))) is None


@every("values", [np.zeros(100), np.arange(10), np.ones(1)])
def test_few_values_and_constants_have_no_outliers(values: np.ndarray) -> None:
    assert robust_range(*histogram(values.astype(float))) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=200), st.integers(2, 400))
@settings(max_examples=200, deadline=None)
def test_every_value_is_inside_or_counted_as_beyond(values: list[float], bins: int) -> None:
    try:
        edges, counts = histogram(np.array(values), bins)
    except ValueError:  # no so many numbers lie between the smallest and the largest one
        reject()
    found = robust_range(edges, counts)
    if found is not None:
        start, stop = np.searchsorted(edges, [found.low, found.high])
        assert counts[start:stop].sum() + found.below + found.above == len(values)
        assert found.below + found.above > 0
        assert found.highest - found.lowest > FAR * (found.high - found.low)
