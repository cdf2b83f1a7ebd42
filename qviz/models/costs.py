"""About how long does each node of a network take? What its shapes tell, to share work out by."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qviz.models.network import Network
from qviz.models.units import Unit

MULTIPLICATIONS_A_SECOND, NODE_SECONDS = 3e10, 2.5e-6
"""About what one core does, and what a node takes however small it is."""

READING = 12
"""Multiplications that one core does while it reads an element of a weight that has not been packed."""


def costs_of(network: Network, units: Sequence[Unit]) -> dict[str, float]:
    """Multiplications of each node of the units, as far as shapes tell."""
    outputs = {node.name: node.output[0] for node in network.model.graph.node}
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in (*network.model.graph.value_info, *network.model.graph.output)
    }
    costs: dict[str, float] = {}
    for unit in units:
        for node in unit.nodes:
            costs[node] = 1.0
        for weight in unit.weights:
            elements = math.prod(shapes.get(outputs[weight.node]) or [0])
            if weight.operator == "Gather" or not elements:
                costs[weight.node] = max(costs[weight.node], 1.0)
            else:
                costs[weight.node] += elements * weight.matrix_shape[1] + READING * weight.elements
    return costs
