"""Which steps make a network fit to be quantized? Each says what it did, and leaves the outputs as they were."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Phrase
from qviz.models.network import (
    SUBGRAPHS,
    all_tensors,
    copied,
    is_large,
    outer_names,
    subgraphs,
    walk,
)
from qviz.models.old_operators import LOWERED

WANTED_OPSET = 17
"""Per-axis scales need 13, LayerNormalization 17; blocks (21) are raised when they are asked for."""


@frozen
class Step:
    """One thing that was done to a network.

    Attributes
    ----------
    key : str
        A name of `STEPS`.
    text : Phrase
        A sentence that says what was done, or why not.
    done : bool
        Whether anything was changed.
    """

    key: str
    text: Phrase
    done: bool = True


@frozen
class Choices:
    """What a person sets before a network is prepared.

    Attributes
    ----------
    dimensions : mapping of str to int
        Numbers for open dimensions, by name, or by ``input:place`` for one without a name.
    inputs : mapping of str to array
        Inputs that always have this value; they are inputs no longer.
    left_out : frozenset of str
        Keys of `STEPS` that are not to be taken.
    """

    dimensions: Mapping[str, int]
    inputs: Mapping[str, Array]
    left_out: frozenset[str] = frozenset()


NO_CHOICES = Choices({}, {})


Taken = tuple[Step | None, Any]


def _step(key: str, template: str, done: bool = True, **values: object) -> Step:
    return Step(key, Phrase(template, **values), done)


def _operators(model: Any, choices: Choices) -> Taken:
    """Operators that ONNX gave up before 1.5, written with those that stayed."""
    counts: dict[str, int] = {}
    nodes = []
    for place, node in enumerate(model.graph.node):
        lower = LOWERED.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        made = lower(node, f"{node.name or node.op_type}_{place}", model.graph) if lower is not None else None
        if made is None:
            nodes.append(node)
        else:
            counts[node.op_type] = counts.get(node.op_type, 0) + 1
            nodes += made
    if not counts:
        return None, model
    kept = [copied(node) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.ir_version = max(model.ir_version, 4)  # before, every constant had to be an input
    said = ", ".join(f"{count} × {name}" for name, count in counts.items())
    return Step(
        "operators", Phrase("Operators that ONNX no longer has were written with others: {said}.", said=said)
    ), model


def _weights_out_of_inputs(model: Any, choices: Choices) -> Taken:
    graph = model.graph
    constants = {each.name for each in graph.initializer}
    kept = [copied(each) for each in graph.input if each.name not in constants]
    count = len(graph.input) - len(kept)
    if not count:
        return None, model
    del graph.input[:]
    graph.input.extend(kept)
    model.ir_version = max(model.ir_version, 4)  # before, every constant had to be an input
    text = N_("{count} weights were listed as inputs; they are constants now.")
    if count == 1:
        text = N_("1 weight was listed as an input; it is a constant now.")
    return _step("weights", text, count=count), model


def _constants(model: Any, choices: Choices) -> Taken:
    count = 0
    for graph in (model.graph, *(inner for node in walk(model.graph) for inner in subgraphs(node))):
        nodes = []
        for node in graph.node:
            tensor = _constant_tensor(node)
            if tensor is None:
                nodes.append(copied(node))
                continue
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
            count += 1
        if len(nodes) != len(graph.node):
            del graph.node[:]
            graph.node.extend(nodes)
    if not count:
        return None, model
    model.ir_version = max(model.ir_version, 4)
    return _step("constants", N_("{count} Constant nodes became weights."), count=count), model


def _constant_tensor(node: Any) -> Any:
    from onnx import numpy_helper

    if node.op_type != "Constant" or node.domain not in ("", "ai.onnx"):
        return None
    given = {each.name: each for each in node.attribute}
    if "value" in given:
        return copied(given["value"].t)
    plain: dict[str, Callable[[Any], Any]] = {
        "value_float": lambda a: np.float32(a.f),
        "value_int": lambda a: np.int64(a.i),
        "value_floats": lambda a: np.array(a.floats, np.float32),
        "value_ints": lambda a: np.array(a.ints, np.int64),
    }
    for key, read in plain.items():
        if key in given:
            return numpy_helper.from_array(np.asarray(read(given[key])))
    return None


def _fixed_inputs(model: Any, choices: Choices) -> Taken:
    from onnx import helper, numpy_helper

    if not choices.inputs:
        return None, model
    graph = model.graph
    kept = []
    for each in graph.input:
        if each.name in choices.inputs:
            dtype = helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type)
            graph.initializer.append(numpy_helper.from_array(np.asarray(choices.inputs[each.name], dtype), each.name))
        else:
            kept.append(copied(each))
    del graph.input[:]
    graph.input.extend(kept)
    return Step(
        "inputs", Phrase("Inputs with one value were made constants: {names}.", names=", ".join(choices.inputs))
    ), model


def _opset(model: Any, choices: Choices) -> Taken:
    from onnx import version_converter

    ours = [each for each in model.opset_import if each.domain in ("", "ai.onnx")]
    version = max((each.version for each in ours), default=1)
    if version >= WANTED_OPSET:
        return None, model
    text = N_("Operators were raised from version {version} to {wanted}, as scales per axis need it.")
    if is_large(model):
        return Step(
            "opset",
            Phrase("Operators stay at version {version}: the network is larger than 2 GiB.", version=version),
            False,
        ), model
    return _step("opset", text, version=version, wanted=WANTED_OPSET), version_converter.convert_version(
        model, WANTED_OPSET
    )


def _shapes(model: Any, choices: Choices) -> Taken:
    if not choices.dimensions:
        return None, model
    constants = {each.name for each in model.graph.initializer}
    for value in [*model.graph.input, *model.graph.value_info, *model.graph.output]:
        is_input = any(value is each for each in model.graph.input) and value.name not in constants
        for place, dimension in enumerate(value.type.tensor_type.shape.dim):
            key = dimension.dim_param.strip("?") or (f"{value.name}:{place}" if is_input else "")
            named = dimension.dim_param if dimension.dim_param in choices.dimensions else key
            if dimension.dim_value <= 0 and named in choices.dimensions:
                dimension.dim_value = choices.dimensions[named]
    # What the file says of inner values was said for open dimensions.
    del model.graph.value_info[:]
    for value in model.graph.output:  # ONNX Runtime crashes on an output without a rank
        for dimension in value.type.tensor_type.shape.dim:
            dimension.Clear()
    said = ", ".join(f"{name} = {value}" for name, value in choices.dimensions.items())
    return _step("shapes", N_("Open dimensions were given numbers: {said}."), said=said), model


def _branches(model: Any, choices: Choices) -> Taken:
    """Branches whose condition is known vanish.

    Before open dimensions get numbers: ONNX Runtime crashes where those differ from what a branch says of itself.
    """
    if not any(node.op_type in SUBGRAPHS for node in model.graph.node):
        return None, model
    before = sum(node.op_type in SUBGRAPHS for node in walk(model.graph))
    _, folded = _fold(model, choices)
    after = sum(node.op_type in SUBGRAPHS for node in walk(folded.graph))
    if after == before:
        return None, model
    return Step(
        "branches",
        Phrase(
            "{taken} of {before} branches had a known condition and were taken.", taken=before - after, before=before
        ),
    ), folded


def _fold(model: Any, choices: Choices) -> Taken:
    """What depends on no input is computed once."""
    import onnx
    import onnxruntime as ort

    if is_large(model):
        return _step("fold", N_("Nothing was folded: the network is larger than 2 GiB."), False), model
    before = sum(1 for _ in walk(model.graph))
    with tempfile.TemporaryDirectory(prefix="qviz-") as folder:
        path = Path(folder) / "folded.onnx"
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(path)
        ort.InferenceSession(bytes(model.SerializeToString()), options, providers=["CPUExecutionProvider"])
        folded = onnx.load_model(str(path))
    _rename_made_up(folded, model)
    _drop_unused(folded)
    after = sum(1 for _ in walk(folded.graph))
    if after == before:
        return None, folded
    return Step(
        "fold",
        Phrase("ONNX Runtime's basic optimizations left {after:,} of {before:,} nodes.", after=after, before=before),
    ), folded


def _rename_made_up(model: Any, original: Any) -> None:
    """Names of its own for what the runtime called as it always does: optimizing again, it would use them twice."""
    known = {name for node in walk(original.graph) for name in (*node.input, *node.output)}
    known |= {tensor.name for tensor in all_tensors(original)}
    known |= {value.name for value in (*original.graph.input, *original.graph.output)}
    made = {name for node in model.graph.node for name in node.output if name and name not in known}
    made |= {tensor.name for tensor in model.graph.initializer if tensor.name not in known}
    inner = [graph for node in walk(model.graph) for graph in subgraphs(node)]
    made -= {tensor.name for graph in inner for tensor in graph.initializer}
    made -= {name for graph in inner for node in graph.node for name in node.output}

    def renamed(name: str) -> str:
        return f"folded/{name}" if name in made else name

    for node in walk(model.graph):
        node.input[:] = [renamed(name) for name in node.input]
        node.output[:] = [renamed(name) for name in node.output]
    passed = [value for graph in inner for value in graph.output]
    for each in (*model.graph.initializer, *model.graph.value_info, *passed):
        each.name = renamed(each.name)


def _drop_unused(model: Any) -> None:
    """Constants that nobody reads, and operator sets that no node is of."""
    used = {name for node in model.graph.node for name in outer_names(node)}
    used.update(each.name for each in model.graph.output)
    kept = [copied(each) for each in model.graph.initializer if each.name in used]
    if len(kept) != len(model.graph.initializer):
        del model.graph.initializer[:]
        model.graph.initializer.extend(kept)
    domains = {node.domain or "ai.onnx" for node in walk(model.graph)} | {"ai.onnx"}
    domains.update(node.domain or "ai.onnx" for function in model.functions for node in function.node)
    sets = {}
    for each in model.opset_import:
        name = each.domain or "ai.onnx"
        if name in domains:
            sets[name] = copied(each)
    del model.opset_import[:]
    model.opset_import.extend(sets.values())


def _names(model: Any, choices: Choices) -> Taken:
    seen: set[str] = set()
    count = 0
    for place, node in enumerate(walk(model.graph)):
        if node.name and node.name not in seen:
            seen.add(node.name)
            continue
        name = f"{node.op_type}_{place}"
        while name in seen:
            name += "_"
        node.name = name
        seen.add(name)
        count += 1
    step = (
        _step("names", N_("1 node without a name of its own was given one."))
        if count == 1
        else _step("names", N_("{count:,} nodes without a name of their own were given one."), count=count)
        if count
        else None
    )
    return step, model


def _types(model: Any, choices: Choices) -> Taken:
    """Shapes and types of the values between the nodes."""
    import onnx

    left = sum(node.op_type in SUBGRAPHS for node in walk(model.graph))
    text = Phrase(
        "{left} branches or loops remain, and what is in them stays as it is: they decide at run time.", left=left
    )
    said = Step("types", text, False) if left else None
    if is_large(model):
        return said, model
    return said, onnx.shape_inference.infer_shapes(model, data_prop=True)


STEPS: dict[str, Callable[[Any, Choices], Taken]] = {
    "operators": _operators,
    "weights": _weights_out_of_inputs,
    "constants": _constants,
    "inputs": _fixed_inputs,
    "branches": _branches,
    "shapes": _shapes,
    "opset": _opset,
    "fold": _fold,
    "names": _names,
    "types": _types,
}
"""Every step by its key, in order; a new one is a function and a row."""


FAILED = {
    "operators": N_("Operators that ONNX no longer has could not be written with others"),
    "weights": N_("Weights stay listed as inputs"),
    "constants": N_("Constant nodes stay as they are"),
    "inputs": N_("Inputs could not be made constants"),
    "branches": N_("Branches stay as they are"),
    "shapes": N_("Open dimensions stay open"),
    "opset": N_("Operators stay at their version"),
    "fold": N_("Nothing was folded"),
    "names": N_("Nodes stay without names"),
    "types": N_("Shapes between the nodes stay unknown"),
}
