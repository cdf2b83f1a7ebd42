"""Many ranges at once lose what each of them loses alone."""

from __future__ import annotations

import numpy as np
import pytest

from qviz.core import FloatFormat, IntFormat, Scheme, prepare
from qviz.core.arithmetic.scaling import qparams_from_range
from qviz.core.passes.candidates import clipping_errors, squared_errors
from qviz.core.passes.sorted_pass import sorted_squared_error
from qviz.core.work import Cancelled, never
from tests.every import every

F = np.float32
X = np.random.default_rng(0).standard_t(3, 70_000).astype(F)
PREPARED = prepare(X)
PARTS = np.linspace(0.001, 1, 71)

SCHEMES = [
    Scheme(IntFormat(2)),
    Scheme(IntFormat(8, False), symmetric=False),
    Scheme(IntFormat(12), convention="pytorch"),
    Scheme(FloatFormat("e4m3fn")),
]


def ranges(scheme: Scheme) -> tuple[np.ndarray, np.ndarray]:
    return (X.min() * PARTS).astype(F), (X.max() * PARTS).astype(F)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda s: s.number_format.name)
def test_each_loses_what_it_loses_alone(scheme: Scheme) -> None:
    low, high = ranges(scheme)
    found = squared_errors(PREPARED, qparams_from_range(low, high, scheme), never)
    alone = [sorted_squared_error(PREPARED, qparams_from_range(a, b, scheme)) for a, b in zip(low, high, strict=True)]
    np.testing.assert_allclose(found, alone, rtol=1e-11)


@every("scheme", SCHEMES, ids=lambda s: s.number_format.name)
def test_clipping_loses_no_more_than_the_whole(scheme: Scheme) -> None:
    q = qparams_from_range(*ranges(scheme), scheme)
    clipping, whole = clipping_errors(PREPARED, q, never), squared_errors(PREPARED, q, never)
    assert (clipping <= whole * (1 + 1e-9)).all()
    low, high = q.clip_range()
    wide = X.astype(np.float64)
    expected = [
        float((np.minimum(wide - a, 0) ** 2).sum() + (np.maximum(wide - b, 0) ** 2).sum())
        for a, b in zip(low.astype(float), high.astype(float), strict=True)
    ]
    np.testing.assert_allclose(clipping, expected, rtol=1e-9, atol=1e-9)


def test_levels_beyond_float32_lose_everything_and_bound_nothing() -> None:
    x = np.array([-3e38, 1, 3.4e38], F)
    q = qparams_from_range(np.array([-3.4e38, -1], F), np.array([3.4e38, 1], F), Scheme(IntFormat(2), False))
    prepared = prepare(x)
    assert clipping_errors(prepared, q, never).shape == (2,)
    assert squared_errors(prepared, q, never).shape == (2,)


def test_they_can_be_cancelled() -> None:
    q = qparams_from_range(*ranges(SCHEMES[0]), SCHEMES[0])
    for work in (squared_errors, clipping_errors):
        with pytest.raises(Cancelled):
            work(PREPARED, q, lambda: True)


@pytest.mark.parametrize("bits", [2, 4])
def test_a_scale_beyond_float32_loses_everything_and_the_others_what_they_lose_alone(bits: int) -> None:
    x = np.random.default_rng(3).uniform(-3.4e38, 3.4e38, 3000).astype(F)
    scheme, prepared = Scheme(IntFormat(bits, False), False, convention="pytorch"), prepare(x)
    low, high = np.array([-1e38, -3.4e38, -1e37], F), np.array([1e38, 3.4e38, 2e38], F)
    q = qparams_from_range(low, high, scheme)
    assert np.isinf(q.scale).tolist() == [False, True, False]
    found = squared_errors(prepared, q, never)
    alone = [sorted_squared_error(prepared, qparams_from_range(a, b, scheme)) for a, b in zip(low, high, strict=True)]
    assert np.isnan(alone[1])
    assert np.isinf(found[1])
    np.testing.assert_allclose(found[::2], alone[::2], rtol=1e-11)
