"""Which nodes between pairs of Q and DQ become integer ones, and where do both ways of running them disagree?

Without optimizations the runtime computes between the pairs in float32, with them in integers. Each such node is a
small network of its own here, run at both levels on the same codes; what differs is traced to its cause.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.problems import Problem
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.atomic import atomic_write
from qviz.models.activations import capture
from qviz.models.exact_operators import exact_codes
from qviz.models.network import Network, array_of
from qviz.models.plus_minus_one import NodeTrace, compare_codes, file_name
from qviz.models.sessions import open_session, run

IN_EFFECT = {
    "Conv": "QLinearConv",
    "MatMul": "QLinearMatMul",
    "Gemm": "QLinearMatMul",
    "Add": "QLinearAdd",
    "Mul": "QLinearMul",
    "AveragePool": "QLinearAveragePool",
    "GlobalAveragePool": "QLinearGlobalAveragePool",
}
"""Float operators between pairs, and what they are with them."""


@frozen(eq=False)
class QuantizedUnit:
    """A node with the pairs around it.

    Attributes
    ----------
    name, operator : str
        Of the node in the middle.
    model : onnx.ModelProto
        The unit as a network: codes in, codes out.
    integer : onnx.NodeProto
        The integer operator that it is in effect.
    names : tuple of str
        What that operator reads, in its order.
    transposed : bool
        Whether its weight lies the other way.
    bias_scale : str
        The name of the scale that the bias is stored with; empty where there is none.
    """

    name: str
    operator: str
    model: Any
    integer: Any
    names: tuple[str, ...]
    transposed: bool
    bias_scale: str

    def arrays(self, values: Mapping[str, Array]) -> list[Any]:
        """What the integer operator reads."""
        found: list[Any] = [values[name] for name in self.names]
        if self.transposed:
            found[3] = found[3].T
        return found


def quantized_units(network: Network) -> tuple[QuantizedUnit, ...]:
    """Every node of `IN_EFFECT` that has pairs around it, in the network's order."""
    graph = network.model.graph
    constants = {each.name: each for each in graph.initializer}
    made = {name: node for node in graph.node for name in node.output}
    readers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {each.name for each in graph.output}
    found = []
    for node in graph.node:
        if node.op_type not in IN_EFFECT or node.output[0] in outputs:
            continue
        pairs = [made.get(name) for name in node.input if name]
        behind = readers.get(node.output[0], [])
        if len(behind) != 1 or behind[0].op_type != "QuantizeLinear" or len(behind[0].input) < 3:
            continue
        if all(pair is not None and pair.op_type == "DequantizeLinear" and len(pair.input) > 2 for pair in pairs):
            unit = _unit(network, node, pairs, behind[0], constants)
            if unit is not None:
                found.append(unit)
    return tuple(found)


def _unit(network: Network, node: Any, pairs: list[Any], last: Any, constants: Mapping[str, Any]) -> Any:
    from onnx import helper

    parameters = [name for pair in (*pairs, last) for name in pair.input[1:]]
    if not all(name in constants for name in parameters):
        return None
    given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if node.op_type == "Gemm" and (given.get("alpha", 1.0) != 1 or given.get("beta", 1.0) != 1 or given.get("transA")):
        return None
    operands = pairs[: 1 if node.op_type.endswith("Pool") else 2]
    biased = len(pairs) > len(operands)
    names = [name for pair in operands for name in pair.input[:3]] + list(last.input[1:3])
    names += [pairs[-1].input[0]] if biased else []
    integer = helper.make_node(IN_EFFECT[node.op_type], names, [last.output[0]], name=node.name)
    integer.attribute.extend(node.attribute if node.op_type != "Gemm" else ())
    nodes = [*{id(pair): pair for pair in pairs}.values(), node, last]
    read = dict.fromkeys(name for each in nodes for name in each.input if name)
    inside = {name for each in nodes for name in each.output}
    codes = [name for name in read if name not in constants and name not in inside]
    kinds = {pair.input[0]: constants[pair.input[2]].data_type for pair in pairs}
    graph = helper.make_graph(
        nodes,
        "unit",
        [helper.make_tensor_value_info(name, kinds[name], None) for name in codes],
        [helper.make_tensor_value_info(last.output[0], constants[last.input[2]].data_type, None)],
        [constants[name] for name in read if name in constants],
    )
    model = helper.make_model(graph, opset_imports=list(network.model.opset_import))
    model.ir_version = max(network.model.ir_version, 8)
    transposed = node.op_type == "Gemm" and bool(given.get("transB"))
    return QuantizedUnit(
        node.name, node.op_type, model, integer, tuple(names), transposed, pairs[-1].input[1] if biased else ""
    )


def trace_units(
    network: Network,
    units: tuple[QuantizedUnit, ...],
    sample: Mapping[str, Array],
    *,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Iterator[NodeTrace]:
    """What each unit gives without optimizations, and with them, on one sample; of what cannot be traced, nothing.

    Raises
    ------
    Problem
        When the network cannot be run.
    Cancelled
        When asked to stop.
    """
    for done, (unit, values) in enumerate(zip(units, _codes(network, units, sample), strict=True)):
        check(cancelled)
        try:
            first, second = _at_both_levels(unit, values)
            yield compare_codes(unit.integer, unit.arrays(values), first, second, stored_bias=_stored(unit, values))
        except Problem:
            yield NodeTrace(unit.name, unit.operator, 0, ())
        progress((done + 1) / len(units))


def save_unit(folder: Path, network: Network, name: str, sample: Mapping[str, Array]) -> Path:
    """A unit as a model of its own, with the codes that it was fed, what came out at both levels, and the exact ones.

    Raises
    ------
    Problem
        When there is no such unit, or the files cannot be written.
    """
    from qviz.files.results import write_archive

    units = tuple(unit for unit in quantized_units(network) if unit.name == name)
    if not units:
        raise Problem("This network has no node “{name}” between pairs of Q and DQ.", name=name)
    (values,) = _codes(network, units, sample)
    first, second = _at_both_levels(units[0], values)
    path = folder / f"{file_name(name)}.onnx"
    with atomic_write(path) as temporary:
        temporary.write_bytes(units[0].model.SerializeToString())
    fed = {each.name: values[each.name] for each in units[0].model.graph.input}
    exact = exact_codes(units[0].integer, units[0].arrays(values))
    write_archive(path.with_suffix(".npz"), {**fed, "unoptimized": first, "optimized": second, "exact": exact})
    return path


def _codes(
    network: Network, units: tuple[QuantizedUnit, ...], sample: Mapping[str, Array]
) -> Iterator[dict[str, Array]]:
    """What each unit reads: the network's constants, and codes of one run."""
    constants = {each.name: array_of(each) for each in network.model.graph.initializer}
    wanted = dict.fromkeys(each.name for unit in units for each in unit.model.graph.input)
    seen = next(iter(capture(network, [sample], list(wanted))))
    for _ in units:
        yield {**constants, **seen}


def _at_both_levels(unit: QuantizedUnit, values: Mapping[str, Array]) -> tuple[Array, Array]:
    fed = {each.name: values[each.name] for each in unit.model.graph.input}
    first, second = (run(open_session(unit.model, optimized=level, threads=1), fed)[0] for level in (False, True))
    return first, second


def _stored(unit: QuantizedUnit, values: Mapping[str, Array]) -> Any:
    """How much more the bias is by the scale that it is stored with than by the product of the others, in codes."""
    if not unit.bias_scale:
        return None
    arrays = unit.arrays(values)
    scales = np.asarray(values[unit.bias_scale], np.float32).reshape(-1)
    x, y = (Fraction(float(np.asarray(arrays[i]).reshape(-1)[0])) for i in (1, 6))
    w = np.asarray(arrays[4], np.float32).reshape(-1)
    bias = np.asarray(arrays[8]).reshape(-1)
    axis = 1 if unit.operator == "Conv" else -1

    def more(index: tuple[int, ...]) -> Fraction:
        channel = index[axis]
        own = Fraction(float(scales[channel if scales.size > 1 else 0]))
        product = x * Fraction(float(w[channel if w.size > 1 else 0]))
        return int(bias[channel]) * (own - product) / y

    return more
