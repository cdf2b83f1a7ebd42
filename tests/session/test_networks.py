"""A network is opened, fed, measured, swept and deployed, each beside the window."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest

from qviz.core import Problem
from qviz.models.network import open_network
from qviz.models.recipes import Recipe
from qviz.session.networks import Networks
from tests.models.made import classifier, pictures
from tests.processes import working


@pytest.fixture
def networks(qtbot):
    made = Networks()
    yield made
    made.close()


@pytest.fixture
def files(tmp_path):
    onnx.save_model(classifier(), str(tmp_path / "net.onnx"))
    np.save(tmp_path / "x.npy", np.concatenate([s["x"] for s in pictures(4)]))
    return tmp_path / "net.onnx", tmp_path / "x.npy"


@pytest.fixture
def open_one(qtbot, networks, files):
    def opened() -> Networks:
        with qtbot.waitSignal(networks.whole_found, timeout=60_000):
            networks.read((files[1],))
            networks.open(files[0])
            networks.read((files[1],))
        return networks

    return opened


def test_it_opens_and_answers(qtbot, open_one):
    networks = open_one()
    assert networks.state.ready
    assert len(networks.state.samples) == 4
    whole = []
    networks.whole_found.connect(whole.append)
    names = [w.name for u in networks.analyst._asked._asked.units for w in u.weights]
    with qtbot.waitSignal(networks.whole_found, timeout=60_000):
        networks.set_own(tuple(names), None)
    assert whole[-1].sqnr_db > 120
    assert whole[-1].quantized_bytes == whole[-1].float_bytes
    assert not whole[-1].random


def test_figures_come_of_the_first_sample_then_of_all(qtbot, monkeypatch, open_one):
    monkeypatch.setattr("qviz.session.network_workers.TELLING_SECONDS", 0)
    networks = open_one()
    qtbot.waitUntil(lambda: not networks.analyst.busy)
    came = []
    networks.whole_found.connect(came.append)
    networks.set_own(tuple(w.name for u in networks.analyst._asked._asked.units for w in u.weights), None)
    qtbot.waitUntil(lambda: bool(came) and came[-1].complete)
    assert [(whole.samples, whole.all_samples) for whole in came] == [(1, 2), (2, 2)]


def test_figures_of_other_samples_are_not_told_any_more(qtbot, open_one):
    networks = open_one()
    qtbot.waitUntil(lambda: not networks.analyst.busy)
    came, state = [], networks.state
    networks.whole_found.connect(came.append)
    networks.analyst.forget()
    networks.analyst._on_came(state, "of samples that were dropped")
    assert not came


def test_layers_come_one_by_one_and_are_not_asked_twice(qtbot, open_one):
    networks = open_one()
    with qtbot.waitSignal(networks.sweeper.completed, timeout=60_000):
        networks.sweep()
    assert len(networks.losses) == 6
    assert all(math.isfinite(loss.sqnr_db) for loss in networks.losses.values())
    again = []
    networks.sweeper.found.connect(again.append)
    with qtbot.waitSignal(networks.sweeper.completed, timeout=60_000):
        networks.sweep()
    assert again == []


def test_a_run_is_kept(qtbot, open_one, tmp_path):
    networks = open_one()
    with qtbot.waitSignal(networks.run_kept, timeout=60_000):
        networks.deploy(Recipe("static"), tmp_path / "q.onnx")
    (found,) = networks.runs
    assert found.outcome.path == tmp_path / "q.onnx"
    assert found.sqnr_db > 15
    assert found.latency.ratio > 0


def test_a_network_that_was_quantized_elsewhere_is_held_against_this_one(qtbot, open_one, tmp_path):
    networks = open_one()
    with qtbot.waitSignal(networks.run_kept, timeout=60_000):
        networks.deploy(Recipe("static"), tmp_path / "q.onnx", seconds=0.1)
    with qtbot.waitSignal(networks.run_kept, timeout=60_000):
        networks.compare(tmp_path / "q.onnx", seconds=0.1)
    first, second = networks.runs
    assert second.outcome.path == first.outcome.path
    assert second.sqnr_db == pytest.approx(first.sqnr_db)
    assert (second.outcome.quantized, second.outcome.bytes) == (first.outcome.quantized, first.outcome.bytes)


def test_another_network_is_not_compared(qtbot, open_one, tmp_path):
    networks = open_one()
    model = classifier()
    model.graph.node[-1].output[0] = model.graph.output[0].name = "other"
    onnx.save_model(model, str(tmp_path / "other.onnx"))
    with qtbot.waitSignal(networks.deployer.problem, timeout=60_000) as said:
        networks.compare(tmp_path / "other.onnx")
    assert "Nothing was quantized" in said.args[0]


def test_what_is_cancelled_leaves_no_process_and_no_file(qtbot, open_one, tmp_path):
    networks = open_one()
    with qtbot.waitSignal(networks.deployer.ended, timeout=60_000):
        networks.deploy(Recipe("static"), tmp_path / "q.onnx")
        qtbot.waitUntil(lambda: bool(working()), timeout=60_000)
        networks.deployer.cancel()
    assert working() == []
    assert networks.runs == []
    for left in tmp_path.glob("q*"):  # written before it was cancelled, while it was measured
        assert left.name == "q.onnx"
        open_network(left)


def test_noise_is_marked(qtbot, networks, files):
    with qtbot.waitSignal(networks.opener.opened, timeout=60_000):
        networks.open(files[0])
    whole = []
    networks.whole_found.connect(whole.append)
    with qtbot.waitSignal(networks.whole_found, timeout=60_000):
        networks.read(())
    assert whole[-1].random


def test_what_cannot_be_opened_is_told(qtbot, networks, tmp_path: Path):
    (tmp_path / "bad.onnx").write_bytes(b"nothing of the kind" * 10)
    with qtbot.waitSignal(networks.opener.problem, timeout=60_000) as said:
        networks.open(tmp_path / "bad.onnx")
    assert said.args == ["bad.onnx is no ONNX model. Export it again, or choose another file."]
    with pytest.raises(Problem, match="Open a network"):
        networks.sweep()
