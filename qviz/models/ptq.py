"""How is a network quantized for ONNX Runtime, with its own tools driven as they should be?

The tools are ``onnxruntime.quantization``; what serves best was measured on 17 ordinary networks. Success means that
the new file was loaded, run on a sample, and that its quantized nodes were counted.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.formats.integers import IntFormat
from qviz.core.problems import N_, Phrase, Problem
from qviz.core.ranges.rules import MinMax, RangeRule
from qviz.core.schemes.scheme import Scheme
from qviz.core.work import IsCancelled, Progress, ignore, never
from qviz.models.activations import ranges
from qviz.models.network import MOST_IN_ONE, Network, all_tensors, open_network, walk
from qviz.models.sessions import Samples, first_line, open_session, run
from qviz.models.worker import in_worker

Feeds = Mapping[str, Array]

CORE = ("Conv", "ConvTranspose", "MatMul", "Gemm", "Gather")
"""What gains; quantizing everything else as well costs 5 to 20 dB and seldom a microsecond."""

CONVOLUTIONS = ("Conv", "ConvTranspose")
BLOCKS_FROM = 21
"""The version of ONNX's operators that knows blocks, and integers of 4 and 16 bits."""


@dataclass(frozen=True)
class Recipe:
    """One way of quantizing a network; the defaults of each `METHODS` row are what served best.

    Attributes
    ----------
    method : str
        ``"dynamic"``, ``"static"``, ``"weights"`` or ``"float16"``.
    weight_type, activation_type : str
        ``"int8"``, ``"uint8"``, ``"int16"``, ``"uint16"``, ``"int4"``, ``"uint4"``.
    per_channel : bool
    reduce_range : bool
        7 bits for weights, for processors without VNNI.
    form : str
        ``"qdq"`` or ``"operator"``, of a static network.
    operators : tuple of str
        The kinds of nodes that are quantized; empty for all that the tool knows.
    range_rule : RangeRule
        Of the activations of a static network: any estimator of qviz.
    symmetric_activations : bool
    block_size : int
        Of 4-bit weights.
    symmetric_weights : bool
        Of 4-bit weights.
    algorithm : str
        Of 4-bit weights: ``"default"``, ``"hqq"``, ``"k_quant"``, ``"rtn"`` or ``"gptq"``.
    excluded : tuple of str
        Names of nodes that stay float.
    overrides : mapping of str to list of mappings
        ``TensorQuantOverrides`` of ONNX Runtime, by the names of tensors.
    """

    method: str
    weight_type: str = "int8"
    activation_type: str = "uint8"
    per_channel: bool = True
    reduce_range: bool = False
    form: str = "qdq"
    operators: tuple[str, ...] = CORE
    range_rule: RangeRule = field(default_factory=MinMax)
    symmetric_activations: bool = False
    block_size: int = 32
    symmetric_weights: bool = True
    algorithm: str = "default"
    excluded: tuple[str, ...] = ()
    overrides: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)


METHODS = ("dynamic", "static", "weights", "float16")

LIBRARY_DEFAULTS = {
    "dynamic": Recipe("dynamic", per_channel=False, operators=()),
    "static": Recipe("static", activation_type="int8", per_channel=False, operators=()),
    "weights": Recipe("weights", block_size=128, symmetric_weights=False),
    "float16": Recipe("float16"),
}
"""What ONNX Runtime's tools do when nothing is said."""


def best_recipe(method: str, network: Network) -> Recipe:
    """What served best for such a network.

    Raises
    ------
    Problem
        When there is no such method.
    """
    if method not in METHODS:
        raise Problem("There is no method “{method}”: choose one of {known}.", method=method, known=", ".join(METHODS))
    if method != "dynamic":
        return Recipe(method)
    operators = network.operators
    if any(operators[name] for name in CONVOLUTIONS) and not operators["MatMul"] and not operators["LSTM"]:
        # ConvInteger has no fast kernel for signed weights: 4 to 8 times as slow as float.
        return Recipe("dynamic", weight_type="uint8", per_channel=False, operators=("Conv", "MatMul", "Gemm"))
    return Recipe("dynamic", per_channel=False, operators=("MatMul", "Gemm", "LSTM", "Gather", "Attention"))


@dataclass(frozen=True)
class Outcome:
    """A network that was quantized, loaded and run.

    Attributes
    ----------
    path : Path
    recipe : Recipe
    nodes, quantized : int
        Nodes with weights of the float network, and how many of these have quantized ones now.
    left : mapping of str to int
        Kinds of nodes with weights that stayed float, and how many.
    original_bytes, bytes : int
        Of the files, external data counted.
    notes : tuple of Phrase
        What the person must know.
    """

    path: Path
    recipe: Recipe
    nodes: int
    quantized: int
    left: dict[str, int]
    original_bytes: int
    bytes: int
    notes: tuple[Phrase, ...] = ()

    @property
    def summary(self) -> Phrase:
        """“212 of 318 nodes with weights were quantized …” in one sentence."""
        if not self.left:
            return Phrase(
                "{quantized} of {nodes} nodes with weights were quantized.", quantized=self.quantized, nodes=self.nodes
            )
        said = ", ".join(f"{count} × {name}" for name, count in self.left.items())
        return Phrase(
            "{quantized} of {nodes} nodes with weights were quantized; {said} stayed in float.",
            quantized=self.quantized,
            nodes=self.nodes,
            said=said,
        )


def quantize_network(
    network: Network,
    output: str | Path,
    recipe: Recipe,
    calibration: Samples = (),
    *,
    sample: Feeds | None = None,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Outcome:
    """Quantize a prepared network into a new file, in a process of its own.

    Parameters
    ----------
    network : Network
        Prepared; neither it nor its file is changed.
    output : str or Path
        The new file; nothing is written there unless all went well.
    recipe : Recipe
    calibration : sequence of mappings of str to array
        For ``"static"``, whose ranges come from it (and for GPTQ).
    sample : mapping, optional
        What the outcome is run on; the first of ``calibration`` otherwise.

    Raises
    ------
    Problem
        When the tool fails, or quantizes nothing, or the runtime does not load or run the outcome.
    Cancelled
        When asked to stop; no process and no half-written file is left.
    """
    output = Path(output)
    if network.path is not None and output.exists() and output.samefile(network.path):
        raise Problem("{file} is the network itself: choose another name.", file=output.name)
    if recipe.method == "static" and not len(calibration):
        raise Problem("Static quantization needs data to choose ranges from: give some, or choose dynamic or weights.")
    if network.is_quantized:
        raise Problem("{name} is quantized already: open the network that it was made from.", name=network.name)
    found: Outcome = in_worker(
        _work,
        network.model.SerializeToString() if network.model.ByteSize() < MOST_IN_ONE else None,
        str(network.path) if network.path else "",
        network.name,
        network.file_bytes,
        str(output),
        recipe,
        list(calibration),
        dict(sample) if sample is not None else None,
        progress=progress,
        cancelled=cancelled,
    )
    return found


def _work(
    folder: Path,
    tell: Callable[[Any], None],
    serialized: bytes | None,
    path: str,
    name: str,
    file_bytes: int,
    output: str,
    recipe: Recipe,
    calibration: list[Feeds],
    sample: Feeds | None,
) -> Outcome:
    """In the other process."""
    import logging

    import onnx

    logging.disable(logging.CRITICAL)
    if serialized is None:
        network = open_network(path)
    else:
        network = Network(name, Path(path) if path else None, onnx.ModelProto.FromString(serialized), file_bytes)
    made = folder / "quantized.onnx"
    tool = onnx.ModelProto()
    tool.CopyFrom(network.model)  # the tools change what they are given
    steps = {"dynamic": _dynamic, "static": _static, "weights": _weights, "float16": _float16}
    try:
        steps[recipe.method](replace(network, model=tool), made, recipe, calibration, tell)
    except (Problem, MemoryError):
        raise
    except ImportError as error:
        raise Problem("This method needs the package {name}: pip install {name}.", name=error.name or "") from None
    except Exception as error:
        raise Problem("ONNX Runtime's quantizer failed: {reason}", reason=first_line(error)) from None
    if not made.exists():
        raise Problem("ONNX Runtime's quantizer wrote no file.")
    outcome = check_outcome(network, made, recipe, sample or (calibration[0] if calibration else None))
    target = Path(output)
    for part in sorted(folder.glob("quantized.onnx*")):
        _publish(part, target.with_name(part.name.replace("quantized.onnx", target.name)))
    return replace(outcome, path=target)


def _publish(source: Path, target: Path) -> None:
    """The whole file or nothing, whatever file systems the two are on."""
    from qviz.files.atomic import atomic_write

    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)


def check_outcome(network: Network, path: Path, recipe: Recipe, sample: Feeds | None) -> Outcome:
    """Load, run and count what a quantizer wrote.

    Raises
    ------
    Problem
        When it cannot be loaded or run, or nothing in it is quantized.
    """
    made = open_network(path)
    session = open_session(made.model)
    notes: list[Phrase] = []
    if sample is not None:
        found = run(session, {port.name: sample[port.name] for port in made.inputs if port.name in sample})
        if any(a.dtype.kind == "f" and not np.isfinite(a).all() for a in found):
            notes.append(Phrase("The quantized network answers NaN or infinities on the sample."))
    before, after = _weighted(network.model), _weighted(made.model)
    nodes = sum(before.values())
    left = {name: min(count, after[name]) for name, count in before.items() if after[name]}
    quantized = nodes - sum(left.values())
    if recipe.method == "float16":
        left, quantized = {}, nodes
    if not quantized:
        said = ", ".join(f"{count} × {name}" for name, count in before.items()) or N_("no weights at all")
        raise Problem(
            "Nothing was quantized: this method does not know what this network is made of ({said}).", said=said
        )
    size = sum(part.stat().st_size for part in path.parent.glob(path.name + "*"))
    original = network.file_bytes or network.model.ByteSize()
    if size > original:
        notes.append(
            Phrase("The file has grown: {size:,} bytes, the float one {original:,}.", size=size, original=original)
        )
    return Outcome(path, recipe, nodes, quantized, left, original, size, tuple(notes))


def _weighted(model: Any) -> Counter[str]:
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


# --- the methods ----------------------------------------------------------------------------------------


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
        use_external_data_format=network.model.ByteSize() >= MOST_IN_ONE,
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
    model = _raised(_flattened(network.model), recipe)
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
    quantizer.model.save_model_to_file(str(made), model.ByteSize() >= MOST_IN_ONE)


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
        kinds = ", ".join(sorted(_weighted(network.model)))
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
    quantizer.model.save_model_to_file(str(made), network.model.ByteSize() >= MOST_IN_ONE)


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
    copied = []
    for node in nodes:
        copy = type(node)()
        copy.CopyFrom(node)
        copied.append(copy)
    del model.graph.node[:]
    model.graph.node.extend(copied)


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
    onnx.save_model(
        model, str(made), save_as_external_data=model.ByteSize() >= MOST_IN_ONE, location=f"{made.name}.data"
    )
