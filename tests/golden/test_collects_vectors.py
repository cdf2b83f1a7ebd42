"""With one ``collect`` a batch, ranges are those of ONNX Runtime's collectors, to the last bit."""

from __future__ import annotations

import json

import numpy as np

from qviz.core import Entropy, IntFormat, OnnxRuntimePercentile, Scheme, choose_qparams
from tests.every import every
from tests.golden.record_collects import ANSWERS, ASKED
from tests.golden.record_estimators import load_tensors

RECORDED = json.loads(ANSWERS.read_text(encoding="utf-8"))
TENSORS = load_tensors()
ALONE = 0  # the axis of batches


def rule(kind: str) -> Entropy | OnnxRuntimePercentile:
    method, magnitudes, bins, percentile = ASKED[kind]
    if method == "entropy":
        return Entropy(bins, batch_axis=ALONE)
    return OnnxRuntimePercentile(percentile, magnitudes, batch_axis=ALONE)


@every("kind", ASKED)
def test_ranges_are_the_collectors(kind: str) -> None:
    asked = 0
    for name, answers in RECORDED["ranges"].items():
        if answers[kind] is not None:
            q = choose_qparams(TENSORS[name], Scheme(IntFormat(8, False), False, range_rule=rule(kind)))
            low, high = np.float32(answers[kind])
            assert (float(q.low), float(q.high)) == (min(low, 0), max(high, 0)), name
            asked += 1
    assert asked > 8


def test_batches_alone_give_another_threshold_than_together() -> None:
    x = TENSORS["one outlier"]
    ends = [
        float(choose_qparams(x, Scheme(range_rule=OnnxRuntimePercentile(99.9, batch_axis=axis))).high)
        for axis in (None, ALONE)
    ]
    assert ends[0] != ends[1]
