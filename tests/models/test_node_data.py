"""Figures of nodes in the formats of other viewers."""

from __future__ import annotations

import json
import math

from qviz.models.node_data import model_explorer_data, netron_attachment, save_node_data

ROWS = {
    "conv1": {"alone_db": 30.5, "isolated_db": math.inf},
    "conv2": {"alone_db": 12.0},
    "with\nbreak": {"alone_db": 1.0},
}


def test_netron_takes_figures_by_the_names_of_nodes(tmp_path):
    save_node_data(tmp_path / "a.json", netron_attachment(ROWS))
    data = json.loads((tmp_path / "a.json").read_text())
    assert data["signature"] == "netron:attachment"
    assert [(m["kind"], m["target"], m["name"], m["value"]) for m in data["metrics"]] == [
        ("node", "conv1", "alone_db", 30.5),
        ("node", "conv2", "alone_db", 12.0),
    ]


def test_model_explorer_takes_one_figure_with_colours():
    data = model_explorer_data(ROWS)["main"]
    assert data["results"]["conv2"] == {"value": 12.0}
    assert [stop["stop"] for stop in data["gradient"]] == [0, 1]
    assert "conv1" not in model_explorer_data(ROWS, "isolated_db")["main"]["results"]
