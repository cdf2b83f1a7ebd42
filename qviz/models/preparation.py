"""What has to be done to a network before it can be quantized? Each step is said, can be left out, and is checked.

ONNX Runtime's own ``quant_pre_process`` fails on most networks that people have. These steps are small and each
leaves the outputs as they were; `compare` measures that on data.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.problems import N_, Phrase, Problem
from qviz.models.network import MOST_IN_ONE, SUBGRAPHS, Network, array_of, outer_names, subgraphs, walk
from qviz.models.sessions import Feeds, first_line, open_session, random_feeds, run

WANTED_OPSET = 17
"""Per-axis scales need 13, LayerNormalization 17; blocks (21) are raised when they are asked for."""


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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


@dataclass(frozen=True, eq=False)
class Comparison:
    """How far the outputs of two networks are from each other on the same data.

    Attributes
    ----------
    largest : float
        The largest absolute difference of all outputs.
    relative : float
        That of ‖a − b‖ / ‖a‖, the largest of all outputs; 0 for equal ones.
    changed : int
        Elements that differ at all.
    elements : int
    """

    largest: float
    relative: float
    changed: int
    elements: int


@dataclass(frozen=True, eq=False)
class Prepared:
    """A network that is ready, and what was done to it.

    Attributes
    ----------
    network : Network
    original : Network
    steps : tuple of Step
    comparison : Comparison or None
        Of both on the same data; None where they could not be run.
    problem : Problem or None
        Why not.
    """

    network: Network
    original: Network
    steps: tuple[Step, ...]
    comparison: Comparison | None
    problem: Problem | None = None


def prepare_network(original: Network, choices: Choices = NO_CHOICES, *, feeds: Feeds | None = None) -> Prepared:
    """Take every step that helps, and compare the outcome with the original.

    Parameters
    ----------
    original : Network
    choices : Choices
    feeds : mapping of str to array, optional
        A sample to compare both on; random values otherwise.

    Raises
    ------
    Problem
        When a dimension or an input that is set does not exist.
    """
    _check_choices(original, choices)
    model = type(original.model)()
    model.CopyFrom(original.model)
    steps: list[Step] = []
    for key, take in STEPS.items():
        if key in choices.left_out:
            continue
        before = type(model)()
        before.CopyFrom(model)
        try:
            step, model = take(model, choices)
        except Exception as error:  # a converter or the runtime gave up: what it was given still stands
            model, step = (
                before,
                _step(key, "{what}: {reason}", False, what=Phrase(_FAILED[key]), reason=first_line(error)),
            )
        if step is not None:
            steps.append(step)
    network = replace(original, model=model)
    try:
        comparison = compare(original, network, feeds or random_feeds(original, choices.dimensions), choices)
    except Problem as problem:
        return Prepared(network, original, tuple(steps), None, problem)
    return Prepared(network, original, tuple(steps), comparison)


def compare(original: Network, other: Network, feeds: Feeds, choices: Choices = NO_CHOICES) -> Comparison:
    """Run both on the same sample, without optimizations that would hide a difference.

    Raises
    ------
    Problem
        When one of them cannot be run.
    """
    full = {**feeds, **choices.inputs}
    wanted = [port.name for port in original.outputs]
    ours = {port.name for port in other.inputs}
    first = run(open_session(original.model, optimized="basic"), full, wanted)
    second = run(open_session(other.model, optimized="basic"), {k: v for k, v in full.items() if k in ours}, wanted)
    largest = relative = 0.0
    changed = elements = 0
    for a, b in zip(first, second, strict=True):
        if a.dtype.kind not in "fiub" or a.shape != b.shape:
            same = a.shape == b.shape and bool(np.all(a == b))
            largest, relative = (largest, relative) if same else (np.inf, np.inf)
            continue
        x, y = a.astype(np.float64), b.astype(np.float64)
        differs = ~((x == y) | (np.isnan(x) & np.isnan(y)))
        changed, elements = changed + int(np.count_nonzero(differs)), elements + x.size
        if differs.any():
            difference = np.abs(np.where(differs, x - y, 0.0))
            largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max()))
            norm = float(np.linalg.norm(np.nan_to_num(x)))
            relative = max(relative, float(np.linalg.norm(difference)) / norm if norm else np.inf)
    return Comparison(largest, relative, changed, elements)


def _check_choices(network: Network, choices: Choices) -> None:
    ports = {port.name: port for port in network.inputs}
    known = {name for port in ports.values() for name in port.open_dimensions}
    for name, value in choices.dimensions.items():
        if name not in known:
            nothing = Phrase("every dimension has a number already")
            said = Phrase("choose one of {known}", known=", ".join(sorted(known))) if known else nothing
            raise Problem("This network has no open dimension “{name}”: {said}.", name=name, said=said)
        if value < 1:
            raise Problem("The dimension {name} cannot be {value}: give a number of 1 or more.", name=name, value=value)
    for name in choices.inputs:
        if name not in ports:
            raise Problem("This network has no input “{name}”: it has {known}.", name=name, known=", ".join(ports))


# --- the steps ------------------------------------------------------------------------------------------

Taken = tuple["Step | None", Any]


def _step(key: str, template: str, done: bool = True, **values: object) -> Step:
    return Step(key, Phrase(template, **values), done)


def _operators(model: Any, choices: Choices) -> Taken:
    """Operators that ONNX gave up before 1.5, written with those that stayed."""
    counts: dict[str, int] = {}
    nodes = []
    for place, node in enumerate(model.graph.node):
        lower = _LOWERED.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        made = lower(node, f"{node.name or node.op_type}_{place}", model.graph) if lower is not None else None
        if made is None:
            nodes.append(node)
        else:
            counts[node.op_type] = counts.get(node.op_type, 0) + 1
            nodes += made
    if not counts:
        return None, model
    kept = [_copied(node) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.ir_version = max(model.ir_version, 4)  # before, every constant had to be an input
    said = ", ".join(f"{count} × {name}" for name, count in counts.items())
    return Step(
        "operators", Phrase("Operators that ONNX no longer has were written with others: {said}.", said=said)
    ), model


def _copied(node: Any) -> Any:
    other = type(node)()
    other.CopyFrom(node)
    return other


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _constant(graph: Any, name: str, values: Any) -> str:
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
    return name


def _lower_image_scaler(node: Any, name: str, graph: Any) -> list[Any]:
    from onnx import helper

    given = _attributes(node)
    scale = _constant(graph, f"{name}_scale", given.get("scale", 1.0))
    bias = _constant(graph, f"{name}_bias", np.asarray(given.get("bias", [0.0]), np.float32).reshape(1, -1, 1, 1))
    return [
        helper.make_node("Mul", [node.input[0], scale], [f"{name}_scaled"], name=f"{name}_mul"),
        helper.make_node("Add", [f"{name}_scaled", bias], list(node.output), name=f"{name}_add"),
    ]


def _lower_affine(node: Any, name: str, graph: Any) -> list[Any]:
    from onnx import helper

    given = _attributes(node)
    alpha = _constant(graph, f"{name}_alpha", given.get("alpha", 1.0))
    beta = _constant(graph, f"{name}_beta", given.get("beta", 0.0))
    return [
        helper.make_node("Mul", [node.input[0], alpha], [f"{name}_scaled"], name=f"{name}_mul"),
        helper.make_node("Add", [f"{name}_scaled", beta], list(node.output), name=f"{name}_add"),
    ]


def _lower_scaled_tanh(node: Any, name: str, graph: Any) -> list[Any]:
    from onnx import helper

    given = _attributes(node)
    alpha, beta = (_constant(graph, f"{name}_{key}", given.get(key, 1.0)) for key in ("alpha", "beta"))
    return [
        helper.make_node("Mul", [node.input[0], beta], [f"{name}_scaled"], name=f"{name}_mul"),
        helper.make_node("Tanh", [f"{name}_scaled"], [f"{name}_tanh"], name=f"{name}_tanh"),
        helper.make_node("Mul", [f"{name}_tanh", alpha], list(node.output), name=f"{name}_times"),
    ]


def _lower_scale(node: Any, name: str, graph: Any) -> list[Any]:
    from onnx import helper

    scale = _constant(graph, f"{name}_scale", _attributes(node).get("scale", 1.0))
    return [helper.make_node("Mul", [node.input[0], scale], list(node.output), name=f"{name}_mul")]


def _lower_crop(node: Any, name: str, graph: Any) -> list[Any] | None:
    from onnx import helper

    given = _attributes(node)
    border = [int(n) for n in given.get("border", ())]
    if len(border) != 4:
        return None
    left, top, right, bottom = border
    if "scale" in given:
        height, width = (int(n) for n in given["scale"])
        ends = [top + height, left + width]
    else:
        most = np.iinfo(np.int32).max
        ends = [-bottom if bottom else most, -right if right else most]
    # Attributes, as the old Slice has them: the version converter turns them into inputs.
    return [
        helper.make_node(
            "Slice",
            [node.input[0]],
            list(node.output),
            name=f"{name}_slice",
            axes=[2, 3],
            starts=[top, left],
            ends=ends,
        )
    ]


_LOWERED: dict[str, Callable[[Any, str, Any], list[Any] | None]] = {
    "ImageScaler": _lower_image_scaler,
    "Affine": _lower_affine,
    "ScaledTanh": _lower_scaled_tanh,
    "Scale": _lower_scale,
    "Crop": _lower_crop,
}


def _weights_out_of_inputs(model: Any, choices: Choices) -> Taken:
    graph = model.graph
    constants = {each.name for each in graph.initializer}
    kept = [each for each in graph.input if each.name not in constants]
    count = len(graph.input) - len(kept)
    if not count:
        return None, model
    copied = [_copied(each) for each in kept]
    del graph.input[:]
    graph.input.extend(copied)
    model.ir_version = max(model.ir_version, 4)  # before, every constant had to be an input
    return _step("weights", N_("{count} weights were listed as inputs; they are constants now."), count=count), model


def _constants(model: Any, choices: Choices) -> Taken:
    count = 0
    for graph in (model.graph, *(inner for node in walk(model.graph) for inner in subgraphs(node))):
        nodes = []
        for node in graph.node:
            tensor = _constant_tensor(node)
            if tensor is None:
                nodes.append(_copied(node))
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
        tensor = type(given["value"].t)()
        tensor.CopyFrom(given["value"].t)
        return tensor
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
            kept.append(_copied(each))
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
    if model.ByteSize() >= MOST_IN_ONE:
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

    if model.ByteSize() >= MOST_IN_ONE:
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
    _drop_unused(folded)
    after = sum(1 for _ in walk(folded.graph))
    if after == before:
        return None, folded
    return Step(
        "fold",
        Phrase("ONNX Runtime's basic optimizations left {after:,} of {before:,} nodes.", after=after, before=before),
    ), folded


def _drop_unused(model: Any) -> None:
    """Constants that nobody reads, and operator sets that no node is of."""
    used = {name for node in model.graph.node for name in outer_names(node)}
    used.update(each.name for each in model.graph.output)
    kept = [each for each in model.graph.initializer if each.name in used]
    if len(kept) != len(model.graph.initializer):
        copied = [_copied(each) for each in kept]
        del model.graph.initializer[:]
        model.graph.initializer.extend(copied)
    domains = {node.domain or "ai.onnx" for node in walk(model.graph)} | {"ai.onnx"}
    domains.update(node.domain or "ai.onnx" for function in model.functions for node in function.node)
    sets = {}
    for each in model.opset_import:
        name = each.domain or "ai.onnx"
        if name in domains:
            sets[name] = _copied(each)
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
        _step("names", N_("{count:,} nodes without a name of their own were given one."), count=count)
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
    if model.ByteSize() >= MOST_IN_ONE:
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

_FAILED = {
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


def weights_of(network: Network) -> dict[str, Array]:
    """Every constant of a network by its name, with its values."""
    return {each.name: array_of(each) for each in network.model.graph.initializer}
