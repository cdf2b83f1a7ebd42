"""What of a network is quantized together, or left in float together? A node, or neighbours of one module."""

from __future__ import annotations

from collections.abc import Sequence

from qviz.core.frozen import frozen
from qviz.models.network import Network
from qviz.models.pieces import Point
from qviz.models.weights import Weight, weights_of

CORE_OPERATORS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
"""Before these, activations are quantized where somebody asks for it."""

FEWEST_GROUPS, MOST_GROUPS = 8, 60


@frozen
class Unit:
    """What is quantized together or left in float together.

    Attributes
    ----------
    name : str
    nodes : tuple of str
    weights : tuple of Weight
    points : tuple of Point
        Where activations enter its nodes.
    """

    name: str
    nodes: tuple[str, ...]
    weights: tuple[Weight, ...]
    points: tuple[Point, ...] = ()

    @property
    def bytes(self) -> int:
        """Of its weights in the file."""
        return sum(weight.bytes for weight in self.weights)


def units_by_node(network: Network, activations: bool = False) -> tuple[Unit, ...]:
    """A unit for each node that has a weight (or, with activations, that is a core operator)."""
    weights: dict[str, list[Weight]] = {}
    for weight in weights_of(network):
        weights.setdefault(weight.node, []).append(weight)
    constants = {each.name for each in network.model.graph.initializer}
    units = []
    for node in network.model.graph.node:
        points: tuple[Point, ...] = ()
        if activations and node.op_type in CORE_OPERATORS:
            places = range(1) if node.op_type in ("Conv", "ConvTranspose") else range(2)
            points = tuple(
                Point(node.input[i], node.name, i)
                for i in places
                if i < len(node.input) and node.input[i] not in constants
            )
        mine = tuple(weights.get(node.name, ()))
        if mine or points:
            units.append(Unit(node.name, (node.name,), mine, points))
    return tuple(units)


def units_by_group(network: Network, activations: bool = False) -> tuple[Unit, ...]:
    """Neighbouring nodes of one module together, by the paths in their names; by equal numbers where there are none."""
    singles = units_by_node(network, activations)
    if len(singles) <= FEWEST_GROUPS:
        return singles
    best: list[tuple[str, list[Unit]]] = []
    for depth in range(1, 12):
        runs = _runs([(_scope(unit.name, depth), unit) for unit in singles])
        if len(runs) > MOST_GROUPS:
            break
        best = runs
        if len(runs) == len(singles):
            break
    if len(best) < FEWEST_GROUPS:
        size = -(-len(singles) // min(MOST_GROUPS, len(singles)))
        chunks = [list(singles[i : i + size]) for i in range(0, len(singles), size)]
        best = [(c[0].name if len(c) == 1 else f"{c[0].name} … {c[-1].name}", c) for c in chunks]
    return tuple(
        Unit(
            name,
            tuple(node for unit in units for node in unit.nodes),
            tuple(weight for unit in units for weight in unit.weights),
            tuple(point for unit in units for point in unit.points),
        )
        for name, units in best
    )


def _scope(name: str, depth: int) -> str:
    parts = [part for part in name.replace(".", "/").split("/") if part]
    return "/".join(parts[:depth]) if parts else name


def _runs(named: Sequence[tuple[str, Unit]]) -> list[tuple[str, list[Unit]]]:
    runs: list[tuple[str, list[Unit]]] = []
    seen: dict[str, int] = {}
    for name, unit in named:
        if runs and runs[-1][0] == name:
            runs[-1][1].append(unit)
        else:
            seen[name] = seen.get(name, 0) + 1
            runs.append((name if seen[name] == 1 else f"{name} ({seen[name]})", [unit]))
    return runs
