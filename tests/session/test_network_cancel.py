"""Whatever is cancelled, at whatever stage: no process is left, and a file is whole or not there."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from qviz.core import IntFormat, Scheme
from qviz.core.work import Cancelled
from qviz.models.activations import ranges, spans
from qviz.models.data import open_samples
from qviz.models.data_settings import DataSettings
from qviz.models.deployment import deployment_choices
from qviz.models.encodings import qnn_encodings
from qviz.models.latency import measure_latency
from qviz.models.network import open_network
from qviz.models.node_errors import node_errors
from qviz.models.opening import open_prepared
from qviz.models.preparation import prepare_network
from qviz.models.ptq import quantize_network
from qviz.models.recipes import Recipe
from qviz.models.sensitivity import Sensitivity
from qviz.session.network_state import FIRST_SCHEME, NetworkState
from qviz.session.network_workers import Measuring, _compared, _deploy
from tests.models.made import classifier, pictures
from tests.processes import working


class Stop:
    """Cancels as soon as work is so far; counts how often it was asked."""

    def __init__(self, share: float, asked: int = 0) -> None:
        self.share, self.after, self.asked, self.seen = share, asked, 0, -1.0

    def progress(self, share: float) -> None:
        self.seen = max(self.seen, share)

    def cancelled(self) -> bool:
        self.asked += 1
        return self.seen >= self.share and self.asked > self.after


@pytest.fixture
def state(tmp_path):
    onnx.save_model(classifier(), str(tmp_path / "net.onnx"))
    np.save(tmp_path / "x.npy", np.concatenate([sample["x"] for sample in pictures(4)]))
    prepared = prepare_network(open_network(tmp_path / "net.onnx"))
    samples = open_samples(prepared.network, [tmp_path / "x.npy"], DataSettings())
    return NetworkState(path=tmp_path / "net.onnx", prepared=prepared, samples=samples)


def whole_or_nothing(folder):
    """No process and no remains; a file that is there can be opened."""
    assert working() == []
    names = {path.name for path in folder.iterdir()} - {"net.onnx", "x.npy"}
    assert names <= {"q.onnx"}
    if names:
        open_network(folder / "q.onnx")
    return bool(names)


@pytest.mark.parametrize(
    ("share", "written"),
    [(-1, False), (0.3, None), (0.6, True), (0.75, True), (0.95, True)],
    ids=["starting", "calibrating", "comparing", "timing", "weighing its memory"],
)
def test_a_deployment(state, tmp_path, share, written):
    stop = Stop(share)
    with pytest.raises(Cancelled):
        _deploy(state, Recipe("static"), tmp_path / "q.onnx", Measuring(0.05), stop.progress, stop.cancelled)
    assert whole_or_nothing(tmp_path) in ((True, False) if written is None else (written,))


def test_every_method_while_its_quantizer_is_at_work(state, tmp_path):
    """What comes afterwards is the same for all."""
    for method in ("dynamic", "weights", "float16"):
        stop = Stop(-1)
        with pytest.raises(Cancelled):
            _deploy(state, Recipe(method), tmp_path / "q.onnx", Measuring(0.05), stop.progress, stop.cancelled)
        assert not whole_or_nothing(tmp_path), method


def test_an_old_file_stays_when_its_successor_is_cancelled(state, tmp_path):
    (tmp_path / "q.onnx").write_bytes(classifier(seed=3).SerializeToString())
    before = (tmp_path / "q.onnx").read_bytes()
    stop = Stop(0.05)
    with pytest.raises(Cancelled):
        quantize_network(
            state.prepared.network,
            tmp_path / "q.onnx",
            Recipe("static"),
            pictures(2),
            progress=stop.progress,
            cancelled=stop.cancelled,
        )
    assert whole_or_nothing(tmp_path)
    assert (tmp_path / "q.onnx").read_bytes() == before


@pytest.mark.parametrize("share", [-1, 0.05])
def test_opening_and_comparing(state, tmp_path, share):
    for act in (
        lambda stop: open_prepared(tmp_path / "net.onnx", progress=stop.progress, cancelled=stop.cancelled),
        lambda stop: _compared(state, tmp_path / "net.onnx", Measuring(0.05), stop.progress, stop.cancelled),
    ):
        with pytest.raises(Cancelled):
            act(Stop(share))
        assert not whole_or_nothing(tmp_path)


def test_what_runs_in_a_thread_asks_again_and_again(state):
    net, samples = state.prepared.network, pictures(3)
    asked = Sensitivity(net, samples, FIRST_SCHEME)
    works = {
        "the whole": lambda stop: asked.everything(cancelled=stop.cancelled),
        "a sweep": lambda stop: list(asked.sweep(cancelled=stop.cancelled)),
        "errors of nodes": lambda stop: list(node_errors(asked, cancelled=stop.cancelled)),
        "ends of tensors": lambda stop: spans(net, samples, progress=stop.progress, cancelled=stop.cancelled),
        "ranges": lambda stop: ranges(net, samples, Scheme(range_rule="percentile"), cancelled=stop.cancelled),
        "times": lambda stop: measure_latency(
            net.model, net.model, samples, seconds=0, fewest=3, cancelled=stop.cancelled
        ),
        "encodings": lambda stop: qnn_encodings(net, FIRST_SCHEME, {}, {}, IntFormat(8), cancelled=stop.cancelled),
        "choices": lambda stop: deployment_choices(net, FIRST_SCHEME, {}, cancelled=stop.cancelled),
    }
    for name, work in works.items():
        never = Stop(2)
        work(never)
        assert never.asked >= 2, name
        for turn in range(never.asked):
            with pytest.raises(Cancelled):
                work(Stop(-1, asked=turn))
