"""Does anything still say that work goes on, or look like an answer, where the work ended without one?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PySide6.QtWidgets import QLabel
from safetensors.numpy import save_file

from qviz.core.tensors.generators import GeneratorSpec
from qviz.models.recipes import Recipe
from qviz.session.runner import LatestRunner, Request
from qviz.session.worker import Worker
from tests.gui.conftest import PATIENCE, Desk
from tests.models.made import classifier, pictures

pytestmark = pytest.mark.unpainted

ENDS = ("a bug", "a panic", "cancelled")


UNASKED = ("Sweeper", "PinAnalyst", "RuntimeComparison", "Multiplier", "SpeedMeter")
"""Who would work as soon as a page is shown, which would take the test long."""


def nothing(progress: Any, cancelled: Any) -> None:
    """Work that is cancelled before it does anything."""


class Ends:
    """Ends the work of the workers that it names, and says what the window tells afterwards."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.who, self.how = desk, "", ""
        self.ended: list[str] = []

    def start(self, runner: LatestRunner, request: Request, really: Callable[..., None]) -> None:
        """What `LatestRunner._start` is while this watches."""
        worker = runner.parent()
        name = type(worker).__name__
        if name not in (self.who, *UNASKED):
            really(runner, request)
            return
        assert isinstance(worker, Worker)
        self.ended.append(name)
        really(runner, Request(request.key, self._work if name == self.who else nothing))
        if self.how == "cancelled" or name != self.who:
            worker.cancel()

    def _work(self, progress: Any, cancelled: Any) -> None:
        if self.how == "a bug":
            raise KeyError(self.who)
        if self.how == "a panic":
            raise SystemExit(self.who)

    def after(self, who: str, how: str, act: Callable[[], object]) -> list[str]:
        """What is wrong with the window after work ended so."""
        self.who, self.how, self.ended = who, how, []
        desk = self.desk
        with desk.bot.captureExceptions() as caught:
            act()
            self.rest()
        self.who = ""
        found = []
        if who not in self.ended:
            found.append("was not asked")
        if bool(caught) != (how != "cancelled"):
            found.append(f"reported {caught}")
        found += [f"the status bar will say “{task.text}”" for task in desk.window.status.activity._tasks]
        for label in desk.window.findChildren(QLabel):
            if label.isVisible() and label.text().rstrip().endswith("…"):
                found.append(f"“{label.text()}”")
        return [f"{who}, {how}: {each}" for each in found]

    def rest(self) -> None:
        """Wait until nobody works any more."""
        workers = self.desk.app.findChildren(Worker)
        self.desk.bot.waitUntil(lambda: not any(worker.busy for worker in workers), timeout=PATIENCE)


@pytest.fixture
def ends(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    made, really = Ends(desk), LatestRunner._start
    monkeypatch.setattr(LatestRunner, "_start", lambda runner, request: made.start(runner, request, really))
    yield made
    made.rest()


def test_no_work_of_the_tensor_page_is_said_to_go_on(desk: Desk, ends: Ends, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.eye(4, dtype=np.float32))
    bits = iter(range(2, 8))
    wrong: list[str] = []
    for how in ENDS:
        wrong += ends.after("Opener", how, lambda: desk.app.library.open([tmp_path / "a.npy"]))
        wrong += ends.after("Library", how, lambda: desk.app.library.generate(GeneratorSpec("normal", (4, 5), 0)))
        wrong += ends.after("Analyst", how, lambda: desk.session.update(bits=next(bits)))
        assert desk.window.status.exactness.text() == "out of date: showing the previous scheme"
        assert desk.window.status.timing.text() == "not computed"
        desk.session.update(bits=8)  # what it was, and still is, the answer of
        desk.settle()
        assert desk.window.status.exactness.text().startswith("exact")
    assert wrong == []


def test_no_work_of_the_model_page_is_said_to_go_on(desk: Desk, ends: Ends, tmp_path: Path) -> None:
    onnx.save_model(classifier(), str(tmp_path / "net.onnx"))
    np.save(tmp_path / "x.npy", np.concatenate([sample["x"] for sample in pictures(2)]))
    save_file({"a.weight": np.eye(8, dtype=np.float32)}, tmp_path / "c.safetensors")
    desk.window.pages.show_page("model")
    page: Any = desk.window.pages.current
    networks, samples = page.networks, (tmp_path / "x.npy",)
    wrong: list[str] = []

    def say(dock: str, label: QLabel, text: str) -> None:
        page.docks[dock].raise_()
        if text not in label.text():
            wrong.append(f"“{label.text()}” is said in place of “{text}”")

    for how in ENDS:
        networks.close_network()
        wrong += ends.after("NetworkOpener", how, lambda: desk.app.open_paths([tmp_path / "net.onnx"]))
        say("network_panel", page.network.about, "This file was not opened")
    desk.app.open_paths([tmp_path / "net.onnx"])
    ends.rest()
    for how in ENDS:
        page.docks["data"].raise_()
        wrong += ends.after("DataReader", how, lambda: networks.read(samples))
        say("data", page.data.about, "These samples were not read")
        networks.update(activations=not networks.state.activations)  # anything else is changed
        say("data", page.data.about, "These samples were not read")
        wrong += ends.after("NetworkAnalyst", how, lambda: networks.read(samples))
        say("figures", page.figures.hint, "Not measured")
    networks.read(samples)
    ends.rest()
    for how in ENDS:
        wrong += ends.after("LayerSweeper", how, page.layers.sweep_button.click)
        wrong += ends.after("FrontierFinder", how, page.bits.find_button.click)
        wrong += ends.after("Deployer", how, lambda: networks.deploy(Recipe("dynamic"), tmp_path / "q.onnx"))
        wrong += ends.after("CheckpointOpener", how, lambda: page.weighing.open([tmp_path / "c.safetensors"]))
    page.weighing.open([tmp_path / "c.safetensors"])
    ends.rest()
    for how in ENDS:
        wrong += ends.after("CheckpointAudit", how, page.checkpoint.audit_button.click)
        assert page.checkpoint.audit_button.isEnabled()
        wrong += ends.after("BudgetFinder", how, page.budget.find_button.click)
        assert page.budget.find_button.isEnabled()
    assert wrong == []


def test_no_work_of_the_other_pages_is_said_to_go_on(desk: Desk, ends: Ends) -> None:
    wrong: list[str] = []
    desk.window.pages.show_page("compare")
    ends.rest()
    page: Any = desk.window.pages.current
    desk.app.pin_present()
    for how in ENDS:
        for part, who in (("sweep", "Sweeper"), ("pins", "PinAnalyst"), ("conventions", "RuntimeComparison")):
            page.show_part(part)
            ends.rest()
            worker: Any = next(each for each in page.workers if type(each).__name__ == who)
            wrong += ends.after(who, how, worker.again)
    desk.window.pages.show_page("product")
    ends.rest()
    page = desk.window.pages.current
    for how in ENDS:
        turned = not page._multiplier.factors.transposed
        wrong += ends.after("Multiplier", how, partial(page._multiplier.update, transposed=turned))
        assert not page.figures.isEnabled()  # they are of other factors
    desk.window.pages.show_page("training")
    page = desk.window.pages.current
    for how in ENDS:
        wrong += ends.after("SeedSweep", how, page.panel.sweep.click)
        assert page.panel.sweep.text() == "Train at 1…8 bits"
    assert wrong == []
