"""How is a network run? ONNX Runtime sessions made from models in memory, however large, and what they were fed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from qviz.core.arrays import Array
from qviz.core.problems import Problem
from qviz.core.sizes import byte_text
from qviz.models.network import LARGE, Network, Port, copied, is_large, without_constants

Feeds = Mapping[str, Array]


class Samples(Protocol):
    """What a network is fed, by number: each a mapping of input names to arrays, read when it is asked for."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, place: Any) -> Any:
        """One of them, or a part of them."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """One after the other."""
        ...


UNKNOWN_LENGTH = 1
"""What an open dimension is taken for where nobody said."""


def open_session(
    model: Any,
    *,
    optimized: bool | str = True,
    threads: int = 0,
    outputs: tuple[str, ...] = (),
    profile: str | None = None,
    fuse_pairs: bool = True,
    written_to: Path | None = None,
    spinning: bool = False,
) -> Any:
    """An ``onnxruntime.InferenceSession`` of a model in memory, on the processor.

    Parameters
    ----------
    model : onnx.ModelProto
    optimized : bool or str
        Every optimization of the graph, none, or ``"basic"``.
    threads : int
        For one operator; 0 for as many as there are cores.
    outputs : tuple of str
        Names that are given out beside the model's own outputs.
    profile : str, optional
        Where a profile is written, without its ending.
    fuse_pairs : bool
        Whether nodes between Q/DQ pairs become integer ones; without, a pair is where it was put.
    written_to : Path, optional
        Where the network is written as the runtime runs it.
    spinning : bool
        Whether threads spin while they wait for the next operator, as they do by default: that takes the core from
        the window, and makes two cores beside another process slower than one.

    Raises
    ------
    Problem
        When the runtime refuses it.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    levels = ort.GraphOptimizationLevel
    options.graph_optimization_level = {
        True: levels.ORT_ENABLE_ALL,
        False: levels.ORT_DISABLE_ALL,
        "basic": levels.ORT_ENABLE_BASIC,
    }[optimized]
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    if not fuse_pairs:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile
    if written_to is not None:
        options.optimized_model_filepath = str(written_to)
    if outputs:
        model = with_outputs(model, outputs)
    serialized, beside = _serialized(model, options)
    try:
        session = ort.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])
        session.beside = beside  # it reads them where they lie
        return session
    except Exception as error:
        raise Problem("ONNX Runtime does not load this network: {reason}", reason=first_line(error)) from None


def run(session: Any, feeds: Feeds, outputs: list[str] | None = None) -> list[Array]:
    """What a session answers.

    Raises
    ------
    Problem
        When it cannot be run on that: a wrong shape or type, too little memory.
    """
    try:
        found: list[Array] = session.run(outputs, dict(feeds))
    except Exception as error:
        raise Problem("ONNX Runtime could not run this network: {reason}", reason=first_line(error)) from None
    return found


def first_line(error: Exception) -> str:
    """What the runtime says, without its codes and its paths in the source."""
    text = _bounded(" ".join(str(error).split()))
    if " : " in text and text.startswith("[ONNXRuntimeError]"):
        text = text.split(" : ", 3)[-1]
    text = _CODES.sub("", _IN_THE_SOURCE.sub("", text)).strip()
    of_node = _NODE.fullmatch(text)
    if of_node is not None:
        operator, name, text = of_node.groups()
        text = f"{text} (node {name}, {operator})" if name else f"{text} ({operator})"
    unknown = _UNKNOWN.search(text)
    if unknown is not None and any(sign in text[unknown.end() :] for sign in _WITHOUT_OPERATOR):
        node, operator = unknown.groups()
        return f"it knows no operator {operator}{f' (node {node})' if node else ''} in this version"
    foreign = _OF_ANOTHER_DOMAIN.search(text)
    if foreign is not None:
        return f"it knows no operator {foreign.group(1)} in this version"
    memory = _NO_MEMORY.search(text)
    if memory is not None:
        return f"there is no memory for {byte_text(int(memory.group(1)))} at once"
    return text if len(text) <= 300 else text[:299] + "…"


def _bounded(text: str) -> str:
    """Without the middle where names of the network make it long: what is said stands around them."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST // 2]}…{text[-_LONGEST // 2 :]}"


_LONGEST = 8000
"""Characters of a message: ten times as many as the runtime itself ever says."""

_IN_THE_SOURCE = re.compile(
    r"(?<!\S)\S+\.(?:cc|cpp|h):\d+ (?:\w+ (?=[A-Z])|.*?\)(?: const)? (?:\[.*?\] |\S.{0,120}? was false\. )?)"
)
"""A file and a line, the function's name or signature, and the condition that did not hold."""

_NODE = re.compile(r"Non-zero status code returned while running (\S+) node\. Name:'([^']*)' Status Message: (.*)")
_CODES = re.compile(
    r"(?:\[ONNXRuntimeError\] )?: \d+ : [A-Z_]+ : | Validate usage of dim_value.*|(?<!\S)\S+\.(?:cc|cpp|h):\d+ "
)
"""The code of an error within another one, advice to whoever writes shapes, and a line of the source."""

_UNKNOWN = re.compile(r"In Node, \(\"(.*?)\", (\S+), ")
_WITHOUT_OPERATOR = ("No Op registered", "No opset import")
_OF_ANOTHER_DOMAIN = re.compile(r"(?<!\S)(?=\S+:\S)(\S+)\(-?\d+\) is not a registered function/op")
_NO_MEMORY = re.compile(r"Failed to allocate memory for requested buffer of size (\d+)")


def with_outputs(model: Any, names: tuple[str, ...]) -> Any:
    """A copy of the model that gives out more; the runtime finds the types."""
    from onnx import ValueInfoProto

    other = copied(model)
    there = {each.name for each in other.graph.output}
    other.graph.output.extend(ValueInfoProto(name=name) for name in names if name not in there)
    return other


def filled_shape(port: Port, dimensions: Mapping[str, int] | None = None) -> tuple[int, ...]:
    """A shape with a number everywhere: as given, else `UNKNOWN_LENGTH`."""
    given = dimensions or {}
    shape = port.shape or ()
    return tuple(
        each
        if isinstance(each, int)
        else given.get(each if isinstance(each, str) else f"{port.name}:{place}", UNKNOWN_LENGTH)
        for place, each in enumerate(shape)
    )


def random_feeds(network: Network, dimensions: Mapping[str, int] | None = None, seed: int = 0) -> dict[str, Array]:
    """Something to run a network on: normal floats, small whole numbers, False; never meant as calibration data.

    Raises
    ------
    Problem
        When an input is text.
    """
    rng = np.random.default_rng(seed)
    feeds: dict[str, Array] = {}
    for port in network.inputs:
        shape = filled_shape(port, dimensions)
        if port.dtype == "string":
            raise Problem("The input “{name}” is text: give qviz samples of it.", name=port.name)
        dtype = _numpy_type(port.dtype)
        if dtype.kind in "iu":
            feeds[port.name] = rng.integers(0, 2, shape).astype(dtype)
        elif dtype.kind == "b":
            feeds[port.name] = np.zeros(shape, dtype)
        else:
            feeds[port.name] = rng.standard_normal(shape).astype(dtype)
    return feeds


def _numpy_type(name: str) -> np.dtype[Any]:
    import ml_dtypes

    return np.dtype(getattr(ml_dtypes, name, name))


def _serialized(model: Any, options: Any) -> tuple[bytes, list[Any]]:
    """The model as bytes; where it is too large for that, its large constants are handed over beside it.

    These are given back: the runtime reads them where they lie, so that they have to outlive the session.
    """
    if not is_large(model):
        return bytes(model.SerializeToString()), []
    import onnxruntime as ort
    from onnx import numpy_helper

    small = without_constants(model)
    names: list[str] = []
    values: list[Any] = []
    for tensor in model.graph.initializer:
        kept = small.graph.initializer.add()
        if len(tensor.raw_data) < LARGE:
            kept.CopyFrom(tensor)
            continue
        kept.name, kept.data_type = tensor.name, tensor.data_type
        kept.dims.extend(tensor.dims)
        kept.data_location = kept.EXTERNAL
        kept.external_data.add(key="location", value="beside")
        names.append(tensor.name)
        values.append(ort.OrtValue.ortvalue_from_numpy(numpy_helper.to_array(tensor)))
    if is_large(small):
        raise Problem("This network's constants are too large to be handed to ONNX Runtime: choose a smaller one.")
    options.add_external_initializers(names, values)
    return bytes(small.SerializeToString()), values
