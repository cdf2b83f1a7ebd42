"""Range estimators of the libraries: what the recorded vectors do not show."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from qviz.core import (
    Entropy,
    IntFormat,
    MinMax,
    PerAxis,
    Problem,
    Scheme,
    Tensor,
    choose_qparams,
    estimate,
    prepare,
)
from qviz.core.ranges.histograms import edge_counts, linear_counts
from qviz.core.ranges.onnxruntime import OnnxRuntimePercentile
from qviz.core.ranges.paddle import (
    PARTS,
    AbsMax,
    PaddleAverage,
    PaddleEMD,
    PaddleHistogram,
    PaddleKL,
    PaddleMSE,
    PaddlePTF,
)
from qviz.core.ranges.pairwise import means
from qviz.core.ranges.table import RANGE_RULES
from qviz.core.ranges.torch import MovingAverage, TorchHistogram, total
from qviz.core.schemes.caveats import range_caveat
from qviz.core.tensors.batches import Batch
from qviz.core.work import Cancelled, never
from tests.every import every

RNG = np.random.default_rng(11)
X = RNG.standard_normal(5000).astype(np.float32)
LARGE = np.float32(3e38)

EVERY_RULE = [
    *(rule() for rule in RANGE_RULES.values()),
    MovingAverage(0.5, 1),
    TorchHistogram(0),
    PaddleAverage(-1),
    PaddleHistogram(0.5),
    PaddleMSE(True, 0),
    PaddleEMD(True, 2),
    PaddlePTF(0),
    OnnxRuntimePercentile(99.0),
]


@every("rule", EVERY_RULE, ids=str)
def test_json_brings_every_rule_back(rule):
    scheme = Scheme(range_rule=rule)
    assert Scheme.from_dict(json.loads(json.dumps(scheme.to_dict()))) == scheme


@every("axis", [True, 1.0, "0"])
def test_a_batch_axis_is_a_whole_number_or_none(axis):
    data = Scheme(range_rule=PaddlePTF()).to_dict() | {"range_rule": {"kind": "paddle_ptf", "batch_axis": axis}}
    with pytest.raises(Problem, match="cannot have batch_axis"):
        Scheme.from_dict(data)


@every(
    ("rule", "value", "message"),
    [
        (MovingAverage, 0, "averaging constant of 0"),
        (MovingAverage, 1.5, "averaging constant of 1.5"),
        (PaddleHistogram, 0.0, "quantile of 0"),
        (PaddleHistogram, 1.01, "quantile of 1.01"),
        (OnnxRuntimePercentile, 50, "percentile of 50"),
        (OnnxRuntimePercentile, 100.5, "percentile of 100.5"),
    ],
)
def test_options_out_of_range_are_problems(rule, value, message):
    with pytest.raises(Problem, match=message):
        rule(value)


@every("rule", EVERY_RULE, ids=str)
@every("symmetric", [True, False])
def test_a_sorted_tensor_has_the_same_range(rule, symmetric):
    x = X[:4800].reshape(8, 10, 60)
    scheme = Scheme(IntFormat(8), symmetric, range_rule=rule)
    one, other = choose_qparams(x, scheme), choose_qparams(prepare(x), scheme)
    assert (one.scale, one.zero_point) == (other.scale, other.zero_point)


@every("rule", [rule for rule in EVERY_RULE if rule.kind != "mse"], ids=str)
@every("bits", [2, 8, 16])
@every(
    "values",
    [
        [0.0],
        [LARGE, -LARGE],
        [1e-45, 0],
        [5.0, 5.0],
        [-LARGE, 1, 1, 2],
        np.full(6, -LARGE),
        np.r_[0, np.full(5, LARGE)],
    ],
    ids=["zero", "all of float32", "denormal", "one value", "far out", "one far value", "half of float32"],
)
def test_every_tensor_has_a_range(rule, bits, values):
    x = np.array(values, np.float32).reshape(1, 1, -1)
    qparams = choose_qparams(x, Scheme(IntFormat(bits), False, range_rule=rule))
    assert np.isfinite([qparams.low, qparams.high, qparams.scale]).all()


@every("rule", [r for r in EVERY_RULE if r.kind not in ("minmax", "manual", "abs_max", "known")], ids=str)
def test_it_can_be_stopped(rule):
    tensor = Tensor(X[:4800].reshape(8, 10, 60))
    with pytest.raises(Cancelled):
        choose_qparams(tensor, Scheme(range_rule=rule), cancelled=lambda: True)


@every("rule", [PaddleKL(), TorchHistogram(), PaddleMSE(), OnnxRuntimePercentile()], ids=str)
def test_the_answer_is_remembered_with_the_tensor(rule):
    tensor, scheme = Tensor(X), Scheme(range_rule=rule)
    first = choose_qparams(tensor, scheme)
    assert choose_qparams(tensor, scheme, cancelled=lambda: True).scale == first.scale


def test_bits_that_the_search_reads_are_not_mixed_up():
    tensor = Tensor(X)
    found = {
        bits: float(choose_qparams(tensor, Scheme(IntFormat(bits), range_rule=PaddleMSE())).high) for bits in (4, 8)
    }
    assert len(set(found.values())) == 2


def test_no_estimate_where_batches_matter():
    tensor = Tensor(np.ones((300_000, 2), np.float32), counted=False)
    with pytest.raises(Problem, match="knows no batches"):
        estimate(tensor, Scheme(range_rule=PaddleAverage()))


def test_the_largest_magnitude_to_both_sides():
    q = choose_qparams([[-3.0, 1.0], [0.5, 2.0]], Scheme(IntFormat(8), False, PerAxis(0), AbsMax()))
    assert (q.low.tolist(), q.high.tolist()) == ([-3, -2], [3, 2])


def test_one_batch_averages_nothing():
    x = Tensor(X.reshape(5, -1))
    for rule in (MovingAverage(), MovingAverage(1.0, 0)):
        expected = choose_qparams(x if rule.batch_axis is None else X.reshape(5, -1)[-1], Scheme(range_rule=MinMax()))
        assert choose_qparams(x, Scheme(range_rule=rule)).scale == expected.scale


def test_paddles_search_ends_before_the_whole_range():
    # 0.3 and 0.02 are added up as Paddle adds them.
    s, parts = 0.3, []
    while s <= 1.0:
        parts.append(s)
        s += 0.02
    assert tuple(parts) == PARTS
    assert PARTS[-1] == pytest.approx(0.98)


def test_a_quantile_that_rounding_never_reaches_is_the_last_bin():
    # Paddle itself answers with half a bin below 0.
    counts = np.repeat(np.linspace(0, 1, 2048), np.arange(2048) % 7 + 1).astype(np.float32)
    rule = PaddleHistogram(1.0)
    assert float(choose_qparams(counts, Scheme(range_rule=rule)).high) == pytest.approx(1, abs=1e-3)
    for seed in range(20):
        x = np.random.default_rng(seed).standard_normal(3000 + seed)
        high = float(choose_qparams(x, Scheme(range_rule=rule)).high)
        largest = np.abs(x.astype(np.float32)).max()
        assert 0.99 * largest < high < largest


def test_kl_looks_for_a_bin_where_none_was_tried():
    # Nothing lies above the middle but the largest: Paddle takes the last bin below that holds anything.
    x = np.append(np.linspace(0, 0.3, 1000), 1).astype(np.float32)
    high = float(choose_qparams(x, Scheme(range_rule=PaddleKL())).high)
    assert high == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize("bins", [16, 2048])
def test_edges_divide_as_numpys_do(bins):
    x = np.append(X, np.linspace(-1, 1, bins + 1)).astype(np.float32)
    edges = np.linspace(-1, 1, bins + 1)
    np.testing.assert_array_equal(edge_counts([x[:100], x[100:]], edges), np.histogram(x, edges)[0])


def test_torch_counts_nothing_beyond_the_ends():
    x = np.array([-2, -1, -0.5, 0, 0.5, 1, 2], np.float32)
    assert linear_counts([x], np.float32(-1), np.float32(1), 4).tolist() == [1, 1, 1, 2]
    assert linear_counts([x], np.float32(0), np.float32(0), 4).tolist() == [1, 1, 1, 2]
    assert linear_counts([np.array([-LARGE, 0, LARGE])], -LARGE, LARGE, 4).tolist() == [1, 0, 1, 1]


@every("size", [1, 7, 100, 70_000, (1 << 20) + 13])
def test_means_are_numpys(size):
    x = np.random.default_rng(size).standard_normal(size).astype(np.float32)
    found = means(
        Batch(x, 0, size, 1, clean=True), lambda v, memory, i: np.multiply(v, v, out=memory) if i else v, 2, never
    )
    assert found.dtype == np.float32
    assert found.tolist() == [np.mean(x), np.mean(x * x)]


def test_a_sum_of_whole_numbers_is_exact():
    assert total(np.arange(2048, dtype=np.float32)) == 2047 * 1024


SYMMETRIC = Scheme()


@every(
    ("rule", "scheme", "said"),
    [
        (Entropy(bins=128), SYMMETRIC, "single candidate"),
        (Entropy(bins=129), SYMMETRIC, "single candidate"),
        (Entropy(), SYMMETRIC, None),
        (Entropy(), Scheme(granularity=PerAxis(0)), "ONNX Runtime has this for a whole tensor alone"),
        (TorchHistogram(), SYMMETRIC, None),
        (TorchHistogram(), Scheme(IntFormat(4)), "256 levels"),
        (TorchHistogram(), Scheme(granularity=PerAxis(0)), "PyTorch has this"),
        (MovingAverage(), SYMMETRIC, "nothing to average"),
        (MovingAverage(batch_axis=0), Scheme(granularity=PerAxis(1)), None),
        (PaddleKL(), SYMMETRIC, "below half"),
        (PaddleHistogram(), SYMMETRIC, "smallest magnitude"),
        (PaddleMSE(), SYMMETRIC, "ReLU"),
        (PaddleEMD(), SYMMETRIC, "ReLU"),
        (PaddleMSE(True), SYMMETRIC, None),
        (PaddleMSE(True, 0), SYMMETRIC, "the least loss"),
        (PaddleEMD(False, 0), SYMMETRIC, "the least loss"),
        (PaddlePTF(), SYMMETRIC, "ReLU"),
        (PaddlePTF(0), SYMMETRIC, "last batch"),
        (PaddleAverage(), SYMMETRIC, None),
        (AbsMax(), SYMMETRIC, None),
        (MinMax(), Scheme(granularity=PerAxis(0)), None),
        (OnnxRuntimePercentile(), SYMMETRIC, None),
        (OnnxRuntimePercentile(), Scheme(symmetric=False), "counts magnitudes here"),
        (OnnxRuntimePercentile(magnitudes=False), Scheme(symmetric=False), None),
    ],
    ids=str,
)
def test_what_is_surprising_is_said(rule, scheme, said):
    sentence = range_caveat(rule, replace(scheme, range_rule=rule))
    assert (sentence is None) == (said is None)
    assert said is None or said in str(sentence)


def test_entropy_at_its_librarys_default_clips_nothing():
    # So that what is said of it is true.
    q = choose_qparams(X, Scheme(range_rule=Entropy(bins=128)))
    assert q.scale == choose_qparams(X, Scheme(range_rule=MinMax())).scale


@every("magnitudes", [True, False])
@every("first", [[1e-45, 2e-45], [1e-42, 3e-42], [1e-12, 2e-12]])
def test_a_batch_far_beyond_a_narrow_first_one_is_said_where_onnx_runtime_runs_out_of_memory(magnitudes, first):
    x = np.float32([first, [1.0, 3e38]])
    rule = OnnxRuntimePercentile(magnitudes=magnitudes, batch_axis=0)
    with pytest.raises(Problem, match="more than 16,777,216 bins: choose another range, or take all batches together"):
        choose_qparams(x, Scheme(range_rule=rule))
    choose_qparams(x, Scheme(range_rule=replace(rule, batch_axis=None)))
