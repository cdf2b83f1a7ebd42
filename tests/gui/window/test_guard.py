"""Does any fault of qviz's own, in a method that Qt calls, reach Qt? And does the window go on?

The planted faults are those that C code raises: on Python 3.11 one of them in an override ends the
process in Shiboken.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import shiboken6
from PySide6.QtCore import QEvent, QObject, QPointF
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QApplication, QWidget

import qviz
from qviz.core.tensors.granularity import PerAxis, PerTensor
from qviz.gui.charts.drawing import Brush
from qviz.session.guard import SAFE, VIRTUAL, descendants, guarded, is_virtual, overrides, unguarded
from tests.gui.conftest import SMALL, Desk, mouse_over, spot

PLAIN = {"setPos", "setStyle", "setText", "text"}
"""Names of Qt's that qviz gives to methods which only Python calls: what fails in them is for the caller."""


@pytest.fixture(scope="module")
def classes() -> list[type]:
    for module in pkgutil.walk_packages(qviz.__path__, "qviz."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = ("qviz.", "pyqtgraph.graphicsItems.", "pyqtgraph.GraphicsScene.", "pyqtgraph.widgets.GraphicsView")
    return [kind for kind in set(descendants(shiboken6.Object)) if kind.__module__.startswith(ours)]


def test_every_override_is_guarded(classes: list[type]) -> None:
    assert len(classes) > 100
    assert [f"@guarded is missing at {kind.__qualname__}" for kind in classes if list(unguarded(kind))] == []


def test_every_name_that_qt_has_too_is_judged(classes: list[type]) -> None:
    names = {
        (kind.__qualname__, name)
        for kind in classes
        if kind.__module__.startswith("qviz")
        for name, _ in overrides(kind)
        if not name.startswith("__") and not is_virtual(kind, name) and name not in PLAIN
    }
    assert names == set(), "a method that Qt calls belongs into VIRTUAL, one that it does not into PLAIN"


def test_what_stands_in_for_an_answer_is_of_a_virtual_method() -> None:
    assert set(SAFE) <= {name for names in VIRTUAL.values() for name in names.split()}


NOTHING: list[Any] = []

FAULTS: dict[str, Callable[[], object]] = {
    "index": lambda: NOTHING[0],
    "division": lambda: 1 // 0,
    "number": lambda: int("x"),
    "shapes": lambda: np.zeros(3) + np.zeros(2),
    "key": lambda: {}["a"],
    "raise": lambda: (_ for _ in ()).throw(RuntimeError("planted")),
}


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest) -> Callable[..., Any]:
    planted = FAULTS[request.param]
    return lambda *args, **kwargs: planted()


@pytest.fixture(autouse=True)
def _shown(desk: Desk) -> None:
    desk.show(SMALL)


def goes_on(desk: Desk) -> None:
    """The window answers and paints as ever."""
    QApplication.processEvents()
    before = desk.session.scheme
    desk.gesture(lambda: desk.do("fewer_bits"))
    desk.gesture(lambda: desk.do("undo"))
    assert desk.session.scheme == before
    assert not desk.window.grab().isNull()


def test_a_fault_in_a_paint_method(desk: Desk, fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    chart = desk.page.distribution
    with monkeypatch.context() as patch, desk.bot.captureExceptions() as caught:
        patch.setattr(chart._under, "_paint", fault)
        chart.repaint_marks()
        desk.window.grab()
    assert caught
    assert "in Drawing.paint, which Qt called" in str(getattr(caught[0][1], "__notes__", ()))
    goes_on(desk)


def test_a_fault_in_an_event(desk: Desk, fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    chart = desk.page.values
    with monkeypatch.context() as patch, desk.bot.captureExceptions() as caught:
        patch.setattr(chart, "leave", fault)
        QApplication.sendEvent(chart, QEvent(QEvent.Type.Leave))
    assert caught
    goes_on(desk)


def test_a_fault_in_the_data_of_a_model(desk: Desk, fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = desk.page.table.model
    with monkeypatch.context() as patch, desk.bot.captureExceptions() as caught:
        patch.setattr(model, "cells", fault)
        desk.window.grab()
        assert model.data(model.index(0, 0)) is None
    assert caught
    goes_on(desk)


def test_a_fault_in_a_slot(desk: Desk, fault: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, desk.bot.captureExceptions() as caught:
        patch.setattr(desk.session, "update", fault)
        desk.do("all_channels") if desk.window.actions_by_key["all_channels"].isEnabled() else desk.do("default_scheme")
    assert len(caught) == 1
    goes_on(desk)


def test_a_painter_left_alive_by_a_fault_is_let_go(desk: Desk) -> None:
    @guarded
    class Broken(QWidget):
        def paintEvent(self, event: object) -> None:
            painter = QPainter(self)
            painter.setOpacity(NOTHING[0])

    widget = Broken()
    desk.bot.addWidget(widget)
    with desk.bot.captureExceptions() as caught:
        widget.show()
        desk.bot.waitExposed(widget)
        widget.grab()
        widget.grab()
        widget.close()
    assert len(caught) >= 2


def test_qt_is_given_its_own_answer_where_it_has_one(desk: Desk) -> None:
    @guarded
    class Broken(QWidget):
        def sizeHint(self) -> Any:
            return NOTHING[0]

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            return bool(NOTHING[0])

    widget = Broken()
    desk.bot.addWidget(widget)
    with desk.bot.captureExceptions() as caught:
        assert widget.sizeHint() == QWidget().sizeHint()
        assert widget.eventFilter(widget, QEvent(QEvent.Type.Show)) is False
    assert len(caught) == 2


def test_a_fault_of_every_frame_is_told_once(desk: Desk) -> None:
    told: list[str] = []
    desk.app.crashes.crashed.connect(told.append)

    @guarded
    class Broken(QWidget):
        def paintEvent(self, event: object) -> None:
            int("x")

    with desk.bot.captureExceptions():
        sys.excepthook = desk.app.crashes.report  # what `install` does, were no test listening
        widget = Broken()
        desk.bot.addWidget(widget)
        for _ in range(5):
            widget.grab()
        assert told == []  # a dialog may not open while something is painted
        QApplication.processEvents()
    assert len(told) == 1
    assert "in test_a_fault_of_every_frame_is_told_once.<locals>.Broken.paintEvent, which Qt called" in told[0]
    assert desk.app.crash_dialog is not None
    desk.app.crash_dialog.hide()


# -- the faults that were found


@pytest.mark.parametrize("values", [[0, 0, 0, 0], [-1, 0, 1, 1, 0], list(range(-127, 128))])
def test_a_pin_without_any_error_is_compared(desk: Desk, values: list[int]) -> None:
    desk.show(np.array(values, np.float32))
    desk.app.pin_present()
    desk.session.update(bits=4)
    desk.app.pin_present()
    desk.window.pages.show_page("compare")
    page = desk.window.pages.current
    page.show_part("pins")
    desk.bot.waitUntil(lambda: not any(job.work.busy for job in page.jobs))
    for chart in page.charts:
        chart.resize(500, 300)
        chart.grab()
    curve = page.pins.rare
    assert curve.canvas.isVisibleTo(curve) == bool(curve.tables())
    assert ("no error at all" in curve.note) != bool(curve.tables())


@pytest.mark.parametrize("grain", [0, 1])
def test_no_marks_at_all_are_painted(desk: Desk, grain: float) -> None:
    chart = desk.page.values
    picture = QImage(100, 100, QImage.Format.Format_ARGB32_Premultiplied)
    picture.fill(0)
    painter = QPainter(picture)
    brush = Brush(painter, chart.view, grain, {})
    none, edge, color, pen = np.zeros(0), np.zeros(1), chart.color("original"), chart.pen("original")
    brush.path(none, none, pen)
    brush.curve(none, none, pen)
    brush.stairs(edge, none, pen)
    brush.columns(edge, none, color)
    brush.area(edge, none, none, color)
    brush.band(edge, none, none, color)
    brush.dashes(none, none, none, pen)
    brush.stems(none, none, none, pen)
    painter.end()
    assert not np.frombuffer(bytes(picture.constBits()), np.uint8).any()


def test_the_pointer_rests_on_the_heat_map_while_the_groups_become_fewer(desk: Desk) -> None:
    desk.page.docks["heat_map"].show()
    desk.show(np.random.default_rng(0).normal(0, 1, (6, 30)), granularity=PerAxis(1))
    chart = desk.page.heat_map
    QApplication.processEvents()
    mouse_over(chart).move(spot(chart, 29, 0))
    chart.hover(QPointF(29, 0))
    for granularity in (PerAxis(0), PerTensor()):
        desk.session.update(granularity=granularity)
        desk.settle()
        chart.grab()
