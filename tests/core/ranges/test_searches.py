"""Which range loses least?"""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from qviz.core import (
    MSE,
    Entropy,
    IntFormat,
    Manual,
    MinMax,
    PerAxis,
    PerBlock,
    Percentile,
    PerTensor,
    Problem,
    Scheme,
    Tensor,
    choose_qparams,
    loss_curves,
    measure,
    prepare,
)
from qviz.core.questions.calibration import range_input
from qviz.core.work import Cancelled
from tests.every import every

F = np.float32


def tensors(size=2000, seed=0):
    rng = np.random.default_rng(seed)
    made = {
        "normal": rng.standard_normal(size),
        "student t": rng.standard_t(3, size),
        "shifted": 12 + rng.standard_normal(size) / 2,
        "half zeros": np.maximum(rng.standard_normal(size), 0),
        "ties": np.round(2 * rng.standard_normal(size), 1),
        "lognormal": -rng.lognormal(0, 1, size),
        "one outlier": np.append(rng.standard_normal(size - 1), 300),
    }
    return {name: values.astype(F) for name, values in made.items()}


TENSORS = tensors()
FORMATS = (IntFormat(4), IntFormat(8, False), IntFormat(2))


def losses(x, scheme):
    """The error of each group."""
    m = measure(x, scheme)
    return np.array([m.mse]) if m.groups is None else m.groups.mse


# --- the least mean squared error ------------------------------------------------------------------


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("number_format", FORMATS, ids=lambda f: f.name)
@pytest.mark.parametrize("name", ["student t", "ties", "half zeros", "one outlier"])
def test_no_other_range_loses_less(name, number_format, symmetric):
    p = prepare(TENSORS[name])
    scheme = Scheme(number_format, symmetric, range_rule=MSE())
    least = measure(p, scheme).mse
    others = [MinMax(), *(Percentile(q) for q in (90.0, 99.0, 99.9, 99.99, 99.999))]
    low, high = p.values[[0, -1]].astype(float)
    rng = np.random.default_rng(1)
    if symmetric:
        largest = max(-low, high)
        others += [Manual(-t, t) for t in largest * rng.uniform(0.001, 1, 100)]
    else:
        middle = float(np.median(p.values))
        shares = rng.uniform(0.01, 1, (100, 2))
        others += [Manual(middle + (low - middle) * a, middle + (high - middle) * b + 1e-9) for a, b in shares]
    for rule in others:
        assert least <= measure(p, Scheme(number_format, symmetric, range_rule=rule)).mse * (1 + 1e-9), rule


@pytest.mark.parametrize("convention", ["textbook", "onnxruntime"])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("axis", [0, 1])
def test_no_other_range_loses_less_in_any_channel(axis, symmetric, convention):
    rng = np.random.default_rng(2)
    x = (rng.standard_t(4, (6, 6, 100)) * rng.uniform(0.1, 3, (6, 1, 1))).astype(F)
    x[0, 0, :3] = np.nan
    t = Tensor(x)

    def of(rule):
        return losses(t, Scheme(IntFormat(4), symmetric, PerAxis(axis), rule, convention))

    least = of(MSE())
    for rule in (MinMax(), Percentile(90.0), Percentile(99.0), *(Manual(-c, c) for c in rng.uniform(0.01, 9, 100))):
        assert np.all(least <= of(rule) * (1 + 1e-9)), rule


@every("convention", ["onnxruntime", "torchao", "pytorch", "paddle", "textbook"])
@every("bits", [2, 3, 4, 8])
def test_the_last_code_meets_the_data_where_it_falls_short_of_the_range(convention, bits):
    x = np.random.default_rng(0).choice([-1, 0, 1], (64, 64)).astype(F)
    scheme = Scheme(IntFormat(bits), True, range_rule=MSE(), convention=convention)
    assert measure(x, scheme).mse < 1e-8
    assert measure(np.full((8, 64), 3.25), scheme).mse < 1e-7


SIGNED = [
    ("onnxruntime_matmulnbits", IntFormat(2, False)),
    ("onnxruntime_matmulnbits", IntFormat(4, False)),
    ("onnxruntime_matmulnbits_qdq", IntFormat(4)),
    ("gguf", IntFormat(4, False)),
    ("gguf", IntFormat(5, False)),
]
"""Runtimes whose scales have the sign of the element that is furthest from 0, turned round."""


@pytest.mark.parametrize(("convention", "number_format"), SIGNED, ids=lambda each: getattr(each, "name", each))
@pytest.mark.parametrize("length", [64, 40_000], ids=["every breakpoint", "a search"])
@every("name", [*TENSORS, "positive", "negative", "constant", "grid"])
def test_scales_that_have_a_sign_are_sought_with_both(name, convention, number_format, length):
    """Of all of the data a scale may be negative, and lose less than any positive one."""
    rng = np.random.default_rng(3)
    made = TENSORS | {
        "positive": np.abs(rng.standard_normal(2000)).astype(F),
        "negative": -np.abs(rng.standard_normal(2000)).astype(F),
        "constant": np.full(2000, 7.25, F),
        "grid": (rng.integers(-8, 8, 2000) * 0.0625).astype(F),
    }
    x = np.resize(made[name], (length // 64, 64))
    scheme = Scheme(number_format, granularity=PerBlock(-1, 32), convention=convention)
    whole = losses(x, scheme)
    least = losses(x, replace(scheme, range_rule=MSE()))
    assert (least <= whole * (1 + 1e-9)).all()
    turned = losses(-x, replace(scheme, range_rule=MSE()))
    np.testing.assert_allclose(turned, least, rtol=1e-5, atol=1e-12 * float(np.square(x).mean()))


def test_each_channel_gets_what_it_would_get_alone():
    rng = np.random.default_rng(3)
    x = (rng.laplace(size=(4, 400)) * [[1], [5], [0.1], [30]]).astype(F)
    for symmetric in (True, False):
        scheme = Scheme(IntFormat(4), symmetric, range_rule=MSE())
        together = losses(x, Scheme(IntFormat(4), symmetric, PerAxis(0), MSE()))
        alone = [measure(row, scheme).mse for row in x]
        np.testing.assert_allclose(together, alone, rtol=0.02)


@every("symmetric", [True, False])
@every("granularity", [PerTensor(), PerAxis(0)])
def test_it_reaches_little_beyond_the_data(granularity, symmetric):
    x = np.stack([TENSORS["normal"], TENSORS["half zeros"], TENSORS["shifted"]])
    scheme = Scheme(IntFormat(4), symmetric, granularity, MSE(), "textbook")
    t = Tensor(x)
    low, high = scheme.range_rule.estimate(range_input(t, scheme))
    smallest, largest = t.extremes(granularity.layout(x.shape))
    if symmetric:
        np.testing.assert_array_equal(low, -high)
        assert np.all(high <= np.maximum(np.abs(smallest), np.abs(largest)) * F(1.25))
    else:
        assert np.all(low >= smallest)
        assert np.all(high <= largest)
    assert np.all(low < high)


@pytest.mark.parametrize("granularity", [PerTensor(), PerAxis(0)])
@pytest.mark.parametrize("symmetric", [True, False])
def test_nothing_to_gain(symmetric, granularity):
    for x in (np.zeros((2, 5)), np.full((2, 5), 3.0), [[-1.0, 1.0], [np.nan, np.nan]], [[1e-45, 0], [0, 0]]):
        scheme = Scheme(IntFormat(8), symmetric, granularity, MSE())
        assert np.all(losses(x, scheme) <= losses(x, Scheme(IntFormat(8), symmetric, granularity)))


def test_many_levels():
    p = prepare(TENSORS["student t"])
    for symmetric in (True, False):
        least, whole = (measure(p, Scheme(IntFormat(12), symmetric, range_rule=r)).mse for r in (MSE(), MinMax()))
        assert least <= whole


def test_a_search_stops_when_cancelled():
    asked = []

    def after_some():
        asked.append(None)
        return len(asked) > 1

    for rule in (MSE(), Entropy()):
        for granularity in (PerTensor(), PerAxis(0)):
            asked.clear()
            x = np.tile(TENSORS["normal"], (20, 1))
            with pytest.raises(Cancelled):
                choose_qparams(x, Scheme(granularity=granularity, range_rule=rule), cancelled=after_some)


# --- the entropy threshold -------------------------------------------------------------------------

ENTROPY_TENSORS = {
    **{name: values for name, values in TENSORS.items() if name != "one outlier"},
    "heavy tail": np.random.default_rng(5).standard_t(2, 5000).astype(F),
    "zeros": np.zeros(100, F),
    "tiny": np.array([1e-40, -2e-40, 3e-41], F),
    "a single element": np.array([-7.25], F),
    "two values": np.array([-1, 3, 3, -1, 3], F),
    "one value": np.full(50, 0.3, F),
    "many": np.random.default_rng(6).standard_normal(100_000).astype(F),
}


@every(
    ("name", "bins"),
    [*((name, bins) for name in ENTROPY_TENSORS for bins in (128, 301)), ("normal", 2048), ("heavy tail", 2048)],
)
def test_the_threshold_is_onnxruntimes_own(name, bins):
    calibrate = pytest.importorskip("onnxruntime.quantization.calibrate")
    x = ENTROPY_TENSORS[name]
    collector = calibrate.HistogramCollector("entropy", False, bins, 128, 99.99, "same")
    collector.collect({"x": [x]})
    low, high = collector.compute_collection_result()["x"][:2]
    p, rule = prepare(x), Entropy(bins)
    ours = rule.search(p)
    assert ours == (low, high)
    assert ours[0].dtype == ours[1].dtype == F


def test_each_channel_has_a_threshold_of_its_own():
    x = np.stack([TENSORS["normal"], 10 * TENSORS["student t"], TENSORS["half zeros"]])
    x[1, :100] = np.nan
    empty = np.concatenate([x, np.full((1, x.shape[1]), np.nan, F)])
    scheme = Scheme(granularity=PerAxis(0), range_rule=Entropy(512), convention="textbook")
    low, high = scheme.range_rule.estimate(range_input(empty, scheme))
    for row, ends in zip(x, zip(low, high, strict=True), strict=False):
        p = prepare(row)
        assert ends == scheme.range_rule.search(p)
    assert (low[3], high[3]) == (0, 0)


@every(("bins", "quantized"), [(127, 128), (2048, 1), (2048, 0), (0, 0), (1 << 17, 128), (-5, 2)])
def test_bins_that_cannot_be_merged_are_a_problem(bins, quantized):
    with pytest.raises(Problem, match=f"{bins} bins cannot be merged into {quantized}"):
        Entropy(bins, quantized)


@every("rule", [MSE(), Entropy(), Entropy(512, 16)])
def test_rules_are_values_and_write_themselves(rule):
    scheme = Scheme(IntFormat(4), False, PerAxis(1), rule, "textbook")
    assert Scheme.from_dict(json.loads(json.dumps(scheme.to_dict()))) == scheme
    assert hash(scheme) == hash(Scheme.from_dict(scheme.to_dict()))


def test_a_bad_rule_in_a_file_is_a_problem():
    data = Scheme(range_rule=Entropy()).to_dict()
    for change in ({"bins": 5}, {"bins": 2048.5}, {"quantized_bins": "many"}):
        with pytest.raises(Problem):
            Scheme.from_dict(data | {"range_rule": data["range_rule"] | change})


# --- loss curves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [3, 8])
@pytest.mark.parametrize("name", ["normal", "student t", "half zeros", "shifted"])
def test_the_symmetric_curve_is_the_error_of_each_threshold(name, bits):
    p = prepare(TENSORS[name])
    scheme = Scheme(IntFormat(bits), range_rule=Percentile(99.0))
    (curve,) = loss_curves(p, scheme, MSE())
    assert (curve.loss, curve.side) == ("mse", "both")
    assert np.all(np.diff(curve.threshold) > 0)
    assert curve.threshold.shape == curve.value.shape
    assert 1 < curve.threshold[-1] / np.abs(p.values).max() < 1.5
    for i in range(0, curve.threshold.size, 7):
        t = float(curve.threshold[i])
        manual = Scheme(IntFormat(bits), range_rule=Manual(-t, t))
        assert curve.value[i] == pytest.approx(measure(p.tensor, manual).mse, rel=1e-10)
    q = choose_qparams(p, Scheme(IntFormat(bits), range_rule=MSE()))
    least = measure(p, q.scheme).mse
    assert curve.value.min() == pytest.approx(least, rel=1e-10)
    assert curve.best == pytest.approx(float(q.high), rel=1e-6)


@pytest.mark.parametrize("name", ["normal", "student t", "half zeros", "shifted", "lognormal"])
def test_the_asymmetric_curves_move_one_end_each(name):
    p = prepare(TENSORS[name])
    scheme = Scheme(IntFormat(4), False, convention="textbook")
    curves = loss_curves(p, scheme, MSE())
    q = choose_qparams(p, Scheme(IntFormat(4), False, range_rule=MSE(), convention="textbook"))
    least = measure(p, q.scheme).mse
    best = {"low": float(q.low), "high": float(q.high)}
    assert {curve.side for curve in curves} <= {"low", "high"}
    assert any(curve.side == "high" for curve in curves) or name == "lognormal"
    for curve in curves:
        assert np.all(np.diff(curve.threshold) > 0)
        assert p.values[0] <= curve.threshold[0] < curve.threshold[-1] <= p.values[-1]
        for t, value in list(zip(curve.threshold.tolist(), curve.value, strict=True))[::9]:
            ends = best | {curve.side: t}
            if F(ends["low"]) < F(ends["high"]):
                manual = Scheme(IntFormat(4), False, range_rule=Manual(**ends), convention="textbook")
                assert value == pytest.approx(measure(p.tensor, manual).mse, rel=1e-10)
        assert curve.value.min() == pytest.approx(least, rel=1e-3)
        assert curve.best == pytest.approx(best[curve.side], rel=1e-2, abs=1e-2)


def test_an_end_that_cannot_move_has_no_curve():
    x = np.append(np.zeros(60), np.arange(40))  # the median is the smallest
    assert [curve.side for curve in loss_curves(x, Scheme(symmetric=False), MSE())] == ["high"]
    assert loss_curves(np.zeros(5), Scheme(symmetric=False), MSE()) == ()
    (alone,) = loss_curves(np.zeros(5), Scheme(), MSE())
    assert alone.threshold.tolist() == [0]


def test_the_curve_of_the_entropy():
    p = prepare(TENSORS["student t"])
    (curve,) = loss_curves(p, Scheme(symmetric=False), Entropy(512))
    assert (curve.loss, curve.side) == ("entropy", "both")
    assert np.all(np.diff(curve.threshold) >= 0)  # the last two candidates end in the same bin
    assert curve.threshold[-1] == np.abs(p.values).max()
    assert curve.best == pytest.approx(float(choose_qparams(p, Scheme(range_rule=Entropy(512))).high), rel=1e-6)


@pytest.mark.parametrize("rule", [MSE(), Entropy(256)])
def test_curves_are_remembered(rule):
    p = prepare(TENSORS["normal"])
    curves = loss_curves(p, Scheme(), rule)
    assert loss_curves(p, Scheme(range_rule=Percentile()), rule) is curves
    assert loss_curves(p, Scheme(IntFormat(4)), rule) is not curves
    rows = prepare(TENSORS["normal"].reshape(10, -1))
    by_row = loss_curves(rows, Scheme(granularity=PerAxis(0)), rule)  # one scale is what curves are of
    np.testing.assert_array_equal(by_row[0].value, curves[0].value)


def test_curves_stop_when_cancelled():
    p = prepare(TENSORS["normal"])
    for symmetric in (True, False):
        choose_qparams(p, Scheme(symmetric=symmetric, range_rule=MSE()))
        with pytest.raises(Cancelled):
            loss_curves(p, Scheme(symmetric=symmetric), MSE(), cancelled=lambda: True)
        assert loss_curves(p, Scheme(symmetric=symmetric), MSE())
