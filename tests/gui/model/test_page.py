"""What a person does on the Model page, and what comes of it."""

from __future__ import annotations

import gc
import json
import math
import weakref
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import onnx
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, QRectF, QSize, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QFontMetricsF
from PySide6.QtWidgets import QApplication, QFileDialog, QLabel

from qviz.core import Scheme
from qviz.gui.kit.copying import tab_separated
from qviz.models.graph_layout import BOX_HEIGHT, BOX_WIDTH, Box, Drawn
from qviz.models.opening import open_prepared
from qviz.models.recipes import Recipe
from qviz.models.sensitivity import ALONE
from tests.gui.conftest import Desk, mouse_over, spot
from tests.gui.copied import check_figures, check_table
from tests.gui.cut_texts import cut_texts, laid_out
from tests.gui.model.conftest import LONG, idle
from tests.gui.pictures import picture
from tests.models.made import classifier, model_of, value

pytestmark = pytest.mark.unpainted


def drop(desk: Desk, *paths: Path) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    action, button, plain = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    for event in (
        QDragEnterEvent(QPoint(50, 50), action, mime, button, plain),
        QDropEvent(QPointF(50, 50), action, mime, button, plain),
    ):
        QApplication.sendEvent(desk.window, event)


def test_the_empty_page_says_what_to_do(page: Any) -> None:
    assert "Drop an ONNX model" in page.graph_place.hint.text()
    assert "Open a network" in page.layers.sentence.text()
    assert not page.layers.sweep_button.isEnabled()
    assert not page.deploy.quantize_button.isEnabled()
    assert page.graph.tables() == page.frontier.tables() == page.cost.tables() == {}


def test_a_dropped_network_opens_on_this_page_whatever_its_name(
    new_desk: Desk, files: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "a model"
    other.write_bytes(files[0].read_bytes())
    drop(new_desk, other)
    assert new_desk.window.pages.current_key == "model"
    page: Any = new_desk.window.pages.current
    idle(new_desk, page)
    assert page.network.file.text() == "a model"
    assert [box.name for box in page.graph.drawn.boxes] == ["/block1/conv", "/block2/conv", "/head/gemm"]


def test_a_first_network_is_said_to_be_prepared_while_it_is(
    new_desk: Desk, page: Any, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = Event()

    def waits(*given: Any, **named: Any) -> Any:
        assert go_on.wait(60)
        return open_prepared(*given, **named)

    monkeypatch.setattr("qviz.session.network_workers.open_prepared", waits)
    (tmp_path / "bad.onnx").write_bytes(b"nothing of the kind" * 10)
    for path, said in ((files[0], ""), (tmp_path / "bad.onnx", "was not opened")):
        go_on.clear()
        page.networks.open(path)
        new_desk.bot.waitUntil(lambda: "being prepared" in page.figures.hint.text(), timeout=LONG)
        assert "being prepared" in page.layers.sentence.text()
        assert "Preparing the network" in page.graph_place.hint.text()
        go_on.set()
        idle(new_desk, page)
        assert "prepar" not in page.layers.sentence.text()
        assert said in page.graph_place.hint.text()


def test_what_is_not_finite_in_float_is_said_beside_the_figures(
    new_desk: Desk, page: Any, files: tuple[Path, Path], tmp_path: Path
) -> None:
    model = classifier()
    weight = next(each for each in model.graph.initializer if each.name == "w3")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[0, 0] = np.nan
    weight.CopyFrom(onnx.numpy_helper.from_array(values, "w3"))
    onnx.save_model(model, str(tmp_path / "flawed.onnx"))
    for path, is_said in ((tmp_path / "flawed.onnx", True), (files[0], False)):
        page.networks.open(path)
        idle(new_desk, page)
        page.networks.read((files[1],))
        idle(new_desk, page)
        assert page.figures.not_finite.isVisible() == is_said
        said = page.figures.not_finite.text()
        assert ("The weight w3 holds 1 NaN or infinity.\nThe float network itself answers" in said) == is_said
        new_desk.click(page.copy_button)
        assert ("The weight w3 holds 1 NaN" in QApplication.clipboard().text()) == is_said


def test_names_stay_on_a_line_whatever_is_in_them(
    new_desk: Desk, page: Any, files: tuple[Path, Path], tmp_path: Path
) -> None:
    model = classifier()
    for node in model.graph.node:
        node.name = node.name.replace("/", "\n\u202e")
        node.input[:] = [name.replace("x", "x\n").replace("w1", "w\t1") for name in node.input]
        node.output[:] = [name.replace("y", "y\n") for name in node.output]
    model.graph.input[0].name, model.graph.output[0].name = "x\n", "y\n"
    model.graph.initializer[0].name = "w\t1"
    onnx.save_model(model, str(tmp_path / "lines.onnx"))
    page.networks.open(tmp_path / "lines.onnx")
    idle(new_desk, page)
    page.networks.read((files[1],))
    idle(new_desk, page)
    new_desk.click(page.layers.sweep_button)
    new_desk.bot.waitUntil(lambda: len(page.networks.losses) == 6 and not page.networks.sweeper.busy, timeout=LONG)
    new_desk.bot.waitUntil(lambda: "hurts most" in page.layers.sentence.text(), timeout=LONG)
    assert {box.name for box in page.graph.drawn.boxes} == {
        "␊�block1␊�conv",
        "␊�block2␊�conv",
        "␊�head␊�gemm",
    }
    figures = page.layers.table.figures
    assert {figures.data(figures.index(row, 0)) for row in range(3)} == {box.name for box in page.graph.drawn.boxes}
    assert page.layers.sentence.text().startswith("␊�")
    assert page.figures.outputs.itemText(0) == "y␊"
    shown = [label.text() for label in page.network.findChildren(QLabel)]
    assert any(text.startswith("x␊  ") for text in shown)
    assert not [text for text in shown if "\u202e" in text]
    unit = next(row.unit for row in figures.rows if row.unit.weights[0].name == "w\t1")
    with new_desk.bot.waitSignal(page.tensor_requested) as asked:
        page.layers.look_requested.emit(unit, "weight")
    assert asked.args[0] == "lines.onnx: w␉1"


def test_a_network_is_closed_and_no_memory_held_for_it(new_desk: Desk, ready: Any) -> None:
    networks = ready.networks
    new_desk.click(ready.layers.sweep_button)
    new_desk.bot.waitUntil(lambda: len(networks.losses) == 6 and not networks.sweeper.busy, timeout=LONG)
    held = [weakref.ref(worker._asked._asked) for worker in (networks.analyst, networks.sweeper)]
    assert all(each() is not None for each in held)
    new_desk.click(ready.network.close_button)
    idle(new_desk, ready)
    gc.collect()
    assert [each() for each in held] == [None, None]
    assert networks.state.path is None
    assert not ready.network.close_button.isVisible()
    assert "Drop an ONNX model" in ready.graph_place.hint.text()
    assert ready.layers.table.model().rowCount() == 0


def test_data_dropped_on_the_open_network_are_its_samples(
    new_desk: Desk, opened: Any, files: tuple[Path, Path]
) -> None:
    before = new_desk.session.state.items
    drop(new_desk, files[1])
    idle(new_desk, opened, lambda: opened.figures.whole is not None)
    assert new_desk.session.state.items == before
    assert "x.npy · 4 samples" in opened.data.about.text()
    assert opened.figures.headline.figure.text().endswith(" dB")


def test_what_is_no_network_is_said_where_it_was_opened(new_desk: Desk, page: Any, tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"nothing of the kind" * 10)
    new_desk.app.open_paths([tmp_path / "bad.onnx"])
    idle(new_desk, page, page.network.trouble.isVisible)
    assert page.network.trouble.text().startswith("bad.onnx is no ONNX model")


def test_a_slider_moves_the_output_and_undo_takes_it_back(new_desk: Desk, ready: Any) -> None:
    before = ready.figures.whole
    ready.docks["scheme"].raise_()
    ready.scheme.bits.slider.setValue(3)
    idle(new_desk, ready, lambda: ready.figures.whole is not before)
    worse = ready.figures.whole
    assert worse.sqnr_db < before.sqnr_db - 15
    assert worse.quantized_bytes < before.quantized_bytes
    new_desk.do("undo")
    assert ready.scheme.bits.bits == 8
    idle(new_desk, ready, lambda: ready.figures.whole is not worse)
    assert ready.figures.whole.sqnr_db == pytest.approx(before.sqnr_db)


def test_figures_of_another_scheme_are_pale_when_their_successors_are_cancelled(new_desk: Desk, ready: Any) -> None:
    ready.networks.update(scheme=Scheme("int3"))
    ready.networks.analyst.cancel()
    idle(new_desk, ready)
    last = ready.figures.whole
    assert last.samples < last.all_samples or last.sqnr_db > 40  # of some samples, or of the scheme before
    assert not ready.figures.isEnabled()
    ready.networks.update(scheme=Scheme("int5"))
    idle(new_desk, ready, lambda: ready.figures.whole is not last)
    assert ready.figures.isEnabled()


def test_every_layer_gets_its_row_the_worst_first_and_its_colour(new_desk: Desk, ready: Any) -> None:
    new_desk.click(ready.layers.sweep_button)
    idle(new_desk, ready, lambda: len(ready.networks.losses) == 6 and ready.layers.table.figures.rows[0].alone > 0)
    rows = ready.layers.table.figures.rows
    assert [row.alone for row in rows] == sorted(row.alone for row in rows)
    assert "hurts most" in ready.layers.sentence.text()
    assert rows[0].unit.name in ready.layers.sentence.text()
    assert set(ready.graph.figures) == {row.unit.name for row in rows}
    loss = ready.networks.losses[ALONE, rows[0].unit.name]
    assert ready.graph.tables()[""].columns["alone_db"].min() == pytest.approx(loss.sqnr_db)


def test_the_advice_is_applied_to_that_layer_alone(new_desk: Desk, ready: Any) -> None:
    new_desk.click(ready.layers.sweep_button)
    idle(new_desk, ready, ready.layers.apply_button.isVisible)
    given, before = ready.layers.advice, ready.figures.whole
    assert given.scheme is None  # at 8 bits nothing helps but float
    new_desk.click(ready.layers.apply_button)
    assert list(ready.networks.state.own) == [weight.name for weight in given.unit.weights]
    idle(new_desk, ready, lambda: ready.figures.whole is not before and not ready._refresh.isActive())
    assert ready.figures.whole.sqnr_db > before.sqnr_db
    rows = {row.unit.name: row for row in ready.layers.table.figures.rows}  # what the others do alone is as it was
    assert [name for name, row in rows.items() if math.isnan(row.alone)] == [given.unit.name]
    assert [name for name, row in rows.items() if math.isnan(row.isolated)] == [given.unit.name]
    assert all(math.isnan(row.restored) and math.isnan(row.accumulated) for row in rows.values())
    assert set(ready.graph.figures) == set(rows) - {given.unit.name}
    assert ready.layers.advice.unit.name in set(ready.graph.figures)  # the next one
    new_desk.do("undo")
    assert dict(ready.networks.state.own) == {}


def test_a_click_on_a_box_chooses_its_layer_and_a_double_click_opens_its_weight(new_desk: Desk, ready: Any) -> None:
    x, y = ready.graph.drawn.centers[1]
    here = spot(ready.graph, x, -y)
    mouse_over(ready.graph).click(here)
    assert ready.layers.table.current().unit.name == "/block2/conv"
    assert ready.graph.marked is ready.graph.drawn.boxes[1]
    ready.graph.opened.emit(ready.graph.drawn.boxes[1])
    assert new_desk.window.pages.current_key == "tensor"
    new_desk.bot.waitUntil(lambda: new_desk.session.state.tensor is not None, timeout=LONG)
    new_desk.bot.waitUntil(lambda: new_desk.session.state.tensor.name == "net.onnx: w2", timeout=LONG)
    assert new_desk.session.state.tensor.shape == (16, 8, 3, 3)


def test_what_flows_through_a_layer_opens_on_the_tensor_page(new_desk: Desk, ready: Any) -> None:
    ready.layers.point_to("/block2/conv")
    look = {action.data(): action for action in ready.layers.look_button.menu().actions()}
    look["output"].trigger()
    idle(new_desk, ready)
    new_desk.bot.waitUntil(lambda: new_desk.session.state.tensor.name == "net.onnx: c2", timeout=LONG)
    assert new_desk.session.state.tensor.shape == (2, 1, 16, 12, 12)
    look["quantized"].trigger()
    new_desk.bot.waitUntil(lambda: new_desk.session.state.tensor.name == "net.onnx: w2 (int8)", timeout=LONG)


def test_what_a_layer_multiplies_opens_on_the_product_page(new_desk: Desk, ready: Any) -> None:
    ready.layers.point_to("/block2/conv")
    look = {action.data(): action for action in ready.layers.look_button.menu().actions()}
    look["pair"].trigger()
    idle(new_desk, ready, lambda: new_desk.window.pages.current_key == "product")
    product: Any = new_desk.window.pages.current
    new_desk.bot.waitUntil(lambda: product.figures.product is not None, timeout=LONG)
    new_desk.bot.waitUntil(lambda: product.figures.product.shape == (288, 16), timeout=LONG)


def test_layers_are_filtered(ready: Any) -> None:
    ready.layers.filter.setText("GEMM")
    assert ready.layers.table.proxy.rowCount() == 1
    ready.layers.filter.clear()
    assert ready.layers.table.proxy.rowCount() == 3


def test_the_frontier_is_measured_before_it_is_applied(new_desk: Desk, ready: Any) -> None:
    new_desk.click(ready.bits.find_button)
    idle(new_desk, ready, lambda: ready.bits.frontier is not None)
    points = ready.bits.frontier.points
    assert len(points) > 3
    assert len(ready.frontier.measured) >= 2
    at = next(i for i, point in enumerate(points) if ready.frontier.measured_at(point) is None)
    ready.bits.slider.setValue(at)
    assert not ready.bits.apply_button.isEnabled()
    idle(new_desk, ready, ready.bits.apply_button.isEnabled)
    measured = ready.frontier.measured_at(points[at])
    new_desk.click(ready.bits.apply_button)
    idle(new_desk, ready, lambda: ready.figures.whole.sqnr_db == pytest.approx(measured.sqnr_db, abs=0.01))
    assert ready.figures.whole.quantized_bytes == pytest.approx(points[at].bytes)


def test_it_is_said_where_losses_do_not_add_up(new_desk: Desk, ready: Any) -> None:
    new_desk.click(ready.bits.find_button)
    idle(new_desk, ready, lambda: ready.bits.frontier is not None)
    known = ready.frontier.measured[0]
    at = next(i for i, point in enumerate(ready.bits.frontier.points) if point is known.point)
    ready.bits.slider.setValue(at)
    for apart, said in ((2.0, False), (-2.0, False), (4.0, True), (-4.0, True)):
        ready.bits.add_measured(replace(known, sqnr_db=known.point.sqnr_db + apart))
        assert ("4.00 dB apart: losses do not add up here" in ready.bits.said.text()) is said


def test_a_target_is_reached_by_what_was_measured(new_desk: Desk, ready: Any) -> None:
    said: list[str] = []
    ready.problem.connect(said.append)
    new_desk.click(ready.bits.find_button)
    idle(new_desk, ready, lambda: ready.bits.frontier is not None)
    points = ready.bits.frontier.points
    for text, figure, least in (("≥ 30 dB", "sqnr_db", 30), ("agreement ≥ 99 %", "agreement", 0.99)):
        ready.bits.slider.setValue(0)
        new_desk.type(ready.bits.target, text)
        idle(new_desk, ready)
        at = ready.bits.slider.value()
        assert ready.frontier.measured_at(points[at]).figure(figure) >= least
        assert at == 0 or ready.frontier.measured_at(points[at - 1]).figure(figure) < least
        assert ready.bits.apply_button.isEnabled()
    new_desk.type(ready.bits.target, "3 KB")
    assert ready.bits.point.bytes <= 3 * 1024
    new_desk.type(ready.bits.target, "much")
    new_desk.type(ready.bits.target, "boxes 90 %")
    idle(new_desk, ready, lambda: len(said) == 2)
    assert said[0].startswith("“much” is no target")
    assert said[1].startswith("No output of this network looks like one")


def test_a_run_is_written_measured_and_kept(
    new_desk: Desk, ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "q.onnx"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(output), ""))
    ready.docks["deploy"].raise_()
    ready.deploy.method.button("static").click()
    ready.deploy.seconds.setValue(1)
    assert "library's" in ready.deploy.difference.text()
    new_desk.click(ready.deploy.quantize_button)
    idle(new_desk, ready, lambda: bool(ready.networks.runs))
    (run,) = ready.networks.runs
    assert output.exists()
    assert "3 of 3 nodes" in ready.runs.about.text()
    assert ready.runs.table.figures.rows == [run]
    assert ready.cost.tables()[""].columns["file"].tolist() == ["q.onnx"]
    ready.layers.sweep_button.click()
    idle(new_desk, ready, lambda: not any(math.isnan(row.alone) for row in ready.layers.table.figures.rows))
    for size in (QSize(1280, 720), QSize(1440, 900)):
        new_desk.window.resize(size)
        laid_out()
        ready.reset_layout()
        for dock in ready.docks.values():
            dock.raise_()
            laid_out()
            assert cut_texts(new_desk.window) == [], (size, dock.windowTitle())
    ready.parts.choose("weights")
    ready.show_part("weights")
    for table in (ready.runs.table, ready.layers.table, ready.weights.table):
        check_table(table)
    ready.copy_figures()
    assert QApplication.clipboard().text() == tab_separated(ready.weights.table.excerpt().plain)


def test_choices_leave_for_the_runtimes_own_tools(
    new_desk: Desk, ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "c.json"), ""))
    ready.layers.point_to("/block1/conv")
    new_desk.click(ready.layers.own_buttons["float"])
    new_desk.bot.waitUntil(lambda: ready.layers.table.current().own == "float", timeout=LONG)
    ready.docks["deploy"].raise_()
    assert ready.deploy.left.isVisible()
    ready.deploy.save_button.click()
    idle(new_desk, ready, (tmp_path / "c.json").exists)
    written = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    assert written["nodes_to_exclude"] == ["/block1/conv"]
    assert set(written["TensorQuantOverrides"]) == {"w2", "w3"}


@pytest.mark.parametrize(("kind", "ending"), [("AIMET encodings", ".encodings"), ("TensorRT", ".flatbuffers")])
def test_choices_leave_for_other_tools(
    new_desk: Desk, ready: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, ending: str
) -> None:
    def chosen(*arguments: str) -> tuple[str, str]:
        return str(tmp_path / "choices.json"), next(each for each in arguments[3].split(";;") if kind in each)

    monkeypatch.setattr(QFileDialog, "getSaveFileName", chosen)
    ready.asking.save_choices()
    path = tmp_path / f"choices{ending}"
    idle(new_desk, ready, path.exists)
    if ending == ".encodings":
        written = json.loads(path.read_text(encoding="utf-8"))
        assert set(written["param_encodings"]) == {"w1", "w2", "w3"}
        assert {"x", "y"} < set(written["activation_encodings"])


def test_the_librarys_defaults_are_one_click_away(opened: Any) -> None:
    opened.deploy.library_button.click()
    assert opened.deploy.difference.text() == "These are the library's own defaults."
    opened.deploy.best_button.click()
    assert "Quantize" in opened.deploy.difference.text()


def test_static_quantization_asks_for_data(opened: Any) -> None:
    opened.deploy.method.button("static").click()
    assert opened.deploy.recipe.activation_type == "uint8"
    ranges = opened.deploy.boxes["range_rule"]
    ranges.setCurrentIndex(ranges.findData("paddle_kl"))  # −T to T: for signed codes
    recipe = opened.deploy.recipe
    assert (recipe.range_rule.kind, recipe.activation_type, recipe.symmetric_activations) == ("paddle_kl", "int8", True)
    assert opened.deploy.boxes["symmetric_activations"].isChecked()
    assert not opened.deploy.quantize_button.isEnabled()
    assert "give some" in opened.deploy.hint.text()


def test_random_data_are_marked_everywhere(new_desk: Desk, opened: Any) -> None:
    opened.docks["data"].raise_()
    new_desk.click(opened.data.noise)
    idle(new_desk, opened, lambda: opened.figures.whole is not None)
    assert opened.data.about.text().startswith("RANDOM DATA")
    assert opened.figures.noise.isVisible()
    assert "random" in opened.subject(opened.graph).under
    opened.figures.copy()
    assert "\tData\trandom\n" in QApplication.clipboard().text()
    check_figures(opened.figures, opened.figures.headline)


def test_open_dimensions_are_asked_for_and_given(new_desk: Desk, page: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
    model = model_of([node], [value("x", "n", 3, "h", "w_")], [value("y", "n", 4, "a", "b")], {"w": weight})
    onnx.save_model(model, str(tmp_path / "open.onnx"))
    new_desk.app.open_paths([tmp_path / "open.onnx"])
    idle(new_desk, page)
    assert "h, w_" in page.layers.sentence.text()
    assert page.network.dimensions["n"].value() == 1
    page.network.dimensions["h"].setValue(8)
    idle(new_desk, page)
    page.network.dimensions["w_"].setValue(9)
    idle(new_desk, page)
    assert page.networks.state.prepared.network.inputs[0].shape == (1, 3, 8, 9)
    assert "samples" in page.layers.sentence.text()


def test_what_cannot_be_prepared_so_is_said_and_stays_as_it_was(new_desk: Desk, page: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], name="conv")
    model = model_of([node], [value("x", 1, 3, "h", 9)], [value("y", 1, 4, "a", 7)], {"w": weight})
    onnx.save_model(model, str(tmp_path / "open.onnx"))
    new_desk.app.open_paths([tmp_path / "open.onnx"])
    idle(new_desk, page)
    page.network.dimensions["h"].setValue(2)
    idle(new_desk, page, page.network.trouble.isVisible)
    assert page.network.trouble.text()
    assert dict(page.networks.state.choices.dimensions) == {}
    page.network.dimensions["h"].setValue(5)
    idle(new_desk, page, lambda: page.networks.state.prepared is not None)
    assert page.networks.state.prepared.network.inputs[0].shape == (1, 3, 5, 9)
    assert not page.network.trouble.isVisible()


def test_a_network_without_weights_is_said_where_its_figures_would_stand(
    new_desk: Desk, page: Any, tmp_path: Path
) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"], name="relu")
    onnx.save_model(model_of([node], [value("x", 2, 3)], [value("y", 2, 3)], {}), str(tmp_path / "relu.onnx"))
    new_desk.app.open_paths([tmp_path / "relu.onnx"])
    idle(new_desk, page)
    page.networks.read(())
    idle(new_desk, page, lambda: "no weights" in page.figures.hint.text())
    assert page.figures.whole is None


def test_a_quantized_network_is_recognized(new_desk: Desk, ready: Any, tmp_path: Path) -> None:
    ready.networks.deploy(Recipe("static"), tmp_path / "q.onnx", seconds=0.1)
    idle(new_desk, ready, lambda: bool(ready.networks.runs))
    ready.runs.table.opened.emit(ready.networks.runs[0])
    idle(new_desk, ready, lambda: ready.network.file.text() == "q.onnx")
    assert "quantized already" in ready.network.trouble.text()
    assert ready.networks.runs


def test_a_step_of_the_preparation_can_be_left_out(new_desk: Desk, page: Any, tmp_path: Path) -> None:
    onnx.save_model(classifier(opset=13), str(tmp_path / "old.onnx"))
    new_desk.app.open_paths([tmp_path / "old.onnx"])
    idle(new_desk, page)
    assert page.networks.state.prepared.network.opset == 17
    assert page.network.steps["opset"].isChecked()
    page.network.steps["opset"].click()
    idle(new_desk, page)
    assert page.networks.state.prepared.network.opset == 13
    assert not page.network.steps["opset"].isChecked()
    page.network.steps["opset"].click()
    idle(new_desk, page)
    assert page.networks.state.prepared.network.opset == 17


def test_all_weights_with_what_the_scheme_does_to_each(new_desk: Desk, opened: Any) -> None:
    opened.parts.button("weights").click()
    table = opened.weights.table.figures
    idle(new_desk, opened, lambda: sum(not np.isnan(row.sqnr_db) for row in table.rows) == 3)
    rows = {row.constant.name: row for row in table.rows}
    assert set(rows) == {"w1", "b1", "w2", "w3", "b3"}
    assert rows["w2"].constant.bytes == 16 * 8 * 9 * 4
    assert rows["w2"].sqnr_db > 30
    assert np.isnan(rows["b1"].sqnr_db)
    opened.weights.table.opened.emit(rows["w3"])
    new_desk.bot.waitUntil(lambda: new_desk.session.state.tensor.name == "net.onnx: w3", timeout=LONG)


def test_a_graph_begins_with_its_first_box_however_wide_it_is(ready: Any) -> None:
    branches = [f"branch {number}" for number in range(12)]
    boxes = [Box(name, ("Conv",), (name,), ()) for name in (*branches, "first")]
    places = [*((BOX_WIDTH * (1.5 * place), 200.0) for place in range(12)), (BOX_WIDTH * 16.5, 0.0)]
    bounds = (-BOX_WIDTH, -BOX_HEIGHT, BOX_WIDTH * 18, 1000.0)
    ready.graph.show_graph(Drawn(tuple(boxes), tuple(places), (), (), bounds))
    (left, right), (bottom, top) = ready.graph.view.viewRange()
    x, y = places[-1]
    assert left < x - BOX_WIDTH / 2
    assert x + BOX_WIDTH / 2 < right
    assert bottom < -y < top


def test_the_output_that_loses_most_is_shown_first(ready: Any) -> None:
    whole = ready.figures.whole
    kept = replace(whole.outputs[0], name="mask", sqnr_db=math.inf)
    for worst, said in ((31.5, "31.50 dB"), (math.nan, "–")):
        lost = replace(whole.outputs[0], name="answer", sqnr_db=worst)
        ready.figures.present(None)
        ready.figures.present(replace(whole, outputs=(kept, lost)))
        assert ready.figures.outputs.currentText() == "answer"
        assert said in [row.text() for row in ready.figures.rows.findChildren(QLabel)]
        ready.figures.outputs.setCurrentIndex(0)
        ready.figures.present(replace(whole, outputs=(kept, lost)))
        assert ready.figures.outputs.currentText() == "mask"  # what was chosen stays


def test_names_that_begin_alike_are_told_apart_where_they_are_cut(ready: Any) -> None:
    table = ready.layers.table
    names = [f"/model/encoder/layer/attention/output/dense/MatMul_{place}" for place in range(3)]
    cut = {table.fontMetrics().elidedText(name, table.textElideMode(), 150) for name in names}
    assert len(cut) == 3


def test_boxes_are_told_apart_by_what_is_left_of_their_names(ready: Any) -> None:
    names = [f"/model/layers.{number}/self_attn/{part}_proj/MatMul" for number in (1, 14, 15) for part in "qo"]
    boxes = tuple(Box(name, ("MatMul",), (name,), ()) for name in names)
    bounds = (-BOX_WIDTH, -BOX_HEIGHT, BOX_WIDTH, BOX_HEIGHT * 12)
    places = tuple((0.0, 2.0 * BOX_HEIGHT * place) for place in range(len(names)))
    ready.graph.show_graph(Drawn(boxes, places, (), (), bounds))
    metrics = QFontMetricsF(ready.graph.font())
    room = metrics.horizontalAdvance("/model/la…oj/MatMul")
    short = [ready.graph.short(name, metrics, room) for name in names]
    assert len({*short}) == len(names)
    assert all(metrics.horizontalAdvance(text) <= room for text in short)


def test_the_minimap_lies_beside_the_boxes_however_the_network_lies(ready: Any) -> None:
    """In a strip of its own, where there is nothing else to be seen, or to be clicked."""
    chart = ready.graph
    chart.window().setUpdatesEnabled(True)
    for across, down in ((40, 3), (3, 40), (16, 16)):
        places = [(BOX_WIDTH * 1.1 * x, BOX_HEIGHT * 1.5 * y) for x in range(across) for y in range(down)]
        boxes = tuple(Box(f"{number}", ("Conv",), (f"{number}",), ()) for number in range(len(places)))
        bounds = (-BOX_WIDTH, -BOX_HEIGHT, BOX_WIDTH * 1.1 * across, BOX_HEIGHT * 1.5 * down)
        chart.show_graph(Drawn(boxes, tuple(places), (), (), bounds))
        view = chart.view
        (left, right), (bottom, top) = view.viewRange()
        for x, y in ((left, top), (right, bottom)):  # the beginning, and somewhere in the middle of it all
            view.setRange(xRange=(x, x + right - left), yRange=(y - top + bottom, y), padding=0)
            image = picture(chart.canvas)
            rect, _ = chart._map
            frame = rect.adjusted(-7, -7, 7, 7)
            corner = chart.canvas.mapFromScene(view.mapToScene(QPointF(0, 0)))
            strip = QRectF(0, 0, view.width(), view.height())
            column, row = frame.width() * strip.height(), strip.width() * frame.height()
            if column < row:
                strip.setLeft(frame.left())
            else:
                strip.setTop(frame.top())
            ground = image.pixel(corner + (strip.bottomRight() - QPointF(2, 2)).toPoint())
            for step in range(1, 400):
                place = QPointF(step % 20 / 20 * strip.width(), step // 20 / 20 * strip.height()) + strip.topLeft()
                assert chart.box_at(view.mapToView(place)) is None
                if place.x() > strip.left() and place.y() > strip.top() and not frame.contains(place):
                    assert image.pixel(corner + place.toPoint()) == ground, (across, down, place)


def test_the_minimap_moves_the_view(ready: Any) -> None:
    ready.graph.window().setUpdatesEnabled(True)
    view = ready.graph.view
    view.setRange(xRange=(0, 40), yRange=(-20, 0), padding=0)
    picture(ready.graph.canvas)
    rect, _ = ready.graph._map
    before = view.viewRange()
    here = view.mapToScene(QPointF(rect.center()))
    mouse_over(ready.graph).click(ready.graph.canvas.mapFromScene(here))
    assert view.viewRange() != before
