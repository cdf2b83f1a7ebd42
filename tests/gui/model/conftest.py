"""A window on the Model page with a small network, and its samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from qviz.gui.model.checkpoint_panel import TENSORS
from qviz.gui.model.page import ModelPage
from qviz.gui.model.parts import NETWORK
from qviz.session.network_state import NetworkState
from tests.gui.conftest import Desk
from tests.models.made import classifier, pictures

LONG = 60_000
"""Milliseconds: another process has to start."""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A network of three layers, and four samples for it."""
    onnx.save_model(classifier(), str(tmp_path / "net.onnx"))
    np.save(tmp_path / "x.npy", np.concatenate([sample["x"] for sample in pictures(4)]))
    return tmp_path / "net.onnx", tmp_path / "x.npy"


@pytest.fixture
def new_desk(desk: Desk) -> Desk:
    """The window of the module; its Model page, where there is one already, has nothing opened and nothing chosen."""
    for page in desk.window.pages.all_made:
        if isinstance(page, ModelPage):
            forget(desk, page)
    return desk


def forget(desk: Desk, page: Any) -> None:
    """A Model page as it came up, but for what a person cannot see."""
    networks = page.networks
    for worker in networks.workers:
        worker.cancel()
    page.weighing.checkpoints.close()
    idle(desk, page)
    networks.runs.clear()
    networks._good = None
    networks.analyst.forget()
    networks._set(NetworkState())
    page.running.show()
    for panel in (page.network, page.data):
        panel.trouble.hide()
    page.layers.filter.clear()
    panel = page.checkpoint
    panel.filter.clear()
    panel.by.button(TENSORS).click()
    panel.scheme.setCurrentIndex(0)
    panel.one_axis.setChecked(False)
    page.budget.kind.setCurrentIndex(0)
    if panel.budget_button.isChecked():
        panel.budget_button.click()
    page.bits.target.clear()
    page.deploy.method.button("dynamic").click()
    page.deploy.best_button.click()
    page.deploy.seconds.setValue(2)
    page.show_part(NETWORK)
    page.reset_layout()
    page.graph.reset_view()
    idle(desk, page, lambda: not page._refresh.isActive())


@pytest.fixture
def page(new_desk: Desk) -> Any:
    """The page before anything is opened."""
    new_desk.window.pages.show_page("model")
    return new_desk.window.pages.current


@pytest.fixture
def opened(new_desk: Desk, page: Any, files: tuple[Path, Path]) -> Any:
    """The page with the network, without data."""
    new_desk.app.open_paths([files[0]])
    idle(new_desk, page)
    assert page.networks.state.prepared is not None
    return page


@pytest.fixture
def ready(new_desk: Desk, opened: Any, files: tuple[Path, Path]) -> Any:
    """The page with the network and its samples, measured."""
    opened.networks.read((files[1],))
    idle(new_desk, opened, lambda: opened.figures.whole is not None)
    return opened


def idle(desk: Desk, page: Any, also: Callable[[], bool] = lambda: True) -> None:
    """Wait until nobody works for the page any more."""
    desk.bot.waitUntil(lambda: not any(w.busy for w in page.networks.workers) and also(), timeout=LONG)
