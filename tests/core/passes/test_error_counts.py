"""Compiled, as many errors lie in each bin as NumPy finds there."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from qviz.core import IntFormat, Manual, MinMax, Scheme, choose_qparams, compiler, prepare, work
from qviz.core.formats.codebooks import CODEBOOKS
from qviz.core.formats.floats import FLOATS
from qviz.core.formats.table import format_named
from qviz.core.passes.error_bins import error_edges
from qviz.core.passes.sorted_pass import sorted_sums
from qviz.core.tensors import sorted_tensor
from tests.core.tensors.test_lookups import KINDS, SIZES, by_numpy, numbers
from tests.every import every

pytestmark = [
    pytest.mark.skipif(not compiler.available(), reason="numba knows no such Python yet"),
    pytest.mark.usefixtures("kernels"),
]

RULES = (MinMax(), Manual(-1, 2), Manual(-1e-41, 1e-41), Manual(3, 4))
INTEGERS = tuple(IntFormat(bits, signed) for bits in (2, 5, 8, 13) for signed in (True, False))
OTHERS = tuple(map(format_named, (*FLOATS, *CODEBOOKS)))


def assert_counted_alike(x, scheme, bins):
    prepared = prepare(x)
    qparams = choose_qparams(prepared, scheme)
    edges = error_edges(prepared.tensor, qparams, scheme.granularity.layout(prepared.tensor.shape), bins)
    ours = sorted_sums(prepared, qparams, edges).error_histogram
    theirs = by_numpy(lambda: sorted_sums(prepared, qparams, edges).error_histogram)
    np.testing.assert_array_equal(ours.rounding, theirs.rounding, strict=True)
    np.testing.assert_array_equal(ours.clipping, theirs.clipping, strict=True)
    return ours


CASES = list(itertools.product(INTEGERS + OTHERS, KINDS, SIZES))


@every("at", range(len(CASES)))
def test_as_many_errors_lie_in_each_bin(at, monkeypatch):
    """Rules, bins and threads take turns."""
    monkeypatch.setattr(sorted_tensor, "SHARED_FROM", (1, 1 << 30)[at % 2])
    monkeypatch.setattr(work, "THREADS", 2)
    number_format, kind, size = CASES[at]
    symmetric = at % 5 < 3 or not number_format.offers_zero_point
    scheme = Scheme(number_format, symmetric, range_rule=RULES[at % 7 % 4], convention="textbook")
    found = assert_counted_alike(numbers(size, kind), scheme, (1, 24, 2, 7)[at % 3])
    assert found.rounding.sum() + found.clipping.sum() == size


@every("bins", [1, 3, 24])
def test_values_whose_levels_leave_float32(bins):
    """Those have no error that is in a bin."""
    x = np.random.default_rng(3).uniform(-1, 1, 3000) * float(np.finfo(np.float32).max)
    assert_counted_alike(x.astype(np.float32), Scheme(IntFormat(4)), bins)


@every("bins", [1, 24])
@every("far", [1e3, 1e6, 1e30])
def test_an_element_far_away_crosses_edges_that_no_other_does(far, bins):
    x = np.append(numbers(5000, "normal"), np.float32(far))
    for rule in (MinMax(), Manual(-1, 1)):
        assert_counted_alike(x, Scheme(IntFormat(8), range_rule=rule), bins)
