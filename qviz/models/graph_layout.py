"""How is a network drawn, so that it can be read? In at most 150 boxes, each with its place, and the ways between.

A layered drawing of every node is as tall as twenty screens; the boxes are of the layers that are asked about, with
the nodes behind each that read nothing else. ``graphlay`` lays them out, behind `lay_out` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qviz.core.frozen import frozen
from qviz.core.printable import printable
from qviz.models.network import Network, outer_names
from qviz.models.units import Unit

MOST_BOXES = 150
BOX_WIDTH, BOX_HEIGHT = 132.0, 38.0
LAYER_GAP, NODE_GAP = 26.0, 18.0
ROWS_ASPECT = 1.4
"""Width by height that a long chain is broken into rows for."""


@frozen
class Box:
    """Some nodes that are drawn as one.

    Attributes
    ----------
    name : str
        Of the unit, or of the first node.
    operators : tuple of str
        Of its nodes, each once, in order.
    nodes : tuple of str
    units : tuple of Unit
        Those whose nodes are in it.
    """

    name: str
    operators: tuple[str, ...]
    nodes: tuple[str, ...]
    units: tuple[Unit, ...]

    @property
    def bytes(self) -> int:
        """Of its weights in the file."""
        return sum(unit.bytes for unit in self.units)


@frozen
class Drawn:
    """Boxes with their places, y downwards.

    Attributes
    ----------
    boxes : tuple of Box
    centers : tuple of (float, float)
        Of each box; all are `BOX_WIDTH` wide and `BOX_HEIGHT` high.
    edges : tuple of (int, int)
        From which box to which, by number.
    ways : tuple of tuples of (float, float)
        The corners of each edge.
    bounds : tuple of four floats
        left, top, right, bottom.
    """

    boxes: tuple[Box, ...]
    centers: tuple[tuple[float, float], ...]
    edges: tuple[tuple[int, int], ...]
    ways: tuple[tuple[tuple[float, float], ...], ...]
    bounds: tuple[float, float, float, float]


@dataclass
class _Part:
    """A box in the making; ``sources`` are the parts that it reads from."""

    nodes: list[str]
    operators: list[str]
    units: list[Unit]
    sources: set[int] = field(default_factory=set)


def boxes_of(
    network: Network, units: Sequence[Unit], most: int = MOST_BOXES
) -> tuple[tuple[Box, ...], tuple[tuple[int, int], ...]]:
    """Boxes and the edges between them, without cycles.

    A node without a unit joins the box that is all it reads from: whatever is in a box descends from its first node,
    so that no way leads out of a box and back. Where there are more than ``most`` boxes, neighbours in the network's
    order are taken together, which makes no cycle either.

    Parameters
    ----------
    network : Network
        Prepared.
    units : sequence of Unit
    most : int
    """
    owner = {node: number for number, unit in enumerate(units) for node in unit.nodes}
    parts: list[_Part] = []
    of_unit: dict[int, int] = {}
    made: dict[str, int] = {}
    grouped = any(len(unit.nodes) > 1 for unit in units)
    current: int | None = None
    for node in network.model.graph.node:
        sources = {made[name] for name in outer_names(node) if name in made}
        number = owner.get(node.name)
        at: int | None = None
        if grouped:  # the nodes of a unit lie in a row of the network's order, others between them
            at = current if number is None else of_unit.get(number)
        elif number is None and len(sources) == 1:
            at = next(iter(sources))
        if at is None:
            at = len(parts)
            parts.append(_Part([], [], []))
            if number is not None:
                of_unit[number] = at
                parts[at].units.append(units[number])
        current = at
        part = parts[at]
        part.nodes.append(node.name)
        if node.op_type not in part.operators:
            part.operators.append(node.op_type)
        part.sources |= sources - {at}
        made.update((name, at) for name in node.output if name)
    place = _neighbours_together(parts, most)
    merged: dict[int, list[int]] = {}
    for part_number, at in enumerate(place):
        merged.setdefault(at, []).append(part_number)
    boxes = tuple(_box([parts[i] for i in numbers]) for _, numbers in sorted(merged.items()))
    edges = {(place[source], place[i]) for i, part in enumerate(parts) for source in part.sources}
    return boxes, tuple(sorted(edge for edge in edges if edge[0] != edge[1]))


def _neighbours_together(parts: list[_Part], most: int) -> list[int]:
    """The number of the box of each part: stretches of about as many parts each, where there are too many."""
    if len(parts) <= most:
        return list(range(len(parts)))
    return [i * most // len(parts) for i in range(len(parts))]


def _box(parts: list[_Part]) -> Box:
    units = tuple(unit for part in parts for unit in part.units)
    nodes = tuple(node for part in parts for node in part.nodes)
    names = [unit.name for unit in units] or [nodes[0]]
    name = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
    operators = dict.fromkeys(operator for part in parts for operator in part.operators)
    return Box(printable(name), tuple(map(printable, operators)), nodes, units)


def lay_out(boxes: Sequence[Box], edges: Sequence[tuple[int, int]]) -> Drawn:
    """Places for boxes, and ways for edges; the same for the same boxes.

    Parameters
    ----------
    boxes : sequence of Box
    edges : sequence of (int, int)
        Without cycles, as `boxes_of` gives them.
    """
    import graphlay

    graph = graphlay.Graph()
    for number in range(len(boxes)):
        graph.node(number, width=BOX_WIDTH, height=BOX_HEIGHT)
    for source, target in edges:
        graph.edge(source, target)
    options = {
        "direction": "topbottom",
        "effort": "balanced",
        "spacing": {"layer_gap": LAYER_GAP, "node_gap": NODE_GAP, "dummy_gap": 10.0, "port_gap": 8.0, "stub": 7.0},
        "wrap": {"viewport_aspect": ROWS_ASPECT},
    }
    found = graphlay.layout(graph, options=options)
    centers = tuple((float(n["center"]["x"]), float(n["center"]["y"])) for n in found.nodes)
    ways = tuple(tuple((float(p["x"]), float(p["y"])) for p in e["points"]) for e in found.edges)
    low, high = found.bounds["min"], found.bounds["max"]
    bounds = (float(low["x"]), float(low["y"]), float(high["x"]), float(high["y"]))
    return Drawn(tuple(boxes), centers, tuple(edges), ways, bounds)
