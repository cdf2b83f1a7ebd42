"""How values are spread is told alike by their elements and by their counts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qviz.core.tensors.tensor import Tensor
from qviz.core.tensors.value_counts import counted_values
from qviz.models.moments import BINS, moments, moments_of_counts


def test_elements_and_counts_tell_the_same() -> None:
    values = np.random.default_rng(0).standard_t(4, 5000).astype(np.float16)
    values[7] = np.nan
    tensor = Tensor(values)
    counts = counted_values(tensor)
    assert counts is not None
    one, two = moments(tensor), moments_of_counts(counts)
    assert one.bins == two.bins
    finite = values[np.isfinite(values)].astype(np.float64)
    assert sum(one.bins) == finite.size
    assert np.abs(np.cumsum(one.bins) - np.cumsum(np.histogram(finite, BINS)[0])).max() <= 2  # on an edge
    assert one.kurtosis == pytest.approx(two.kurtosis, rel=1e-9)
    assert one.outlier_ratio == pytest.approx(two.outlier_ratio, rel=1e-9)


def test_values_that_are_all_equal_are_not_spread() -> None:
    found = moments(Tensor(np.full((3, 4), 2.5, np.float32)))
    assert found.bins == ()
    assert math.isnan(found.kurtosis)
    assert found.outlier_ratio == 1
