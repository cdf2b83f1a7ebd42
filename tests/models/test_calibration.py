"""What a calibrator of ONNX Runtime finds in a network on a person's data, qviz finds too; Paddle's codes follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, create_calibrator

from qviz.core import Entropy, IntFormat, MinMax, Scheme
from qviz.core.ranges.onnxruntime import OnnxRuntimePercentile
from qviz.core.ranges.paddle import AbsMax, PaddleAverage
from qviz.models.activations import ranges
from qviz.models.network import open_network
from qviz.models.ptq import quantize_network
from qviz.models.recipes import Recipe, with_range_rule
from tests.every import every
from tests.models.made import classifier, network, pictures

RULES = {
    CalibrationMethod.MinMax: MinMax(),
    CalibrationMethod.Percentile: OnnxRuntimePercentile(),
    CalibrationMethod.Entropy: Entropy(bins=128),
}


class Reader(CalibrationDataReader):
    def __init__(self, samples):
        self.rest = iter(samples)

    def get_next(self):
        return next(self.rest, None)


@every("method", RULES, ids=lambda method: method.name)
@every("symmetric", [False, True], ids=["asymmetric", "symmetric"])
def test_every_tensor_gets_the_calibrators_range(tmp_path, method, symmetric):
    path, samples = tmp_path / "net.onnx", pictures(3)
    onnx.save_model(classifier(), str(path))
    calibrator = create_calibrator(
        path, None, str(tmp_path / "more.onnx"), method, extra_options={"symmetric": symmetric}
    )
    calibrator.collect_data(Reader(samples))
    expected = {
        name: [float(np.ravel(end)[0]) for end in data.range_value] for name, data in calibrator.compute_data().items()
    }
    assert {"x", "c1", "r1", "c2", "r2", "p", "f", "y"} <= set(expected)
    rule = RULES[method]
    if isinstance(rule, OnnxRuntimePercentile):
        rule = replace(rule, magnitudes=symmetric)
    scheme = Scheme(IntFormat(8), symmetric, range_rule=rule)
    found = ranges(network(classifier()), samples, scheme, sorted(expected))
    for name, (low, high) in expected.items():
        if symmetric:
            assert max(-found[name][0], found[name][1]) == pytest.approx(max(-low, high), rel=1e-6), name
        else:
            # Where all values lie on one side of zero, the range reaches to it.
            assert found[name] == pytest.approx((min(low, 0.0), max(high, 0.0)), rel=1e-6), name


def test_a_network_quantized_as_paddle_does_has_its_thresholds_as_scales(tmp_path):
    rule = PaddleAverage()
    net, samples = network(classifier()), pictures(3)
    recipe = with_range_rule(Recipe("static"), rule)
    quantize_network(net, tmp_path / "q.onnx", recipe, samples)
    made = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in open_network(tmp_path / "q.onnx").model.graph.initializer
    }
    scheme = Scheme(IntFormat(8), range_rule=rule)
    for name, (low, high) in ranges(net, samples, scheme, ["x", "r1", "f"]).items():
        assert -low == high
        assert made[f"{name}_scale"] == np.float32(high) / np.float32(127), name
        assert made[f"{name}_zero_point"] == 0


def test_thresholds_on_both_sides_of_zero_come_with_signed_symmetric_codes():
    for rule in (PaddleAverage(), AbsMax()):
        for kind, signed in (("uint8", "int8"), ("int8", "int8"), ("uint16", "int16")):
            chosen = with_range_rule(Recipe("static", activation_type=kind), rule)
            assert (chosen.activation_type, chosen.symmetric_activations) == (signed, True)
    assert with_range_rule(Recipe("static"), MinMax()) == Recipe("static")
