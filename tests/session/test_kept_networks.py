"""Runs of networks are there again in the next window, each beside its own network."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qviz.core.problems import Phrase
from qviz.core.ranges.rules import Percentile
from qviz.models.latency import Latency, NodeTime
from qviz.models.output_figures import Answers
from qviz.models.ptq import Outcome
from qviz.models.recipes import Recipe
from qviz.session.kept_networks import MOST_RUNS, NetworkRunKeeper, keep_run, kept_runs
from qviz.session.network_state import DeployedRun
from qviz.session.networks import Networks
from tests.every import every


def run_of(network: str = "/net.onnx", measured: bool = True) -> DeployedRun:
    recipe = replace(Recipe("static"), range_rule=Percentile(99.5), excluded=("a", "b"))
    notes = (Phrase("The file has grown: {size:,} bytes, the float one {original:,}.", size=2000, original=1000),)
    outcome = Outcome(Path("/q.onnx"), recipe, 3, 2, {"Conv": 1}, 1000, 2000, notes)
    if not measured:
        return DeployedRun(outcome, None, (), None, (), (), (), False, network=network)
    answers = Answers(["y"])
    answers.add([np.float32([[1, 2]])], [np.float32([[1, 2]])])
    return DeployedRun(
        outcome,
        math.inf,
        answers.figures(),
        Latency(np.array([0.25, 0.5]), np.array([0.125, 0.25]), 1, math.nan),
        (NodeTime("conv", "Conv", 0.5),),
        (NodeTime("conv_quant", "QLinearConv", 0.125),),
        (Phrase("Slow for {reason}", reason=Phrase("{count:,} Casts", count=1234)),),
        True,
        (100, 50),
        4,
        network,
    )


@pytest.mark.parametrize("measured", [True, False])
def test_a_run_is_the_same_when_it_is_taken_back(tmp_path, measured):
    run = run_of(measured=measured)
    keep_run(tmp_path, run)
    (again,) = kept_runs(tmp_path)
    assert again.outcome == run.outcome
    assert str(again.outcome.notes[0]) == "The file has grown: 2,000 bytes, the float one 1,000."
    assert (again.network, again.random, again.memory, again.batch) == (run.network, run.random, run.memory, run.batch)
    assert (again.sqnr_db, again.outputs, again.times, again.float_times, again.reasons) == (
        run.sqnr_db,
        run.outputs,
        run.times,
        run.float_times,
        run.reasons,
    )
    if measured:
        assert str(again.reasons[0]) == "Slow for 1,234 Casts"
        assert (again.latency.ratio, again.latency.threads) == (run.latency.ratio, 1)


@every(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: text.replace('"batch": 4', '"batch": "x"'),
        lambda text: text.replace('"percentile"', '"nothing"'),
        lambda text: text.replace("[0.25, 0.5]", "[]"),
        lambda text: text.replace("{size:,}", "{nobody}"),
        lambda text: "[" * 100_000,
    ],
    ids=["empty", "half", "a list", "no number", "no rule", "no times", "no value", "deep"],
)
def test_what_is_damaged_is_left_out(tmp_path, damage):
    keep_run(tmp_path, run_of())
    (path,) = tmp_path.iterdir()
    changed = damage(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    keep_run(tmp_path, run_of("/other.onnx"))
    assert [run.network for run in kept_runs(tmp_path)] == ["/other.onnx"]


def test_of_many_the_oldest_go(tmp_path, monkeypatch):
    monkeypatch.setattr("qviz.session.kept_networks.MOST_RUNS", 2)
    for name in "abc":
        keep_run(tmp_path, run_of(name))
    assert [run.network for run in kept_runs(tmp_path)] == ["b", "c"]
    assert MOST_RUNS > 2


def test_the_next_window_has_them_beside_their_network(qtbot, tmp_path):
    keeper, networks = NetworkRunKeeper(tmp_path / "runs"), Networks()
    keeper.keep(run_of(str(tmp_path / "net.onnx")))
    keeper.keep(run_of("/another.onnx"))
    keeper.close()
    later = NetworkRunKeeper(tmp_path / "runs")
    later.found.connect(networks.take_back)
    with qtbot.waitSignal(networks.runs_found):
        later.find()
    assert len(networks.all_runs) == 2
    assert networks.runs == []
    networks.state = replace(networks.state, path=tmp_path / "net.onnx")
    assert [run.network for run in networks.runs] == [str(tmp_path / "net.onnx")]
    networks.state = replace(networks.state, path=networks.runs[0].outcome.path)  # opened in its place
    assert {run.network for run in networks.runs} == {str(tmp_path / "net.onnx"), "/another.onnx"}
    later.close()
    networks.close()


def test_a_run_that_is_removed_does_not_come_back(tmp_path):
    keeper = NetworkRunKeeper(tmp_path)
    first, second = run_of("a"), run_of("b")
    for run in (first, second):
        keeper.keep(run)
    keeper.forget(first)
    keeper.forget(first)  # it is gone already
    keeper.close()
    assert [(run.network, run.key) for run in kept_runs(tmp_path)] == [("b", second.key)]


def test_figures_are_plain_json(tmp_path):
    keep_run(tmp_path, run_of())
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text())["outcome"]["path"] == "/q.onnx"
