"""What is seen of a run: where its time goes, why codes are one off; and what leaves for other viewers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtWidgets import QFileDialog

from qviz.gui.model.runs_chart import beside
from qviz.gui.model.runs_panel import about
from qviz.gui.model.viewers_menu import MODEL_EXPLORER, NETRON
from qviz.gui.words.numbers import number
from qviz.models.plus_minus_one import OTHER
from qviz.models.recipes import Recipe
from tests.gui.conftest import Desk
from tests.gui.copied import check_table
from tests.gui.model.conftest import idle

pytestmark = pytest.mark.unpainted


def test_a_run_is_looked_at_node_by_node_and_code_by_code(
    new_desk: Desk, ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(Recipe("static"), form="operator")
    ready.networks.deploy(recipe, tmp_path / "q.onnx", seconds=0.1, threads=1)
    idle(new_desk, ready, lambda: bool(ready.networks.runs))
    (run,) = ready.networks.runs
    assert (run.latency.threads, run.batch) == (1, 1)
    assert min(run.memory) > 0
    low, high = run.latency.ratios
    assert f"(batch 1, 1 thread, ratio {number(low, 3)} to {number(high, 3)} in fifths" in ready.runs.about.text()

    rows = ready.times.table.figures.rows
    assert [row.seconds for row in rows] == sorted((row.seconds for row in rows), reverse=True)
    assert sum(row.share for row in rows) == pytest.approx(1)
    assert "QLinearConv" in {row.operator for row in rows}
    assert "q.onnx" in ready.times.about.text()
    check_table(ready.times.table)

    ready.docks["traces"].raise_()
    assert not ready.traces.save_button.isEnabled()
    new_desk.click(ready.traces.trace_button)
    idle(new_desk, ready, lambda: "one off" in ready.traces.about.text())
    traced = ready.traces.table.figures.rows
    assert {"QLinearConv", "QLinearMatMul"} & {trace.operator for trace in traced}
    assert not any(trace.causes[OTHER] for trace in traced)
    check_table(ready.traces.table)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    ready.traces.table.point_to(next(trace for trace in traced if trace.elements))
    ready.traces.table.pointed.emit(ready.traces.table.current())
    new_desk.click(ready.traces.save_button)
    idle(new_desk, ready, lambda: len(list(tmp_path.glob("*.npz"))) == 1)
    (values,) = tmp_path.glob("*.npz")
    assert onnx.load(str(values.with_suffix(".onnx"))).graph.node[0].op_type.startswith("QLinear")
    assert {"runtime", "exact"} < set(np.load(values).files)


def test_figures_of_layers_leave_for_netron_and_model_explorer(
    new_desk: Desk, ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    ready.problem.connect(said.append)
    ready.asking.save_for_viewer(NETRON)
    assert said[0].startswith("Ask which layer hurts first")
    new_desk.click(ready.layers.sweep_button)
    idle(new_desk, ready, lambda: len(ready.networks.losses) == 6)
    idle(new_desk, ready, lambda: not any(math.isnan(row.restored) for row in ready.layers.table.figures.rows))
    written = {}
    for action in ready.viewers.menu().actions():
        path = tmp_path / f"{action.data()}.json"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, path=path: (str(path), ""))
        action.trigger()
        written[action.data()] = json.loads(path.read_text(encoding="utf-8"))
    metrics = written[NETRON]["metrics"]
    alone = {row["target"]: row["value"] for row in metrics if row["name"] == "alone_db"}
    assert alone == {row.unit.name: row.alone for row in ready.layers.table.figures.rows}
    results = written[MODEL_EXPLORER]["main"]["results"]
    assert {node: each["value"] for node, each in results.items()} == alone


def test_runs_are_removed_but_for_their_files(new_desk: Desk, ready: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        ready.networks.deploy(Recipe("dynamic"), tmp_path / f"{name}.onnx", seconds=0.05)
        idle(new_desk, ready, lambda name=name: any(r.outcome.path.stem == name for r in ready.networks.runs))
    first, second = ready.networks.runs
    new_desk.bot.keyClick(ready.runs.table, Qt.Key.Key_Delete)
    assert ready.runs.table.figures.rows == [first]
    assert ready.cost.runs == (first,)
    ready.runs.table.acted.emit(first, "✕")
    assert "is kept here" in ready.runs.about.text()
    assert not {first, second} & set(ready.networks.all_runs)
    assert (tmp_path / "a.onnx").exists()


def test_runs_stand_over_their_time_or_their_size(new_desk: Desk, ready: Any, tmp_path: Path) -> None:
    ready.networks.deploy(Recipe("dynamic"), tmp_path / "a.onnx", seconds=0.05)
    idle(new_desk, ready, lambda: bool(ready.networks.runs))
    (run,) = ready.networks.runs
    untimed = replace(run, latency=None)
    ready.cost.show_runs((run, untimed))
    assert ready.cost.runs == (run,)
    assert ready.cost._places()[0].tolist() == [run.latency.ratio]
    ready.docks["cost"].raise_()
    new_desk.click(ready.across.button("size"))
    assert ready.cost.runs == (run, untimed)
    assert ready.cost._places()[0].tolist() == [run.outcome.bytes / run.outcome.original_bytes] * 2
    assert ready.cost.plot.getAxis("bottom").labelText.startswith("File")
    ready.cost.hover(QPointF(*(float(each[0]) for each in ready.cost._places())))
    new_desk.click(ready.across.button("time"))
    assert ready.cost.runs == (run,)


def test_a_report_tells_all_runs_in_one_file(
    new_desk: Desk, ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not ready.report_button.isEnabled()
    for name in ("a", "<b>"):
        ready.networks.deploy(Recipe("dynamic"), tmp_path / f"{name}.onnx", seconds=0.05)
        idle(new_desk, ready, lambda name=name: any(r.outcome.path.stem == name for r in ready.networks.runs))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "runs"), ""))
    new_desk.click(ready.report_button)
    idle(new_desk, ready, (tmp_path / "runs.html").exists)
    page = (tmp_path / "runs.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,iVBORw0KGgo") == 2  # over time, and over size
    assert "&lt;b&gt;.onnx" in page
    assert "<b>" not in page
    for run in ready.networks.runs:
        assert escape(about(run)) in page
    for column in filter(lambda column: column.title, ready.runs.table.figures.columns):
        assert f">{escape(column.title)}</th>" in page
    assert ready.cost.across == "time"


def test_words_of_runs_that_lie_close_together_can_all_be_read() -> None:
    size = QSizeF(40, 12)
    marks = [QRectF(100, 100, 20, 20), QRectF(104, 106, 20, 20), QRectF(110, 98, 20, 20), QRectF(180, 20, 16, 16)]
    places = beside(marks, [size] * 4, 200)
    assert places[3].right() < marks[3].left()  # there is no room to the right of it
    every = [*places, *marks]
    for i, place in enumerate(places):
        others = every[:i] + every[i + 1 :]
        assert not any(place.intersects(other) for other in others), i
