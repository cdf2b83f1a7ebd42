"""What does each node add to the error, and what has come together behind it? Sums alone are kept.

Every node is a small session of its own. Fed with the values of the float network it gives the *isolated* error, with
those of the quantized one the *accumulated* error; the last node's is the error of the output.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from qviz.core.arrays import Array
from qviz.core.questions.figures import sqnr_db
from qviz.core.work import IsCancelled, Progress, check, ignore, never
from qviz.models.pieces import Pieces, Values
from qviz.models.sensitivity import Sensitivity
from qviz.models.weights import squares


@dataclass(frozen=True)
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

    def add(self, right: Array, isolated: Array, accumulated: Array) -> None:
        if right.dtype.kind != "f" or not right.size:
            return
        finite = right if np.isfinite(ends := (right.min(), right.max())).all() else right[np.isfinite(right)]
        if not finite.size:
            return
        low, high = ends if finite is right else (finite.min(), finite.max())
        self.signal += squares(finite)
        self.low, self.high = min(self.low, float(low)), max(self.high, float(high))
        if isolated is not right:
            d = _difference(isolated, right)
            self.isolated += squares(d)
            if d.ndim >= 2:
                axis = 1 if d.ndim in (3, 4, 5) else d.ndim - 1
                channels = np.einsum("ocx,ocx->c", *[d.reshape(math.prod(d.shape[:axis]), d.shape[axis], -1)] * 2)
                before = self.by_channel
                same = before is not None and before.shape == channels.shape
                self.by_channel = before + channels if before is not None and same else channels
        if accumulated is not right:
            self.accumulated += squares(_difference(accumulated, right))

    def shares(self) -> tuple[float, ...]:
        if self.by_channel is None or not self.by_channel.sum() > 0:
            return ()
        part = np.sort(self.by_channel / self.by_channel.sum())[::-1]
        return tuple(float(each) for each in part[:8])


def _difference(worn: Array, exact: Array) -> Array:
    """What differs; nothing where the exact value is not finite, as the logarithm of nothing is."""
    with np.errstate(invalid="ignore", over="ignore"):
        d: Array = worn - exact
    return d if np.isfinite(d.sum()) else np.where(np.isfinite(exact), d, 0)


def node_errors(
    sensitivity: Sensitivity,
    *,
    pieces: Pieces | None = None,
    progress: Progress = ignore,
    cancelled: IsCancelled = never,
) -> Iterator[NodeError]:
    """The errors of every node that has a float output, in the network's order, when all samples have been run.

    Parameters
    ----------
    sensitivity : Sensitivity
        The network, its samples, and what of it is quantized.
    pieces : Pieces, optional
        The network cut into single nodes, where that was done before.

    Raises
    ------
    Problem
        When a node cannot be run alone.
    Cancelled
        When asked to stop.
    """
    pieces = pieces or Pieces(sensitivity.network, count=len(sensitivity.network.model.graph.node))
    sums = [_Sums() for _ in pieces.nodes]
    everyone = frozenset(unit.name for unit in sensitivity.units)
    for number, sample in enumerate(sensitivity.samples):
        exact: Values = dict(sample)
        worn: Values = dict(sample)
        for place, node in enumerate(pieces.nodes):
            check(cancelled)
            plain = pieces.session(place, key="plain", threads=1)
            asked = [each.name for each in plain.get_inputs()]
            dirty = any(worn[name] is not exact[name] for name in asked if name in exact)
            after = pieces.advance(plain, exact)
            made = [name for name in node.output if name and name in after]
            extra = sensitivity.inputs_of(node, everyone)
            alone, both = after, after
            if extra:
                session = pieces.session(
                    place,
                    exchanged=tuple(name for name in extra if not name.endswith("/on")),
                    points=sensitivity.points_of(node),
                    switched=True,
                    parameters=sensitivity.parameters,
                    key="changed",
                    threads=1,
                )
                alone = pieces.advance(session, exact, extra)
                both = pieces.advance(session, worn, extra) if dirty else {**worn, **{n: alone[n] for n in made}}
            elif dirty:
                both = pieces.advance(plain, worn)
            else:
                both = {**worn, **{name: after[name] for name in made}}
            if made:
                sums[place].add(after[made[0]], alone[made[0]], both[made[0]])
            exact, worn = pieces.kept(after, place + 1), pieces.kept(both, place + 1)
        progress((number + 1) / len(sensitivity.samples))
    for node, found in zip(pieces.nodes, sums, strict=True):
        if found.low <= found.high:
            isolated, accumulated = (
                float(sqnr_db(np.float64(found.signal), np.float64(noise)))
                for noise in (found.isolated, found.accumulated)
            )
            yield NodeError(node.name, node.op_type, isolated, accumulated, found.low, found.high, found.shares())
