"""What lies beyond the last value of FP8 is NaN or infinite where nobody saturates, as the libraries give it."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from qviz.core import Known, PerAxis, Scheme, analyze, choose_qparams, dequantize, measure, quantize
from qviz.core.arithmetic.element_trace import trace_elements
from qviz.core.questions.breakdown import caveats

F = np.float32
FORMATS = ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz")
each_format = pytest.mark.parametrize("name", FORMATS)


def hard_values(name: str) -> Any:
    """Around the last value, where exponents end, and everywhere else."""
    last = float(Scheme(name).number_format.quant_max)
    ends = F([last, last * 31 / 30, 464, 480, 496, 248, 61440, 65536, 512, 0, 1e-9, 2.0**-10, 1e30, np.inf])
    near = np.concatenate([np.nextafter(ends, F(0)), ends, np.nextafter(ends, F(np.inf))])
    some = np.random.default_rng(0).standard_normal(400).astype(F) * F(last / 2)
    return np.concatenate([near, -near, some])


@each_format
def test_a_cast_is_that_of_ml_dtypes(name: str) -> None:
    x = hard_values(name)
    q = choose_qparams(x, Scheme(name, convention="cast_float8"))
    theirs = x.astype(getattr(ml_dtypes, f"float8_{name}"))
    np.testing.assert_array_equal(quantize(x, q), theirs.view(np.uint8))
    np.testing.assert_array_equal(dequantize(quantize(x, q), q), theirs.astype(F))
    assert q.scale == 1


def test_a_cast_of_what_was_scaled_is_that_of_the_quotient() -> None:
    x = hard_values("e4m3fn")
    q = choose_qparams(x, Scheme("e4m3fn", range_rule=Known((0.37,), (0.0,)), convention="cast_float8"))
    with np.errstate(over="ignore"):
        theirs = (x / F(0.37)).astype(ml_dtypes.float8_e4m3fn)
    np.testing.assert_array_equal(quantize(x, q), theirs.view(np.uint8))


def session(name: str) -> Any:
    """QuantizeLinear with saturate=0, and what its codes stand for."""
    kind = getattr(TensorProto, f"FLOAT8{name.upper()}")
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["codes"], saturate=0),
        helper.make_node("DequantizeLinear", ["codes", "scale", "zero"], ["values"]),
    ]
    inputs = [helper.make_tensor_value_info(each, TensorProto.FLOAT, None) for each in ("x", "scale")]
    outputs = [helper.make_tensor_value_info("values", TensorProto.FLOAT, None)]
    zero = helper.make_tensor("zero", kind, [], [0])
    model = helper.make_model(
        helper.make_graph(nodes, "cast", inputs, outputs, [zero]),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@each_format
def test_onnxruntime_asked_live_gives_the_same_values(name: str) -> None:
    x, run = hard_values(name), session(name)
    for scale in (1.0, 0.37, 0.0123):
        q = choose_qparams(x, Scheme(name, range_rule=Known((scale,), (0.0,)), convention="onnxruntime_unsaturated"))
        (theirs,) = run.run(None, {"x": x, "scale": np.array(scale, F)})
        np.testing.assert_array_equal(dequantize(quantize(x, q), q), theirs)
    finite = x[np.isfinite(x) & (np.abs(x) < 1e20)]
    q = choose_qparams(finite, Scheme(name, convention="onnxruntime_unsaturated"))
    (theirs,) = run.run(None, {"x": finite, "scale": q.scale})
    np.testing.assert_array_equal(dequantize(quantize(finite, q), q), theirs)


def test_onnxruntime_has_448_between_480_and_496_and_nan_on_both_sides() -> None:
    x = F([464, 464.1, 479.9, 480, 495.9, 496, -470, -485])
    q = choose_qparams(x, Scheme("e4m3fn", range_rule=Known((1.0,), (0.0,)), convention="onnxruntime_unsaturated"))
    np.testing.assert_array_equal(quantize(x, q), [0x7E, 0x7F, 0x7F, 0x7E, 0x7E, 0x7F, 0xFF, 0xFE])


def test_what_is_lost_is_counted_marked_and_said() -> None:
    x = F([[1, 2, 3, 500], [1, 2, 3, 4]])
    found = analyze(x, Scheme("e4m3fn", True, PerAxis(0), convention="cast_float8"))
    assert (found.saturated, found.occupancy.sum()) == (1, 7)
    assert np.isnan(found.sqnr_db) and found.groups is not None
    assert found.groups.worst == 0 and found.groups.sqnr_db[1] == np.inf
    assert "1 of 8 elements lie beyond the last code and become NaN" in str(caveats(found)[0])
    trace = trace_elements(F([500, 4]), np.array([0, 1]), found.qparams)
    assert np.isnan(trace.dequantized[0]) and trace.code.tolist() == [0x7F, 0x48]
    assert not caveats(analyze(x / 2, found.scheme))


def test_e5m2_is_infinite_instead() -> None:
    found = measure(F([1, -1e6]), Scheme("e5m2", convention="cast_float8"))
    assert found.sqnr_db == -np.inf
    assert found.max_abs_error == np.inf
    assert "infinite" in str(caveats(found)[0])
    assert quantize(F([1e6, -1e6]), found.qparams).tolist() == [0x7C, 0xFC]


def test_what_is_not_finite_is_said_to_stay() -> None:
    said = [str(each) for each in caveats(measure(F([1, np.nan, np.inf]), Scheme("e4m3fn", convention="cast_float8")))]
    assert any("1 NaN and 1 infinite" in each for each in said)
