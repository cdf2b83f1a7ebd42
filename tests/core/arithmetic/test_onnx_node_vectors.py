"""Every test of QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear that the ONNX standard ships is passed.

The cases come with the installed ``onnx``; a newer one brings its own.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from qviz.core import (
    FloatFormat,
    IntFormat,
    PerAxis,
    PerBlock,
    PerTensor,
    QParams,
    Scheme,
    choose_qparams,
    dequantize,
    qparams_from_values,
    quantize,
)
from tests.every import every

OPERATORS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")

FORMATS = {
    TensorProto.INT2: IntFormat(2),
    TensorProto.UINT2: IntFormat(2, False),
    TensorProto.INT4: IntFormat(4),
    TensorProto.UINT4: IntFormat(4, False),
    TensorProto.INT8: IntFormat(8),
    TensorProto.UINT8: IntFormat(8, False),
    TensorProto.INT16: IntFormat(16),
    TensorProto.UINT16: IntFormat(16, False),
    TensorProto.FLOAT4E2M1: FloatFormat("e2m1fn"),
    TensorProto.FLOAT8E4M3FN: FloatFormat("e4m3fn"),
    TensorProto.FLOAT8E4M3FNUZ: FloatFormat("e4m3fnuz"),
    TensorProto.FLOAT8E5M2: FloatFormat("e5m2"),
    TensorProto.FLOAT8E5M2FNUZ: FloatFormat("e5m2fnuz"),
}


def shipped() -> dict[str, Any]:
    """The cases of the operators, by name; those written out in other operators ask the same."""
    from onnx.backend.test.case import node

    for module in pkgutil.iter_modules(node.__path__):
        if "quantizelinear" in module.name:  # importing makes the cases; those of all operators take seconds
            importlib.import_module(f"{node.__name__}.{module.name}")
    return {
        case.name: case
        for case in node._NodeTestCases
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in OPERATORS
    }


CASES = shipped()


def type_of(value: Any) -> int:
    if isinstance(value, TensorProto):
        return value.data_type
    return helper.np_dtype_to_tensor_dtype(np.asarray(value).dtype)


def array_of(value: Any) -> np.ndarray[Any, Any]:
    """As NumPy has it; small integers in a byte each, small floats as their bit patterns."""
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
    kind = FORMATS.get(type_of(value))
    if isinstance(kind, FloatFormat):
        return array.view(kind.dtype)
    return array if kind is None else array.astype(kind.dtype)


def known(scale: Any, zero_point: Any, number_format: Any, axis: int, block_size: int) -> QParams:
    """Parameters of a scale and a zero point that are given: per tensor, per axis, or per block."""
    scale = np.asarray(scale, np.float32)
    granularity = PerBlock(axis, block_size) if block_size else PerAxis(axis) if scale.ndim else PerTensor()
    scheme = Scheme(number_format, not isinstance(number_format, IntFormat), granularity, convention="onnxruntime")
    zero_point = np.resize(np.asarray(zero_point, np.float32), scale.shape)  # some are of shape (1,), some left out
    return qparams_from_values(scale, zero_point, scheme)


def test_no_case_is_left_out():
    assert {case.model.graph.node[0].op_type for case in CASES.values()} == set(OPERATORS)
    assert len(CASES) >= 30 or tuple(map(int, onnx.__version__.split(".")[:2])) < (1, 23)


@every("name", CASES)
def test_shipped_case(name):
    case = CASES[name]
    node = case.model.graph.node[0]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    axis, block_size = attributes.get("axis", 1), attributes.get("block_size", 0)
    for inputs, outputs in case.data_sets:
        x, expected = array_of(inputs[0]), array_of(outputs[0])
        if node.op_type == "DynamicQuantizeLinear":
            scheme = Scheme(IntFormat(8, False), symmetric=False, convention="onnxruntime_dynamic")
            q = choose_qparams(x, scheme)
            np.testing.assert_array_equal(quantize(x, q), expected)
            np.testing.assert_array_equal(q.scale, outputs[1])
            np.testing.assert_array_equal(q.zero_point, outputs[2])
            continue
        quantizes = node.op_type == "QuantizeLinear"
        number_format = FORMATS[type_of((outputs if quantizes else inputs)[0])]
        zero_point = array_of(inputs[2]) if len(inputs) > 2 else 0
        q = known(inputs[1], zero_point, number_format, axis, block_size)
        given = quantize(x, q) if quantizes else dequantize(x, q).astype(expected.dtype)
        if quantizes and isinstance(number_format, FloatFormat):
            # The standard's reference adds a zero point of 0, which makes −0 into 0; here a zero keeps its sign.
            zero = number_format.decode(given) == 0
            given = np.where(zero, 0, given)
        np.testing.assert_array_equal(given, expected)
