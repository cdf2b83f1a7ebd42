"""Undo, export and copy act on the page in front, and on nothing that is out of sight."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog

from qviz.core import IntFormat, PerToken, Scheme
from qviz.gui.compare.page import ComparePage
from qviz.gui.product.page import ProductPage
from qviz.gui.training.page import TrainingPage
from qviz.gui.window.actions import ACTIONS
from qviz.session.multiplier import Factors
from qviz.session.settings import DEFAULTS
from tests.gui.conftest import PATIENCE, Desk
from tests.gui.sweeps import sweep_few

pytestmark = pytest.mark.unpainted

PAGES = ("tensor", "compare", "product", "training")


@pytest.fixture
def compare(desk: Desk) -> ComparePage:
    page = front(desk, "compare")
    assert isinstance(page, ComparePage)
    sweep_few(page)
    page.history.clear()
    return page


@pytest.fixture
def product(desk: Desk) -> ProductPage:
    page = front(desk, "product")
    assert isinstance(page, ProductPage)
    page._multiplier.update(**vars(Factors()))
    page.history.clear()
    return page


@pytest.fixture
def training(desk: Desk) -> TrainingPage:
    page = front(desk, "training")
    assert isinstance(page, TrainingPage)
    desk.bot.waitUntil(lambda: page.trainer.snapshot is not None, timeout=PATIENCE)
    page.panel.defaults.click()
    page.history.clear()
    return page


def front(desk: Desk, key: str) -> object:
    desk.window.pages.show_page(key)
    desk.window.pages.current.history.clear()
    return desk.window.pages.current


def keys(desk: Desk, key: Qt.Key, modifier: Qt.KeyboardModifier = Qt.KeyboardModifier.ControlModifier) -> None:
    desk.bot.keyClick(desk.window, key, modifier)


# -- undo


def test_undo_on_the_training_page_takes_its_own_setting_back_and_leaves_the_scheme(
    desk: Desk, training: TrainingPage
) -> None:
    desk.session.update(bits=5)
    before = training.trainer.experiment
    training.panel.weight_bits.setValue(7)
    training.panel.seed.setValue(3)
    assert desk.window.actions_by_key["undo"].text() == "&Undo change of settings"
    keys(desk, Qt.Key.Key_Z)
    assert (training.trainer.experiment.seed, training.trainer.experiment.quantization.weight_bits) == (0, 7)
    keys(desk, Qt.Key.Key_Z)
    assert training.trainer.experiment == before
    assert training.panel.weight_bits.value() == before.quantization.weight_bits
    assert not desk.window.actions_by_key["undo"].isEnabled()
    keys(desk, Qt.Key.Key_Z)
    keys(desk, Qt.Key.Key_Y)
    assert training.panel.weight_bits.value() == 7
    assert desk.session.scheme == Scheme(IntFormat(5))


def test_a_drag_of_bits_on_the_training_page_is_one_step(desk: Desk, training: TrainingPage) -> None:
    before = training.trainer.experiment
    for bits in (5, 6, 7, 8):
        training.panel.weight_bits.setValue(bits)
    desk.do("undo")
    assert training.trainer.experiment == before


def test_undo_on_the_product_page_goes_back_to_the_factors_before(desk: Desk, product: ProductPage) -> None:
    scheme, first = desk.session.scheme, product._multiplier.factors
    product.factors.weight.bits.setValue(4)
    product.factors.layout_choice.button(True).click()
    turned = product._multiplier.factors
    keys(desk, Qt.Key.Key_Z)
    assert (product._multiplier.factors.transposed, product.factors.weight.bits.value()) == (False, 4)
    keys(desk, Qt.Key.Key_Z)
    assert product._multiplier.factors == first
    assert product.factors.weight.bits.value() == 8
    desk.do("redo")
    desk.do("redo")
    assert product._multiplier.factors == turned
    assert desk.session.scheme == scheme


def test_undo_does_not_multiply_what_was_closed(desk: Desk, product: ProductPage) -> None:
    given = desk.session.state.items[0]
    product._multiplier.update(activation=given)
    product.factors.activation.per.button(PerToken.kind).click()
    desk.session.update(items=())
    while desk.window.actions_by_key["undo"].isEnabled():
        desk.do("undo")
        assert product._multiplier.factors.activation is Factors().activation
    desk.session.update(items=(given,))


def test_undo_on_the_compare_page_takes_ticks_and_pins_back(desk: Desk, compare: ComparePage) -> None:
    before = compare.sweep.choice.choice()
    box = next(box for box, data in compare.sweep.choice.modes.boxes if data is False)
    box.click()
    desk.do("pin_scheme")
    assert (len(desk.app.pins.pins), False in compare.sweep.choice.choice().symmetries) == (1, True)
    keys(desk, Qt.Key.Key_Z)
    assert desk.app.pins.pins == ()
    assert False in compare.sweep.choice.choice().symmetries
    keys(desk, Qt.Key.Key_Z)
    assert compare.sweep.choice.choice() == before
    assert not box.isChecked()
    keys(desk, Qt.Key.Key_Y)
    keys(desk, Qt.Key.Key_Y)
    assert box.isChecked()
    assert [pin.scheme for pin in desk.app.pins.pins] == [desk.session.scheme]
    box.click()


def test_another_tensor_s_axes_are_no_step_of_the_compare_page(desk: Desk, compare: ComparePage) -> None:
    desk.show([[[1.0, 2.0], [3.0, 4.0]]])
    assert not compare.history.can_undo


def test_each_page_has_a_history_of_its_own(desk: Desk, product: ProductPage) -> None:
    undo = desk.window.actions_by_key["undo"]
    product.factors.weight.bits.setValue(3)
    assert undo.isEnabled()
    desk.window.pages.show_page("tensor")
    assert not undo.isEnabled()
    assert undo.text() == "&Undo scheme change"
    desk.gesture(lambda: desk.session.update(bits=3))
    assert undo.isEnabled()
    desk.window.pages.show_page("training")
    desk.window.pages.current.history.clear()
    assert not undo.isEnabled()
    desk.window.pages.show_page("product")
    desk.do("undo")
    assert product.factors.weight.bits.value() == 8
    assert desk.session.scheme == Scheme(IntFormat(3))


# -- nothing is changed unseen


@pytest.mark.parametrize("page", ["product", "training"])
def test_no_key_changes_what_the_tensor_page_shows_while_another_one_is_in_front(desk: Desk, page: str) -> None:
    desk.gesture(lambda: desk.session.update(bits=6))
    front(desk, page)
    before = desk.session.state
    for row in ACTIONS:
        if row.keys and row.pages:
            (key,) = desk.window.actions_by_key[row.key].shortcut()
            desk.bot.keyClick(desk.window, key.key(), key.keyboardModifiers())
    assert desk.session.state == before
    assert desk.app.pins.pins == ()
    assert QApplication.activeModalWidget() is None


@pytest.mark.parametrize("page", ["compare", "product", "training"])
@pytest.mark.parametrize("key", ["generate", "article"])
def test_what_is_seen_on_the_tensor_page_alone_brings_it_to_the_front(desk: Desk, page: str, key: str) -> None:
    front(desk, page)
    desk.do(key)
    assert desk.window.pages.current_key == "tensor"
    desk.rest()
    if key == "generate":
        desk.do("generate")


# -- export and copy


@pytest.mark.parametrize("key", PAGES)
def test_export_all_writes_the_charts_of_the_page_in_front(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setitem(DEFAULTS, "png_scale", 1.0)
    page = desk.window.pages
    page.show_page(key)
    if key == "compare":
        sweep_few(page.current)
    desk.bot.waitUntil(lambda: any(chart.tables() for chart in page.current.charts), timeout=PATIENCE)
    desk.bot.waitUntil(lambda: not any(getattr(w, "busy", False) for w in desk.app.workers), timeout=PATIENCE)
    shown = {chart.name for chart in page.current.charts if chart.tables()}
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    keys(desk, Qt.Key.Key_E)
    desk.exported()
    written = {path.stem for path in tmp_path.glob("*.png")}
    assert len(written) == len(shown) > 0
    for name in shown:
        assert any(stem.endswith(name) for stem in written), name


@pytest.mark.parametrize("key", PAGES)
def test_copy_copies_the_figures_of_the_page_in_front(desk: Desk, key: str) -> None:
    page = desk.window.pages
    page.show_page(key)
    if key == "compare":
        sweep_few(page.current)
    desk.bot.waitUntil(lambda: any(chart.tables() for chart in page.current.charts), timeout=PATIENCE)
    desk.bot.waitUntil(lambda: not any(getattr(w, "busy", False) for w in desk.app.workers), timeout=PATIENCE)
    QApplication.clipboard().clear()
    keys(desk, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    text = QApplication.clipboard().text()
    expected = {"tensor": "MSE", "compare": "SQNR", "product": "Multiplied", "training": "qat_accuracy"}[key]
    assert expected in text
    assert "\t" in text


# -- progress


def test_the_work_of_every_page_is_told_and_stopped_in_the_status_bar(desk: Desk, training: TrainingPage) -> None:
    activity = desk.window.status.activity
    training.trainer.start()
    assert [task.text for task in activity._tasks] == ["Training"]
    desk.bot.waitUntil(lambda: activity._tasks[-1].done > 0, timeout=PATIENCE)
    activity.button.click()
    assert not training.trainer.running
    assert activity._tasks == []
    training.trainer.sweep(1)
    assert [task.text for task in activity._tasks] == ["Training at 1…8 bits"]
    activity.button.click()
    desk.bot.waitUntil(lambda: not activity._tasks, timeout=PATIENCE)
    assert not training.panel.sweeping


def test_so_is_a_product(desk: Desk, product: ProductPage) -> None:
    activity = desk.window.status.activity
    product._multiplier.began.emit()
    product._multiplier.advanced.emit(0.25)
    assert [(task.text, task.done) for task in activity._tasks] == [("Multiplying", 0.25)]
    product._multiplier.ended.emit()
    assert activity._tasks == []
