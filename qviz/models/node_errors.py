"""What does each node add to the error, and what has come together behind it? Sums alone are kept.

The network runs twice, a stretch of nodes at a time that gives out all that it computes: in float and quantized, which
is the *accumulated* error; the last node's is the error of the output. A quantized node is a small session of its own
besides: fed with the values of the float network it gives the *isolated* error.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from qviz.core.arrays import Array
from qviz.core.frozen import frozen
from qviz.core.questions.figures import sqnr_db
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.models.network import Network
from qviz.models.pieces import Pieces, Values
from qviz.models.quantized_network import OFF
from qviz.models.sensitivity import Sensitivity
from qviz.models.sessions import Feeds, run
from qviz.models.weights import squares

LIVE_BYTES = 1 << 24
"""Of the values of one stretch: they live twice, in float and quantized."""

UNKNOWN_BYTES = 1 << 20
"""What a value is taken for whose shape nobody knows."""


@frozen
class NodeError:
    """One node's errors over all samples, in dB; higher is better.

    Attributes
    ----------
    node, operator : str
    isolated_db : float
        With exact inputs: what this node alone does; infinite where nothing of it is quantized.
    accumulated_db : float
        With the inputs that it gets: what has come together.
    low, high : float
        The ends of its float output; elements that are not finite there count nowhere.
    shares : tuple of float
        The output channels' shares of the error, the largest first, at most eight.
    """

    node: str
    operator: str
    isolated_db: float
    accumulated_db: float
    low: float
    high: float
    shares: tuple[float, ...]


class _Sums:
    def __init__(self) -> None:
        self.signal = self.isolated = self.accumulated = 0.0
        self.low, self.high = math.inf, -math.inf
        self.by_channel: Array | None = None

    def add(self, right: Array, isolated: Array | None, accumulated: Array) -> None:
        """Take one sample; ``isolated`` is None where nothing of the node is quantized."""
        if right.dtype.kind != "f" or not right.size:
            return
        signal = squares(right)
        finite = right
        if not math.isfinite(signal):
            finite = right[np.isfinite(right)]
            if not finite.size:
                return
            signal = squares(finite)
        self.signal += signal
        self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
        if isolated is not None:
            d, noise = _difference(isolated, right)
            self.isolated += noise
            if d.ndim >= 2:
                axis = 1 if d.ndim in (3, 4, 5) else d.ndim - 1
                rows = d.reshape(math.prod(d.shape[:axis]), d.shape[axis], -1)
                channels = np.vecdot(rows, rows).sum(axis=0)
                before = self.by_channel
                same = before is not None and before.shape == channels.shape
                self.by_channel = before + channels if before is not None and same else channels
        if accumulated is not right:
            self.accumulated += _difference(accumulated, right)[1]

    def shares(self) -> tuple[float, ...]:
        if self.by_channel is None or not self.by_channel.sum() > 0:
            return ()
        part = np.sort(self.by_channel / self.by_channel.sum())[::-1]
        return tuple(float(each) for each in part[:8])


def _difference(worn: Array, exact: Array) -> tuple[Array, float]:
    """What differs, and its squares; nothing where the exact value is not finite, as the logarithm of nothing is."""
    d: Array = worn - exact
    noise = squares(d)
    if math.isfinite(noise):
        return d, noise
    d = np.where(np.isfinite(exact), d, 0)
    return d, squares(d)


class NodeCut:
    """A network cut for this question: stretches of nodes that give out all that they compute, and single nodes.

    Parameters
    ----------
    network : Network
        Prepared.
    live_bytes : int
        About what the values of one stretch may take.
    """

    def __init__(self, network: Network, live_bytes: int = LIVE_BYTES) -> None:
        sizes = _bytes_of_nodes(network)
        self.stretches = Pieces(network, sizes, math.ceil(sum(sizes.values()) / live_bytes))
        self.singles = Pieces(network, count=len(sizes))


def _bytes_of_nodes(network: Network) -> dict[str, float]:
    """Of what each node computes, as far as shapes tell; more than nothing, for a cut is behind some node."""
    graph = network.model.graph
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    return {
        node.name: 1.0 + sum(4 * math.prod(shapes[name]) if name in shapes else UNKNOWN_BYTES for name in node.output)
        for node in graph.node
    }


def node_errors(
    sensitivity: Sensitivity,
    *,
    cut: NodeCut | None = None,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Iterator[NodeError]:
    """The errors of every node that has a float output, in the network's order, when all samples have been run.

    Parameters
    ----------
    sensitivity : Sensitivity
        The network, its samples, and what of it is quantized.
    cut : NodeCut, optional
        The network cut for this, where that was done before.

    Raises
    ------
    Problem
        When a node cannot be run alone.
    Cancelled
        When asked to stop.
    """
    cut = cut or NodeCut(sensitivity.network)
    sensitivity.quantize()
    everyone = frozenset(unit.name for unit in sensitivity.units)
    inputs = [sensitivity.inputs_of(node, everyone) for node in cut.singles.nodes]
    sums = [_Sums() for _ in inputs]
    singles: dict[int, Any] = {}
    with np.errstate(invalid="ignore", over="ignore"):
        for number, sample in enumerate(sensitivity.samples):
            _add_sample(sensitivity, cut, inputs, sums, singles, sample, cancelled)
            progress((number + 1) / len(sensitivity.samples))
    signal, isolated, accumulated = (
        np.array([getattr(each, name) for each in sums], np.float64) for name in ("signal", "isolated", "accumulated")
    )
    both = zip(sqnr_db(signal, isolated), sqnr_db(signal, accumulated), strict=True)
    for node, found, (alone, together) in zip(cut.singles.nodes, sums, both, strict=True):
        if found.low <= found.high:
            yield NodeError(
                node.name, node.op_type, float(alone), float(together), found.low, found.high, found.shares()
            )


def _add_sample(
    sensitivity: Sensitivity,
    cut: NodeCut,
    inputs: list[dict[str, Any]],
    sums: list[_Sums],
    singles: dict[int, Any],
    sample: Feeds,
    cancelled: IsCancelled,
) -> None:
    exact: Values = dict(sample)
    worn: Values = dict(sample)
    place = 0
    for stretch in range(len(cut.stretches)):
        check(cancelled)
        nodes = cut.stretches.nodes_of(stretch)
        here = inputs[place : place + len(nodes)]
        session = _session(sensitivity, cut.stretches, stretch, nodes, here, every=True)
        quantized = {name: value for each in here for name, value in each.items()}
        plain = {name: sensitivity.values[name] if name in sensitivity.weights else OFF for name in quantized}
        right = cut.stretches.advance(session, exact, plain)
        both = cut.stretches.advance(session, worn, quantized)
        for node, extra in zip(nodes, here, strict=True):
            name = node.output[0] if node.output else ""
            if name in right:
                alone = None
                if extra:
                    check(cancelled)
                    if place not in singles:
                        singles[place] = _session(sensitivity, cut.singles, place, [node], [extra], every=True)
                    given = {each: right[each] for each in node.input if each in right}
                    alone = run(singles[place], {**given, **extra}, [name])[0]
                sums[place].add(right[name], alone, both[name])
            place += 1
        exact, worn = (cut.stretches.kept(values, stretch + 1) for values in (right, both))


def _session(
    sensitivity: Sensitivity,
    pieces: Pieces,
    piece: int,
    nodes: Sequence[Any],
    inputs: Sequence[Mapping[str, Any]],
    *,
    every: bool = False,
) -> Any:
    """A piece with weights and points as inputs: the same kernels run whether they are quantized or not."""
    return pieces.session(
        piece,
        exchanged=tuple(dict.fromkeys(n for each in inputs for n in each if n in sensitivity.weights)),
        points=tuple(point for node in nodes for point in sensitivity.points_of(node)),
        switched=True,
        parameters=sensitivity.parameters,
        every=every,
        threads=1,
    )
