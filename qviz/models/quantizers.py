"""How are ONNX Runtime's own quantizers driven, each with what it asks for?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.formats.integers import IntFormat
from qviz.core.problems import Problem
from qviz.core.schemes.scheme import Scheme
from qviz.models.activations import ranges
from qviz.models.network import Network, all_tensors, copied, is_large, walk
from qviz.models.recipes import Recipe
from qviz.models.sessions import Feeds

BLOCKS_FROM = 21
"""The version of ONNX's operators that knows blocks, and integers of 4 and 16 bits."""


def weighted_nodes(model: Any) -> Counter[str]:
    """Nodes with a float weight of two dimensions or more, by kind; a Gemm is a MatMul."""
    constants = {each.name: each for each in all_tensors(model) if each.name}
    found: Counter[str] = Counter()
    for node in walk(model.graph):
        places = node.input[1:3] if node.op_type in ("LSTM", "GRU", "RNN") else node.input[:2]
        tensors = [constants[name] for name in places if name in constants]
        if node.op_type in _WEIGHTED and any(len(t.dims) >= 2 and t.data_type in (1, 10, 11, 16) for t in tensors):
            found["MatMul" if node.op_type == "Gemm" else node.op_type] += 1
    return found


_WEIGHTED = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "Gather", "LSTM", "GRU", "RNN", "Attention"})


def _type(name: str) -> Any:
    from onnxruntime.quantization import QuantType

    names = {
        "int8": "QInt8",
        "uint8": "QUInt8",
        "int16": "QInt16",
        "uint16": "QUInt16",
        "int4": "QInt4",
        "uint4": "QUInt4",
    }
    if name not in names:
        raise Problem(
            "ONNX Runtime's quantizer has no {name}: choose one of {known}.", name=name, known=", ".join(names)
        )
    return getattr(QuantType, names[name])


def _flattened(model: Any) -> Any:
    """A bias of shape (1, N) makes the tool ask for the truth of an array."""
    for node in model.graph.node:
        if node.op_type != "Gemm" or len(node.input) < 3:
            continue
        for tensor in model.graph.initializer:
            if tensor.name == node.input[2] and len(tensor.dims) == 2 and tensor.dims[0] == 1:
                del tensor.dims[0]
    return model


def _biases_apart(model: Any) -> Any:
    """A bias of its own for each node: the tool copies shared ones under names that other tensors may have."""
    constants = {each.name: each for each in model.graph.initializer}
    seen: set[str] = set()
    for node in model.graph.node:
        name = node.input[2] if node.op_type in ("Conv", "ConvTranspose", "Gemm") and len(node.input) > 2 else ""
        if name not in constants:
            continue
        if name in seen:
            own = model.graph.initializer.add()
            own.CopyFrom(constants[name])
            own.name = node.input[2] = f"{name}/of/{node.name}"
        seen.add(name)
    return model


def _dynamic(
    network: Network, made: Path, recipe: Recipe, calibration: list[Feeds], tell: Callable[[Any], None]
) -> None:
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(
        _flattened(network.model),
        str(made),
        op_types_to_quantize=_kinds(network, recipe, dynamic=True),
        per_channel=recipe.per_channel,
        reduce_range=recipe.reduce_range,
        weight_type=_type(recipe.weight_type),
        nodes_to_exclude=list(recipe.excluded),
        use_external_data_format=is_large(network.model),
        extra_options={"EnableSubgraph": True, "MatMulConstBOnly": True},
    )


def _static(
    network: Network, made: Path, recipe: Recipe, calibration: list[Feeds], tell: Callable[[Any], None]
) -> None:
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
    from onnxruntime.quantization.onnx_quantizer import ONNXQuantizer
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.quant_utils import QuantizationMode

    known = activation_scheme(recipe)
    found = ranges(network, calibration, known, progress=lambda share: tell(0.8 * share))
    spread = {
        name: TensorData(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
        for name, (low, high) in found.items()
    }
    model = _raised(_biases_apart(_flattened(network.model)), recipe)
    extra = {
        "ActivationSymmetric": recipe.symmetric_activations,
        "WeightSymmetric": True,
        "MatMulConstBOnly": True,
        "TensorQuantOverrides": {name: [dict(each) for each in rows] for name, rows in recipe.overrides.items()},
    }
    data = TensorsData(CalibrationMethod.MinMax, spread)
    kinds = _kinds(network, recipe, dynamic=False)
    weight, activation = _type(recipe.weight_type), _type(recipe.activation_type)
    if recipe.form == "operator":
        quantizer = ONNXQuantizer(
            model,
            recipe.per_channel,
            recipe.reduce_range,
            QuantizationMode.QLinearOps,
            True,
            weight,
            activation,
            data,
            [],
            list(recipe.excluded),
            kinds,
            extra,
        )
    else:
        quantizer = QDQQuantizer(
            model,
            recipe.per_channel,
            recipe.reduce_range,
            weight,
            activation,
            data,
            [],
            list(recipe.excluded),
            kinds,
            extra,
        )
    quantizer.quantize_model()
    quantizer.model.save_model_to_file(str(made), is_large(model))


def activation_scheme(recipe: Recipe) -> Scheme:
    """The scheme of the activations of a static network, as qviz's estimators take it."""
    name = recipe.activation_type
    bits, signed = int(name.removeprefix("u").removeprefix("int")), not name.startswith("u")
    return Scheme(IntFormat(bits, signed), symmetric=recipe.symmetric_activations, range_rule=recipe.range_rule)


def _raised(model: Any, recipe: Recipe) -> Any:
    """Integers of 4 and 16 bits need newer operators."""
    from onnx import version_converter

    version = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    newer = any(name.endswith(("16", "int4")) for name in (recipe.weight_type, recipe.activation_type))
    return version_converter.convert_version(model, BLOCKS_FROM) if newer and version < BLOCKS_FROM else model


BLOCK_SIZES = (16, 32, 64, 128, 256)
"""Of MatMulNBits."""


def check_recipe(recipe: Recipe) -> None:
    """Make sure that ONNX Runtime's tools know all of it, before they fail in words of their own.

    Raises
    ------
    Problem
        Of the first thing that they do not know.
    """
    from onnxruntime.quantization.registry import IntegerOpsRegistry, QDQRegistry, QLinearOpsRegistry

    known = {*IntegerOpsRegistry, *QDQRegistry, *QLinearOpsRegistry, "Gemm"}
    foreign = [name for name in recipe.operators if name not in known]
    if foreign and recipe.method in ("dynamic", "static"):
        raise Problem(
            "ONNX Runtime's quantizer knows no operator “{name}”: choose of {known}.",
            name=foreign[0],
            known=", ".join(sorted(known)),
        )
    if recipe.method == "weights" and recipe.block_size not in BLOCK_SIZES:
        raise Problem(
            "MatMulNBits has no blocks of {size}: choose {known}.",
            size=recipe.block_size,
            known=", ".join(map(str, BLOCK_SIZES)),
        )
    if recipe.method == "static" and recipe.form == "operator" and recipe.activation_type.endswith("16"):
        raise Problem("Integer operators take activations of 8 bits alone: choose 8 bits, or the form of Q/DQ pairs.")


def _kinds(network: Network, recipe: Recipe, *, dynamic: bool) -> list[str]:
    from onnxruntime.quantization.registry import IntegerOpsRegistry, QDQRegistry, QLinearOpsRegistry

    known = set(IntegerOpsRegistry) if dynamic else set(QDQRegistry) | set(QLinearOpsRegistry)
    return sorted(known & set(recipe.operators)) if recipe.operators else sorted(known)


def _weights(
    network: Network, made: Path, recipe: Recipe, calibration: list[Feeds], tell: Callable[[Any], None]
) -> None:
    from onnxruntime.quantization import matmul_nbits_quantizer as nbits

    _unfused(network.model)
    excluded = [*recipe.excluded, *_misfits(network.model, recipe)]
    if not any(node.op_type == "MatMul" for node in network.model.graph.node):
        kinds = ", ".join(sorted(weighted_nodes(network.model)))
        raise Problem(
            "4-bit weights are for MatMul with a constant alone, and this network has none ({kinds}): "
            "choose static or dynamic.",
            kinds=kinds,
        )
    configuration: Any = None
    if recipe.algorithm == "hqq":
        configuration = nbits.HQQWeightOnlyQuantConfig(block_size=recipe.block_size, bits=4)
    elif recipe.algorithm == "k_quant":
        configuration = nbits.KQuantWeightOnlyQuantConfig()
    elif recipe.algorithm == "rtn":
        configuration = nbits.RTNWeightOnlyQuantConfig()
    elif recipe.algorithm == "gptq":
        configuration = nbits.GPTQWeightOnlyQuantConfig(_reader(calibration), block_size=recipe.block_size)
    quantizer = nbits.MatMulNBitsQuantizer(
        network.model,
        bits=4,
        block_size=recipe.block_size,
        is_symmetric=recipe.symmetric_weights,
        nodes_to_exclude=excluded,
        algo_config=configuration,
    )
    quantizer.process()
    quantizer.model.save_model_to_file(str(made), is_large(network.model))


def _unfused(model: Any) -> None:
    """Gemm as MatMul and Add again, as the exporter had it: the tool knows MatMul alone."""
    from onnx import helper, numpy_helper

    constants = {each.name: each for each in model.graph.initializer}
    nodes: list[Any] = []
    for node in model.graph.node:
        given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        plain = given.get("alpha", 1.0) == given.get("beta", 1.0) == 1.0 and not given.get("transA", 0)
        if node.op_type != "Gemm" or node.input[1] not in constants or not plain:
            nodes.append(node)
            continue
        weight = node.input[1]
        if given.get("transB", 0):
            turned = numpy_helper.from_array(
                np.ascontiguousarray(numpy_helper.to_array(constants[weight]).T), f"{weight}/turned"
            )
            if turned.name not in constants:
                constants[turned.name] = turned
                model.graph.initializer.append(turned)
            weight = turned.name
        has_bias = len(node.input) > 2 and bool(node.input[2])
        product = f"{node.output[0]}/product" if has_bias else node.output[0]
        nodes.append(helper.make_node("MatMul", [node.input[0], weight], [product], name=node.name))
        if has_bias:
            nodes.append(helper.make_node("Add", [product, node.input[2]], [node.output[0]], name=f"{node.name}/bias"))
    kept = [copied(node) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _misfits(model: Any, recipe: Recipe) -> list[str]:
    """Nodes that an algorithm cannot cut into its blocks: k_quant knows no shorter last one."""
    if recipe.algorithm != "k_quant":
        return []
    constants = {each.name: each for each in model.graph.initializer}
    matrices = [
        (node.name, constants[node.input[1]].dims)
        for node in model.graph.node
        if node.op_type == "MatMul" and node.input[1] in constants
    ]
    return [name for name, dims in matrices if len(dims) != 2 or dims[0] % recipe.block_size]


def _reader(calibration: list[Feeds]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._rest = iter(calibration)

        def get_next(self) -> Any:
            return next(self._rest, None)

        def rewind(self) -> None:
            self._rest = iter(calibration)

    return Reader()


def _float16(
    network: Network, made: Path, recipe: Recipe, calibration: list[Feeds], tell: Callable[[Any], None]
) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = convert_float_to_float16(network.model, keep_io_types=True, disable_shape_infer=True)
    onnx.save_model(model, str(made), save_as_external_data=is_large(model), location=f"{made.name}.data")


TOOLS = {"dynamic": _dynamic, "static": _static, "weights": _weights, "float16": _float16}
"""How each of the `METHODS` drives them."""
