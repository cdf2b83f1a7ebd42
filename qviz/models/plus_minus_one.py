"""Why does an integer operator give a code that is one off? Each differing output is traced to its cause.

An integer operator adds products of codes exactly, and then requantizes: the sum times ``x_scale · w_scale / y_scale``,
rounded, plus the zero point. Runtimes round that multiplier, or the product, at different places in float32, and
processors without VNNI add pairs of u8 · s8 products in 16 bits, which saturates. The exact result here is computed
with fractions of the scales as they are stored: see `qviz.models.exact_operators`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.problems import N_, Problem
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.atomic import atomic_write
from qviz.models.activations import capture
from qviz.models.exact_operators import EXACT, exact_codes, exact_of, factors, magnitudes
from qviz.models.network import Network, array_of
from qviz.models.sessions import open_session, run

TIE = "tie"
FUSED = "fused"
BIAS = "bias"
SUMS = "sums"
PAIRS = "pairs"
OTHER = "other"

CAUSES = {
    TIE: N_("lies exactly between two codes: ties may go either way"),
    FUSED: N_("lies so near to the middle of two codes that float32 rounding of the multiplier decides"),
    BIAS: N_("has a bias whose stored scale is not the product of the others': float and integers add another one"),
    SUMS: N_("was added up in float32 by one of them, whose rounding decides"),
    PAIRS: N_("holds pairs of products that saturate 16 bits on processors without VNNI"),
    OTHER: N_("differs for another reason"),
}
"""Each cause, and what is true of such an output."""

NEAR = 8 * 2.0**-24
"""Relative rounding error of a product of a few float32 numbers."""

ADDED = 64 * 2.0**-24
"""Of a sum of many, as a share of the magnitudes that were added."""

INT16 = 1 << 15


@frozen
class Difference:
    """One output that two ways of computing disagree on.

    Attributes
    ----------
    index : tuple of int
    first, second : int
        The codes that the two gave.
    exact : float
        The value before it is rounded, as exactly as the stored scales say it, zero point included.
    cause : str
        A key of `CAUSES`.
    """

    index: tuple[int, ...]
    first: int
    second: int
    exact: float
    cause: str


@frozen(eq=False)
class NodeTrace:
    """What one integer node gave, and what it should have given.

    Attributes
    ----------
    node, operator : str
    elements : int
        Outputs that were compared.
    differences : tuple of Difference
    """

    node: str
    operator: str
    elements: int
    differences: tuple[Difference, ...]

    @property
    def causes(self) -> Counter[str]:
        """How many outputs differ for each cause."""
        return Counter(difference.cause for difference in self.differences)


def integer_nodes(network: Network) -> tuple[str, ...]:
    """The names of the nodes that can be traced; those that only quantize come last."""
    known = [node for node in network.model.graph.node if node.op_type in EXACT]
    return tuple(node.name for node in sorted(known, key=lambda node: node.op_type == "QuantizeLinear"))


def trace_node(network: Network, name: str, sample: Mapping[str, Array]) -> NodeTrace:
    """Compare what the runtime gives for one node with the exact result, on one sample.

    Parameters
    ----------
    network : Network
        Quantized, in operator form; nodes have names.
    name : str
        One of `integer_nodes`.
    sample : mapping of str to array
        What the whole network is fed.

    Raises
    ------
    Problem
        When there is no such node, or it cannot be traced.
    """
    return next(trace_nodes(network, [name], sample))


def trace_nodes(
    network: Network,
    names: Sequence[str],
    sample: Mapping[str, Array],
    *,
    leave_out: bool = False,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Iterator[NodeTrace]:
    """The same of several nodes, for which the network is run once.

    Parameters
    ----------
    leave_out : bool
        Of a node that cannot be traced no element is compared, instead of a problem.

    Raises
    ------
    Problem
        When there is no such node, or it cannot be traced.
    Cancelled
        When asked to stop.
    """
    nodes = [_node(network, name) for name in names]
    constants = {each.name: array_of(each) for each in network.model.graph.initializer}
    wanted = {each for node in nodes for each in (*node.input, node.output[0]) if each and each not in constants}
    values = {**constants, **next(iter(capture(network, [sample], sorted(wanted))))}
    for done, node in enumerate(nodes):
        check(cancelled)
        inputs = [values[each] if each else None for each in node.input]
        try:
            yield compare_codes(node, inputs, np.asarray(values[node.output[0]]), exact_codes(node, inputs))
        except Problem:
            if not leave_out:
                raise
            yield NodeTrace(node.name, node.op_type, 0, ())
        progress((done + 1) / len(nodes))


def compare_codes(
    node: Any,
    inputs: list[Any],
    first: Array,
    second: Array,
    *,
    stored_bias: Callable[[tuple[int, ...]], Fraction] | None = None,
) -> NodeTrace:
    """Trace every output of a node that two ways of computing disagree on.

    Parameters
    ----------
    node : onnx.NodeProto
    inputs : list of array or None
        Of the node, in its order.
    first, second : integer arrays of one shape
    stored_bias : Callable[[tuple of int], Fraction], optional
        How much more an output is, in codes, with the bias by the scale that it is stored with.
    """
    exact_ones = exact_of(node, inputs)
    zero_point = int(exact_ones.zero_point)
    saturating = _saturating(node, inputs)
    found = []
    places = np.argwhere(first != second)
    added = magnitudes(node, inputs) if len(places) else np.zeros(0)
    for place in places:
        index = tuple(int(i) for i in place)
        exact = exact_ones.real(index) + zero_point
        other = exact + stored_bias(index) if stored_bias is not None else exact
        cause = _cause(exact, other, ADDED * float(added[index]), saturating(index))
        found.append(Difference(index, int(first[index]), int(second[index]), float(exact), cause))
    return NodeTrace(node.name, node.op_type, int(first.size), tuple(found))


def save_reproduction(folder: Path, network: Network, name: str, sample: Mapping[str, Array]) -> Path:
    """One node as a model of its own, with what it was fed and what came out, for whoever mends the runtime.

    Writes ``NAME.onnx`` and ``NAME.npz`` (inputs under their names, ``exact`` the right codes); gives the former.

    Raises
    ------
    Problem
        When there is no such node, or the files cannot be written.
    """
    from onnx import helper

    from qviz.files.results import write_archive

    node = _node(network, name)
    constants = {each.name: each for each in network.model.graph.initializer}
    wanted = [each for each in dict.fromkeys(node.input) if each and each not in constants]
    values = next(iter(capture(network, [sample], wanted)))
    kind = helper.np_dtype_to_tensor_dtype
    inputs = [helper.make_tensor_value_info(each, kind(values[each].dtype), values[each].shape) for each in wanted]
    arrays = [values[each] if each in values else array_of(constants[each]) if each else None for each in node.input]
    zero_point = exact_of(node, arrays).zero_point
    output = helper.make_tensor_value_info(node.output[0], kind(zero_point.dtype), None)
    kept = [constants[each] for each in dict.fromkeys(node.input) if each in constants]
    graph = helper.make_graph([node], "reproduction", inputs, [output], kept)
    model = helper.make_model(graph, opset_imports=list(network.model.opset_import))
    model.ir_version = max(network.model.ir_version, 8)
    stem = file_name(name)
    path = folder / f"{stem}.onnx"
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
    found = run(open_session(model), values)[0]
    write_archive(folder / f"{stem}.npz", {**values, "runtime": found, "exact": exact_codes(node, arrays)})
    return path


def _node(network: Network, name: str) -> Any:
    for node in network.model.graph.node:
        if node.name == name:
            if node.op_type not in EXACT:
                raise Problem(
                    "{name} is a {operator}, which cannot be traced: only {known} can.",
                    name=name,
                    operator=node.op_type,
                    known=", ".join(EXACT),
                )
            return node
    raise Problem("This network has no node “{name}”.", name=name)


def _saturating(node: Any, inputs: list[Any]) -> Any:
    """Whether neighbouring products of an output leave 16 bits when they are added in pairs (u8 · s8)."""
    if (
        node.op_type not in ("QLinearMatMul", "QLinearConv")
        or inputs[0].dtype != np.uint8
        or inputs[3].dtype != np.int8
    ):
        return lambda index: False
    of = factors(node, inputs)

    def saturates(index: tuple[int, ...]) -> bool:
        row, column = of(index)
        products = row * column
        even = products[: products.size // 2 * 2].reshape(-1, 2).sum(axis=1)
        return bool(((even >= INT16) | (even < -INT16)).any())

    return saturates


def _cause(exact: Fraction, stored: Fraction, added: float, saturates: bool) -> str:
    from_middle = _from_middle(exact)
    if from_middle == 0:
        return TIE
    if from_middle <= NEAR * max(1.0, abs(float(exact))):
        return FUSED
    if round(exact) != round(stored):
        return BIAS
    if min(from_middle, _from_middle(stored)) <= added:
        return SUMS
    return PAIRS if saturates else OTHER


def _from_middle(value: Fraction) -> float:
    """How far a value is from the middle between two codes."""
    return float(abs(value - (value.numerator // value.denominator) - Fraction(1, 2)))


def file_name(node: str) -> str:
    """What the files of a node are called, without an ending."""
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in node)[:80] or "node"
