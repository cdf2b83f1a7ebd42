"""Why does an integer operator give a code that is one off? Each differing output is traced to its cause.

An integer operator adds products of codes exactly, and then requantizes: the sum times ``x_scale · w_scale / y_scale``,
rounded, plus the zero point. Runtimes round that multiplier, or the product, at different places in float32, and
processors without VNNI add pairs of u8 · s8 products in 16 bits, which saturates. The exact result here is computed
with fractions of the scales as they are stored (ONNX, QLinearMatMul, QLinearConv and QLinearAdd).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.problems import N_, Problem
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.files.atomic import atomic_write
from qviz.models.activations import capture
from qviz.models.network import Network, array_of
from qviz.models.sessions import open_session, run

OPERATORS = ("QLinearMatMul", "QLinearConv", "QLinearAdd")

TIE = "tie"
FUSED = "fused"
PAIRS = "pairs"
OTHER = "other"

CAUSES = {
    TIE: N_("lies exactly between two codes: ties may go either way"),
    FUSED: N_("lies so near to the middle of two codes that float32 rounding of the multiplier decides"),
    PAIRS: N_("holds pairs of products that saturate 16 bits on processors without VNNI"),
    OTHER: N_("differs for another reason"),
}
"""Each cause, and what is true of such an output."""

NEAR = 8 * 2.0**-24
"""Relative rounding error of a product of a few float32 numbers."""

INT16 = 1 << 15


@dataclass(frozen=True)
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


@dataclass(frozen=True, eq=False)
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
    """The names of the nodes that can be traced."""
    return tuple(node.name for node in network.model.graph.node if node.op_type in OPERATORS)


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


def compare_codes(node: Any, inputs: list[Any], first: Array, second: Array) -> NodeTrace:
    """Trace every output of a node that two ways of computing disagree on.

    Parameters
    ----------
    node : onnx.NodeProto
    inputs : list of array or None
        Of the node, in its order.
    first, second : integer arrays of one shape
    """
    real = _real(node, inputs)
    saturating = _saturating(node, inputs)
    found = []
    for place in np.argwhere(first != second):
        index = tuple(int(i) for i in place)
        exact = real(index)
        found.append(
            Difference(index, int(first[index]), int(second[index]), float(exact), _cause(exact, saturating(index)))
        )
    return NodeTrace(node.name, node.op_type, int(first.size), tuple(found))


def exact_codes(node: Any, inputs: list[Any]) -> Array:
    """The codes of the exact values, ties to even, saturated to the type of the output."""
    zero_point = _output_zero_point(node, inputs)
    ends = np.iinfo(zero_point.dtype)
    value, size = _float64(node, inputs)
    codes = np.rint(value)
    # Float64 decides all but what lies nearer to the middle of two codes than it is exact.
    near = np.abs(value - np.floor(value) - 0.5) <= size * 2.0**-48
    if near.any():
        real = _real(node, inputs)
        for place in np.argwhere(near):
            index = tuple(int(i) for i in place)
            codes[index] = round(real(index) - int(zero_point))
    return np.asarray(np.clip(codes + int(zero_point), ends.min, ends.max).astype(zero_point.dtype))


def _float64(node: Any, inputs: list[Any]) -> tuple[Array, Array]:
    """The values before rounding, without the zero point, and the magnitudes that their errors are shares of."""
    if node.op_type == "QLinearAdd":
        a, a_scale, a_zero, b, b_scale, b_zero, y_scale, _ = inputs
        left = (a.astype(np.int64) - int(a_zero)) * (float(a_scale) / float(y_scale))
        right = (b.astype(np.int64) - int(b_zero)) * (float(b_scale) / float(y_scale))
        return np.asarray(left + right), np.asarray(np.abs(left) + np.abs(right))
    sums = accumulated(node, inputs)
    multipliers = np.array([float(each) for each in _multipliers(node, inputs)])
    value = sums * (multipliers[_channels(node, sums.shape)] if multipliers.size > 1 else multipliers[0])
    return np.asarray(value), np.asarray(np.abs(value))


def accumulated(node: Any, inputs: list[Any]) -> Array:
    """The sums of products of codes less zero points, with the bias, as int64."""
    x, w = _operands(node, inputs)
    if node.op_type == "QLinearMatMul":
        return np.asarray(np.matmul(x, w))
    from onnx import helper

    given = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    if x.ndim != 4:
        raise Problem("This convolution cannot be traced: only those of pictures can.")
    strides, dilations = list(given.get("strides", [1, 1])), list(given.get("dilations", [1, 1]))
    pads = _pads(given, x.shape[2:], w.shape[2:], strides, dilations)
    padded = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    groups, outputs = int(given.get("group", 1)), w.shape[0] // int(given.get("group", 1))
    rows = (padded.shape[2] - dilations[0] * (w.shape[2] - 1) - 1) // strides[0] + 1
    columns = (padded.shape[3] - dilations[1] * (w.shape[3] - 1) - 1) // strides[1] + 1
    sums = np.zeros((x.shape[0], w.shape[0], rows, columns), np.int64)
    for i in range(w.shape[2]):
        for j in range(w.shape[3]):
            part = padded[
                :,
                :,
                i * dilations[0] : i * dilations[0] + strides[0] * (rows - 1) + 1 : strides[0],
                j * dilations[1] : j * dilations[1] + strides[1] * (columns - 1) + 1 : strides[1],
            ]
            for g in range(groups):
                mine = slice(g * w.shape[1], (g + 1) * w.shape[1])
                here = slice(g * outputs, (g + 1) * outputs)
                sums[:, here] += np.einsum("nchw,oc->nohw", part[:, mine], w[here, :, i, j])
    if len(inputs) > 8 and inputs[8] is not None:
        sums += np.asarray(inputs[8], np.int64).reshape(1, -1, 1, 1)
    return sums


def _pads(
    given: Mapping[str, Any], size: Sequence[int], kernel: Sequence[int], strides: list[int], dilations: list[int]
) -> list[int]:
    """Of a convolution: those that are written, or those that keep the size (``SAME_UPPER``, ``SAME_LOWER``)."""
    auto = given.get("auto_pad", b"NOTSET")
    if auto in (b"NOTSET", b"VALID"):
        return list(given.get("pads", [0, 0, 0, 0])) if auto == b"NOTSET" else [0, 0, 0, 0]
    totals = [
        max(0, (-(-n // stride) - 1) * stride + dilation * (k - 1) + 1 - n)
        for n, k, stride, dilation in zip(size, kernel, strides, dilations, strict=True)
    ]
    small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
    return [*small, *large] if auto == b"SAME_UPPER" else [*large, *small]


def save_reproduction(folder: Path, network: Network, name: str, sample: Mapping[str, Array]) -> Path:
    """One node as a model of its own, with what it was fed and what came out, for whoever mends the runtime.

    Writes ``NAME.onnx`` and ``NAME.npz`` (inputs under their names, ``exact`` the right codes); gives the former.

    Raises
    ------
    Problem
        When there is no such node, or the files cannot be written.
    """
    from onnx import TensorProto, helper

    from qviz.files.results import write_archive

    node = _node(network, name)
    constants = {each.name: each for each in network.model.graph.initializer}
    wanted = [each for each in dict.fromkeys(node.input) if each and each not in constants]
    values = next(iter(capture(network, [sample], wanted)))
    kinds = {np.dtype(np.uint8): TensorProto.UINT8, np.dtype(np.int8): TensorProto.INT8}
    inputs = [
        helper.make_tensor_value_info(each, kinds.get(values[each].dtype, TensorProto.FLOAT), values[each].shape)
        for each in wanted
    ]
    arrays = [values[each] if each in values else array_of(constants[each]) if each else None for each in node.input]
    zero_point = _output_zero_point(node, arrays)
    output = helper.make_tensor_value_info(node.output[0], kinds[zero_point.dtype], None)
    kept = [constants[each] for each in dict.fromkeys(node.input) if each in constants]
    graph = helper.make_graph([node], "reproduction", inputs, [output], kept)
    model = helper.make_model(graph, opset_imports=list(network.model.opset_import))
    model.ir_version = max(network.model.ir_version, 8)
    stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)[:80] or "node"
    path = folder / f"{stem}.onnx"
    with atomic_write(path) as temporary:
        temporary.write_bytes(model.SerializeToString())
    found = run(open_session(model), values)[0]
    write_archive(folder / f"{stem}.npz", {**values, "runtime": found, "exact": exact_codes(node, arrays)})
    return path


def _node(network: Network, name: str) -> Any:
    for node in network.model.graph.node:
        if node.name == name:
            if node.op_type not in OPERATORS:
                raise Problem(
                    "{name} is a {operator}, which cannot be traced: only {known} can.",
                    name=name,
                    operator=node.op_type,
                    known=", ".join(OPERATORS),
                )
            return node
    raise Problem("This network has no node “{name}”.", name=name)


def _operands(node: Any, inputs: list[Any]) -> tuple[Array, Array]:
    x, _, x_zero, w, _, w_zero = inputs[:6]
    axis = (-1, 1, 1, 1) if node.op_type == "QLinearConv" else (-1,)
    zeros = np.asarray(w_zero, np.int64)
    points = zeros.reshape(axis) if zeros.size > 1 else zeros.reshape(-1)[0]
    return x.astype(np.int64) - int(np.asarray(x_zero).reshape(-1)[0]), w.astype(np.int64) - points


def _multipliers(node: Any, inputs: list[Any]) -> list[Fraction]:
    """``x_scale · w_scale / y_scale`` of each output channel, without rounding."""
    x_scale, w_scale, y_scale = (np.asarray(inputs[i], np.float32).reshape(-1) for i in (1, 4, 6))
    return [Fraction(float(x_scale[0])) * Fraction(float(w)) / Fraction(float(y_scale[0])) for w in w_scale]


def _output_zero_point(node: Any, inputs: list[Any]) -> Array:
    return np.asarray(np.asarray(inputs[7]).reshape(-1)[0])


def _channels(node: Any, shape: tuple[int, ...]) -> Array:
    if node.op_type == "QLinearConv":
        return np.arange(shape[1]).reshape(1, -1, 1, 1)
    return np.arange(shape[-1])


def _real(node: Any, inputs: list[Any]) -> Any:
    """The exact value of one output, zero point included."""
    zero_point = int(_output_zero_point(node, inputs))
    if node.op_type == "QLinearAdd":
        a, a_scale, a_zero, b, b_scale, b_zero, y_scale, _ = inputs
        left, right = np.broadcast_arrays(a.astype(np.int64) - int(a_zero), b.astype(np.int64) - int(b_zero))
        ratios = [Fraction(float(s)) / Fraction(float(y_scale)) for s in (a_scale, b_scale)]
        return lambda index: ratios[0] * int(left[index]) + ratios[1] * int(right[index]) + zero_point
    sums, multipliers = accumulated(node, inputs), _multipliers(node, inputs)
    channel = np.broadcast_to(_channels(node, sums.shape), sums.shape)
    return lambda index: multipliers[int(channel[index]) if len(multipliers) > 1 else 0] * int(sums[index]) + zero_point


def _saturating(node: Any, inputs: list[Any]) -> Any:
    """Whether neighbouring products of an output leave 16 bits when they are added in pairs (u8 · s8)."""
    if node.op_type != "QLinearMatMul" or inputs[0].dtype != np.uint8 or inputs[3].dtype != np.int8:
        return lambda index: False
    x, w = inputs[0].astype(np.int64), inputs[3].astype(np.int64)

    def saturates(index: tuple[int, ...]) -> bool:
        row = x[index[:-1]] if x.ndim > 1 else x
        column = w[(*index[: w.ndim - 2], slice(None), index[-1])] if w.ndim > 1 else w
        products = row * column
        even = products[: products.size // 2 * 2].reshape(-1, 2).sum(axis=1)
        return bool(((even >= INT16) | (even < -INT16)).any())

    return saturates


def _cause(exact: Fraction, saturates: bool) -> str:
    fraction = exact - (exact.numerator // exact.denominator)
    from_middle = abs(fraction - Fraction(1, 2))
    if from_middle == 0:
        return TIE
    if float(from_middle) <= NEAR * max(1.0, abs(float(exact))):
        return FUSED
    return PAIRS if saturates else OTHER
