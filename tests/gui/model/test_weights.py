"""What a person does with all tensors of a checkpoint on the Model page, and what comes of it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QModelIndex, QSize, Qt
from PySide6.QtGui import QFont, QFontMetricsF
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from safetensors.numpy import save_file

from qviz.core.schemes.presets import PRESETS
from qviz.gui.charts.base import LinkedCursor
from qviz.gui.kit.theme import load_theme
from qviz.gui.model.budget_chart import top_of
from qviz.gui.model.weight_map_chart import WeightMapChart
from qviz.gui.model.weights_view import SparkPainter
from qviz.models.weight_table import WeightMap
from tests.gui.conftest import Desk, mouse_over, spot
from tests.gui.copied import cells, check_table
from tests.gui.cut_texts import cut_texts, laid_out
from tests.gui.model.conftest import LONG
from tests.gui.model.test_page import drop
from tests.gui.pictures import dots, painted_over_the_plot, picture

pytestmark = pytest.mark.unpainted

LAYERS = (0, 2, 10)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Three layers of two matrices and a norm each, an embedding; layer 2 has an outlier."""
    rng = np.random.default_rng(0)
    tensors = {"model.embed_tokens.weight": rng.standard_normal((32, 16)).astype(np.float32)}
    for layer in LAYERS:
        for role, shape in (("self_attn.q_proj", (16, 16)), ("mlp.up_proj", (32, 16))):
            tensors[f"model.layers.{layer}.{role}.weight"] = rng.standard_normal(shape).astype(np.float32)
        tensors[f"model.layers.{layer}.input_layernorm.weight"] = np.ones(16, np.float32)
    tensors["model.layers.2.mlp.up_proj.weight"][0, 0] = 300
    save_file(tensors, tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def page(new_desk: Desk) -> Any:
    new_desk.window.pages.show_page("model")
    return new_desk.window.pages.current


@pytest.fixture
def listed(new_desk: Desk, page: Any, checkpoint: Path) -> Any:
    """The page, after the checkpoint was dropped on it."""
    drop(new_desk, checkpoint)
    settle(new_desk, page)
    return page


def settle(desk: Desk, page: Any) -> None:
    workers = page.weighing.checkpoints.workers
    desk.bot.waitUntil(
        lambda: page.weighing.checkpoints.open_one is not None and not any(each.busy for each in workers), timeout=LONG
    )


def names(page: Any) -> list[str]:
    weights = page.checkpoint.view.weights
    return [weights.data(weights.index(at, 0)) for at in range(weights.rowCount())]


def measured(desk: Desk, page: Any) -> None:
    page.checkpoint.audit_button.click()
    settle(desk, page)
    desk.bot.waitUntil(lambda: "measured" in page.checkpoint.progress.text() and not page.weighing._due.isActive())


def test_one_tensor_is_counted_as_one(new_desk: Desk, page: Any, tmp_path: Path) -> None:
    save_file({"a.weight": np.ones((8, 16), np.float32)}, tmp_path / "one.safetensors")
    drop(new_desk, tmp_path / "one.safetensors")
    settle(new_desk, page)
    assert page.checkpoint.about.text().replace("\xa0", " ") == "1 tensor, 512 B"


def test_elements_that_no_figure_counts_are_marked(new_desk: Desk, page: Any, tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((2, 8, 16)).astype(np.float32)
    values[0, 0, 0] = np.nan
    save_file({"a.weight": values[0], "b.weight": values[1]}, tmp_path / "flawed.safetensors")
    drop(new_desk, tmp_path / "flawed.safetensors")
    settle(new_desk, page)
    measured(new_desk, page)
    assert page.checkpoint.progress.text().endswith("a.weight has NaN or infinities")
    weights = page.checkpoint.view.weights
    at = weights.column_of("sqnr")
    texts = [weights.data(weights.index(row, at)) for row in range(2)]
    assert [text.endswith("!") for text in texts] == [True, False]
    tip = weights.data(weights.index(0, at), Qt.ItemDataRole.ToolTipRole)
    assert "Left out: 1 of 128 elements, which is NaN or infinite." in tip


def test_a_dropped_checkpoint_is_listed_under_weights(listed: Any) -> None:
    assert listed.stack.currentIndex() == 1
    assert (
        names(listed)[:3]
        == [
            "model.embed_tokens.weight",
            "model.layers.0.self_attn.q_proj.weight",
            "model.layers.0.mlp.up_proj.weight",
        ]
        or len(names(listed)) == 10
    )
    assert "10 tensors" in listed.checkpoint.about.text()
    assert listed.weight_map.map.layers == LAYERS
    assert listed.weight_map.figure == "bytes"


def test_a_folder_of_parts_is_a_checkpoint_too(new_desk: Desk, page: Any, checkpoint: Path) -> None:
    drop(new_desk, checkpoint.parent)
    settle(new_desk, page)
    assert len(names(page)) == 10


def test_typing_narrows_the_table_and_what_is_wrong_is_said(listed: Any) -> None:
    panel = listed.checkpoint
    panel.filter.setText("bytes > 1 KiB and role = up")
    assert len(names(listed)) == 3
    assert "3 of 10 tensors" in panel.about.text()
    panel.filter.setText("bytes >")
    assert "has to follow" in panel.trouble.text()
    assert not panel.trouble.isHidden()
    assert len(names(listed)) == 3
    panel.filter.setText("")
    assert panel.trouble.isHidden()
    assert len(names(listed)) == 10


def test_worst_first_after_measuring(new_desk: Desk, listed: Any) -> None:
    measured(new_desk, listed)
    panel = listed.checkpoint
    assert panel.progress.text() == "7 measured, 3 left as they are"
    panel.view.horizontalHeader().setSortIndicator(6, Qt.SortOrder.AscendingOrder)
    assert names(listed)[0] == "model.layers.2.mlp.up_proj.weight"
    panel.filter.setText("sqnr < 30")
    assert names(listed) == ["model.layers.2.mlp.up_proj.weight"]
    assert listed.weight_map.figure == "sqnr"
    panel.filter.setText("norm")
    weights = panel.view.weights
    tip = weights.data(weights.index(0, 6), Qt.ItemDataRole.ToolTipRole)
    assert tip == "Left as it is: one axis"


def test_another_scheme_shows_its_own_figures_and_the_first_ones_come_back(new_desk: Desk, listed: Any) -> None:
    measured(new_desk, listed)
    panel = listed.checkpoint
    first = panel.table.numbers["sqnr"].copy()
    panel.scheme.setCurrentIndex(panel.scheme.findText("LLM int4 group 128"))
    panel.scheme.activated.emit(panel.scheme.currentIndex())
    assert np.isnan(panel.table.numbers["sqnr"]).all()
    measured(new_desk, listed)
    assert np.nanmax(panel.table.numbers["sqnr"]) < np.nanmax(first)
    panel.scheme.setCurrentIndex(0)
    panel.scheme.activated.emit(0)
    np.testing.assert_array_equal(panel.table.numbers["sqnr"], first)


def test_down_and_enter_open_a_tensor_that_stays_linked_to_its_row(new_desk: Desk, listed: Any) -> None:
    panel = listed.checkpoint
    panel.filter.setText("layers.10 up")
    QTest.keyClick(panel.filter, Qt.Key.Key_Down)
    assert panel.view.current_row() >= 0
    QTest.keyClick(panel.view, Qt.Key.Key_Return)
    state = new_desk.session.state
    new_desk.bot.waitUntil(
        lambda: new_desk.session.state.tensor.name == "tiny/model.layers.10.mlp.up_proj.weight", timeout=LONG
    )
    assert new_desk.window.pages.current_key == "tensor"
    assert state is not new_desk.session.state
    panel.filter.setText("")
    listed.checkpoint.view.setCurrentIndex(QModelIndex())
    new_desk.app.library.choose(new_desk.session.state.items[0])
    new_desk.bot.waitUntil(lambda: new_desk.session.state.current is new_desk.session.state.items[0], timeout=LONG)
    new_desk.app.library.choose(new_desk.session.state.items[-1])
    new_desk.bot.waitUntil(lambda: panel.view.current_row() >= 0, timeout=LONG)
    assert panel.table.names[panel.view.current_row()] == "model.layers.10.mlp.up_proj.weight"


def test_modules_layers_roles_and_cells_narrow_the_table(new_desk: Desk, listed: Any) -> None:
    panel = listed.checkpoint
    modules = panel.tree.modules
    top = modules.index(0, 0)
    assert modules.data(top) == "model"
    labels = [modules.data(modules.index(at, 0, top)) for at in range(modules.rowCount(top))]
    assert labels == ["embed_tokens", "layers"]
    layers = modules.index(1, 0, top)
    assert [modules.data(modules.index(at, 0, layers)) for at in range(modules.rowCount(layers))] == ["0", "2", "10"]
    panel.tree.setCurrentIndex(modules.index(1, 0, layers))
    assert len(names(listed)) == 3
    assert all(".2." in name for name in names(listed))
    panel.tree.setCurrentIndex(QModelIndex())
    panel.by.button("layer").click()
    assert [panel.groups.figures.columns[0].text(group) for group in panel.groups.figures.rows] == [
        "layer 0",
        "layer 2",
        "layer 10",
        "without a layer",
    ]
    panel.groups.opened.emit(panel.groups.figures.rows[2])
    assert panel.filter.text() == "layer = 10"
    assert len(names(listed)) == 3
    chart = listed.weight_map
    row = chart.map.roles.index("up")
    mouse_over(chart).click(spot(chart, 1, row))
    assert panel.filter.text() == "layer = 2 and role = up"
    assert names(listed) == ["model.layers.2.mlp.up_proj.weight"]


def test_what_is_in_sight_is_copied(new_desk: Desk, listed: Any) -> None:
    listed.checkpoint.filter.setText("layers.0")
    listed.copy_figures()
    lines = QApplication.clipboard().text().splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("Name\tShape\tType\tRole\tBytes")


def test_a_file_without_tensors_leaves_everything_as_it_was(new_desk: Desk, listed: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"\xff" * 20)
    problems: list[str] = []
    listed.problem.connect(problems.append)
    drop(new_desk, broken)
    new_desk.bot.waitUntil(lambda: bool(problems), timeout=LONG)
    assert problems[0].startswith("broken.safetensors ")
    assert len(names(listed)) == 10


def test_what_is_wrong_with_a_file_is_over_when_another_one_is_opened(
    new_desk: Desk, listed: Any, checkpoint: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "half"
    folder.mkdir()
    (folder / "whole.safetensors").write_bytes(checkpoint.read_bytes())
    (folder / "broken.safetensors").write_bytes(b"\xff" * 20)
    for broken in (folder / "broken.safetensors", folder):
        new_desk.banner.clear()
        drop(new_desk, broken)
        new_desk.bot.waitUntil(lambda: new_desk.banner.text.startswith("broken.safetensors "), timeout=LONG)
        settle(new_desk, listed)
        assert new_desk.banner.text.startswith("broken.safetensors ")
        drop(new_desk, checkpoint)
        settle(new_desk, listed)
        new_desk.bot.waitUntil(lambda: new_desk.banner.text == "", timeout=LONG)


def test_rows_and_groups_of_tensors_are_copied_and_exported(new_desk: Desk, listed: Any) -> None:
    measured(new_desk, listed)
    view = listed.checkpoint.view
    first = int(np.flatnonzero(np.isfinite(view.weights.table.numbers["sqnr"]))[0])
    open_, _, row, table, _ = view.menu_of(first).actions()
    row.trigger()
    head, line = cells()
    assert line[0] == view.weights.table.names[first]
    table.trigger()
    assert cells() == view.excerpt().cells()
    assert len(cells()) == 11
    found = next(at for at, title in enumerate(head) if title.startswith("SQNR"))
    assert float(line[found]) == view.weights.table.numbers["sqnr"][first]
    opened: list[int] = []
    view.opened.connect(opened.append)
    open_.trigger()
    assert opened == [first]
    listed.checkpoint.by.button("layer").click()
    check_table(listed.checkpoint.groups)


def test_a_quantized_weight_is_shown_under_the_scales_of_its_file_and_the_next_one_is_not(
    new_desk: Desk, page: Any, tmp_path: Path
) -> None:
    golden = Path(__file__).parents[2] / "golden" / "checkpoints" / "quantized" / "compressed_int4_group.safetensors"
    drop(new_desk, golden)
    settle(new_desk, page)
    before = new_desk.session.state.scheme
    page.checkpoint.view.opened.emit(0)
    new_desk.bot.waitUntil(lambda: new_desk.session.state.tensor.name.endswith("layer.weight"), timeout=LONG)
    scheme = new_desk.session.state.scheme
    assert (scheme.number_format.name, scheme.granularity.kind, scheme.range_rule.kind) == ("int4", "block", "known")
    frame = new_desk.app.analyst
    new_desk.bot.waitUntil(lambda: not frame.busy, timeout=LONG)
    new_desk.app.library.choose(new_desk.session.state.items[0])
    new_desk.bot.waitUntil(lambda: new_desk.session.state.current is new_desk.session.state.items[0], timeout=LONG)
    assert new_desk.session.state.scheme == before


def test_more_schemes_get_a_column_each_to_order_and_to_filter_by(new_desk: Desk, listed: Any) -> None:
    panel, view = listed.checkpoint, listed.checkpoint.view
    offered = {action.text(): action for action in panel.others.menu().actions()}
    view.point_to(4)
    for name in ("Symmetric", "FP8 E4M3, bare cast", "Dynamic"):
        offered[name].trigger()
    offered["Dynamic"].trigger()  # not that one
    assert panel.others.text() == "+ 2 schemes"
    assert view.current_row() == 4
    titles = [column.title for column in view.weights.columns]
    place = titles.index("Symmetric")
    assert titles[place - 1 : place + 3] == ["SQNR (dB)", "Symmetric", "FP8 E4M3, bare cast", "Values"]
    assert isinstance(view.itemDelegateForColumn(place + 2), SparkPainter)
    assert not isinstance(view.itemDelegateForColumn(place), SparkPainter)
    schemes = {preset.name: preset.scheme for preset in PRESETS}
    first, second = schemes["Symmetric"], schemes["FP8 E4M3, bare cast"]
    measured(new_desk, listed)
    rows = listed.weighing.checkpoints.rows
    assert set(rows[first]) == set(rows[second]) == set(panel.table.names)
    worst = panel.table.numbers["sqnr3"].copy()
    for name, row in rows[second].items():
        assert worst[panel.table.places[name]] == pytest.approx(row.sqnr_db, nan_ok=True)
    view.horizontalHeader().setSortIndicator(place + 1, Qt.SortOrder.AscendingOrder)
    assert view.weights.shown[0] == np.nanargmin(worst)
    assert view.weights.data(view.weights.index(0, place + 1)) == f"{np.nanmin(worst):.2f}"
    panel.filter.setText(f"sqnr3 < {np.nanmedian(worst)} and sqnr2 > 0")
    assert set(view.weights.shown) == set(np.flatnonzero(worst < np.nanmedian(worst)))
    offered["Symmetric"].trigger()
    assert view.weights.columns[view.horizontalHeader().sortIndicatorSection()].key != "sqnr3"
    assert "Symmetric" not in view.excerpt().pretty()[0]
    assert panel.table.numbers["sqnr2"] == pytest.approx(worst, nan_ok=True)  # what was the third is the second


def test_a_budget_is_found_walked_along_and_saved(
    new_desk: Desk, listed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel, budget = listed.checkpoint, listed.budget
    assert panel.budget_card.isHidden()
    panel.budget_button.click()
    assert not panel.budget_card.isHidden()
    assert not budget.slider.isEnabled()
    budget.find_button.click()
    new_desk.bot.waitUntil(lambda: listed.weight_map.figure == "chosen", timeout=LONG)
    settle(new_desk, listed)
    found = listed.weighing.checkpoints.budget
    assert budget.slider.maximum() == len(found.front) - 1
    for size in (QSize(1280, 720), QSize(1440, 900)):
        new_desk.window.resize(size)
        laid_out()
        assert cut_texts(new_desk.window) == [], size
    budget.slider.setValue(0)
    assert "7 × int3" in budget.said.text()
    assert np.nanmax(listed.weight_map.map.values[listed.weight_map.map.roles.index("up")]) == 3
    first = budget.said.text()
    mouse_over(listed.budget_chart).click(spot(listed.budget_chart, float(found.nbytes[-2] / 2**20)))
    assert budget.slider.value() == len(found.front) - 2
    assert budget.said.text() != first
    names_of_file = {"csv": "a.csv", "compressed-tensors": "a.json"}
    for form, name in names_of_file.items():
        monkeypatch.setattr(
            "qviz.gui.model.weighing.QFileDialog.getSaveFileName", lambda *_, to=name: (str(tmp_path / to), "")
        )
        with new_desk.bot.waitSignal(listed.notice, timeout=LONG):
            budget.save_requested.emit(form)
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 8
    assert "config_groups" in (tmp_path / "a.json").read_text()
    with new_desk.bot.waitSignal(listed.problem, timeout=LONG):
        budget.save_requested.emit("netron")
    panel.budget_button.click()
    assert panel.budget_card.isHidden()
    assert listed.weight_map.figure == "bytes"
    drop(new_desk, panel.table.weights[0].entry.path)
    settle(new_desk, listed)
    assert listed.weighing.checkpoints.budget is None


def test_errors_of_a_budget_count_as_an_importance_matrix_has_it(
    new_desk: Desk, listed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget, name = listed.budget, b"blk.2.ffn_up.weight"
    sums = np.full(16, 1e6, "<f4").tobytes()
    (tmp_path / "i.dat").write_bytes(struct.pack("<ii", 1, len(name)) + name + struct.pack("<ii", 1, 16) + sums)
    chosen = [str(tmp_path / "i.dat"), ""]
    monkeypatch.setattr("qviz.gui.model.weighing.QFileDialog.getOpenFileName", lambda *_: (chosen.pop(0), ""))
    budget.objective.setCurrentIndex(1)
    budget.objective.activated.emit(1)
    assert budget.importances == tmp_path / "i.dat"
    budget.find_button.click()
    settle(new_desk, listed)
    found = listed.weighing.checkpoints.budget
    assert found.by == "i.dat"
    assert "weighed by i.dat" in budget.said.text()
    first_step = {choice.name: choice.scheme for choice in found.choices(1)}
    dearest = first_step.pop("model.layers.2.mlp.up_proj.weight")
    assert dearest is None or dearest.number_format.bits > 3  # the first bytes that are spent are spent on it
    assert all(each is not None and each.number_format.bits == 3 for each in first_step.values())
    budget.objective.setCurrentIndex(2)
    budget.objective.activated.emit(2)
    assert budget.importances is None  # none was chosen


def test_the_last_bytes_of_a_budget_do_not_flatten_the_rest() -> None:
    x = np.linspace(1, 2, 101)
    y = 20 + 40 * (x - 1)
    y[-2:] = 180, np.inf
    assert top_of(x, y) == pytest.approx(20 + 40 * 0.96)
    y[-2:] = 60, 61
    assert top_of(x, y) == 61
    assert top_of(np.ones(1), np.array([7.0])) == 7


def test_rows_that_no_block_divides_leave_nothing_to_choose(new_desk: Desk, listed: Any) -> None:
    listed.checkpoint.budget_button.click()
    listed.budget.kind.setCurrentIndex(1)
    with new_desk.bot.waitSignal(listed.problem, timeout=LONG) as said:
        listed.budget.find_button.click()
    assert "None of these tensors can be quantized" in said.args[0]
    assert not listed.budget.slider.isEnabled()


def test_how_the_values_of_a_tensor_are_spread_stands_beside_it(new_desk: Desk, listed: Any) -> None:
    view = listed.checkpoint.view
    column = next(at for at, each in enumerate(view.weights.columns) if each.key == "values")
    up = view.weights.table.names.index("model.layers.2.mlp.up_proj.weight")

    def drawn(row: int) -> Any:
        at = view.weights.place(row)
        view.scrollTo(view.weights.index(at, column))
        picture = view.viewport().grab(view.visualRect(view.weights.index(at, column))).toImage()
        return set(dots(picture).ravel().tolist())

    before = drawn(up)
    measured(new_desk, listed)
    table = view.weights.table
    assert sum(table.bins[up]) == 32 * 16
    assert table.bins[up][-1] == 1  # the outlier
    assert len(drawn(up)) > len(before)
    head, *rows = view.excerpt([up]).pretty()
    assert rows[0][head.index("Values")][-1] == "▁"


def test_the_best_range_estimator_of_each_tensor_is_named(new_desk: Desk, listed: Any) -> None:
    panel = listed.checkpoint
    panel.scheme.setCurrentIndex(panel.scheme.findText("LLM int4 group 128"))
    panel.scheme.activated.emit(panel.scheme.currentIndex())
    panel.estimators.setChecked(True)
    measured(new_desk, listed)
    weights, table = panel.view.weights, panel.table
    column = next(each for each in weights.columns if each.key == "estimator")
    row = table.names.index("model.layers.2.mlp.up_proj.weight")
    assert weights.text(row, column) == "least MSE"
    assert table.numbers["gain"][row] > 0
    norm = table.names.index("model.layers.2.input_layernorm.weight")
    assert weights.text(norm, column) == "–"
    assert np.isnan(table.numbers["gain"][norm])
    panel.scheme.setCurrentIndex(0)
    panel.scheme.activated.emit(0)
    assert weights.text(row, column) == "–"


@pytest.mark.parametrize(
    ("figure", "kept", "lost", "said"), [("sqnr", np.inf, 20.0, "lossless: ∞ dB"), ("rmse", 0.0, 0.1, "lossless: 0")]
)
@pytest.mark.parametrize("alone", [True, False])
def test_a_tensor_that_loses_nothing_has_the_best_colour_and_not_that_of_none(
    qapp: QApplication, figure: str, kept: float, lost: float, said: str, alone: bool
) -> None:
    chart, theme = WeightMapChart(LinkedCursor()), load_theme("light")
    chart.apply_theme(theme)
    chart.resize(640, 240)
    chart.show()
    values = np.array([[kept, np.nan, kept if alone else lost]])
    chart.show_map(WeightMap((0, 1, 2), ("q",), values, np.ones((1, 3), np.int64)), figure)
    QApplication.processEvents()
    found = dots(picture(chart.canvas))
    seen = [found[place.y(), place.x()] for place in (spot(chart, float(at), 0.0) for at in range(3))]
    assert seen[0] == theme.color("heat1").rgb()
    assert seen[1] not in (seen[0], seen[2])
    assert seen[2] == (seen[0] if alone else theme.color("heat9").rgb())
    assert chart.legend_words(-np.inf, -np.inf) == (said, "")
    assert chart.legend_words(-np.inf, 0.0)[0] == said.removeprefix("lossless: ")
    chart.deleteLater()


def test_numbers_of_thousands_of_layers_do_not_touch(listed: Any) -> None:
    axis = listed.weight_map._layers
    axis.layers = tuple(range(12_857))
    width, widest = 920, QFontMetricsF(axis.style["tickFont"] or QFont()).horizontalAdvance("12,856")

    ((step, places),) = axis.tickValues(-0.5, 12_856.5, width)

    assert step * width / 12_857 > widest
    assert places[:3] == [0, step, 2 * step]
    assert axis.tickStrings(places[-1:], 1, step) == ["12,000"]


def test_a_map_without_cells_says_why_there_are_none(qapp: QApplication) -> None:
    chart = WeightMapChart(LinkedCursor())
    assert chart.hint.isHidden()
    chart.show_map(WeightMap((), (), np.zeros((0, 0)), np.zeros((0, 0), np.int64)), "bytes")
    assert (chart.hint.isHidden(), chart.canvas.isHidden()) == (False, True)
    assert chart.hint.text() == "Nothing to map: no name of a tensor tells both its layer and its role."
    chart.show_map(WeightMap((0,), ("q",), np.ones((1, 1)), np.ones((1, 1), np.int64)), "bytes")
    assert (chart.hint.isHidden(), chart.canvas.isHidden()) == (True, False)
    chart.deleteLater()


def test_no_tick_of_an_axis_lies_in_a_cell_of_the_map(listed: Any) -> None:
    for axis in (listed.weight_map._layers, listed.weight_map._roles):
        assert axis.ticks().texts
        assert painted_over_the_plot(axis) == 0
