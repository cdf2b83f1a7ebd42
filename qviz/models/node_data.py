"""How do other viewers show what was found out about each node? As attachments in their own formats.

Netron (8.5 and newer) takes a JSON file with the signature ``netron:attachment`` that is dropped onto the open model.
Model Explorer takes node data: results by the names of nodes, and colours between two ends.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qviz.files.atomic import atomic_write

FIGURES = ("alone_db", "restored_db", "isolated_db", "accumulated_db")
WORST, BEST = "#d55e00", "#ffffff"
"""The ends of the colours: vermilion and white, which people of all eyes tell apart."""


def netron_attachment(rows: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """What Netron shows under *Metrics* of each node.

    Parameters
    ----------
    rows : mapping of str to mapping of str to float
        The figures of each node by name. What is not finite is left out; Netron cuts names at a line break, so that
        nodes with one are left out too.
    """
    metrics = [
        {"kind": "node", "target": node, "name": name, "type": "float64", "value": value}
        for node, figures in rows.items()
        if "\n" not in node
        for name, value in figures.items()
        if math.isfinite(value)
    ]
    return {"signature": "netron:attachment", "metadata": [], "metrics": metrics}


def model_explorer_data(rows: Mapping[str, Mapping[str, float]], figure: str = FIGURES[0]) -> dict[str, Any]:
    """Node data of one figure for Model Explorer, coloured from the worst value to the best.

    Parameters
    ----------
    rows : mapping of str to mapping of str to float
    figure : str
        Which one; nodes without it, or for which it is not finite, stay without colour.
    """
    values = {node: figures[figure] for node, figures in rows.items() if math.isfinite(figures.get(figure, math.nan))}
    gradient = [{"stop": 0, "bgColor": WORST}, {"stop": 1, "bgColor": BEST}]
    return {"main": {"results": {node: {"value": value} for node, value in values.items()}, "gradient": gradient}}


def save_node_data(path: Path, data: Mapping[str, Any]) -> None:
    """Write either, whole or not at all.

    Raises
    ------
    FileProblem
        When it cannot be written.
    """
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1), encoding="utf-8")
