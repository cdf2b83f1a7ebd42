"""One scheme in every runtime's arithmetic: which elements get another code?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from qviz.core import (
    MSE,
    Codebook,
    IntFormat,
    PerAxis,
    PerBlock,
    Scheme,
    Tensor,
    choose_qparams,
    dequantize,
    prepare,
    quantize,
)
from qviz.core.questions.differences import EXAMPLES, compare_conventions
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.work import Cancelled
from tests.every import every

F = np.float32
X = np.random.default_rng(0).standard_normal((7, 90)).astype(F)
HOLES = X.copy()
HOLES[2, 5], HOLES[3, 7] = np.nan, np.inf

SCHEMES = [
    Scheme(),
    Scheme(IntFormat(8, False), symmetric=False),
    Scheme(IntFormat(4), granularity=PerAxis(0)),
    Scheme(IntFormat(4), granularity=PerAxis(1)),
    Scheme(IntFormat(4), granularity=PerBlock(-1, 32)),
    Scheme(IntFormat(4), granularity=PerBlock(0, 4)),
]


@every("scheme", SCHEMES, ids=lambda s: f"{s.number_format.name} {s.granularity}")
@every("x", [X, HOLES], ids=["finite", "holes"])
def test_the_counts_are_those_of_quantizing_under_each_convention(x: np.ndarray, scheme: Scheme) -> None:
    found = compare_conventions(x, scheme)
    there = np.isfinite(x)
    clean = np.where(there, x, np.nan).astype(F)
    codes, values = [], []
    for each in found.schemes:
        q = choose_qparams(x, each)
        codes.append(quantize(clean, q))
        values.append(dequantize(codes[-1], q))
    for i in range(len(codes)):
        for j in range(len(codes)):
            assert found.codes[i, j] == np.count_nonzero((codes[i] != codes[j]) & there)
            assert found.values[i, j] == np.count_nonzero((values[i] != values[j]) & there)
        error = (values[i].astype(np.float64) - clean)[there]
        assert found.mse[i] == pytest.approx(float(np.mean(error**2)), rel=1e-12)
    for example in found.examples:
        assert example.value == clean.reshape(-1)[example.index]
        assert example.codes == tuple(float(c.reshape(-1)[example.index]) for c in codes)
        assert example.dequantized == tuple(float(v.reshape(-1)[example.index]) for v in values)
        assert any(code != example.codes[0] for code in example.codes)


@every("scheme", SCHEMES, ids=lambda s: f"{s.number_format.name} {s.granularity}")
def test_the_first_elements_of_each_convention_are_listed(scheme: Scheme) -> None:
    found = compare_conventions(X, scheme)
    listed = {example.index for example in found.examples}
    first = quantize(X, found.qparams[0]).reshape(-1)
    for q in found.qparams[1:]:
        differ = np.flatnonzero(quantize(X, q).reshape(-1) != first)
        assert set(differ[:EXAMPLES].tolist()) <= listed
    assert [e.index for e in found.examples] == sorted(listed)


def test_the_chosen_convention_comes_first_and_what_others_do_not_offer_is_said() -> None:
    scheme = Scheme(IntFormat(8, False), symmetric=False, convention="pytorch")
    found = compare_conventions(X, scheme)
    assert found.schemes[0] == scheme
    assert all(replace(each, convention="pytorch") == scheme for each in found.schemes)
    assert {s.convention for s in found.schemes} | found.missing.keys() == set(CONVENTIONS)
    assert "symmetric" in str(found.missing["paddle"])
    assert not found.range_judged


def test_codes_of_a_codebook_are_told_by_what_they_stand_for() -> None:
    found = compare_conventions(X, Scheme(Codebook("nf4"), granularity=PerAxis(0), convention="textbook"))
    assert found.codes.shape == (len(found.schemes),) * 2
    assert found.mse[0] > 0


def test_a_prepared_tensor_a_counted_one_and_an_array_are_answered_alike() -> None:
    scheme = Scheme(IntFormat(4), range_rule=MSE())
    one, *others = (compare_conventions(x, scheme) for x in (X, Tensor(X), prepare(X)))
    for other in others:
        np.testing.assert_array_equal(one.codes, other.codes)


def test_a_sample_may_decide_the_range() -> None:
    found = compare_conventions(X, Scheme(range_rule=MSE()), judge=prepare(X[:2]))
    assert found.range_judged
    assert found.qparams[0].scale == choose_qparams(X[:2], Scheme(range_rule=MSE())).scale


def test_progress_and_cancelling() -> None:
    told: list[float] = []
    compare_conventions(X, Scheme(), progress=told.append)
    assert told[-1] == 1
    with pytest.raises(Cancelled):
        compare_conventions(X, Scheme(), cancelled=lambda: True)
