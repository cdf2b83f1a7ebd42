"""Scales that are rounded up to powers of two, under every runtime whose scales follow from ranges."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from qviz.core import (
    CONVENTIONS,
    FloatFormat,
    IntFormat,
    PerAxis,
    PerBlock,
    PerTensor,
    PerTile,
    Problem,
    Scheme,
    analyze,
    choose_qparams,
    quantize,
)
from qviz.core.arithmetic.formula_values import follow_from_range
from qviz.core.runtimes.precision import as_power_of_two
from qviz.core.scripts.numpy_script import python_snippet
from tests.every import every

X = (np.random.default_rng(6).standard_normal((8, 96)) * np.geomspace(1e-3, 50, 8)[:, None]).astype(np.float32)
X[3] = np.abs(X[3])
TAKING = [name for name, row in CONVENTIONS.items() if row.takes_powers_of_two]
OTHERS = [name for name in CONVENTIONS if name not in TAKING]


def schemes(convention, **options):
    row = CONVENTIONS[convention]
    formats = (IntFormat(8), IntFormat(8, False), IntFormat(4), FloatFormat("e4m3fn"))
    groups = (PerTensor(), PerAxis(0), PerBlock(-1, 32), PerTile(4, 32))
    for parts in itertools.product(formats, (True, False), groups):
        if row.offers(*parts) and row.of(*parts).takes_powers_of_two:
            yield Scheme(*parts, convention=convention, **options)


@every("convention", TAKING)
def test_each_scale_is_the_next_power_of_two(convention, monkeypatch):
    monkeypatch.setattr(np, "load", lambda path: X)
    for scheme in schemes(convention, power_of_two=True):
        q = choose_qparams(X, scheme)
        free = Scheme(scheme.number_format, scheme.symmetric, scheme.granularity, convention=convention)
        before = choose_qparams(X, free).scale.astype(float)
        if (convention, scheme.granularity) != ("tflite", PerBlock(-1, 32)):  # whose scales are rounded before
            assert ((before <= q.scale * (1 + 1e-6)) & (q.scale < 2 * before * (1 + 1e-6))).all()
        assert (np.frexp(q.scale)[0] == 0.5).all()
        assert follow_from_range(q), f"{q}: the fields of its record and its formulas give different scales"
        names = {}
        exec(python_snippet(q), names)
        np.testing.assert_array_equal(names["codes"], quantize(X, q), str(scheme))
        if not scheme.symmetric and convention != "textbook":
            assert q.whole_zero_point
            assert analyze(X, scheme).saturated <= X.size / 50


@every("convention", OTHERS)
def test_runtimes_with_scales_of_their_own_kind_refuse(convention):
    codes, symmetric, granularity = CONVENTIONS[convention].nearest(IntFormat(8), True)
    with pytest.raises(Problem, match="which are not made powers of two: choose another runtime"):
        Scheme(codes, symmetric, granularity, convention=convention, power_of_two=True)


def test_what_is_a_power_of_two_stays():
    values = np.array([0, 1, 1.0000001, 0.75, 2.0**-126, 2.0**-149, 3e-45, 3e38, np.inf], np.float32)
    expected = np.array([0, 1, 2, 1, 2.0**-126, 2.0**-149, 2.0**-148, np.inf, np.inf], np.float32)
    np.testing.assert_array_equal(as_power_of_two(values), expected)


def test_it_is_a_part_of_the_scheme():
    scheme = Scheme(power_of_two=True)
    assert repr(scheme).endswith("power_of_two=True)")
    assert Scheme.from_dict(json.loads(json.dumps(scheme.to_dict()))) == scheme != Scheme()
    assert "power_of_two" not in Scheme().to_dict()
    with pytest.raises(Problem, match="“power_of_two” cannot be 1: give True or False"):
        Scheme(power_of_two=1)
