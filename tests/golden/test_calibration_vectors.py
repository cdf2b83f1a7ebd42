"""Ranges of a network's activations are those of Paddle and of ONNX Runtime's calibrators, batch after batch."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qviz.core import IntFormat, Scheme
from qviz.core.ranges.table import RANGE_RULES
from qviz.models.activations import ranges
from tests.golden.record_calibration import ANSWERS, LENGTHS, ONNXRUNTIME, PADDLE, TENSORS, batches
from tests.models.made import model_of, network, value

RECORDED = json.loads(ANSWERS.read_text(encoding="utf-8"))
OPTIONS = {
    "onnxruntime_percentile": {"magnitudes": False},  # as CalibTensorRangeSymmetric=False has it
    "onnxruntime_percentile 99": {"percentile": 99.0, "magnitudes": False},
    "entropy 128": {"bins": 128},
    "paddle_mse onnx_format": {"onnx_format": True},
}


@pytest.fixture(scope="module")
def given():
    """A network whose inputs are the recorded activations, and three samples of these."""
    recorded = batches()
    names = sorted(recorded)
    net = network(model_of([], [value(n, *[None] * recorded[n][0].ndim) for n in names], [], {}))
    return net, [{name: recorded[name][i] for name in names} for i in range(len(LENGTHS))]


def chosen(given, kind, symmetric):
    net, samples = given
    rule = RANGE_RULES[kind.split()[0]](**OPTIONS.get(kind, {}))
    return ranges(net, samples, Scheme(IntFormat(8), symmetric, range_rule=rule), [*TENSORS, "sequences"])


@pytest.mark.parametrize("kind", PADDLE)
def test_thresholds_are_paddles(given, kind):
    found = chosen(given, kind, symmetric=kind != "minmax")
    for name, ends in RECORDED["paddle"]["ranges"][kind].items():
        assert found[name] == tuple(np.float32(end) for end in ends), name


@pytest.mark.parametrize("kind", ONNXRUNTIME)
def test_ranges_are_onnxruntimes(given, kind):
    found = chosen(given, kind, symmetric=False)
    for name, (low, high) in RECORDED["onnxruntime"]["ranges"][kind].items():
        assert (min(found[name][0], 0), max(found[name][1], 0)) == (min(low, 0), max(high, 0)), name


def test_every_algorithm_was_recorded_for_every_tensor():
    for library, kinds in (("paddle", PADDLE), ("onnxruntime", ONNXRUNTIME)):
        assert set(RECORDED[library]["ranges"]) == set(kinds)
        assert all(set(answers) == {*TENSORS, "sequences"} for answers in RECORDED[library]["ranges"].values())
