"""Every test of QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear that the ONNX standard ships is passed.

The cases come with the installed ``onnx``; a newer one brings its own.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from qviz.core import IntFormat, PerAxis, PerTensor, Scheme, choose_qparams, dequantize, quantize
from qviz.core.affine import QParams

OPERATORS = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")

INTEGERS = {
    TensorProto.INT2: IntFormat(2),
    TensorProto.UINT2: IntFormat(2, False),
    TensorProto.INT4: IntFormat(4),
    TensorProto.UINT4: IntFormat(4, False),
    TensorProto.INT8: IntFormat(8),
    TensorProto.UINT8: IntFormat(8, False),
    TensorProto.INT16: IntFormat(16),
    TensorProto.UINT16: IntFormat(16, False),
}


def shipped() -> dict[str, Any]:
    """The cases of the operators, by name; those written out in other operators ask the same."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cases of other operators divide by zero
        cases = load_model_tests(kind="node")
    return {
        case.name: case
        for case in cases
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in OPERATORS
    }


CASES = shipped()


def type_of(value: Any) -> int:
    if isinstance(value, TensorProto):
        return value.data_type
    return helper.np_dtype_to_tensor_dtype(np.asarray(value).dtype)


def array_of(value: Any) -> np.ndarray[Any, Any]:
    """As NumPy has it; the numbers of small types as those of larger ones."""
    array = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
    return array if array.dtype.kind in "iu" and array.dtype.itemsize > 1 else array.astype(np.float32)


def known(scale: Any, zero_point: Any, number_format: IntFormat, shape: tuple[int, ...], axis: int) -> QParams:
    """Parameters of a scale and a zero point that are given, per tensor or per axis."""
    scale = np.asarray(scale, np.float32)
    granularity = PerAxis(axis) if scale.ndim else PerTensor()
    scheme = Scheme(number_format, symmetric=False, granularity=granularity, convention="onnxruntime")
    zero_point = np.resize(np.asarray(zero_point, np.float32), scale.shape)  # some are of shape (1,), some left out
    first, last = number_format.quant_min, number_format.quant_max
    low, high = (((end - zero_point) * scale).astype(np.float32) for end in (first, last))
    return QParams(scale, zero_point, low, high, first, last, scheme)


def test_no_case_is_left_out():
    assert {case.model.graph.node[0].op_type for case in CASES.values()} == set(OPERATORS)
    assert len(CASES) >= 30 or tuple(map(int, onnx.__version__.split(".")[:2])) < (1, 23)


def marked(name: str) -> Any:
    case = CASES[name]
    node = case.model.graph.node[0]
    types = [type_of(value) for ins, outs in case.data_sets for value in (*ins, *outs)]
    marks = []
    if any(attribute.name == "block_size" for attribute in node.attribute):
        marks.append(pytest.mark.xfail(reason="there are no blocks yet", strict=True))
    elif not set(types) <= {*INTEGERS, TensorProto.FLOAT}:
        marks.append(pytest.mark.xfail(reason="there are no floating-point codes yet", strict=True))
    return pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", [marked(name) for name in CASES])
def test_shipped_case(name):
    case = CASES[name]
    node = case.model.graph.node[0]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    axis = attributes.get("axis", 1)
    for inputs, outputs in case.data_sets:
        x = array_of(inputs[0])
        if node.op_type == "DynamicQuantizeLinear":
            scheme = Scheme(IntFormat(8, False), symmetric=False, convention="onnxruntime_dynamic")
            q = choose_qparams(x, scheme)
            np.testing.assert_array_equal(quantize(x, q), outputs[0])
            np.testing.assert_array_equal(q.scale, outputs[1])
            np.testing.assert_array_equal(q.zero_point, outputs[2])
            continue
        number_format = INTEGERS[type_of((outputs if node.op_type == "QuantizeLinear" else inputs)[0])]
        zero_point = array_of(inputs[2]) if len(inputs) > 2 else 0
        q = known(inputs[1], zero_point, number_format, x.shape, axis)
        given = quantize(x, q) if node.op_type == "QuantizeLinear" else dequantize(x, q)
        np.testing.assert_array_equal(given, array_of(outputs[0]))
