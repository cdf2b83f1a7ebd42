"""The Training page shows the three networks alive, asks for what its controls say, and gives everything away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from qviz.files.writers import EXPORT_FORMATS
from qviz.gui.charts.base import LinkedCursor
from qviz.gui.charts.export import export_chart
from qviz.gui.charts.ornaments import LEGEND_HEIGHT
from qviz.gui.kit import theme
from qviz.gui.training.curves_chart import SweepChart
from qviz.gui.training.page import TrainingPage
from qviz.session.trainer import Trainer
from qviz.training import Data, Experiment, Quantization, Training
from qviz.training.data import SAMPLES
from tests.gui.conftest import PATIENCE, Desk
from tests.gui.pictures import painted_over_the_plot, picture

pytestmark = pytest.mark.unpainted

SHORT = Experiment(Data("moons", 300), (8, 8), training=Training(steps=60, fine_tuning_steps=60, batch=32))


@pytest.fixture(scope="module")
def page_of_the_module(dressed: QApplication) -> Iterator[TrainingPage]:
    page = TrainingPage(Trainer(SHORT))
    page.apply_theme(theme.load_theme("light"))
    page.resize(1280, 720)
    page.show()
    yield page
    page.trainer.close()
    page.close()
    page.deleteLater()
    QApplication.processEvents()


@pytest.fixture
def page(qtbot: QtBot, page_of_the_module: TrainingPage) -> TrainingPage:
    page = page_of_the_module
    page.panel.show_experiment(SHORT)
    page.trainer.experiment = SHORT
    page.trainer._runs = []
    page.trainer._begun = 0
    page.sweep._swept = None
    page.trainer.reset()
    page.history.settle(SHORT)
    page.history.clear()
    qtbot.waitUntil(lambda: _is_at(page, 0), timeout=PATIENCE)
    return page


def _is_at(page: TrainingPage, step: int) -> bool:
    snapshot = page.trainer.snapshot
    return snapshot is not None and snapshot.step == step and snapshot.experiment == page.trainer.experiment


def finish(page: TrainingPage, qtbot: QtBot) -> None:
    page.trainer.start()
    qtbot.waitUntil(lambda: not page.trainer.running, timeout=PATIENCE)
    qtbot.waitUntil(lambda: not page.trainer._runner.busy, timeout=PATIENCE)


def test_it_trains_and_shows_all_three(page, qtbot):
    assert page.panel.state.text() == "Ready: 120 steps"
    page.panel.start.click()
    assert page.panel.start.text() == "Pause"
    qtbot.waitUntil(lambda: not page.trainer.running, timeout=PATIENCE)
    assert page.panel.state.text() == "Done: 120 steps"
    assert page.panel.start.text() == "Again"
    assert page.panel.split.text() == "200 rows to train, 100 to test"
    for chart in page.charts:
        assert bool(chart.tables()) == (chart is not page.sweep)
    table = page.accuracy.tables()[""].columns
    assert np.isfinite(table["qat_accuracy"][-1])
    assert "QAT" in page.accuracy.note
    assert page.boundaries["qat"].tables()["map"].columns["answer"].size == 64 * 64


def test_controls_ask_for_another_experiment(page, qtbot):
    asked = []
    page.panel.experiment_changed.connect(asked.append)
    page.panel.weight_bits.setValue(3)
    page.panel.activation_box.setValue(6)
    page.panel.symmetric_activations.setChecked(True)
    page.panel.post_range.setCurrentIndex(page.panel.post_range.findData("percentile"))
    page.panel.per.button(True).click()
    page.panel.ranges.button("minmax").click()
    page.panel.rate.setValue(0.01)
    page.panel.hidden.setText("6; 5, 4")
    page.panel.hidden.editingFinished.emit()
    page.panel.seed.setValue(7)
    page.panel.data.setCurrentIndex(page.panel.data.findData("circles"))
    page.panel.data.activated.emit(page.panel.data.currentIndex())
    page.panel.noise.setValue(0.2)
    page.panel.experiment_changed.disconnect(asked.append)
    last = asked[-1]
    assert last.quantization == Quantization(3, 6, True, True, True, True, "minmax", "percentile")
    assert (last.hidden, last.seed, last.data) == ((6, 5, 4), 7, Data("circles", 300, 0.2, seed=7))
    assert last.training == replace(SHORT.training, learning_rate=0.01)
    assert page.trainer.experiment == last
    page.panel.defaults.click()
    assert page.trainer.experiment == Experiment(last.data, seed=7)


def test_nothing_is_called_ready_before_its_network_is_there(page, qtbot):
    notes = [chart.note for chart in page.charts]
    wider = replace(SHORT, hidden=(16, 16, 16))
    page.panel._take(wider)
    assert page._patience.isActive()
    assert not page.trainer.is_present
    page._patience.timeout.emit()
    assert page.panel.state.text() == "Preparing the network…"
    for chart, note in zip(page.charts, notes, strict=True):
        assert chart.note == (note if chart is page.sweep else "out of date: showing the previous network")
    assert not page.open_layer.isEnabled()
    assert page.subject(page.accuracy).of == "moons 8-8"
    qtbot.waitUntil(lambda: _is_at(page, 0), timeout=PATIENCE)
    assert not page._patience.isActive()
    assert page.panel.state.text() == "Ready: 120 steps"
    assert (page.layers.count(), page.open_layer.isEnabled()) == (4, True)
    assert not any("out of date" in chart.note for chart in page.charts)
    assert page.subject(page.accuracy).of == "moons 16-16-16"


def test_what_gives_no_network_is_not_called_ready_and_the_one_before_says_so(page, qtbot, tmp_path):
    with qtbot.waitSignal(page.problem, timeout=PATIENCE):
        page.panel.take_file(tmp_path / "none.npz")
    assert page.panel.state.text() == "Not ready: these settings gave no network"
    assert page.accuracy.note == page.weights.note == "out of date: showing the previous network"
    page.history.undo()
    qtbot.waitUntil(lambda: page.trainer.is_present, timeout=PATIENCE)
    assert page.panel.state.text() == "Ready: 120 steps"
    assert "out of date" not in page.accuracy.note


def test_as_many_rows_can_be_chosen_as_can_be_drawn(page, qtbot):
    box = page.panel.samples
    assert (box.minimum(), box.maximum()) == (SAMPLES.start, SAMPLES.stop - 1) == (40, 100_000)
    for rows in (40, 100_000):
        box.setValue(rows)
        assert page.trainer.experiment.data.samples == rows


@pytest.mark.parametrize("text", ["wide", "0", "", "9999"])
def test_widths_that_cannot_be_built_are_one_sentence(page, qtbot, text):
    page.panel.hidden.setText(text)
    with qtbot.waitSignal(page.problem):
        page.panel.hidden.editingFinished.emit()
    assert page.panel.hidden.text() == "8, 8"
    assert page.trainer.experiment == SHORT


def test_divergence_is_shown_and_reset(page, qtbot):
    page.panel.rate.setValue(100)
    finish(page, qtbot)
    assert page.panel.state.text().startswith("Diverged at step ")
    assert not page.panel.step.isEnabled()
    page.panel.reset.click()
    qtbot.waitUntil(lambda: _is_at(page, 0), timeout=PATIENCE)
    assert page.panel.state.text() == "Ready: 120 steps"
    assert page.panel.step.isEnabled()


def test_steps_and_speed_are_the_person_s(page, qtbot):
    page.panel.step.click()
    qtbot.waitUntil(lambda: _is_at(page, 1), timeout=PATIENCE)
    page.panel.speed.setValue(0)
    assert page.trainer.speed == 5
    assert page.panel.speed_text.text() == "5 steps/s"
    page.panel.speed.setValue(4)
    assert page.trainer.speed == 0


def test_digits_have_labels_against_answers(page, qtbot):
    page.panel._take(replace(SHORT, data=Data("digits", 300)))
    finish(page, qtbot)
    chart = page.boundaries["float"]
    assert set(chart.tables()) == {""}
    assert chart.tables()[""].columns["rows"].sum() == 100
    said = []
    chart.read_out.connect(said.append)
    chart.hover(QPointF(3, -3))
    assert said[-1].startswith("label 3 → 3: ")
    picture(page)
    assert [text for _, text in chart.plot.getAxis("left").ticks().texts] == list("0123456789")
    assert [painted_over_the_plot(chart.plot.getAxis(side)) for side in ("left", "bottom")] == [0, 0]
    assert painted_over_the_plot(page.accuracy.plot.getAxis("bottom"))  # where nothing lies under them


def test_charts_read_out_what_is_under_the_pointer(page, qtbot):
    finish(page, qtbot)
    for chart, x, y, expected in (
        (page.accuracy, 60, 90, "step 60  Float "),
        (page.loss, 120, 0, "step 120  Float "),
        (page.boundaries["ptq"], 0, 0, "(0, 0) → class "),
        (page.weights, 0.01, 3, "Float "),
    ):
        said = []
        chart.read_out.connect(said.append)
        chart.hover(QPointF(x, y))
        chart.read_out.disconnect(said.append)
        assert expected in said[-1]


def test_a_sweep_draws_accuracy_by_bits(page, qtbot):
    page.panel.seeds.setValue(1)
    page.panel.sweep.click()
    assert page.panel.sweep.text() == "Stop the sweep"
    assert page.sweep.hint.text().startswith("Training at 1 to 8 bits…")
    qtbot.waitUntil(lambda: not page.panel.sweeping, timeout=2 * PATIENCE)
    columns = page.sweep.tables()[""].columns
    assert columns["bits"].tolist() == list(range(1, 9))
    assert columns["qat_accuracy"].min() > 0.4
    said = []
    page.sweep.read_out.connect(said.append)
    page.sweep.hover(QPointF(4.2, 50))
    assert said[-1].startswith("4 bits  Float ")
    assert page.sweep.note == "1 seed"
    page.panel.sweep.click()
    assert page.sweep.note == "sweeping again: showing the previous sweep"
    page.panel.sweep.click()
    qtbot.waitUntil(lambda: not page.panel.sweeping, timeout=2 * PATIENCE)
    assert "again" not in page.sweep.note


@pytest.mark.parametrize("ending", EXPORT_FORMATS)
def test_every_chart_can_be_exported(page, qtbot, tmp_path, ending):
    finish(page, qtbot)
    for chart in page.charts:
        if chart.tables():
            for path in export_chart(chart, tmp_path / f"{chart.name}.{ending}", scale=1.0):
                assert path.stat().st_size > 20


def test_everything_can_be_taken_along(page, qtbot, tmp_path):
    finish(page, qtbot)
    for key, name in (
        ("qat", "a.npz"),
        ("ptq", "b.safetensors"),
        ("float", "c.npz"),
        ("qat_onnx", "d.onnx"),
        ("ptq_onnx", "e.onnx"),
        ("experiment", "f.json"),
    ):
        with qtbot.waitSignal(page.notice, timeout=PATIENCE) as told:
            page.save(key, tmp_path / name)
        assert told.args == [f"Saved {name}."]
        assert (tmp_path / name).stat().st_size > 100
    assert len(page.save_menu().actions()) == 8


def test_a_network_that_is_not_there_yet_is_one_sentence(page, qtbot, tmp_path):
    with qtbot.waitSignal(page.problem, timeout=PATIENCE) as told:
        page.save("qat", tmp_path / "a.npz")
    assert told.args == ["There is no such network yet: train on, then save it."]
    assert not list(tmp_path.iterdir())


def test_a_layer_opens_as_a_tensor(page, qtbot):
    finish(page, qtbot)
    page.layers.setCurrentIndex(0)
    with qtbot.waitSignal(page.tensor_requested, timeout=PATIENCE) as asked:
        page.open_layer.click()
    name, array = asked.args
    assert name == "moons-qat-layer1"
    assert (array.shape, array.dtype) == ((8, 2), np.float32)
    page.layers.setCurrentIndex(1)
    assert page.weights.layer == 1


def test_a_file_is_learned_from_and_a_bad_one_is_one_sentence(page, qtbot, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    good, bad = tmp_path / "good.npz", tmp_path / "bad.csv"
    np.savez(good, x=rng.normal(size=(100, 2)), y=np.arange(100) % 3)
    bad.write_text("1,2\nx,3\n")
    for path in (good, bad):
        monkeypatch.setattr("qviz.gui.training.page.QFileDialog.getOpenFileName", lambda *_, path=path: (str(path), ""))
        page.panel.data.setCurrentIndex(page.panel.data.findData("file"))
        if path is bad:
            with qtbot.waitSignal(page.problem, timeout=PATIENCE) as told:
                page.panel.data.activated.emit(page.panel.data.currentIndex())
            assert told.args[0].startswith("bad.csv has 'x' in line 2")
        else:
            page.panel.data.activated.emit(page.panel.data.currentIndex())
            finish(page, qtbot)
            assert page.trainer.snapshot.dataset.class_names == ("0", "1", "2")


def test_an_experiment_is_opened(page, qtbot, tmp_path, monkeypatch):
    import json

    path = tmp_path / "e.json"
    path.write_text(json.dumps(replace(SHORT, seed=9).to_dict()))
    dialog = "qviz.gui.training.page.QFileDialog.getOpenFileName"
    monkeypatch.setattr(dialog, lambda *_: (str(path), ""))
    page.open_experiment()
    assert page.trainer.experiment == replace(SHORT, seed=9)
    assert page.panel.seed.value() == 9
    Path(path).write_text("{")
    with qtbot.waitSignal(page.problem):
        page.open_experiment()


def test_both_themes_dress_every_chart(page, qtbot):
    finish(page, qtbot)
    for name in ("dark", "light"):
        page.apply_theme(theme.load_theme(name))
        QApplication.processEvents()
        assert page.accuracy.color("qat").name() == theme.load_theme(name).chart["qat"]


def test_the_layout_comes_back(page, qtbot):
    page.docks["layer_weights"].close()
    page.reset_layout()
    assert not page.docks["layer_weights"].isHidden()


def test_an_empty_sweep_says_how_to_begin_one(qtbot: QtBot, dressed: QApplication) -> None:
    chart = SweepChart(LinkedCursor())
    assert "Train at 1…8 bits" in chart.hint.text()
    assert not chart.hint.isHidden()
    chart.show_sweeping(True)
    assert chart.hint.text().startswith("Training at 1 to 8 bits…")
    chart.show_sweeping(False)
    assert chart.hint.text().startswith("Nothing is swept yet.")
    chart.deleteLater()


def test_all_levels_are_in_sight(page, qtbot):
    finish(page, qtbot)
    for layer in range(len(page.trainer.snapshot.weights)):
        page.weights.choose(layer)
        low, high = page.weights.view.viewRange()[0]
        for levels in page.weights.shown.levels.values():
            assert low < levels.min()
            assert levels.max() < high


def test_weights_lie_under_the_legend_at_every_size(page, qtbot):
    finish(page, qtbot)
    page.docks["layer_weights"].raise_()
    for height in (720, 560, 900, 720):
        page.resize(1280, height)
        QApplication.processEvents()
        tallest = max(int(counts.max()) for counts in page.weights.shown.counts.values())
        assert page.weights._under.ruler().at_y(tallest) >= LEGEND_HEIGHT


def test_a_change_of_settings_keeps_the_run_and_it_can_be_shown_again(page, qtbot):
    finish(page, qtbot)
    curve = page.accuracy.tables()[""].columns["qat_accuracy"]
    page.panel.weight_bits.setValue(5)
    qtbot.waitUntil(lambda: _is_at(page, 0), timeout=PATIENCE)
    table = page.runs.table
    assert [row.name for row in table.figures.rows] == ["Run 1"]
    assert not table.figures.rows[0].shown
    finish(page, qtbot)
    assert [row.shown for row in table.figures.rows] == [False, True]
    titles = [column.title for column in table.figures.columns]
    assert titles[3:] == ["W bits", "A bits", "Step", "Float", "PTQ", "QAT"]
    index = table.proxy.index(0, 1)
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(index).center())
    qtbot.waitUntil(lambda: _is_at(page, 120), timeout=PATIENCE)
    assert page.panel.weight_bits.value() == SHORT.quantization.weight_bits
    np.testing.assert_array_equal(page.accuracy.tables()[""].columns["qat_accuracy"], curve)
    assert [row.shown for row in table.figures.rows] == [True, False]


def test_undo_of_a_setting_brings_the_run_back(page, qtbot):
    page.history.clear()
    finish(page, qtbot)
    page.panel.seed.setValue(9)
    qtbot.waitUntil(lambda: _is_at(page, 0), timeout=PATIENCE)
    page.history.undo()
    qtbot.waitUntil(lambda: _is_at(page, 120), timeout=PATIENCE)
    assert page.panel.seed.value() == SHORT.seed
    assert page.panel.state.text() == "Done: 120 steps"


def test_a_run_is_renamed_and_forgotten_in_the_list(page, qtbot):
    finish(page, qtbot)
    page.panel.seed.setValue(9)
    finish(page, qtbot)
    table = page.runs.table
    table.figures.setData(table.figures.index(0, 0), "before")
    assert [row.name for row in table.figures.rows] == ["before", "Run 2"]
    table.point_to(table.figures.rows[0])
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    assert [row.name for row in table.figures.rows] == ["Run 2"]


def test_what_was_trained_is_listed_by_the_next_window_until_it_is_removed(
    desks: Callable[..., Desk], tmp_path: Path
) -> None:
    def training(desk: Desk, listed: int) -> Any:
        desk.window.pages.show_page("training")
        page: Any = desk.window.pages.current
        desk.bot.waitUntil(lambda: len(page.trainer.runs) == listed and not page.trainer.busy, timeout=PATIENCE)
        return page

    first = desks(tmp_path / "s.ini")
    page = training(first, 0)
    page.trainer.set_experiment(SHORT)
    page.trainer.start()
    first.bot.waitUntil(lambda: not page.trainer.running and len(page.trainer.runs) == 1, timeout=PATIENCE)
    accuracy = page.trainer.snapshot.last["qat_accuracy"]
    first.window.close()
    second = desks(tmp_path / "s.ini")
    page = training(second, 1)
    table = page.runs.table
    assert [column.text(table.figures.rows[0]) for column in table.figures.columns][-3:] != ["–", "–", "–"]
    table.opened.emit(table.figures.rows[0])
    second.bot.waitUntil(lambda: page.trainer.snapshot.finished and not page.trainer.busy, timeout=PATIENCE)
    assert page.trainer.snapshot.last["qat_accuracy"] == accuracy
    assert page.accuracy.tables()
    page.trainer.reset()  # what is shown is not removed
    second.bot.waitUntil(lambda: page.trainer.present is None and not page.trainer.busy, timeout=PATIENCE)
    table.removed.emit(table.figures.rows[0])
    second.window.close()
    assert list((tmp_path / "runs").iterdir()) == []
