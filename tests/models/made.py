"""Small networks that tests make themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from qviz.models.network import Network

F, I64 = TensorProto.FLOAT, TensorProto.INT64


def network(model: Any, name: str = "made.onnx") -> Network:
    onnx.checker.check_model(model)
    return Network(name, None, model)


def model_of(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: dict[str, Any], opset: int = 17
) -> Any:
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "made", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    return model


def value(name: str, *shape: Any, kind: int = F) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def classifier(seed: int = 0, opset: int = 17) -> Any:
    """Two convolutions, a pooling and a matrix: 5 nodes with names, 3 with weights."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> Any:
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="/block1/conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], name="/block1/relu"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], name="/block2/conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"], name="/block2/relu"),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"], name="/head/pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="/head/flat"),
        helper.make_node("Gemm", ["f", "w3", "b3"], ["y"], name="/head/gemm", transB=1),
    ]
    constants = {"w1": some(8, 3, 3, 3), "b1": some(8), "w2": some(16, 8, 3, 3), "w3": some(10, 16), "b3": some(10)}
    return model_of(nodes, [value("x", 1, 3, 12, 12)], [value("y", 1, 10)], constants, opset)


def transformer(seed: int = 0, length: int = 7, width: int = 16) -> Any:
    """Attention and a feed-forward part, without a head."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> Any:
        return (rng.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)

    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"], name="embed"),
        helper.make_node("MatMul", ["e", "wq"], ["q"], name="q"),
        helper.make_node("MatMul", ["e", "wk"], ["k"], name="k"),
        helper.make_node("MatMul", ["e", "wv"], ["v"], name="v"),
        helper.make_node("Transpose", ["k"], ["kt"], name="kt", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["s"], name="scores"),
        helper.make_node("Softmax", ["s"], ["a"], name="softmax", axis=-1),
        helper.make_node("MatMul", ["a", "v"], ["o"], name="mix"),
        helper.make_node("Add", ["o", "e"], ["h"], name="skip"),
        helper.make_node("MatMul", ["h", "w1"], ["u"], name="up"),
        helper.make_node("Relu", ["u"], ["ur"], name="relu"),
        helper.make_node("MatMul", ["ur", "w2"], ["d"], name="down"),
        helper.make_node("Add", ["d", "h"], ["y"], name="skip2"),
    ]
    constants = {
        "table": some(50, width),
        "wq": some(width, width),
        "wk": some(width, width),
        "wv": some(width, width),
        "w1": some(width, 4 * width),
        "w2": some(4 * width, width),
    }
    return model_of(nodes, [value("ids", 1, length, kind=I64)], [value("y", 1, length, width)], constants)


def chain(layers: int = 12, width: int = 8) -> Any:
    """So many equal matrices, one behind the other."""
    rng = np.random.default_rng(0)
    nodes, constants = [], {}
    for i in range(layers):
        constants[f"w{i}"] = (rng.standard_normal((width, width)) / np.sqrt(width)).astype(np.float32)
        nodes.append(helper.make_node("MatMul", [f"v{i}", f"w{i}"], [f"u{i}"], name=f"layer{i}"))
        nodes.append(helper.make_node("Tanh", [f"u{i}"], [f"v{i + 1}"], name=f"tanh{i}"))
    return model_of(nodes, [value("v0", 4, width)], [value(f"v{layers}", 4, width)], constants)


def recurrent(seed: int = 0, length: int = 5, width: int = 8) -> Any:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal((1, 4 * width, 6)).astype(np.float32) / 3
    r = rng.standard_normal((1, 4 * width, width)).astype(np.float32) / 3
    node = helper.make_node("LSTM", ["x", "w", "r"], ["y", "", ""], name="lstm", hidden_size=width)
    return model_of([node], [value("x", length, 1, 6)], [value("y", length, 1, 1, width)], {"w": w, "r": r})


def branching() -> Any:
    """An If whose condition depends on an input, and a convolution in each branch."""
    rng = np.random.default_rng(0)

    def branch(name: str) -> Any:
        weight = numpy_helper.from_array(rng.standard_normal((4, 2, 1, 1)).astype(np.float32), f"w_{name}")
        node = helper.make_node("Conv", ["x", f"w_{name}"], [f"y_{name}"], name=f"conv_{name}")
        return helper.make_graph([node], name, [], [value(f"y_{name}", 1, 4, 3, 3)], [weight])

    nodes = [
        helper.make_node("Equal", ["rate", "sixteen"], ["fast"], name="equal"),
        helper.make_node("If", ["fast"], ["y"], name="if", then_branch=branch("then"), else_branch=branch("else")),
    ]
    inputs = [value("x", 1, 2, 3, 3), value("rate", kind=I64)]
    return model_of(nodes, inputs, [value("y", 1, 4, 3, 3)], {"sixteen": np.array(16, np.int64)})


def save_external(model: Any, path: Path) -> None:
    onnx.save_model(model, str(path), save_as_external_data=True, location=f"{path.name}.data", size_threshold=0)


def pictures(count: int, seed: int = 1) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [{"x": rng.standard_normal((1, 3, 12, 12)).astype(np.float32)} for _ in range(count)]


def sentences(count: int, seed: int = 1) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [{"ids": rng.integers(0, 50, (1, 7))} for _ in range(count)]
