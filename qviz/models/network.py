"""What is in a network's file: its inputs, its nodes, its weights; and is the file to be trusted?

ONNX alone is read here. Nothing of a file is executed before it was checked: external data has to lie in the
model's own folder (``onnx.external_data_helper`` asks the same), and sizes are those of the files themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Problem
from qviz.files.onnx_in import Folder
from qviz.files.problems import FileProblem, system_errors
from qviz.files.stamp import Stamp, changed, check_stamp

MOST_IN_ONE = (1 << 31) - (1 << 20)
"""Bytes of a model in one piece: protobuf ends at 2 GiB."""

SUBGRAPHS = frozenset({"If", "Loop", "Scan"})
QUANTIZED = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "QLinearConv",
        "QLinearMatMul",
        "QLinearAdd",
        "ConvInteger",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul",
        "DynamicQuantizeLSTM",
        "MatMulNBits",
        "QGemm",
        "QAttention",
    }
)
"""Operators that say: this network has been quantized."""


@frozen
class Port:
    """An input or an output of a network.

    Attributes
    ----------
    name : str
    dtype : str
        NumPy's name of the element type, ``"float32"``; ``"string"`` for text.
    shape : tuple of (int, str or None), or None
        A number, the name of a dimension that may vary, or None for one without a name; None where the rank is unknown.
    """

    name: str
    dtype: str
    shape: tuple[int | str | None, ...] | None

    @property
    def open_dimensions(self) -> tuple[str, ...]:
        """The dimensions that have no number yet, under the name `preparation.prepare` takes them by."""
        shape = self.shape or ()
        return tuple(
            each if isinstance(each, str) else f"{self.name}:{place}"
            for place, each in enumerate(shape)
            if not isinstance(each, int)
        )


@frozen(eq=False)
class Network:
    """A network that was read and checked; the model itself is an ``onnx.ModelProto`` with all its data in memory.

    Attributes
    ----------
    name : str
    path : Path or None
        Where it was read from.
    model : onnx.ModelProto
    file_bytes : int
        Of the file and its external data; 0 for a network that was never a file.
    stamps : tuple of (Path, Stamp)
        What the file and those of its external data were when it was read.
    """

    name: str
    path: Path | None
    model: Any
    file_bytes: int = 0
    stamps: tuple[tuple[Path, Stamp], ...] = ()

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What has to be fed: initializers that are listed as inputs too have a value already."""
        known = {initializer.name for initializer in self.model.graph.initializer}
        return tuple(_port(value) for value in self.model.graph.input if value.name not in known)

    @property
    def outputs(self) -> tuple[Port, ...]:
        """What comes out."""
        return tuple(_port(value) for value in self.model.graph.output)

    @property
    def nodes(self) -> int:
        """How many nodes there are, those of branches and loop bodies too."""
        return sum(1 for _ in walk(self.model.graph))

    @property
    def operators(self) -> Counter[str]:
        """How often each operator occurs."""
        return Counter(node.op_type for node in walk(self.model.graph))

    @property
    def is_quantized(self) -> bool:
        """Whether somebody quantized it already."""
        return any(node.op_type in QUANTIZED for node in walk(self.model.graph))

    @property
    def opset(self) -> int:
        """The version of ONNX's own operators; 0 where none is named."""
        return max((each.version for each in self.model.opset_import if each.domain in ("", "ai.onnx")), default=0)

    @property
    def parameter_bytes(self) -> int:
        """Bytes of all its constants."""
        return sum(tensor_bytes(each) for each in self.model.graph.initializer)


def open_network(path: str | Path) -> Network:
    """Read an ONNX model and its external data.

    Parameters
    ----------
    path : str or Path

    Raises
    ------
    FileProblem
        When it cannot be read, is no ONNX model, or needs data that is missing, too short or outside of its folder.
    """
    import onnx
    from google.protobuf.message import DecodeError

    path = Path(path)
    with system_errors(path):
        stamp = Stamp.of(path)
        if not path.is_file():
            raise FileProblem(path, N_("is no file"), N_("Choose an ONNX model."))
        with path.open("rb") as file:
            head = file.read(64)
    if head.startswith(b"version https://git-lfs"):
        raise FileProblem(path, N_("is a Git LFS pointer, not the model"), N_("Fetch it with git lfs pull."))
    try:
        with system_errors(path):
            # Of itself onnx takes a file for JSON, or for a text of its own, where the name ends so.
            model = onnx.load_model(str(path), format="protobuf", load_external_data=False)
    except Problem:
        raise
    except (DecodeError, ValueError):
        raise FileProblem(path, N_("is no ONNX model"), N_("Export it again, or choose another file.")) from None
    if not model.graph.node and not model.graph.initializer:
        raise FileProblem(path, N_("holds no network"), N_("Export it again, or choose another file."))
    stamps = {path: stamp, **_read_external(path, model)}
    for part, before in stamps.items():  # what is written meanwhile would be half the old and half the new
        check_stamp(part, before)
    for tensor in all_tensors(model):
        wanted = expected_bytes(tensor) if tensor.HasField("raw_data") else None
        if wanted is not None and wanted != len(tensor.raw_data):
            raise FileProblem(
                path,
                N_("holds {given:,} bytes of the constant {name}, whose shape asks for {wanted:,}"),
                N_("Export it or download it again."),
                name=tensor.name,
                given=len(tensor.raw_data),
                wanted=wanted,
            )
    return Network(path.name, path, model, sum(each.size for each in stamps.values()), tuple(stamps.items()))


def open_again(path: str | Path, stamps: tuple[tuple[Path, Stamp], ...]) -> Network:
    """The network that was opened before, read once more: it was too large to be handed on.

    Raises
    ------
    FileProblem
        As `open_network` says, and a ``ChangedFile`` when it is another one now.
    """
    network = open_network(path)
    if stamps and [stamp for _, stamp in stamps] != [stamp for _, stamp in network.stamps]:
        raise changed(Path(path))
    return network


def _read_external(path: Path, model: Any) -> dict[Path, Stamp]:
    """Put the data that lies in other files where it belongs; what these files were before they were read."""
    files: dict[Path, Stamp] = {}
    folder = Folder(path)
    for tensor in all_tensors(model):
        if tensor.data_location != tensor.EXTERNAL:
            continue
        about = {each.key: each.value for each in tensor.external_data}
        place = folder.place(tensor.name, about, expected_bytes(tensor))
        with system_errors(place.path):
            files.setdefault(place.path, Stamp.of(place.path))
            tensor.raw_data = place.read(0, place.size)
        tensor.data_location = tensor.DEFAULT
        del tensor.external_data[:]
    return files


def walk(graph: Any) -> Iterator[Any]:
    """Every node of a graph and of the graphs within its nodes, in the file's order."""
    for node in graph.node:
        yield node
        for inner in subgraphs(node):
            yield from walk(inner)


def subgraphs(node: Any) -> Iterator[Any]:
    """The branches or the body of a node."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_tensors(model: Any) -> Iterator[Any]:
    """Every constant of a model, wherever it is kept: initializers, attributes, branches, local functions."""
    graphs = [model.graph, *(inner for node in walk(model.graph) for inner in subgraphs(node))]
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield sparse.values
            yield sparse.indices
    nodes = [*walk(model.graph), *(node for function in model.functions for node in function.node)]
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def outer_names(node: Any) -> list[str]:
    """What a node reads: its inputs, and what its branches take from around them; each once, in order."""
    names = [name for name in node.input if name]
    for inner in subgraphs(node):
        own = {each.name for each in inner.input} | {each.name for each in inner.initializer}
        for each in inner.node:
            names += [name for name in outer_names(each) if name not in own]
            own.update(each.output)
        names += [each.name for each in inner.output if each.name not in own]
    return list(dict.fromkeys(names))


def expected_bytes(tensor: Any) -> int | None:
    """How many bytes its shape and its type ask for; None for text."""
    from onnx import helper

    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    except (KeyError, ValueError, TypeError):
        return None
    if dtype.kind == "O" or any(n < 0 for n in tensor.dims):
        return None
    count = 1
    for n in tensor.dims:
        count *= int(n)
    bits = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}.get(dtype.name, 8 * dtype.itemsize)
    return int(-(-count * bits // 8))


def model_bytes(model: Any) -> int:
    """Bytes of a model in one piece, whether or not it can be one: protobuf counts no more than 2 GiB itself.

    Constants count with what their shapes ask for, external data do not.
    """
    constants = constant_bytes(model)
    return constants if constants >= MOST_IN_ONE else max(constants, _counted(model))


def constant_bytes(model: Any) -> int:
    """Bytes of all constants, by their shapes; external data do not count."""
    return sum(tensor_bytes(each) for each in all_tensors(model) if each.data_location != each.EXTERNAL)


def is_large(model: Any) -> bool:
    """Whether a model is too large to be in one piece; counted where it is near that, for counting takes its time."""
    constants = constant_bytes(model)
    return constants >= MOST_IN_ONE or (constants > MOST_IN_ONE // 2 and model_bytes(model) >= MOST_IN_ONE)


def _counted(model: Any) -> int:
    try:
        return int(model.ByteSize())
    except Exception:  # EncodeError of some protobuf, ValueError of another
        return MOST_IN_ONE


def tensor_bytes(tensor: Any) -> int:
    """Bytes of a constant; 0 for text."""
    return expected_bytes(tensor) or 0


def array_of(tensor: Any) -> Array:
    """The values of a constant.

    Raises
    ------
    ValueError
        When its data does not fit its shape.
    """
    from onnx import numpy_helper

    return np.asarray(numpy_helper.to_array(tensor))


def _port(value: Any) -> Port:
    from onnx import helper

    kind = value.type.tensor_type
    dtype = "string"
    if kind.elem_type and kind.elem_type != 8:  # STRING
        dtype = str(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    if not kind.HasField("shape"):
        return Port(value.name, dtype, None)
    shape: list[int | str | None] = []
    for dimension in kind.shape.dim:
        if dimension.HasField("dim_value") and dimension.dim_value > 0:
            shape.append(int(dimension.dim_value))
        else:
            named = dimension.dim_param if dimension.HasField("dim_param") else ""
            # A question mark says as little as nothing, and two of them need not be alike.
            shape.append(named if named.strip("?") else None)
    return Port(value.name, dtype, tuple(shape))


def copied(message: Any) -> Any:
    """A protobuf message of its own, whose changes nobody else sees."""
    other = type(message)()
    other.CopyFrom(message)
    return other


def without_constants(model: Any) -> Any:
    """A copy without the initializers of the outermost graph, which may be gigabytes."""
    other, graph = type(model)(), model.graph
    for name in ("opset_import", "metadata_props", "training_info", "functions"):
        getattr(other, name).extend(getattr(model, name))
    for name in ("ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string"):
        setattr(other, name, getattr(model, name))
    for name in ("node", "input", "output", "value_info", "sparse_initializer", "quantization_annotation"):
        getattr(other.graph, name).extend(getattr(graph, name))
    other.graph.name, other.graph.doc_string = graph.name, graph.doc_string
    return other


LARGE = 1 << 16
"""Bytes of a constant that is handed over beside a model of more than 2 GiB."""


def with_stubs(model: Any) -> Any:
    """A copy whose large constants have a name, a type and a shape, but no values; `filled` brings them back."""
    other = without_constants(model)
    for tensor in model.graph.initializer:
        kept = other.graph.initializer.add()
        if tensor.HasField("raw_data") and (expected_bytes(tensor) or 0) >= LARGE:
            kept.name, kept.data_type = tensor.name, tensor.data_type
            kept.dims.extend(tensor.dims)
        else:
            kept.CopyFrom(tensor)
    return other


def filled(model: Any, original: Any) -> Any:
    """The model itself, its stubs with the values that constants of these names have in the original."""
    values = {tensor.name: tensor for tensor in original.graph.initializer}
    for tensor in model.graph.initializer:
        known = values.get(tensor.name)
        if known is not None and known.HasField("raw_data") and not tensor.HasField("raw_data"):
            tensor.raw_data = known.raw_data
    return model
