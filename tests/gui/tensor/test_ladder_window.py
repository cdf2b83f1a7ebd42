"""The ladder as a person sees it: an estimate that says so, progress that can be stopped, a button for the exact."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from qviz.core import MSE, Entropy, IntFormat, Manual, PerAxis, PerTensor, Scheme, Tensor, analyze
from qviz.core.questions import loss_curves as curves_question
from qviz.gui.window import status
from qviz.gui.window.main_window import MEMORY_CHOICES
from qviz.session import analyst as analyst_module
from qviz.session import answering
from qviz.session import loss_curves as loss_curves_module
from qviz.session.state import Item
from tests.gui.conftest import PATIENCE, Desk, mouse_over, spot
from tests.session.ladder import FEW, LARGE, OUTLIER, SHAPE, SMALL, Gate, held_gate, small_samples, values

pytestmark = pytest.mark.unpainted

ESTIMATE = f"estimate from {SMALL} of {LARGE:,} elements"
EXACT = f"exact: {LARGE:,} elements"
POOR = 1
"""Megabytes: less than the window itself takes."""


class House:
    """A window, and the gate where its tensors are put in order."""

    def __init__(self, desk: Desk, gate: Gate) -> None:
        self.desk, self.gate = desk, gate
        self.app, self.window, self.session = desk.app, desk.window, desk.session
        self.activity, self.button = desk.window.status.activity, desk.window.status.exact_button
        self.read: list[str] = []

    def item(self, name: str = "large", seed: int = 0) -> Item:
        def load(progress: Any, cancelled: Any) -> Tensor:
            self.read.append(name)
            return Tensor(values(seed), name, progress=progress, cancelled=cancelled, counted=False)

        made = Item(name, "a test", SHAPE, "float32", load)
        self.session.update(items=(*self.session.state.items, made))
        return made

    def choose(self, item: Item) -> None:
        self.app.library.choose(item)
        self.wait(lambda: not self.app.library.busy and self.session.state.current is item)

    def wait(self, what: Callable[[], bool]) -> None:
        self.desk.bot.waitUntil(what, timeout=PATIENCE)

    def settle(self) -> None:
        """Until nothing is under way any more, and all of it is painted."""
        app = self.app
        self.wait(lambda: not (app.library.busy or app.preparer.busy or app.analyst._refinement.active))
        self.desk.settle()
        QApplication.processEvents()

    def show(self, name: str = "large", seed: int = 0) -> Item:
        made = self.item(name, seed)
        self.choose(made)
        self.settle()
        return made

    def sorting(self) -> Item:
        """A tensor that is being put in order, its estimate on the page."""
        self.gate.hold()
        made = self.item()
        self.choose(made)
        self.wait(self.gate.began.is_set)
        self.desk.settle()
        return made

    def press(self) -> None:
        """The button."""
        self.desk.click(self.button)

    @property
    def exactness(self) -> str:
        return self.window.status.exactness.text()

    @property
    def offered(self) -> bool:
        return not self.button.isHidden()

    @property
    def doing(self) -> str:
        return "" if self.activity.isHidden() else self.activity.label.text()

    def is_exact(self, scheme: Scheme, seed: int = 0) -> bool:
        """Whether the page shows what the direct pass says."""
        expected, frame = analyze(Tensor(values(seed)), scheme), self.desk.page.frame
        assert frame is not None
        assert frame.shown.mse == pytest.approx(expected.mse, rel=1e-9)
        assert frame.shown.saturated == expected.saturated
        np.testing.assert_array_equal(frame.shown.occupancy, expected.occupancy)
        return frame.shown.exact and self.exactness == EXACT and not self.offered


@pytest.fixture
def house(desks: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    small_samples(monkeypatch)
    monkeypatch.setattr(analyst_module, "STILL_MILLISECONDS", 10)
    monkeypatch.setattr(loss_curves_module, "STILL_MILLISECONDS", 1)
    monkeypatch.setattr(status, "PATIENCE_MILLISECONDS", 10)
    gate = held_gate(monkeypatch)
    made = House(desks(limits=FEW), gate)
    made.app.settings.set("memory_budget_mb", 4096)
    yield made
    gate.let_go.set()


@pytest.fixture
def poor(house: House) -> House:
    """With memory for no order at all."""
    house.app.settings.set("memory_budget_mb", POOR)
    return house


# --- until it is in order ---------------------------------------------------------------------------


def test_an_estimate_says_so_until_the_tensor_is_in_order(house: House) -> None:
    house.sorting()
    assert house.exactness == ESTIMATE
    assert not house.offered  # better is on its way
    house.wait(lambda: house.doing == "Sorting large")
    assert house.activity.bar.value() == 25
    assert house.activity.button.isEnabled()
    house.gate.let_go.set()
    house.settle()
    assert house.is_exact(Scheme())
    assert house.desk.page.frame.whole.prepared is house.session.state.prepared is not None
    assert house.doing == ""
    assert house.window.banner.text == ""


def test_the_window_answers_while_it_is_sorted(house: House) -> None:
    house.sorting()
    ticks: list[int] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(1))
    timer.start(1)
    for bits in (4, 6, 3):
        house.desk.scheme.bits.setValue(bits)
        frame = house.desk.settle()
        assert frame.scheme.number_format.bits == bits
        assert house.exactness == ESTIMATE
    house.wait(lambda: len(ticks) > 10)
    timer.stop()
    assert house.gate.sorted == ["large"]
    house.gate.let_go.set()
    house.settle()
    assert house.is_exact(Scheme(IntFormat(3)))


def test_sorting_can_be_cancelled_and_asked_for_again(house: House) -> None:
    house.sorting()
    house.wait(lambda: house.doing != "")
    house.desk.click(house.activity.button)
    house.wait(lambda: not house.app.preparer.busy)
    assert (house.exactness, house.offered, house.doing) == (ESTIMATE, True, "")
    house.desk.do("fewer_bits")
    house.settle()
    assert (house.exactness, house.offered) == (ESTIMATE, True)
    house.gate.let_go.set()
    house.press()
    assert not house.offered
    house.settle()
    assert house.is_exact(Scheme(IntFormat(7)))
    assert house.session.state.prepared is not None


def test_an_element_survives_the_change_to_exact(house: House) -> None:
    house.sorting()
    house.session.update(selected=700)
    house.gate.let_go.set()
    house.settle()
    assert house.is_exact(Scheme())
    assert house.session.state.selected == 700


@pytest.mark.parametrize(("name", "ends"), [("values", (600, 800)), ("distribution", (-1, 1))])
def test_the_zoom_survives_the_change_to_exact(house: House, name: str, ends: tuple[float, float]) -> None:
    house.sorting()
    chart = getattr(house.desk.page, name)
    chart.view.setXRange(*ends, padding=0)
    chart.view.sigRangeChangedManually.emit([True, True])  # as the wheel does
    house.gate.let_go.set()
    house.settle()
    assert chart.view.viewRange()[0] == pytest.approx(ends)


def test_a_channel_survives_the_change_to_exact(house: House) -> None:
    house.session.update(granularity=PerAxis(0))
    house.sorting()
    house.session.update(channel=3)
    house.desk.settle()
    house.gate.let_go.set()
    house.settle()
    assert house.session.state.prepared is not None
    assert house.desk.page.frame.channel == house.session.state.channel == 3
    assert house.exactness == f"exact: {SHAPE[1]} elements"
    assert not house.offered


def test_undo_and_redo_across_the_change_to_exact(house: House) -> None:
    house.sorting()
    house.session.update(bits=4)
    house.desk.settle()
    house.gate.let_go.set()
    house.settle()
    house.desk.do("undo")
    house.settle()
    assert house.is_exact(Scheme())
    house.desk.do("redo")
    house.settle()
    assert house.is_exact(Scheme(IntFormat(4)))


# --- where memory does not suffice ------------------------------------------------------------------


def test_without_memory_the_exact_answer_is_asked_for(poor: House) -> None:
    poor.show()
    assert (poor.exactness, poor.offered) == (ESTIMATE, True)
    assert poor.desk.page.frame.tensor.maximum < OUTLIER
    poor.press()
    poor.settle()
    assert poor.is_exact(Scheme())
    assert poor.gate.sorted == []
    poor.desk.do("fewer_bits")
    poor.settle()
    assert (poor.exactness, poor.offered) == (ESTIMATE, True)
    assert float(poor.desk.page.frame.whole.qparams.high) == OUTLIER
    poor.press()
    poor.settle()
    assert poor.is_exact(Scheme(IntFormat(7)))
    poor.desk.do("undo")
    poor.settle()
    assert poor.offered


@pytest.fixture
def slow(poor: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """An exact answer takes until this is opened."""
    gate = Gate(held=True)

    def wait(x: Any, scheme: Scheme, progress: Any, cancelled: Any, **options: Any) -> Any:
        progress(0.5)
        gate.began.set()
        gate.wait(cancelled)
        return analyze(x, scheme, progress=progress, cancelled=cancelled, **options)

    poor.show()
    monkeypatch.setattr(answering, "analyze", wait)
    poor.press()
    poor.desk.bot.waitUntil(gate.began.is_set)
    yield gate
    gate.let_go.set()


def test_the_exact_answer_shows_how_far_it_is(poor: House, slow: Gate) -> None:
    assert not poor.offered
    poor.wait(lambda: poor.doing == "Analyzing")
    assert poor.desk.page.metrics.isEnabled()  # the estimate is still one of this scheme
    assert poor.exactness == ESTIMATE
    slow.let_go.set()
    poor.settle()
    assert poor.is_exact(Scheme())
    assert poor.doing == ""


def test_the_exact_answer_can_be_given_up(poor: House, slow: Gate) -> None:
    poor.wait(lambda: poor.doing == "Analyzing")
    poor.desk.click(poor.activity.button)
    poor.wait(lambda: not poor.app.analyst.busy)
    assert (poor.exactness, poor.offered, poor.doing) == (ESTIMATE, True, "")
    assert poor.desk.page.metrics.isEnabled()
    slow.let_go.set()
    poor.press()
    poor.settle()
    assert poor.is_exact(Scheme())


def test_a_slider_does_not_wait_for_the_exact_answer(poor: House, slow: Gate) -> None:
    poor.desk.scheme.bits.setValue(4)
    frame = poor.desk.settle()
    assert frame.scheme.number_format.bits == 4
    assert (poor.exactness, poor.offered) == (ESTIMATE, True)


def test_per_axis_needs_no_asking(poor: House) -> None:
    poor.session.update(granularity=PerAxis(0))
    poor.show()
    assert poor.is_exact(Scheme(granularity=PerAxis(0)))
    assert poor.session.state.tensor.counted
    poor.session.update(granularity=PerTensor())
    poor.settle()
    assert poor.offered
    assert poor.desk.page.frame.tensor.maximum == OUTLIER


def choose_memory(house: House, megabytes: int) -> None:
    menu = house.window.actions_by_key["memory"].menu()
    (action,) = [action for action in menu.actions() if action.data() == megabytes]
    action.trigger()


def test_more_memory_prepares_what_is_shown_and_less_lets_others_go(poor: House, monkeypatch: Any) -> None:
    poor.show()
    choose_memory(poor, 2048)
    poor.settle()
    assert poor.is_exact(Scheme())
    first = poor.session.state.current
    poor.show("second", 1)
    assert poor.app.memory._kept[first].prepared is not None
    monkeypatch.setattr("qviz.app.app.tensor_budget", lambda megabytes: 0)
    choose_memory(poor, MEMORY_CHOICES[1])
    assert list(poor.app.memory._kept) == [poor.session.state.current]
    assert poor.session.state.prepared is not None  # what is shown is never dropped


# --- from one to another ----------------------------------------------------------------------------


def test_another_tensor_while_one_is_sorted(house: House) -> None:
    house.gate.deaf = True
    house.sorting()
    house.choose(house.item("second", 1))
    house.gate.let_go.set()
    house.settle()
    assert house.window.status.about_tensor.text().startswith("second")
    assert house.is_exact(Scheme(), 1)
    assert house.doing == ""
    assert house.session.state.prepared.tensor.name == "second"


def test_coming_back_is_exact_at_once(house: House) -> None:
    first = house.show()
    house.show("second", 1)
    house.desk.frames.clear()
    house.choose(first)
    house.settle()
    assert house.desk.frames[0].whole.exact
    assert house.is_exact(Scheme())
    assert house.read == house.gate.sorted == ["large", "second"]


def test_there_and_back_quickly(house: House) -> None:
    first, second = house.item(), house.item("second", 1)
    house.choose(first)
    for chosen in (second, first, second, first):
        house.app.library.choose(chosen)
        QApplication.processEvents()
    house.settle()
    assert house.session.state.current is first
    assert house.is_exact(Scheme())


# --- loss curves ------------------------------------------------------------------------------------


def traced(house: House) -> dict[str, Any]:
    house.settle()
    house.wait(lambda: not house.app.loss_curves.busy)
    QApplication.processEvents()
    return house.desk.page.loss.tables()


def test_loss_curves_come_when_somebody_looks_and_a_click_clips(house: House) -> None:
    page = house.desk.page
    house.show()
    assert traced(house) == {}
    page.docks["loss"].raise_()
    assert list(traced(house)[""].columns) == ["threshold", "mse"]
    assert page.loss.note.startswith("least at")
    where = spot(page.loss, 2.0)
    house.desk.gesture(lambda: mouse_over(page.loss).click(where))
    rule = house.session.scheme.range_rule
    assert isinstance(rule, Manual)
    assert rule.high == -rule.low == pytest.approx(2.0, abs=0.05)
    house.settle()
    assert page.loss._clip[1].value() == pytest.approx(rule.high)


def test_a_double_click_on_the_losses_takes_back_what_its_first_half_did(house: House) -> None:
    page, session = house.desk.page, house.session
    house.show()
    page.docks["loss"].raise_()
    traced(house)
    before = session.scheme
    mouse_over(page.loss).double_click(spot(page.loss, 2.0))
    house.settle()
    assert session.scheme == before
    assert not session.can_undo
    mouse_over(page.loss).double_click(page.loss.canvas.rect().topLeft())  # which clips nothing
    house.settle()
    assert session.scheme == before
    assert not session.can_undo


@pytest.mark.parametrize("rule", [MSE(), Entropy()], ids=["mse", "entropy"])
def test_a_rule_that_searches_brings_its_curve_to_the_front(house: House, rule: Any) -> None:
    house.show()
    house.session.update(range_rule=rule)
    (table,) = traced(house).values()
    assert list(table.columns) == ["threshold", rule.kind]
    assert house.desk.page.docks["loss"].isVisible()
    x, _ = house.desk.page.loss._best.getData()
    assert x[-1] == pytest.approx(float(house.desk.page.frame.whole.qparams.high), rel=1e-6)


def test_channels_empty_the_curves_until_there_are_none(house: House) -> None:
    house.desk.page.docks["loss"].raise_()
    house.show()
    assert traced(house)
    house.session.update(granularity=PerAxis(0))
    assert traced(house) == {}
    house.session.update(granularity=PerTensor())
    house.desk.page.docks["loss"].raise_()
    assert traced(house)


def test_the_curve_of_an_estimate_says_so(poor: House) -> None:
    poor.desk.page.docks["loss"].raise_()
    poor.show()
    assert traced(poor)
    assert poor.desk.page.loss.note.startswith("estimate, least at")


# --- closing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["sorting", "tracing", "exactly"])
def test_closing_in_the_middle_leaves_no_thread(house: House, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    gate = Gate(held=True)

    def wait(*arguments: Any, **options: Any) -> Any:
        gate.began.set()
        gate.wait(next(a for a in (*arguments, *options.values()) if getattr(a, "__name__", "") == "is_set"))

    if moment == "sorting":
        house.sorting()
    elif moment == "tracing":
        monkeypatch.setattr(curves_question, "compare_ranges", wait)
        house.desk.page.docks["loss"].raise_()
        house.show()
        house.wait(gate.began.is_set)
    else:
        house.app.settings.set("memory_budget_mb", POOR)
        house.show()
        monkeypatch.setattr(answering, "analyze", lambda x, scheme, progress, cancelled: wait(cancelled))
        house.press()
        house.wait(gate.began.is_set)
    shown, state = house.exactness, house.session.state
    house.desk.close()
    for part in (house.app.preparer, house.app.loss_curves, house.app.analyst):
        assert part._runner._pool.activeThreadCount() == 0
    house.desk.bot.wait(30)
    assert (house.exactness, house.session.state) == (shown, state)


# --- the strip of work ------------------------------------------------------------------------------


def test_of_several_kinds_of_work_the_latest_is_shown(house: House) -> None:
    window, activity = house.window, house.activity
    activity._patience.setInterval(1)
    stopped: list[str] = []
    window.status.reading.cancel_requested.connect(lambda: stopped.append("reading"))
    window.status.sorting.cancel_requested.connect(lambda: stopped.append("sorting"))
    window.status.sorting.begin("Sorting")
    window.status.sorting.advance(0.5)
    window.status.reading.begin("Reading")
    house.wait(lambda: house.doing == "Reading")
    window.status.sorting.advance(0.75)
    assert activity.bar.value() == 0
    house.desk.click(activity.button)
    window.status.reading.end()
    assert (house.doing, activity.bar.value()) == ("Sorting", 75)
    house.desk.click(activity.button)
    window.status.sorting.end()
    window.status.sorting.end()
    assert house.doing == ""
    assert stopped == ["reading", "sorting"]


def test_a_button_without_work_does_nothing(house: House) -> None:
    house.activity._on_cancel()
    assert house.doing == ""


def test_a_file_of_many_goes_up_the_ladder(house: House, tmp_path: Path) -> None:
    path = tmp_path / "w.npy"
    np.save(path, values().astype(np.float64))
    house.desk.open(path)
    house.settle()
    assert house.is_exact(Scheme())
    assert house.session.state.prepared is not None
    assert house.window.status.about_tensor.text() == f"w.npy  ·  {SHAPE[0]} × {SHAPE[1]}  ·  float64"
