"""The Compare page as a person uses it: sweep, pin, look at runtimes, and go back to the Tensor page."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtWidgets import QApplication

from qviz.core import (
    MSE,
    IntFormat,
    PerAxis,
    PerBlock,
    Percentile,
    PerToken,
    Scheme,
    analyze,
    format_named,
)
from qviz.gui.charts.export import export_chart
from qviz.gui.compare.page import CONVENTIONS_PART, PINS, SWEEP, ComparePage
from qviz.gui.compare.pareto_chart import LANE, RADIUS
from qviz.gui.words.figures import MEASURES
from qviz.session.pins import MOST_PINS
from tests.gui.conftest import PATIENCE, SMALL, WINDOW, Desk, mouse_over, spot
from tests.gui.pictures import picture
from tests.gui.sweeps import QUICK, sweep_few

pytestmark = pytest.mark.unpainted

FOUR, EIGHT = Scheme(IntFormat(4)), Scheme()


@pytest.fixture
def page(desk: Desk) -> ComparePage:
    """The page in front, with a small sweep."""
    return few_schemes(desk)


@pytest.fixture
def unswept(desk: Desk) -> ComparePage:
    """The page in front, on a part that waits for no sweep."""
    desk.window.pages.show_page("compare")
    page: ComparePage = desk.window.pages.current
    page.show_part(PINS)
    settle(desk, page)
    return page


def few_schemes(desk: Desk, rules: Sequence[Any] = QUICK) -> ComparePage:
    """Show the page, and sweep a few schemes."""
    desk.window.pages.show_page("compare")
    page: ComparePage = desk.window.pages.current
    sweep_few(page, rules)
    page.show_part(SWEEP)
    page.sweep.measure.setCurrentIndex(0)
    settle(desk, page)
    return page


def settle(desk: Desk, page: ComparePage) -> None:
    """Wait until nobody computes, and everything that was found is shown."""
    desk.bot.waitUntil(
        lambda: not any(getattr(w, "busy", False) for w in desk.app.workers) and not page.sweep._refresh.isActive(),
        timeout=PATIENCE,
    )
    QApplication.processEvents()


def cell(table: Any, row: int, title: str) -> str:
    at = next(i for i, c in enumerate(table.figures.columns) if c.title == title)
    return str(table.proxy.index(row, at).data())


def click_action(desk: Desk, table: Any, row: int, action: str) -> None:
    at = next(i for i, c in enumerate(table.figures.columns) if c.action == action)
    index = table.proxy.index(row, at)
    table.scrollTo(index)
    desk.bot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(index).center())


# --- the sweep ---------------------------------------------------------------------------------------


def test_every_ticked_scheme_is_a_mark_and_a_row(desk: Desk, page: ComparePage) -> None:
    next(box for box, data in page.sweep.choice.rules.boxes if data == MSE()).click()
    settle(desk, page)
    assert len(page.sweep.pareto.points) == page.sweep.results.proxy.rowCount() == 18
    for point in page.sweep.pareto.points:
        assert point.metrics.mse == pytest.approx(analyze(SMALL, point.metrics.scheme).mse, rel=1e-9)
    front = page.sweep.pareto.front
    assert f"{len(front)} unbeaten" in page.sweep.results_card.title.note.text()
    assert [cell(page.sweep.results, row, "★") for row in range(18)].count("★") == len(front)
    assert "18 schemes" in page.sweep.choice.count.text()


def test_a_box_that_is_ticked_is_swept_and_what_there_is_not_is_told(desk: Desk, page: ComparePage) -> None:
    box = next(box for box, data in page.sweep.choice.bits.boxes if data == 3)
    box.click()
    settle(desk, page)
    assert len(page.sweep.pareto.points) == 16
    asymmetric = next(box for box, data in page.sweep.choice.modes.boxes if data is False)
    asymmetric.click()
    desk.session.update(convention="paddle")
    settle(desk, page)
    assert len(page.sweep.pareto.points) == 16
    assert "16 left out" in page.sweep.choice.missing.text()
    assert "symmetrically only" in page.sweep.choice.missing.text()


def page_of(desk: Desk) -> ComparePage:
    desk.window.pages.show_page("compare")
    page: ComparePage = desk.window.pages.current
    return page


def test_what_the_present_scheme_uses_is_ticked_until_a_person_ticks(new_desk: Desk) -> None:
    desk, session = new_desk, new_desk.session
    session.update(scheme=Scheme(IntFormat(7), False, PerBlock(1, 10), Percentile(99.5)))
    page = page_of(desk)

    def swept(scheme: Scheme) -> bool:
        choice = page.sweep.choice.choice()
        return (
            scheme.number_format in choice.number_formats
            and scheme.granularity in choice.granularities
            and scheme.range_rule in choice.range_rules
            and scheme.symmetric in choice.symmetries
        )

    assert swept(session.scheme)
    assert swept(Scheme())
    desk.window.pages.show_page("tensor")
    session.update(scheme=Scheme(format_named("float4_e2m1fn"), granularity=PerToken()))
    desk.window.pages.show_page("compare")
    assert swept(session.scheme)
    assert not page.history.can_undo  # nobody did anything
    next(box for box, data in page.sweep.choice.bits.boxes if data == 3).click()
    desk.window.pages.show_page("tensor")
    session.update(scheme=Scheme(IntFormat(16)))
    desk.window.pages.show_page("compare")
    assert not swept(session.scheme)


def test_batches_get_no_scale_each_unless_somebody_ticks_it(new_desk: Desk, tmp_path: Path) -> None:
    for i in range(3):
        np.save(tmp_path / f"batch_{i}.npy", np.random.default_rng(i).normal(0, 1, (6, 8)).astype(np.float32))
    new_desk.open(tmp_path)
    assert new_desk.session.state.tensor is not None
    assert new_desk.session.state.tensor.shape == (3, 6, 8)
    page = page_of(new_desk)
    assert {each.axis for each in page.sweep.choice.choice().granularities if isinstance(each, PerAxis)} == {1, 2}
    settle(new_desk, page)


def test_with_nothing_ticked_it_says_so(desk: Desk, page: ComparePage) -> None:
    for box, _ in page.sweep.choice.rules.boxes:
        box.setChecked(False)
    settle(desk, page)
    assert "Tick" in page.sweep.choice.count.text()
    assert page.sweep.pareto.points == ()
    assert page.sweep.pareto.tables() == {}


def test_another_tensor_is_swept_anew(desk: Desk, page: ComparePage) -> None:
    before = {p.metrics.mse for p in page.sweep.pareto.points}
    desk.show(SMALL * np.float32(3))
    settle(desk, page)
    assert len(page.sweep.pareto.points) == 12
    assert before.isdisjoint(p.metrics.mse for p in page.sweep.pareto.points)


def test_a_click_on_a_mark_shows_its_scheme_on_the_tensor_page(desk: Desk, page: ComparePage) -> None:
    at = int(page.sweep.pareto.front[-1])
    place = spot(page.sweep.pareto, page.sweep.pareto._x[at], page.sweep.pareto._y[at])
    mouse = mouse_over(page.sweep.pareto)
    mouse.move(place)
    assert page.sweep.pareto.points[at].name in page.sweep.pareto_card.title.readout.text()
    assert "bits" in page.sweep.pareto_card.title.readout.text()
    mouse.click(place)
    assert desk.window.pages.current_key == "tensor"
    assert desk.session.scheme == page.sweep.pareto.points[at].metrics.scheme


def test_rows_lead_to_the_tensor_page_and_can_be_pinned(desk: Desk, page: ComparePage) -> None:
    row = page.sweep.results.figures.rows[3]
    page.sweep.results.point_to(row)
    click_action(desk, page.sweep.results, 3, "＋")
    assert [pin.scheme for pin in desk.app.pins.pins] == [row.metrics.scheme]
    desk.press(page.sweep.results, Qt.Key.Key_Return)
    assert desk.session.scheme == row.metrics.scheme
    assert desk.window.pages.current_key == "tensor"


def test_results_are_sorted_by_any_figure(desk: Desk, page: ComparePage) -> None:
    at = next(i for i, c in enumerate(page.sweep.results.figures.columns) if c.title == "SQNR")
    page.sweep.results.sortByColumn(at, Qt.SortOrder.DescendingOrder)
    best = max(page.sweep.pareto.points, key=lambda p: p.metrics.sqnr_db)
    assert cell(page.sweep.results, 0, "SQNR") == f"{best.metrics.sqnr_db:.2f} dB"
    page.sweep.results.sortByColumn(-1, Qt.SortOrder.AscendingOrder)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.key)
def test_schemes_are_compared_by_the_figure_that_is_chosen(desk: Desk, page: ComparePage, measure: Any) -> None:
    page.sweep.measure.setCurrentIndex(page.sweep.measure.findData(measure.key))
    worth = [measure.read(p.metrics) * (1 if measure.higher_is_better else -1) for p in page.sweep.pareto.points]
    cost = [p.metrics.storage.bits_per_element for p in page.sweep.pareto.points]
    for at in page.sweep.pareto.front.tolist():
        beaten = [c <= cost[at] and w > worth[at] for c, w in zip(cost, worth, strict=True)]
        assert not any(beaten)
    picture(desk.window)


LOSSLESS = {
    "grid": (np.random.default_rng(5).integers(-127, 128, (16, 64)) * np.float32(0.02)).astype(np.float32),
    "constant": np.full((8, 8), 7.25, np.float32),
    "one element": np.full((1, 1), 7.25, np.float32),
    "zeros": np.zeros((8, 8), np.float32),
}
"""Tensors that some schemes keep as they are, or all of them."""


@pytest.mark.parametrize("tensor", LOSSLESS)
def test_the_front_ends_at_the_cheapest_scheme_that_loses_nothing(desk: Desk, page: ComparePage, tensor: str) -> None:
    desk.show(LOSSLESS[tensor])
    for measure in MEASURES[:3]:
        page.sweep.measure.setCurrentIndex(page.sweep.measure.findData(measure.key))
        settle(desk, page)
        chart = page.sweep.pareto
        found = [p.metrics for p in chart.points]
        cheapest = min(m.storage.bits_per_element for m in found if m.mse == 0)
        front = [found[at] for at in chart.front.tolist()]
        assert front[-1].mse == 0
        assert front[-1].storage.bits_per_element == cheapest
        assert all(m.mse > 0 and m.storage.bits_per_element < cheapest for m in front[:-1])
        assert page.sweep.results_card.title.note.text().endswith(f"{len(front)} unbeaten")
        assert [cell(page.sweep.results, row, "★") for row in range(len(found))].count("★") == len(front)


@pytest.mark.parametrize("measure", MEASURES[:3], ids=lambda m: m.key)
@pytest.mark.parametrize("tensor", LOSSLESS)
def test_what_loses_nothing_stands_at_the_better_edge(desk: Desk, page: ComparePage, tensor: str, measure: Any) -> None:
    desk.show(LOSSLESS[tensor])
    page.sweep.measure.setCurrentIndex(page.sweep.measure.findData(measure.key))
    settle(desk, page)
    chart = page.sweep.pareto
    picture(desk.window)
    across, down = chart._places(chart._under.ruler())
    lossless = np.array([p.metrics.mse == 0 for p in chart.points])
    lane = (0, LANE) if measure.higher_is_better else (chart.view.height() - LANE, chart.view.height())
    assert ((down > lane[0]) & (down < lane[1])).tolist() == lossless.tolist()
    assert chart.lane_text([p.metrics for p in chart.points if p.metrics.mse == 0]) == (
        "lossless: ∞ dB" if measure.key == "sqnr" else "lossless: 0"
    )
    axis = chart.plot.getAxis("left")
    beside = [text for start, text in axis.ticks().texts if lane[0] < start.y() - 4 < lane[1]]
    assert beside == []  # what is lossless has no number
    at = int(chart.front[-1])
    mouse_over(chart).move(chart.canvas.mapFromScene(chart.view.mapToScene(QPointF(across[at], down[at]))))
    assert ("∞ dB" if measure.key == "sqnr" else ": 0 at") in page.sweep.pareto_card.title.readout.text()


def test_a_cosine_of_one_is_not_called_lossless_where_something_is_lost(desk: Desk, page: ComparePage) -> None:
    desk.show(LOSSLESS["constant"])
    page.sweep.measure.setCurrentIndex(page.sweep.measure.findData("cosine"))
    settle(desk, page)
    assert page.sweep.pareto.lane_text([p.metrics for p in page.sweep.pareto.points]) == "0"


def test_the_lane_of_what_loses_nothing_keeps_its_room_at_another_size_until_the_view_is_moved(
    desk: Desk, page: ComparePage
) -> None:
    desk.show(LOSSLESS["grid"])
    settle(desk, page)
    chart = page.sweep.pareto

    def highest() -> float:
        _, down = chart._places(chart._under.ruler())
        return float(down[np.isfinite(chart._y)].min())

    before = chart.view.viewRange()
    for height in (650, 900):
        desk.window.resize(1280, height)
        QApplication.processEvents()
        assert highest() > LANE
    desk.window.resize(WINDOW)
    QApplication.processEvents()
    assert chart.view.viewRange() == before
    chart.view.setYRange(10, 20, padding=0)
    moved = chart.view.viewRange()
    desk.window.resize(1280, 650)
    QApplication.processEvents()
    assert chart.view.viewRange() == moved


@pytest.mark.parametrize("tensor", [*LOSSLESS, "normal"])
def test_the_key_lies_beside_all_marks_at_every_size(desk: Desk, page: ComparePage, tensor: str) -> None:
    desk.show(LOSSLESS.get(tensor, SMALL))
    settle(desk, page)
    chart = page.sweep.pareto
    for measure, size in itertools.product(MEASURES, ((1280, 720), (1440, 900))):
        page.sweep.measure.setCurrentIndex(page.sweep.measure.findData(measure.key))
        desk.window.resize(*size)
        QApplication.processEvents()
        key, (across, _) = chart.key_place(), chart._places(chart._under.ruler())
        if chart._span():
            assert np.nanmax(across) + 2 * RADIUS < key.left()
            assert np.nanmin(across) - 2 * RADIUS > 0
        assert QRectF(0, 0, chart.view.width(), chart.view.height()).contains(key)


def test_the_dashed_line_is_explained_in_the_key_and_lies_under_no_mark(desk: Desk, page: ComparePage) -> None:
    chart, line = page.sweep.pareto, "6.02 dB per bit"
    assert line in {name for name, _, _ in chart._key()}
    page.sweep.measure.setCurrentIndex(1)
    assert line not in {name for name, _, _ in chart._key()}
    page.sweep.measure.setCurrentIndex(0)
    desk.show(LOSSLESS["zeros"])
    settle(desk, page)
    assert line not in {name for name, _, _ in chart._key()}  # there is nothing that it could start from


def test_a_key_of_many_rows_has_columns_and_one_without_room_takes_none(desk: Desk, page: ComparePage) -> None:
    chart = page.sweep.pareto
    few = chart.key_place()
    chart._colors |= {f"range {at}": "series1" for at in range(30)}
    many = chart.key_place()
    assert many.width() > few.width()
    assert QRectF(0, 0, chart.view.width(), chart.view.height()).contains(many)
    picture(desk.window)
    chart._colors |= {f"another range {at}": "series1" for at in range(100)}
    assert chart.key_place() is None
    chart.reset_view()
    across, _ = chart._places(chart._under.ruler())
    assert across.max() > 0.9 * chart.view.width()
    picture(desk.window)
    chart._colors.clear()
    desk.show(SMALL)


def test_what_the_keyboard_points_at_stands_out_in_the_chart(desk: Desk, page: ComparePage) -> None:
    page.sweep.results.setFocus()
    page.sweep.results.selectRow(2)
    assert page.sweep.pareto.marked is page.sweep.results.current().metrics


# --- pins --------------------------------------------------------------------------------------------


def test_p_pins_the_scheme_and_the_page_lays_it_over_others(desk: Desk, unswept: ComparePage) -> None:
    desk.do("pin_scheme")
    desk.session.update(bits=4)
    desk.page.pin_button.click()
    unswept.show_part(PINS)
    settle(desk, unswept)
    assert unswept.pins.table.proxy.rowCount() == len(unswept.pins.errors.shown) == len(unswept.pins.rare.shown) == 2
    assert cell(unswept.pins.table, 0, "SQNR ↑"[:4]) == f"{analyze(SMALL, EIGHT).sqnr_db:.2f} dB"
    assert {c.title for c in unswept.pins.table.figures.columns} >= {"Format", "MSE", "Scale", "Zero point"}
    assert "Mode" not in {c.title for c in unswept.pins.table.figures.columns}  # it is the same for both
    for overlaid, (x, share) in zip(unswept.pins.rare.shown, unswept.pins.rare._curves, strict=True):
        errors = np.abs(overlaid.analysis.error_histogram.edges)
        assert 10 ** x[-1] == pytest.approx(overlaid.analysis.max_abs_error)
        assert (np.diff(share) <= 0).all()
        assert errors.size


def test_a_pin_is_opened_renamed_and_removed(desk: Desk, unswept: ComparePage) -> None:
    desk.app.pin(FOUR)
    desk.app.pin(EIGHT)
    unswept.show_part(PINS)
    settle(desk, unswept)
    unswept.pins.table.figures.setData(unswept.pins.table.figures.index(0, 0), "mine")
    assert desk.app.pins.pins[0].name == "mine"
    assert unswept.pins.errors.shown[0].name == "mine"
    unswept.pins.table.point_to(unswept.pins.table.figures.rows[1])
    desk.press(unswept.pins.table, Qt.Key.Key_Delete)
    assert [pin.scheme for pin in desk.app.pins.pins] == [FOUR]
    click_action(desk, unswept.pins.table, 0, "↗")
    assert (desk.session.scheme, desk.window.pages.current_key) == (FOUR, "tensor")
    desk.window.pages.show_page("compare")
    click_action(desk, unswept.pins.table, 0, "✕")
    assert desk.app.pins.pins == ()
    assert unswept.pins.currentWidget() is unswept.pins.nothing


def test_what_cannot_be_pinned_is_said(desk: Desk, unswept: ComparePage) -> None:
    for bits in range(2, 2 + MOST_PINS):
        desk.app.pin(Scheme(IntFormat(bits)))
    desk.app.pin(Scheme(IntFormat(12)))
    assert "remove one first" in desk.banner.text
    unswept.pins.clear_button.click()
    assert desk.app.pins.pins == ()


def test_a_pin_that_does_not_fit_says_why_in_its_row(desk: Desk, unswept: ComparePage) -> None:
    desk.app.pin(Scheme(granularity=PerAxis(3)))
    unswept.show_part(PINS)
    settle(desk, unswept)
    assert unswept.pins.errors.shown == ()
    assert "axis 3" in str(unswept.pins.table.proxy.index(0, 0).data(Qt.ItemDataRole.ToolTipRole))
    unswept.pins.table.opened.emit(unswept.pins.table.figures.rows[0])
    assert "axis 3" in desk.banner.text
    assert desk.window.pages.current_key == "compare"


def test_pins_survive_the_session(desks: Callable[..., Desk], tmp_path: Path) -> None:
    first = desks(tmp_path / "s.ini")
    first.app.pin(FOUR)
    first.window.close()
    assert [pin.scheme for pin in desks(tmp_path / "s.ini").app.pins.pins] == [FOUR]


# --- runtimes ----------------------------------------------------------------------------------------


def test_runtimes_are_held_against_the_chosen_one(desk: Desk, unswept: ComparePage) -> None:
    unswept.show_part(CONVENTIONS_PART)
    settle(desk, unswept)
    differences = unswept.runtimes.differences
    assert differences is not None
    rows = unswept.runtimes.table.proxy.rowCount()
    assert rows == len(differences.schemes) + len(differences.missing)
    assert cell(unswept.runtimes.table, 0, "Codes that differ") == "chosen"
    assert unswept.runtimes.pairs.proxy.rowCount() == len(differences.schemes)
    assert unswept.runtimes.examples.proxy.rowCount() == len(differences.examples) > 0
    example = unswept.runtimes.examples.figures.rows[0]
    unswept.runtimes.examples.opened.emit(example)
    assert (desk.session.state.selected, desk.window.pages.current_key) == (example.index, "tensor")
    desk.window.pages.show_page("compare")
    other = next(row for row in unswept.runtimes.table.figures.rows if row.at == 1)
    unswept.runtimes.table.opened.emit(other)
    assert desk.session.scheme.convention == other.name


def test_another_scheme_is_compared_anew(desk: Desk, unswept: ComparePage) -> None:
    unswept.show_part(CONVENTIONS_PART)
    settle(desk, unswept)
    desk.session.update(bits=4)
    settle(desk, unswept)
    assert unswept.runtimes.differences is not None
    assert unswept.runtimes.differences.schemes[0] == desk.session.scheme


# --- away --------------------------------------------------------------------------------------------


def test_every_chart_can_be_exported_and_every_table_copied(desk: Desk, page: ComparePage, tmp_path: Path) -> None:
    desk.app.pin(FOUR)
    desk.app.pin(Scheme(IntFormat(3), range_rule=MSE()))
    page.show_part(PINS)
    settle(desk, page)
    for chart in page.charts:
        for ending in ("png", "svg", "pdf", "csv"):
            for path in export_chart(chart, tmp_path / f"{chart.name}.{ending}"):
                assert path.stat().st_size > 100
    page.pins.table.copy()
    lines = QApplication.clipboard().text().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("Scheme\t")
    assert json.dumps(desk.app.settings.get("pins"))


@pytest.mark.parametrize("part", [SWEEP, PINS, CONVENTIONS_PART])
def test_it_is_dressed_in_both_themes(desk: Desk, page: ComparePage, part: str) -> None:
    desk.app.pin(FOUR)
    page.show_part(part)
    settle(desk, page)
    pictures = []
    for theme in ("theme_dark", "theme_light"):
        desk.do(theme)
        pictures.append(picture(page))
    assert pictures[0] != pictures[1]


def test_the_pointer_reads_the_overlaid_charts(desk: Desk, unswept: ComparePage) -> None:
    desk.app.pin(FOUR)
    desk.app.pin(EIGHT)
    unswept.show_part(PINS)
    settle(desk, unswept)
    mouse_over(unswept.pins.errors).move(spot(unswept.pins.errors, 0.001))
    assert "int4" in unswept.pins.errors_card.title.readout.text()
    x, _ = unswept.pins.rare._curves[0]
    mouse_over(unswept.pins.rare).move(spot(unswept.pins.rare, float(x[x.size // 2])))
    assert "|error| >" in unswept.pins.rare_card.title.readout.text()
    unswept.pins.table.setFocus()
    unswept.pins.table.selectRow(1)
    assert unswept.pins.errors.pointed == unswept.pins.table.figures.rows[1].name
    picture(desk.window)


def test_a_sweep_that_was_stopped_says_so_until_it_is_run_again(desk: Desk, page: ComparePage) -> None:
    found, planned = page.sweep._metrics, page.sweep._planned
    page.sweep.plan(planned)
    for metrics in found[:5]:
        page.sweep.add_metrics(metrics)
    page.sweep.stop()
    settle(desk, page)
    said = "stopped: 5 of 12 schemes"
    assert (page.sweep.results_card.title.note.text(), page.sweep.pareto.note) == (said, said)
    page.sweep.measure.setCurrentIndex(1)
    assert page.sweep.pareto.note == said
    page.sweep.again.click()
    settle(desk, page)
    assert page.sweep.pareto.note == ""
    assert "12 schemes" in page.sweep.results_card.title.note.text()
    page.sweep.stop()
    settle(desk, page)
    assert "stopped" not in page.sweep.results_card.title.note.text() + page.sweep.pareto.note


def test_whoever_stops_a_sweep_is_told(desk: Desk, page: ComparePage) -> None:
    sweeper = next(w for w in desk.app.workers if type(w).__name__ == "Sweeper")
    page.sweep.again.click()
    sweeper.cancel()
    settle(desk, page)
    assert page.sweep._stopped
    page.sweep.again.click()
    settle(desk, page)
    assert not page.sweep._stopped


def test_a_long_name_makes_the_page_no_wider(desk: Desk, unswept: ComparePage) -> None:
    wide = unswept.minimumSizeHint().width()
    name = "model-00001-of-00004/model.layers.17.self_attn.q_proj.weight " * 4
    desk.app.library.show_array(name, SMALL)
    settle(desk, unswept)
    assert unswept.minimumSizeHint().width() == wide
    assert unswept.about.text() in unswept.about.toolTip()
