"""Scales and zero points that somebody else chose are taken as they are."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import (
    FloatFormat,
    IntFormat,
    Known,
    PerAxis,
    PerBlock,
    PerTile,
    Problem,
    Scheme,
    Tensor,
    analyze,
    choose_qparams,
    estimate,
    prepare,
    qparams_from_values,
    quantize,
)
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.scripts.numpy_script import python_snippet
from tests.every import every
from tests.schemes import FREE_CONVENTIONS

TAKING = [n for n in FREE_CONVENTIONS if not CONVENTIONS[n].divisor_is_inverse and CONVENTIONS[n].code is None]
X = np.random.default_rng(5).standard_normal((4, 96)).astype(np.float32)


@every("convention", TAKING)
def test_a_known_scale_is_the_scale_whatever_the_tensor(convention):
    codes, symmetric, granularity = CONVENTIONS[convention].nearest(IntFormat(8), True)
    scheme = Scheme(codes, symmetric, granularity, Known((0.03,)), convention)
    q = choose_qparams(X, scheme)
    mine = qparams_from_values(np.float32(0.03), q.zero_point, scheme)
    assert q.scale == np.float32(0.03)
    np.testing.assert_array_equal(quantize(X, q), quantize(X, mine))
    assert analyze(X, scheme).mse == analyze(prepare(X), scheme).mse


def test_one_number_for_all_groups_or_one_for_each():
    for granularity, groups in ((PerAxis(0), 4), (PerBlock(-1, 32), 12), (PerTile(2, 32), 6)):
        numbers = tuple(0.01 * (1 + k) for k in range(groups))
        q = choose_qparams(X, Scheme("uint8", False, granularity, Known(numbers, (128,))))
        np.testing.assert_array_equal(q.scale.ravel(), np.float32(numbers))
        assert (q.zero_point == 128).all() and q.scale.shape == granularity.scale_shape(X.shape)
        alone = choose_qparams(X, Scheme("uint8", False, granularity, Known(0.5, 3)))
        assert (alone.scale == 0.5).all() and (alone.zero_point == 3).all()


def test_what_does_not_fit_is_said():
    with pytest.raises(Problem, match="3 known scales do not fit 4 groups: give one, or one for each group"):
        choose_qparams(X, Scheme(granularity=PerAxis(0), range_rule=Known((1, 2, 3))))
    with pytest.raises(Problem, match="symmetric scheme has the zero point 0: choose asymmetric"):
        Scheme(range_rule=Known(1, 5))
    with pytest.raises(Problem, match="takes no known scale: choose another range"):
        Scheme(FloatFormat("e2m1fn"), True, PerBlock(-1, 16), Known(), "nvfp4")
    for numbers, said in (((), "cannot be 0 numbers"), ((0.0,), "above 0"), ((np.inf,), "finite"), ((1e39,), "finite")):
        with pytest.raises(Problem, match=said):
            Known(numbers)


def test_the_middle_of_unsigned_symmetric_codes_stays():
    assert choose_qparams(X, Scheme("uint8", True, range_rule=Known(0.1))).zero_point == 128
    assert choose_qparams(X, Scheme("uint8", True, range_rule=Known(0.1, 128))).zero_point == 128


def test_the_numpy_script_holds_what_is_known(monkeypatch):
    for scheme in (Scheme(range_rule=Known(0.03)), Scheme("uint8", False, PerAxis(0), Known((1, 2, 3, 4), 7))):
        names = {}
        q = choose_qparams(X, scheme)
        monkeypatch.setattr(np, "load", lambda path: X)
        exec(python_snippet(q), names)
        np.testing.assert_array_equal(names["codes"], quantize(X, q))


def test_an_estimate_knows_the_scale_too():
    scheme = Scheme(range_rule=Known(0.03))
    assert estimate(Tensor(X), scheme).qparams.scale == np.float32(0.03)
