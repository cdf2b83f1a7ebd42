"""What was said of something that is over goes with it, and what was not computed says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qviz.core.problems import Problem
from qviz.core.tensors.tensor import Tensor
from qviz.gui.tensor.metrics_panel import METRICS
from qviz.session import answering
from tests.gui.conftest import PATIENCE, SMALL, Desk


def refuse(desk: Desk, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Ask for something of which there is no analysis."""

    def fail(*_: object, **__: object) -> None:
        raise Problem("It cannot be computed: choose another scheme.")

    with monkeypatch.context() as patched:
        patched.setattr(answering, "analyze", fail)
        desk.session.update(**changes)
        desk.bot.waitUntil(lambda: bool(desk.banner.text) and not desk.app.analyst.busy, timeout=PATIENCE)


def test_a_refused_analysis_says_on_every_chart_that_it_is_of_the_scheme_before(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.show(SMALL, bits=4)
    charts = [chart for chart in desk.page.charts if chart is not desk.page.speed]
    before = [chart.note for chart in charts]
    refuse(desk, monkeypatch, bits=5)
    assert {chart.note for chart in charts} == {"out of date: showing the previous scheme"}
    assert desk.page.docks["error"].title.note.text() == "out of date: showing the previous scheme"
    assert desk.window.status.exactness.text() == "out of date: showing the previous scheme"
    desk.page.values.reset_view()
    assert desk.page.values.note == "out of date: showing the previous scheme"
    assert not desk.page.metrics.isEnabled()
    desk.session.update(bits=4)
    desk.bot.waitUntil(desk.page.metrics.isEnabled, timeout=PATIENCE)
    assert [chart.note for chart in charts] == before
    assert desk.window.status.exactness.text().startswith("exact: ")
    assert desk.banner.text == ""


def test_an_error_of_something_else_outlives_an_answer(desk: Desk) -> None:
    desk.banner.error("The file cannot be written.")
    desk.session.update(bits=3)
    desk.settle()
    assert desk.banner.text == "The file cannot be written."


def test_a_refused_tensor_leaves_the_charts_of_the_one_before(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(desk, monkeypatch, tensor=Tensor(SMALL * np.float32(2), "another"))
    assert desk.page.values.note == "out of date: showing the previous tensor"


def test_a_notice_about_a_tensor_goes_when_another_is_shown(desk: Desk, tmp_path: Path) -> None:
    paths = [tmp_path / "nan.npy", tmp_path / "good.npy"]
    np.save(paths[0], np.array([1, np.nan, 2], np.float32))
    np.save(paths[1], np.array([1, 2], np.float32))
    desk.open(paths[0])
    assert "is left out: 1 NaN" in desk.banner.text
    desk.session.update(bits=3)
    assert "is left out: 1 NaN" in desk.banner.text
    desk.open(paths[1])
    assert desk.banner.text == ""


def test_bits_per_element_stand_at_the_top() -> None:
    assert [metric.label for metric in METRICS[:2]] == ["Bits per element", "MSE"]
