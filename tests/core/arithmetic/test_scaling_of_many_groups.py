"""The scales of many groups are found some at a time, in two threads, and are the same."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import CONVENTIONS, IntFormat, PerBlock, Scheme, Tensor, choose_qparams
from qviz.core.arithmetic import scaling
from qviz.core.passes import error_bins
from qviz.core.passes.error_bins import error_edges
from tests.schemes import FREE_CONVENTIONS

PARAMETERS = ("scale", "zero_point", "low", "high", "divisor")


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("stored", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "asymmetric"])
def test_groups_that_are_taken_together_change_nothing(symmetric, threads, stored, bits, monkeypatch):
    x = np.random.default_rng(0).normal(0.3, 1, (7, 64)).astype(np.float32)
    x[2] = 0  # groups without a range
    x[5, :32] = 1e-42
    tensor, granularity = Tensor(x, dtype=stored), PerBlock(-1, 32)
    layout = granularity.layout(x.shape)
    offering = [name for name in FREE_CONVENTIONS if CONVENTIONS[name].offers(IntFormat(bits), symmetric, granularity)]
    assert offering
    for convention in offering:
        scheme = Scheme(IntFormat(bits), symmetric, granularity, convention=convention)
        whole = choose_qparams(tensor, scheme)
        edges = error_edges(tensor, whole, layout)
        with monkeypatch.context() as patch:
            for module in (scaling, error_bins):
                patch.setattr(module, "TOGETHER", 3)
                patch.setattr(module, "THREADS", threads)
            some = choose_qparams(tensor, scheme)
            np.testing.assert_array_equal(error_edges(tensor, some, layout)[0], edges[0])
        for name in PARAMETERS:
            np.testing.assert_array_equal(getattr(some, name), getattr(whole, name))
            assert getattr(some, name).shape == getattr(whole, name).shape
