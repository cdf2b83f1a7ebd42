"""Codes of an ONNX model are listed as what they stand for, as ONNX Runtime computes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from qviz.files.readers import list_tensors
from tests.every import every

RANDOM = np.random.default_rng(4)


def saved(path: Path, node: Any, shape: tuple[int, ...], opset: int = 21, **constants: Any) -> Path:
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None])] if "x" in node.input else [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def runtime(path: Path, **feeds: Any) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)[0]


CASES = {
    "a tensor": ((6, 8), (), {}),
    "an axis": ((6, 8), (8,), {"axis": 1}),
    "the first axis": ((6, 8, 3), (6,), {"axis": 0}),
    "an axis from behind": ((6, 8), (6,), {"axis": -2}),
    "blocks": ((6, 8), (6, 2), {"axis": 1, "block_size": 4}),
    "blocks of columns": ((6, 8), (2, 8), {"axis": 0, "block_size": 3}),
}


@every("with_zero", [False, True])
@every("dtype", [np.int8, np.uint8])
@every("case", CASES)
def test_a_constant_behind_dequantize_linear(tmp_path: Path, case: str, dtype: Any, with_zero: bool) -> None:
    shape, per, attributes = CASES[case]
    info = np.iinfo(dtype)
    parts = {
        "w": RANDOM.integers(info.min, info.max + 1, shape).astype(dtype),
        "s": RANDOM.uniform(0.01, 1, per).astype(np.float32),
    }
    if with_zero:
        parts["z"] = RANDOM.integers(info.min, info.max + 1, per).astype(dtype)
    node = helper.make_node("DequantizeLinear", list(parts), ["y"], **attributes)
    path = saved(tmp_path / "m.onnx", node, shape, **parts)
    entries = {entry.key: entry for entry in list_tensors(path)}
    assert entries["w"].dtype == f"{np.dtype(dtype).name} (QDQ)"
    np.testing.assert_array_equal(np.asarray(entries["w"].load()[:]).reshape(shape), runtime(path))
    assert set(entries) == set(parts)


@every("with_zero", [False, True])
@every(("bits", "columns"), [(4, 64), (4, 80), (8, 64)])
def test_a_weight_of_matmul_n_bits(tmp_path: Path, bits: int, columns: int, with_zero: bool) -> None:
    rows, block = 6, 32
    blocks = -(-columns // block)
    parts = {
        "w": RANDOM.integers(0, 256, (rows, blocks, block * bits // 8)).astype(np.uint8),
        "s": RANDOM.uniform(0.01, 1, rows * blocks).astype(np.float32),
    }
    if with_zero:
        parts["z"] = RANDOM.integers(0, 256, rows * -(-blocks * bits // 8)).astype(np.uint8)
    node = helper.make_node(
        "MatMulNBits", ["x", *parts], ["y"], domain="com.microsoft", K=columns, N=rows, bits=bits, block_size=block
    )
    path = saved(tmp_path / "m.onnx", node, (None, rows), **parts)
    entry = next(each for each in list_tensors(path) if each.key == "w")
    assert (entry.shape, entry.dtype, entry.outputs_first) == ((rows, columns), f"uint{bits} (MatMulNBits)", True)
    weight = np.asarray(entry.load()[:]).reshape(rows, columns)
    expected = runtime(path, x=np.eye(columns, dtype=np.float32))
    np.testing.assert_allclose(weight.T, expected, rtol=1e-5, atol=1e-5)


def test_scales_that_do_not_fit_leave_the_codes_as_they_are(tmp_path: Path) -> None:
    node = helper.make_node("DequantizeLinear", ["w", "s"], ["y"], axis=1)
    parts = {"w": np.ones((4, 6), np.int8), "s": np.ones(5, np.float32)}
    entry = next(each for each in list_tensors(saved(tmp_path / "m.onnx", node, (4, 6), **parts)) if each.key == "w")
    assert entry.dtype == "int8"


def test_dynamic_quantization_of_onnx_runtime(tmp_path: Path) -> None:
    """MatMulInteger and ConvInteger: whole numbers that are scaled behind them."""
    from onnxruntime.quantization import quantize_dynamic

    matrix, kernel = (RANDOM.standard_normal(shape).astype(np.float32) for shape in ((16, 8), (4, 3, 2, 2)))
    nodes = [helper.make_node("MatMul", ["x", "m"], ["y"]), helper.make_node("Conv", ["u", "k"], ["v"])]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "u", "y", "v")]
    constants = [numpy_helper.from_array(value, name) for value, name in ((matrix, "m"), (kernel, "k"))]
    graph = helper.make_graph(nodes, "g", ports[:2], ports[2:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    quantize_dynamic(model, tmp_path / "m.onnx", per_channel=True, weight_type=onnxruntime.quantization.QuantType.QInt8)
    entries = {str(entry.key): entry for entry in list_tensors(tmp_path / "m.onnx")}
    parts = {each.name: numpy_helper.to_array(each) for each in onnx.load(tmp_path / "m.onnx").graph.initializer}
    for name, operator, values in (("m", "MatMulInteger", matrix), ("k", "ConvInteger", kernel)):
        entry = entries[f"{name}_quantized"]
        assert entry.dtype == f"int8 ({operator})"
        found = np.asarray(entry.load()[:]).reshape(values.shape)
        view = (-1, 1, 1, 1) if name == "k" and parts[f"{name}_scale"].size > 1 else (-1,)
        codes, zero = (parts[f"{name}_{part}"].astype(np.float32) for part in ("quantized", "zero_point"))
        np.testing.assert_array_equal(found, (codes - zero.reshape(view)) * parts[f"{name}_scale"].reshape(view))
        np.testing.assert_allclose(found, values, atol=0.03)


def test_the_product_of_two_constants_tells_nothing(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMulInteger", ["x", "w", "", ""], ["i"]),
        helper.make_node("Cast", ["i"], ["f"], to=1),
        helper.make_node("Mul", ["a", "b"], ["s"]),
        helper.make_node("Mul", ["f", "s"], ["y"]),
    ]
    values = {"w": np.ones((4, 6), np.int8), "a": np.float32(2), "b": np.float32(3)}
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]
    ports = [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 4])]
    graph = helper.make_graph(nodes, "g", ports, [helper.make_tensor_value_info("y", 1, [1, 6])], constants)
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    assert {str(each.key): each.dtype for each in list_tensors(tmp_path / "m.onnx")}["w"] == "int8"


@pytest.mark.parametrize("per_column", [False, True])
def test_a_weight_of_matmul_integer_to_float(tmp_path: Path, per_column: bool) -> None:
    size = (8,) if per_column else ()
    parts = {
        "w": RANDOM.integers(-128, 128, (6, 8)).astype(np.int8),
        "one": np.float32(1),
        "s": RANDOM.uniform(0.01, 1, size).astype(np.float32),
        "none": np.uint8(0),
        "z": RANDOM.integers(-9, 9, size).astype(np.int8),
    }
    names = ["x", "w", "one", "s", "none", "z"]
    node = helper.make_node("MatMulIntegerToFloat", names, ["y"], domain="com.microsoft")
    path = saved(tmp_path / "m.onnx", node, (None, 8), **parts)
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    onnx.save(model, path)
    entry = next(each for each in list_tensors(path) if each.key == "w")
    assert entry.dtype == "int8 (MatMulIntegerToFloat)"
    found = np.asarray(entry.load()[:]).reshape(6, 8)
    np.testing.assert_array_equal(found, runtime(path, x=np.eye(6, dtype=np.uint8)))


def test_a_weight_of_qlinear_conv_has_its_outputs_first(tmp_path: Path) -> None:
    parts = {
        "xs": np.float32(1),
        "xz": np.uint8(0),
        "w": RANDOM.integers(-128, 128, (5, 3, 1, 1)).astype(np.int8),
        "s": RANDOM.uniform(0.01, 1, 5).astype(np.float32),
        "z": np.zeros(5, np.int8),
        "ys": np.float32(1),
        "yz": np.uint8(0),
    }
    node = helper.make_node("QLinearConv", ["x", *parts], ["y"])
    entry = next(each for each in list_tensors(saved(tmp_path / "m.onnx", node, (1,), **parts)) if each.key == "w")
    assert (entry.dtype, entry.outputs_first) == ("int8 (QLinearConv)", True)
    expected = parts["w"].astype(np.float32) * parts["s"].reshape(5, 1, 1, 1)
    np.testing.assert_array_equal(np.asarray(entry.load()[:]).reshape(5, 3, 1, 1), expected)
