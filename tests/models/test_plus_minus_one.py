"""Codes that are one off are traced to their cause."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from qviz.core import Problem
from qviz.models.exact_operators import exact_codes
from qviz.models.network import open_network
from qviz.models.plus_minus_one import (
    BIAS,
    FUSED,
    OTHER,
    PAIRS,
    SUMS,
    TIE,
    compare_codes,
    integer_nodes,
    save_reproduction,
    trace_node,
)
from qviz.models.preparation import prepare_network
from qviz.models.ptq import quantize_network
from qviz.models.quantized_units import quantized_units, save_unit, trace_units
from qviz.models.recipes import Recipe
from qviz.models.sessions import open_session, run
from tests.every import every
from tests.models.made import classifier, network, pictures

F, U8, S8 = np.float32, np.uint8, np.int8


def matmul(x, w, x_scale=0.5, w_scale=0.25, y_scale=0.25, zeros=(0, 0, 0)):
    node = helper.make_node("QLinearMatMul", ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"], ["y"], name="mm")
    inputs = [x, F(x_scale), U8(zeros[0]), w, F(w_scale), S8(zeros[1]), F(y_scale), U8(zeros[2])]
    return node, [np.asarray(each) for each in inputs]


def test_a_tie_and_its_neighbours_by_hand():
    node, inputs = matmul(np.array([[1, 3, 2]], U8), np.array([[1], [0], [0]], S8))
    # 1 · 1 · 0.5 · 0.25 / 0.25 = 0.5: a tie, which goes to the even 0.
    assert exact_codes(node, inputs).tolist() == [[0]]
    trace = compare_codes(node, inputs, np.array([[1]], U8), np.array([[0]], U8))
    (found,) = trace.differences
    assert (found.index, found.first, found.second, found.exact, found.cause) == ((0, 0), 1, 0, 0.5, TIE)


def test_a_multiplier_that_float32_rounds():
    node, inputs = matmul(np.array([[5]], U8), np.array([[1]], S8), 0.1, 1.0, np.nextafter(F(1), F(2)))
    trace = compare_codes(node, inputs, np.array([[1]], U8), np.array([[0]], U8))
    assert trace.causes == {FUSED: 1}


def test_pairs_that_saturate_sixteen_bits():
    node, inputs = matmul(np.array([[210, 198]], U8), np.array([[-81], [-80]], S8), 0.01, 0.01, 0.7, (0, 0, 128))
    trace = compare_codes(node, inputs, np.array([[100]], U8), exact_codes(node, inputs))
    assert trace.causes == {PAIRS: 1}  # 210 · −81 + 198 · −80 = −32850
    node, inputs = matmul(np.array([[10, 19]], U8), np.array([[-81], [-80]], S8), 0.01, 0.01, 0.7, (0, 0, 128))
    assert compare_codes(node, inputs, np.array([[1]], U8), exact_codes(node, inputs)).causes == {OTHER: 1}


def test_pairs_of_convolutions_are_of_neighbouring_channels():
    x, w = np.zeros((1, 2, 3, 3), U8), np.zeros((1, 2, 1, 2), S8)
    x[0, :, 1, 1], w[0, :, 0, 1] = (210, 198), (-81, -80)
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"]
    node = helper.make_node("QLinearConv", names, ["y"], name="conv", pads=[0, 0, 0, 1], strides=[1, 1])
    inputs = [x, F(0.01), U8(0), w, F(0.01), S8(0), F(0.7), U8(128)]
    exact = exact_codes(node, inputs)
    other = exact.copy()
    other[0, 0, 1, 0] += 2
    assert compare_codes(node, inputs, other, exact).causes == {PAIRS: 1}
    x[0, :, 1, 1], w[0, :, 0] = 0, 0
    x[0, 0, 1, 1:], w[0, 0, 0] = (210, 198), (-81, -80)  # neighbours in a row, of which channels lie between
    exact = exact_codes(node, inputs)
    other = exact.copy()
    other[0, 0, 1, 1] += 2
    assert compare_codes(node, inputs, other, exact).causes == {OTHER: 1}


def constants_of(net):
    """The arrays that a network holds."""
    return {each.name: onnx.numpy_helper.to_array(each) for each in net.model.graph.initializer}


def assert_one_off(trace):
    """Codes of a runtime are no more than one off but where it saturates, which depends on the processor."""
    for each in trace.differences:
        assert abs(each.first - each.second) <= 1 or each.cause == PAIRS, each


@every("seed", range(4))
def test_exact_codes_are_those_of_the_standard_but_for_ties(seed):
    rng = np.random.default_rng(seed)
    x, w = rng.integers(0, 256, (3, 9)).astype(U8), rng.integers(-128, 128, (9, 4)).astype(S8)
    node, inputs = matmul(x, w, 0.013, 0.021, 0.37, (117, 3, 120))
    graph = helper.make_graph(
        [node],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in zip(node.input, inputs, strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    exact = exact_codes(node, inputs).astype(int)
    standard = np.asarray(ReferenceEvaluator(model).run(None, {})[0]).astype(int)
    runtime = run(open_session(model), {})[0].astype(int)
    assert np.abs(exact - standard).max() <= 1
    for other in (standard, runtime):
        trace = compare_codes(node, inputs, other.astype(U8), exact.astype(U8))
        assert set(trace.causes) <= {TIE, FUSED, PAIRS}
        assert_one_off(trace)


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    path = tmp_path_factory.mktemp("q") / "q.onnx"
    net = prepare_network(network(classifier())).network
    quantize_network(net, path, replace(Recipe("static"), form="operator"), pictures(2))
    return open_network(path)


def test_nodes_of_a_real_network(quantized, tmp_path):
    names = integer_nodes(quantized)
    assert any("conv" in name for name in names)
    for name in names:
        trace = trace_node(quantized, name, pictures(1)[0])
        assert trace.elements > 0
        assert OTHER not in trace.causes
    path = save_reproduction(tmp_path, quantized, names[0], pictures(1)[0])
    saved = np.load(path.with_suffix(".npz"))
    feeds = {key: saved[key] for key in saved.files if key not in ("runtime", "exact")}
    (again,) = run(open_session(onnx.load(str(path))), feeds)
    np.testing.assert_array_equal(again, saved["runtime"])
    trace = trace_node(quantized, names[0], pictures(1)[0])
    assert_one_off(trace)
    assert np.count_nonzero(saved["exact"] != saved["runtime"]) == len(trace.differences)


def test_what_cannot_be_traced_is_said(quantized):
    with pytest.raises(Problem, match="no node"):
        trace_node(quantized, "nobody", pictures(1)[0])
    other = next(node.name for node in quantized.model.graph.node if node.op_type == "DequantizeLinear")
    with pytest.raises(Problem, match="cannot be traced"):
        trace_node(quantized, other, pictures(1)[0])


@every("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
@every("stride", [1, 2])
def test_convolutions_are_padded_as_they_say(auto_pad, stride):
    rng = np.random.default_rng(stride)
    x, w = rng.integers(0, 256, (1, 2, 6, 7)).astype(U8), rng.integers(-128, 128, (3, 2, 4, 3)).astype(S8)
    options = {"pads": [1, 0, 2, 1]} if auto_pad == "NOTSET" else {"auto_pad": auto_pad}
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"]
    node = helper.make_node("QLinearConv", names, ["y"], name="conv", strides=[stride, stride], **options)
    values = [x, F(0.01), U8(120), w, F(0.02), S8(0), F(0.1), U8(128)]
    inputs = [np.asarray(each) for each in values]
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, list(x.shape))],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        [onnx.numpy_helper.from_array(value, name) for name, value in zip(names[1:], inputs[1:], strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    runtime, exact = run(open_session(model), {"x": x})[0], exact_codes(node, inputs)
    assert runtime.shape == exact.shape
    assert compare_codes(node, inputs, runtime, exact).causes[OTHER] == 0


def one_node(node, values, kind=TensorProto.UINT8):
    """A model of one node, whose first input is fed."""
    graph = helper.make_graph(
        [node],
        "g",
        [
            helper.make_tensor_value_info(
                node.input[0], helper.np_dtype_to_tensor_dtype(values[0].dtype), list(values[0].shape)
            )
        ],
        [helper.make_tensor_value_info("y", kind, None)],
        [onnx.numpy_helper.from_array(v, n) for n, v in zip(node.input[1:], values[1:], strict=True)],
    )
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


def pooled(**options):
    return helper.make_node(
        "QLinearAveragePool", ["x", "xs", "xz", "ys", "yz"], ["y"], name="pool", domain="com.microsoft", **options
    )


POOLS = {
    "plain": pooled(kernel_shape=[2, 3]),
    "strided": pooled(kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1]),
    "with padding": pooled(kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "global": helper.make_node(
        "QLinearGlobalAveragePool", ["x", "xs", "xz", "ys", "yz"], ["y"], name="pool", domain="com.microsoft"
    ),
}


@every("name", POOLS)
def test_pooling_is_traced(name):
    x = np.random.default_rng(7).integers(0, 256, (1, 3, 9, 8)).astype(U8)
    inputs = [np.asarray(each) for each in (x, F(0.013), U8(117), F(0.0101), U8(120))]
    runtime = run(open_session(one_node(POOLS[name], inputs)), {"x": x})[0]
    exact = exact_codes(POOLS[name], inputs)
    assert runtime.shape == exact.shape
    assert np.abs(runtime.astype(int) - exact.astype(int)).max() <= 1
    assert compare_codes(POOLS[name], inputs, runtime, exact).causes[OTHER] == 0


def test_a_pooled_tie_by_hand():
    inputs = [np.asarray(each) for each in (U8([[[[1, 2]]]]), F(1), U8(0), F(1), U8(0))]
    node = pooled(kernel_shape=[1, 2])
    assert exact_codes(node, inputs).tolist() == [[[[2]]]]  # 1.5 goes to the even 2
    (found,) = compare_codes(node, inputs, U8([[[[1]]]]), U8([[[[2]]]])).differences
    assert (found.exact, found.cause) == (1.5, TIE)


def test_products_of_two_are_traced():
    rng = np.random.default_rng(3)
    a, b = (rng.integers(0, 256, (40, 50)).astype(U8) for _ in range(2))
    names = ["a", "as", "az", "b", "bs", "bz", "ys", "yz"]
    node = helper.make_node("QLinearMul", names, ["y"], name="mul", domain="com.microsoft")
    inputs = [np.asarray(each) for each in (a, F(0.02), U8(100), b, F(0.03), U8(9), F(0.09), U8(128))]
    runtime, exact = run(open_session(one_node(node, inputs)), {"a": a})[0], exact_codes(node, inputs)
    assert np.abs(runtime.astype(int) - exact.astype(int)).max() <= 1
    assert compare_codes(node, inputs, runtime, exact).causes[OTHER] == 0


def test_a_value_that_is_quantized_is_traced():
    node = helper.make_node("QuantizeLinear", ["x", "s", "z"], ["y"], name="q")
    inputs = [F([0.25, 0.75, 0.3, 100]), np.asarray(F(0.5)), np.asarray(U8(3))]
    assert exact_codes(node, inputs).tolist() == [3, 5, 4, 203]  # both ties go to the even number
    (found,) = compare_codes(node, inputs, U8([4, 5, 4, 203]), U8([3, 5, 4, 203])).differences
    assert (found.exact, found.cause) == (3.5, TIE)


@pytest.fixture(scope="module")
def paired(tmp_path_factory):
    path = tmp_path_factory.mktemp("q") / "q.onnx"
    net = prepare_network(network(classifier())).network
    quantize_network(net, path, replace(Recipe("static"), operators=()), pictures(2))
    return open_network(path)


def test_nodes_between_pairs_are_run_at_two_levels(paired, tmp_path):
    units = quantized_units(paired)
    assert {"Conv", "GlobalAveragePool"} <= {unit.operator for unit in units}
    sample = pictures(1)[0]
    traces = list(trace_units(paired, units, sample))
    assert [trace.node for trace in traces] == [unit.name for unit in units]
    assert all(trace.elements for trace in traces)
    assert not any(trace.causes[OTHER] for trace in traces)
    path = save_unit(tmp_path, paired, units[0].name, sample)
    saved, model = np.load(path.with_suffix(".npz")), onnx.load(str(path))
    feeds = {each.name: saved[each.name] for each in model.graph.input}
    for level, key in ((False, "unoptimized"), (True, "optimized")):
        np.testing.assert_array_equal(run(open_session(model, optimized=level), feeds)[0], saved[key])
    inputs = units[0].arrays({each.name: saved[each.name] for each in model.graph.input} | constants_of(paired))
    assert_one_off(compare_codes(units[0].integer, inputs, saved["optimized"], saved["exact"]))


def test_a_bias_that_is_stored_with_another_scale_is_found():
    node, inputs = matmul(np.array([[4]], U8), np.array([[1]], S8), 1.0, 1.0, 1.0)
    inputs.append(np.array([100], np.int32))  # 104 exactly; with a scale that is 1 % larger 105
    trace = compare_codes(node, inputs, U8([[105]]), exact_codes(node, inputs), stored_bias=lambda index: Fraction(1))
    assert trace.causes == {BIAS: 1}


def test_sums_in_float32_are_found():
    # 200 · 100 − 200 · 100 + 1 · 1 = 1; ÷ 2.0001 lies 2.5e-5 from the middle, the magnitudes being 40,001.
    node, inputs = matmul(np.array([[200, 200, 1]], U8), np.array([[100], [-100], [1]], S8), 1.0, 1.0, 2.0001)
    assert compare_codes(node, inputs, U8([[1]]), exact_codes(node, inputs)).causes == {SUMS: 1}
