"""What can be taken home of a trained network? Its weights, and the network itself as ONNX."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core import Problem, QParams, fake_quantize, quantize
from qviz.core.arrays import Array
from qviz.core.problems import N_
from qviz.files.atomic import atomic_write
from qviz.files.problems import FileProblem, system_errors
from qviz.files.results import save_json, write_archive
from qviz.training.experiment import Experiment
from qviz.training.quantized_network import QuantizedNetwork

OPSET = 21

MOST_BYTES = 1 << 20
"""No experiment is longer."""


def network_arrays(network: QuantizedNetwork) -> dict[str, Array]:
    """Everything a network is made of, by name, layers counted from 1.

    Returns
    -------
    dict of str to array
        ``layer1.weight`` (outputs, inputs) and ``layer1.bias`` (outputs,) as they were trained, float32;
        ``layer1.weight_codes`` as integers; ``layer1.weight_scale``, ``layer1.weight_zero_point``,
        ``layer1.input_scale`` and ``layer1.input_zero_point``.
    """
    arrays: dict[str, Array] = {}
    for i, codes in enumerate(network.codes()):
        name = f"layer{i + 1}"
        arrays[f"{name}.weight"], arrays[f"{name}.bias"] = network.weights[i], network.biases[i]
        arrays[f"{name}.weight_codes"] = codes
        for what, q in (("weight", network.weight_qparams[i]), ("input", network.input_qparams[i])):
            arrays[f"{name}.{what}_scale"], arrays[f"{name}.{what}_zero_point"] = q.scale, q.zero_point
    return {key: np.ascontiguousarray(value) for key, value in arrays.items()}


def float_arrays(weights: list[Array], biases: list[Array]) -> dict[str, Array]:
    """The same for a float network: weights and biases alone."""
    named = {f"layer{i + 1}.weight": w for i, w in enumerate(weights)}
    return named | {f"layer{i + 1}.bias": b for i, b in enumerate(biases)}


def save_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write named arrays as ``.npz`` or ``.safetensors``, by the ending of the name.

    Raises
    ------
    Problem
        For another ending, a file that cannot be written, or a library that is not installed.
    """
    ending = path.suffix.lower()
    if ending == ".npz":
        with atomic_write(path) as temporary:
            write_archive(temporary, arrays)
    elif ending == ".safetensors":
        try:
            from safetensors.numpy import save
        except ImportError:
            raise Problem("safetensors is not installed: pip install safetensors, or save as .npz.") from None
        with atomic_write(path) as temporary:
            temporary.write_bytes(save({name: np.ascontiguousarray(a) for name, a in arrays.items()}))
    else:
        raise Problem("{file} cannot be written: end the name in .npz or .safetensors.", file=path.name)


def save_experiment(path: Path, experiment: Experiment) -> None:
    """Write an experiment as JSON."""
    save_json(path, experiment.to_dict())


def read_experiment(path: Path) -> Experiment:
    """The experiment that was saved as JSON.

    Raises
    ------
    FileProblem
        When the file cannot be read or holds none.
    """
    with system_errors(path), path.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise FileProblem(path, N_("is too large for an experiment"), N_("Choose one that qviz saved as JSON."))
    try:
        return Experiment.from_dict(json.loads(content))
    except Problem as problem:
        raise FileProblem(
            path, N_("holds no experiment that can be used: {why}"), N_("Save the experiment again."), why=problem
        ) from None
    except (ValueError, RecursionError):
        raise FileProblem(path, N_("is not JSON"), N_("Choose an experiment that qviz saved.")) from None


def save_onnx(path: Path, network: QuantizedNetwork) -> None:
    """Write the quantized network as ONNX.

    Raises
    ------
    Problem
        When the file cannot be written or ``onnx`` is not installed.
    """
    model = onnx_model(network)
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def onnx_model(network: QuantizedNetwork) -> Any:
    """The quantized network as an ONNX model: ``x`` (rows, features) float32 to ``logits`` (rows, classes).

    What goes into each layer passes QuantizeLinear and DequantizeLinear, with a Clip between them where there
    are fewer codes than the stored type has; weights are stored as codes and pass DequantizeLinear; the layers
    are MatMul and Sub (of the negative bias). One-bit activations whose lowest level is not 0 have a real zero point,
    which QuantizeLinear lacks: they are Div, Add, Round, Clip, Sub, Mul,
    and the weights of that layer are stored as the values they stand for.

    Raises
    ------
    Problem
        When ``onnx`` is not installed.
    """
    try:
        import onnx
        from onnx import helper
    except ImportError:
        raise Problem("onnx is not installed: pip install onnx.") from None
    graph = _Graph()
    name = "x"
    for i, weight in enumerate(network.weights):
        layer = f"layer{i + 1}"
        name = _fake_quantized(graph, name, f"{layer}.input", network.input_qparams[i])
        if network.input_qparams[i].whole_zero_point:
            w = _weights(graph, f"{layer}.weight", weight, network.weight_qparams[i])
        else:  # beside codes that come from no QuantizeLinear, ONNX Runtime would compute with rounded activations
            w = graph.constant(f"{layer}.weight", fake_quantize(weight, network.weight_qparams[i]).T)
        # Taken away, for ONNX Runtime makes Gemm of MatMul and Add, and rounds its bias to the product of the two
        # scales: with few bits that is far away.
        bias = graph.constant(f"{layer}.minus_bias", -network.biases[i])
        last = i == network.shape.layers - 1
        out = "logits" if last else f"{layer}.sum"
        graph.add("MatMul", [name, w], f"{layer}.product")
        graph.add("Sub", [f"{layer}.product", bias], out)
        if not last:
            name = graph.add(network.shape.activation.capitalize(), [out], f"{layer}.activation")
    made = helper.make_graph(
        graph.nodes,
        "qviz",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["rows", network.shape.sizes[0]])],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["rows", network.shape.sizes[-1]])],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="qviz")
    model.ir_version = 10  # the first with opset 21: older runtimes refuse later ones
    onnx.checker.check_model(model, full_check=True)
    return model


class _Graph:
    """Nodes and constants as they come."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: Array) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name))
        return name


def _fake_quantized(graph: _Graph, x: str, name: str, q: QParams) -> str:
    scale = graph.constant(f"{name}.scale", q.scale)
    if not q.whole_zero_point:
        zero_point = graph.constant(f"{name}.zero_point", q.zero_point)
        ends = _ends(graph, name, q, np.float32)
        x = graph.add("Div", [x, scale], f"{name}.divided")
        x = graph.add("Add", [x, zero_point], f"{name}.shifted")
        x = graph.add("Round", [x], f"{name}.rounded")
        x = graph.add("Clip", [x, *ends], f"{name}.clipped")
        x = graph.add("Sub", [x, zero_point], f"{name}.steps")
        return graph.add("Mul", [x, scale], f"{name}.dequantized")
    stored = q.scheme.number_format.dtype.type
    zero_point = graph.constant(f"{name}.zero_point", np.asarray(q.zero_point.astype(stored)))
    x = graph.add("QuantizeLinear", [x, scale, zero_point], f"{name}.codes")
    if (q.quant_min, q.quant_max) != (np.iinfo(stored).min, np.iinfo(stored).max):
        ends = _ends(graph, name, q, stored)
        x = graph.add("Clip", [x, *ends], f"{name}.clipped")
    return graph.add("DequantizeLinear", [x, scale, zero_point], f"{name}.dequantized")


def _ends(graph: _Graph, name: str, q: QParams, kind: type[np.generic]) -> list[str]:
    """The first and the last code, for a Clip."""
    ends = {"min": q.quant_min, "max": q.quant_max}
    return [graph.constant(f"{name}.{end}", np.asarray(value, kind)) for end, value in ends.items()]


def _weights(graph: _Graph, name: str, weights: Array, q: QParams) -> str:
    codes: Array = quantize(weights, q).T
    scale: Array = q.scale
    zero_point: Array = q.zero_point
    if not q.whole_zero_point:  # one bit: ±S/2
        codes, scale = (2 * codes.astype(np.int8) - 1).astype(np.int8), q.scale / 2
        zero_point = np.zeros_like(q.zero_point)
    axis = {} if scale.ndim == 0 else {"axis": 1}
    parts = [
        graph.constant(f"{name}.codes", codes),
        graph.constant(f"{name}.scale", scale),
        graph.constant(f"{name}.zero_point", np.asarray(zero_point.astype(codes.dtype))),
    ]
    return graph.add("DequantizeLinear", parts, f"{name}.dequantized", **axis)
