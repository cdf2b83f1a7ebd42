"""Every control changes the session once, and everything in the window follows."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QTextBrowser

from qviz.core.arithmetic.quantize import dequantize, quantize
from qviz.core.formats.integers import IntFormat
from qviz.core.questions.analysis import analyze
from qviz.core.questions.calibration import choose_qparams
from qviz.core.ranges.rules import Manual, Percentile
from qviz.core.runtimes.expressions import as_symbols
from qviz.core.runtimes.table import CONVENTIONS
from qviz.core.schemes.scheme import Scheme
from qviz.core.tensors.granularity import PerAxis, PerTensor
from qviz.gui.charts.counts import CountChart
from qviz.gui.tensor import charts
from qviz.gui.tensor import page as page_module
from qviz.session.frame import Frame
from qviz.session.state import Session
from tests.every import every
from tests.gui.conftest import PATIENCE, Desk, Mouse, mouse_over, spot
from tests.gui.pictures import dots, picture

pytestmark = pytest.mark.unpainted

Key = Qt.Key
ARTICLE_CODES = [79, 255, 16, 0, 155, 141, 231, 236, 129, 199]


def formula(desk: Desk) -> str:
    return desk.page.formula.findChild(QTextBrowser).toPlainText()


def rows_of_table(desk: Desk) -> list[dict[str, str]]:
    """The rows in sight, by their headings."""
    lines = [line.split("\t") for line in desk.page.table.text().splitlines()]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def figure(desk: Desk, label: str) -> str:
    """One figure of the metrics."""
    return dict(line.split("\t") for line in desk.page.metrics.text().splitlines())[label]


def column(desk: Desk, chart: str, name: str, table: str = "") -> np.ndarray[Any, Any]:
    return np.asarray(getattr(desk.page, chart).tables()[table].columns[name])


def assert_everything_follows(desk: Desk, frame: Frame) -> None:
    """Charts, figures, formula and table show this tensor under this scheme, counted anew, when it rests."""
    desk.bot.waitUntil(lambda: not desk.page.behind, timeout=PATIENCE)
    state = desk.session.state
    scheme = state.scheme if state.channel is None else replace(state.scheme, granularity=PerTensor())
    x = frame.shown.tensor.values
    fresh = analyze(frame.shown.tensor, scheme)
    q = choose_qparams(frame.shown.tensor, scheme)
    codes = quantize(x.reshape(frame.shown.tensor.shape), q).reshape(-1)
    x_hat = dequantize(codes.reshape(frame.shown.tensor.shape), q).reshape(-1)

    assert figure(desk, "MSE") == f"{fresh.mse:.5g}".replace("-", "−")
    assert figure(desk, "SQNR") == f"{fresh.sqnr_db:.5g} dB"
    assert figure(desk, "Levels used") == f"{np.unique(codes).size:,} of {scheme.number_format.levels:,}"
    rows = rows_of_table(desk)
    first = desk.page.table.model.first
    assert [int(row["Q"]) for row in rows] == codes[first : first + len(rows)].tolist()
    assert column(desk, "error", "rounding").sum() + column(desk, "error", "clipping").sum() == x.size
    assert column(desk, "error", "clipping").sum() == fresh.saturated
    assert column(desk, "distribution", "elements").sum() == x.size
    if fresh.groups is None:
        landed = np.bincount(codes.astype(int) - q.quant_min, minlength=scheme.number_format.levels)
        assert np.array_equal(column(desk, "distribution", "elements", "levels"), landed)
    worst = fresh.groups.worst if fresh.groups else 0
    assert np.array_equal(column(desk, "transfer", "x_hat"), fresh.transfer(column(desk, "transfer", "x"), worst))
    assert np.array_equal(column(desk, "values", "dequantized"), x_hat[column(desk, "values", "index").astype(int)])
    assert column(desk, "memory", "bytes")[2] == -(-x.size * scheme.number_format.bits // 8)
    scale = q.scale.reshape(-1)[0]
    assert f"= {scale:.6g}".replace("-", "−") in formula(desk)
    formulas = CONVENTIONS[scheme.convention].formulas_of(scheme.number_format, scheme.symmetric)
    assert f"Q = {as_symbols(formulas.code.expression)}" in formula(desk)


# -- opening


def test_the_window_opens_on_a_generated_tensor_with_every_chart_alive(started: Desk) -> None:
    started.window.setUpdatesEnabled(True)
    assert started.window.windowTitle() == "Normal (generated) — qviz"
    for name in ("values", "distribution", "error", "transfer", "memory"):
        chart = getattr(started.page, name)
        assert chart.isVisible(), name
        assert chart.tables(), name
        assert np.unique(dots(picture(chart))[20::9]).size > 9, name
    assert started.page.docks["channels"].isHidden()  # one scale: there are no channels
    assert started.page.tensors.hint.isVisible()
    assert started.banner.text == ""
    assert started.window.status.about_tensor.text() == "Normal (generated)  ·  64 × 512  ·  float32"
    assert started.window.status.exactness.text() == "exact: 32,768 elements"
    assert started.window.status.timing.text().startswith("updated in ")


def test_time_is_measured_when_nobody_touches_anything(started: Desk) -> None:
    assert started.page.speed.tables() == {}
    with started.bot.waitSignal(started.app.meter.measured, timeout=PATIENCE):
        started.app.meter.measure()
    assert set(started.page.speed.tables()[""].columns["type"]) == {"float32", "int8"}
    assert started.page.speed.note == ""


def test_measure_again_measures_again(started: Desk) -> None:
    with started.bot.waitSignal(started.app.meter.measured, timeout=PATIENCE):
        started.click(started.page.measure_button)
    assert started.page.speed.tables()


# -- the controls of the scheme


def with_range(rule: Any) -> Callable[[Session], None]:
    return lambda session: session.update(range_rule=rule)


CONTROLS: dict[str, tuple[Callable[[Desk], object], dict[str, object], Scheme]] = {
    # what is done, the scheme's fields before, and the scheme after
    "bit slider": (
        lambda d: d.press(d.scheme.bits, Key.Key_Left),
        {},
        Scheme(IntFormat(7)),
    ),
    "bit slider, to its end": (
        lambda d: d.press(d.scheme.bits, Key.Key_Home),
        {},
        Scheme(IntFormat(2)),
    ),
    "bit box": (lambda d: d.type(d.scheme.bits_box, "12"), {}, Scheme(IntFormat(12))),
    "asymmetric": (lambda d: d.click(d.scheme.mode.button(False)), {}, Scheme(symmetric=False)),
    "symmetric": (lambda d: d.click(d.scheme.mode.button(True)), {"symmetric": False}, Scheme()),
    "unsigned": (
        lambda d: d.click(d.scheme.signed, QPoint(8, d.scheme.signed.height() // 2)),
        {},
        Scheme(IntFormat(8, False)),
    ),
    "convention": (lambda d: d.press(d.scheme.convention, Key.Key_Up), {}, Scheme(convention="textbook")),
    "per axis": (lambda d: d.click(d.scheme.per.button("axis")), {}, Scheme(granularity=PerAxis(0))),
    "per tensor": (lambda d: d.click(d.scheme.per.button("tensor")), {"granularity": PerAxis(0)}, Scheme()),
    "axis": (
        lambda d: d.press(d.scheme.axis, Key.Key_Down),
        {"granularity": PerAxis(0)},
        Scheme(granularity=PerAxis(1)),
    ),
    "percentile": (lambda d: d.press(d.scheme.range.kind, Key.Key_Down), {}, Scheme(range_rule=Percentile(99.9))),
    "min–max": (lambda d: d.press(d.scheme.range.kind, Key.Key_Home), {"range_rule": Percentile(99)}, Scheme()),
    "percentile slider": (
        lambda d: d.press(d.scheme.range.kept, Key.Key_Home),
        {"range_rule": Percentile(99.9)},
        Scheme(range_rule=Percentile(90.0)),
    ),
    "percentile box": (
        lambda d: d.type(d.scheme.range.kept_box, "97,5"),
        {"range_rule": Percentile(99.9)},
        Scheme(range_rule=Percentile(97.5)),
    ),
    "low end": (
        lambda d: d.type(d.scheme.range.low, "−0.5"),
        {"range_rule": Manual(-1.0, 1.0), "symmetric": False},
        Scheme(symmetric=False, range_rule=Manual(-0.5, 1.0)),
    ),
    "high end": (
        lambda d: d.type(d.scheme.range.high, "2e-1"),
        {"range_rule": Manual(-1.0, 1.0), "symmetric": False},
        Scheme(symmetric=False, range_rule=Manual(-1.0, 0.2)),
    ),
    "more bits": (lambda d: d.do("more_bits"), {}, Scheme(IntFormat(9))),
    "fewer bits": (lambda d: d.do("fewer_bits"), {}, Scheme(IntFormat(7))),
    "the other mode": (lambda d: d.do("toggle_symmetric"), {}, Scheme(symmetric=False)),
    "the first scheme": (
        lambda d: d.do("default_scheme"),
        {"bits": 3, "symmetric": False, "range_rule": Percentile(97)},
        Scheme(),
    ),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_changes_the_session_once_and_everything_follows(desk: Desk, control: str) -> None:
    act, before, after = CONTROLS[control]
    desk.session.update(**before)
    desk.settle()
    frame = desk.gesture(lambda: act(desk))
    assert frame.scheme == after
    assert_everything_follows(desk, frame)
    assert desk.banner.text == ""


def test_every_control_shows_the_scheme_of_the_session(desk: Desk) -> None:
    scheme = Scheme(IntFormat(5, False), False, PerAxis(1), Manual(-1.5, 2.25), "textbook")
    desk.gesture(lambda: desk.session.update(scheme=scheme))
    panel = desk.scheme
    assert panel.convention.currentData() == "textbook"
    assert panel.about.text() == CONVENTIONS["textbook"].summary
    assert panel.mode.button(False).isChecked()
    assert (panel.bits.value(), panel.bits_box.value()) == (5, 5)
    assert not panel.signed.isChecked()
    assert panel.per.button("axis").isChecked()
    assert panel.axis.currentText() == "axis 1 · 30"
    assert panel.range.kind.currentText() == "By hand"
    assert (panel.range.low.text(), panel.range.high.text()) == ("-1.5", "2.25")
    assert panel.range.low.isVisible()
    assert not panel.range.kept.isVisible()


def test_by_hand_starts_where_the_data_end(desk: Desk) -> None:
    frame = desk.gesture(lambda: desk.scheme.range.kind.setCurrentText("By hand"))
    assert frame.scheme.range_rule == Manual(frame.tensor.minimum, frame.tensor.maximum)
    assert frame.shown.saturated == 0


def test_an_empty_range_by_hand_is_refused_with_a_reason(desk: Desk) -> None:
    desk.session.update(range_rule=Manual(-1.0, 1.0), symmetric=False)
    desk.settle()
    desk.changes.clear()
    desk.type(desk.scheme.range.low, "3")
    assert desk.changes == []
    assert desk.session.scheme.range_rule == Manual(-1.0, 1.0)
    assert "the low end must be below the high" in desk.scheme.trouble.text()
    assert desk.scheme.trouble.isVisible()


def test_the_two_ends_of_a_symmetric_range_are_one_number(desk: Desk) -> None:
    desk.session.update(range_rule=Manual(-1.0, 1.0))
    desk.settle()
    frame = desk.gesture(lambda: desk.type(desk.scheme.range.high, "2"))
    assert frame.scheme.range_rule == Manual(-2.0, 2.0)
    assert desk.scheme.range.low.value() == -2.0
    assert_everything_follows(desk, frame)


def test_dragging_a_clip_line_sets_the_range_by_hand(desk: Desk) -> None:
    chart = desk.page.distribution
    high = float(desk.page.frame.whole.qparams.high)
    mouse_over(chart).drag(spot(chart, high), spot(chart, high - 0.5), spot(chart, 1.0))
    frame = desk.settle()
    rule = frame.scheme.range_rule
    assert isinstance(rule, Manual)
    assert rule.high == pytest.approx(1.0, abs=0.05)
    assert rule.low == -rule.high  # symmetric
    assert desk.scheme.range.kind.currentText() == "By hand"
    assert frame.shown.saturated > 0
    assert_everything_follows(desk, frame)
    assert all(old.scheme != new.scheme for old, new in desk.changes)


def painted(desk: Desk) -> None:
    """Wait until the last answer is painted, so that what comes next is taken at once."""
    runner = desk.app.analyst._runner
    desk.bot.waitUntil(lambda: not (runner.busy or runner.resting), timeout=PATIENCE)
    desk.changes.clear()


def test_a_slider_that_is_held_follows_the_hand_and_the_rest_follows_the_answers(desk: Desk) -> None:
    slider, box = desk.scheme.bits, desk.scheme.bits_box
    painted(desk)
    slider.setSliderDown(True)
    for bits in (7, 6, 5, 4, 3):  # quicker than anything is answered
        slider.setValue(bits)
        assert box.value() == slider.value() == bits
    assert [new.scheme.number_format.bits for _, new in desk.changes] == [7]
    slider.setSliderDown(False)
    assert [new.scheme.number_format.bits for _, new in desk.changes] == [7, 3]
    frame = desk.settle()
    assert frame.scheme.number_format.bits == slider.value() == 3
    assert_everything_follows(desk, frame)
    desk.page.history.undo()
    assert slider.value() == 8


def test_a_key_is_taken_at_once_while_an_answer_is_found(desk: Desk) -> None:
    desk.changes.clear()
    desk.press(desk.scheme.bits, *[Qt.Key.Key_Left] * 3)
    assert [new.scheme.number_format.bits for _, new in desk.changes] == [7, 6, 5]
    desk.settle()


def test_a_clip_line_that_is_let_go_is_taken_at_once(desk: Desk) -> None:
    chart = desk.page.distribution
    high = float(desk.page.frame.whole.qparams.high)
    stations = [spot(chart, high - each) for each in (0.2, 0.4, 0.6, 0.8)]
    painted(desk)
    mouse_over(chart).drag(spot(chart, high), *stations)
    rule = desk.session.scheme.range_rule
    assert isinstance(rule, Manual)
    assert rule.high == pytest.approx(high - 0.8, abs=0.05)
    assert len(desk.changes) == 2  # the first, and the last when the hand let go
    desk.settle()


def test_a_moving_slider_shows_only_schemes_that_were_set_and_is_not_waited_for(started: Desk) -> None:
    before = started.session.scheme
    started.frames.clear()
    started.changes.clear()
    bits = itertools.cycle([2, 9, 4, 16, 7])

    def moved() -> bool:
        started.scheme.bits.setValue(next(bits))
        return len(started.frames) >= 5

    started.bot.waitUntil(moved, timeout=PATIENCE)  # the screen does not starve while it moves
    started.scheme.bits.setValue(8)
    frame = started.settle()
    set_ = [before, *(new.scheme for _, new in started.changes)]
    at = 0
    for painted in started.frames:
        at = set_.index(painted.scheme, at)  # in the order they were set
    assert frame.scheme == set_[-1] == Scheme(IntFormat(8))
    assert len(started.changes) >= len(started.frames)


# -- the worked example


def test_the_ten_values_give_the_codes_of_the_article(desk: Desk) -> None:
    desk.do("article")
    desk.rest()
    frame = desk.settle()

    assert frame.scheme == Scheme(IntFormat(8, False), symmetric=False, convention="textbook")
    assert desk.scheme.convention.currentData() == "textbook"
    assert not desk.scheme.signed.isChecked()
    assert desk.scheme.mode.button(False).isChecked()
    desk.window.resize(1440, 1200)  # all ten rows in sight
    desk.page.docks["table"].setFloating(True)
    desk.page.docks["table"].resize(700, 400)
    desk.bot.waitUntil(lambda: len(rows_of_table(desk)) == 10)
    assert [int(row["Q"]) for row in rows_of_table(desk)] == ARTICLE_CODES
    assert figure(desk, "MSE") == "5.4746e−06"
    assert figure(desk, "Levels used") == "10 of 256"
    assert_everything_follows(desk, frame)


def test_the_table_walks_in_the_order_of_the_arithmetic(desk: Desk) -> None:
    def headings() -> list[str]:
        return desk.page.table.text().splitlines()[0].split("\t")

    assert headings() == ["index", "R", "R / S", "round", "+ Z", "clip", "Q", "x̂", "error"]
    desk.gesture(lambda: desk.session.update(convention="textbook"))
    assert headings() == ["index", "R", "R / S", "+ Z", "round", "clip", "Q", "x̂", "error"]


# -- channels


def test_per_axis_shows_the_channels_and_a_click_looks_at_one_alone(desk: Desk) -> None:
    desk.gesture(lambda: desk.click(desk.scheme.per.button("axis")))
    chart, dock = desk.page.channels, desk.page.docks["channels"]
    assert dock.isVisible()
    desk.bot.waitUntil(chart.isVisible)
    assert column(desk, "channels", "channel").tolist() == list(range(6))

    alone = desk.gesture(lambda: mouse_over(chart).click(spot(chart, 4)))
    assert alone.channel == 4
    assert np.array_equal(alone.shown.tensor.values, desk.session.state.tensor.values.reshape(6, 30)[4])
    assert desk.page.values.note == "channel 4 alone"
    assert desk.page.docks["metrics"].title.note.text() == "channel 4 alone"
    assert column(desk, "channels", "channel").size == 6  # the others stay in sight here
    assert chart._chosen == 4
    assert_everything_follows(desk, alone)

    every = desk.gesture(lambda: mouse_over(chart).click(spot(chart, 4)))
    assert every.channel is None
    assert every.shown is every.whole
    assert chart._chosen is None
    assert desk.page.docks["metrics"].title.note.text() == ""
    assert_everything_follows(desk, every)


def test_escape_shows_all_channels_again(desk: Desk) -> None:
    desk.gesture(lambda: desk.session.update(granularity=PerAxis(0)))
    assert not desk.window.actions_by_key["all_channels"].isEnabled()
    desk.gesture(lambda: desk.session.update(channel=2))
    frame = desk.gesture(lambda: desk.do("all_channels"))
    assert frame.channel is None


def test_per_tensor_again_hides_the_channels(desk: Desk) -> None:
    desk.gesture(lambda: desk.click(desk.scheme.per.button("axis")))
    desk.gesture(lambda: desk.session.update(channel=2))
    frame = desk.gesture(lambda: desk.click(desk.scheme.per.button("tensor")))
    assert frame.channel is None
    assert desk.page.docks["channels"].isHidden()
    assert_everything_follows(desk, frame)


def test_another_tensor_that_lacks_the_axis_is_shown_per_tensor_and_says_so(desk: Desk, tmp_path: Path) -> None:
    desk.gesture(lambda: desk.session.update(granularity=PerAxis(1)))
    np.save(tmp_path / "vector.npy", np.arange(9, dtype=np.float32))
    desk.open(tmp_path / "vector.npy")
    frame = desk.settle()
    assert isinstance(frame.scheme.granularity, PerTensor)
    assert "has no axis 1: shown per tensor." in desk.banner.text


# -- single elements


def pointed_at(desk: Desk) -> set[object]:
    """Where the parts of the page say that the chosen element is."""
    table = desk.page.table
    rows = table.table.selectionModel().selectedRows()
    assert desk.page.values._mark.isVisible()
    assert desk.page.transfer._mark.isVisible()
    there = table.model.index_of(table.jump.text())
    assert f"element {there:,}" in desk.page.docks["formula"].title.note.text()
    return {
        desk.session.state.selected,
        int(desk.page.values._mark.value()),
        there,
        *(table.model.first + row.row() for row in rows),
    }


def cell(desk: Desk, row: int) -> QPoint:
    return desk.page.table.table.visualRect(desk.page.table.model.index(row, 1)).center()


def test_a_click_in_the_table_points_everything_at_the_element(desk: Desk) -> None:
    desk.click(desk.page.table.table.viewport(), cell(desk, 2))
    assert len(desk.changes) == 1
    assert pointed_at(desk) == {2}
    assert desk.page.frame.shown.tensor.values[2] == pytest.approx(desk.page.transfer._mark.data["x"][0])
    row = rows_of_table(desk)[2]
    assert f"= {row['error']}".replace("-", "−") in formula(desk)


def test_a_click_in_the_values_chart_points_everything_at_the_element(desk: Desk) -> None:
    chart = desk.page.values
    mouse_over(chart).click(spot(chart, 120))
    assert len(desk.changes) == 1
    (index,) = pointed_at(desk)
    assert index == pytest.approx(120, abs=1)


@pytest.mark.parametrize(
    ("key", "goes_to"),
    [(Key.Key_Down, 101), (Key.Key_Up, 99), (Key.Key_Home, 0), (Key.Key_End, 179), (Key.Key_PageDown, None)],
)
def test_the_keyboard_walks_through_the_table(desk: Desk, key: Qt.Key, goes_to: int | None) -> None:
    desk.session.update(selected=100)
    desk.changes.clear()
    desk.press(desk.page.table.table, key)
    assert len(desk.changes) == 1
    (index,) = pointed_at(desk)
    assert index == goes_to if goes_to is not None else 101 < index < 130
    assert 0 <= index - desk.page.table.model.first < len(rows_of_table(desk))


def test_the_keyboard_stops_at_both_ends(desk: Desk) -> None:
    desk.press(desk.page.table.table, Key.Key_End, Key.Key_Down, Key.Key_PageDown)
    assert pointed_at(desk) == {179}
    desk.press(desk.page.table.table, Key.Key_Home, Key.Key_Up, Key.Key_PageUp)
    assert pointed_at(desk) == {0}


@pytest.mark.parametrize("place", ["150", "5, 0", "5 0", "(5, 0)"])
def test_the_jump_box_goes_to_an_element(desk: Desk, place: str) -> None:
    desk.type(desk.page.table.jump, place)
    assert pointed_at(desk) == {150}
    assert rows_of_table(desk)[150 - desk.page.table.model.first]["index"] == "5, 0"  # row and column


@pytest.mark.parametrize("place", ["180", "6, 0", "0, 30", "1, 2, 3", "first"])
def test_the_jump_box_says_when_there_is_no_such_element(desk: Desk, place: str) -> None:
    desk.type(desk.page.table.jump, place)
    assert desk.banner.text == f"There is no element {place}: the last one is 5, 29."
    assert desk.session.state.selected is None


def test_the_wheel_scrolls_the_table_through_the_whole_tensor(desk: Desk) -> None:
    bar = desk.page.table.scroll_bar
    bar.setValue(bar.maximum())
    assert rows_of_table(desk)[-1]["index"] == "5, 29"
    bar.setValue(0)
    assert rows_of_table(desk)[0]["index"] == "0, 0"


def test_another_tensor_forgets_the_element(desk: Desk) -> None:
    desk.session.update(selected=100)
    desk.do("article")
    desk.rest()
    desk.settle()
    assert desk.session.state.selected is None
    assert not desk.page.values._mark.isVisible()
    assert desk.page.table.jump.text() == "0"


def test_an_element_that_is_no_number_is_walked_through_too(desk: Desk) -> None:
    desk.show(np.array([np.nan, 1.0, -2.0, np.inf]))
    desk.session.update(selected=0)
    assert rows_of_table(desk)[0]["R"] == "NaN"
    assert "error = x̂ − R" in formula(desk)
    assert desk.window.status.exactness.text() == "exact: 2 elements"
    assert "2 left out" in desk.window.status.about_tensor.text()
    desk.show(np.array([3.5, np.nan]))
    assert desk.window.status.exactness.text() == "exact: 1 element"


# -- undo


def test_undo_and_redo_walk_through_the_schemes(desk: Desk) -> None:
    undo, redo = desk.window.actions_by_key["undo"], desk.window.actions_by_key["redo"]
    assert not undo.isEnabled()
    desk.gesture(lambda: desk.click(desk.scheme.mode.button(False)))
    desk.gesture(lambda: desk.click(desk.scheme.per.button("axis")))

    frame = desk.gesture(lambda: desk.do("undo"))
    assert frame.scheme == Scheme(symmetric=False)
    assert_everything_follows(desk, frame)
    frame = desk.gesture(lambda: desk.do("undo"))
    assert frame.scheme == Scheme()
    assert not undo.isEnabled()
    desk.gesture(lambda: desk.do("redo"))
    frame = desk.gesture(lambda: desk.do("redo"))
    assert frame.scheme == Scheme(symmetric=False, granularity=PerAxis(0))
    assert not redo.isEnabled()
    assert desk.scheme.per.button("axis").isChecked()


def test_one_drag_of_a_slider_is_one_step_of_undo(desk: Desk) -> None:
    desk.press(desk.scheme.bits, *[Key.Key_Left] * 4)
    assert desk.session.scheme.number_format.bits == 4
    desk.gesture(lambda: desk.do("undo"))
    assert desk.session.scheme.number_format.bits == 8


# -- what is seen


def test_counts_as_powers_of_ten_in_every_chart_of_counts(desk: Desk) -> None:
    counts = [chart for chart in desk.page.charts if isinstance(chart, CountChart)]
    assert len(counts) == 2
    desk.do("log_counts")
    assert all(chart.logarithmic for chart in counts)
    assert desk.app.settings.get("log_counts") is True
    desk.do("log_counts")
    assert not any(chart.logarithmic for chart in counts)


def test_reset_zoom_brings_every_chart_back(desk: Desk) -> None:
    charts = [desk.page.values, desk.page.distribution, desk.page.error, desk.page.transfer]
    whole = [chart.view.viewRange()[0] for chart in charts]
    for chart in charts:
        left, right = chart.view.viewRange()[0]
        chart.view.setXRange(left, left + (right - left) / 4, padding=0)
    desk.do("reset_zoom")
    assert np.allclose([chart.view.viewRange()[0] for chart in charts], whole)


def test_the_readout_stands_in_the_title_while_the_pointer_is_there(desk: Desk) -> None:
    chart, title = desk.page.values, desk.page.docks["values"].title
    mouse_over(chart).move(spot(chart, 17))
    assert title.readout.isVisible()
    assert title.readout.text().startswith("#17 ")
    assert not title.note.isVisible()
    mouse_over(chart).move(QPoint(2, 2))  # outside of the axes
    assert not title.readout.isVisible()
    assert title.note.isVisible()


def test_metrics_elements_and_snippet_go_to_the_clipboard(desk: Desk) -> None:
    clipboard = QApplication.clipboard()
    desk.do("copy_metrics")
    shown = desk.settle().shown
    copied = dict(line.split("\t") for line in clipboard.text().splitlines())
    assert copied["Exact"] == "yes"
    for name, figure in (
        ("SQNR (dB)", shown.sqnr_db),
        ("MSE", shown.mse),
        ("Relative RMSE", shown.relative_rmse),
        ("Saturated", shown.saturated),
        ("Scale S", float(shown.qparams.scale)),
        ("Codes, min", shown.qparams.quant_min),
    ):
        assert float(copied[name]) == figure, name  # to the last digit
    words = clipboard.mimeData().html()
    for line in desk.page.metrics.text().splitlines():
        assert all(escape(cell) in words for cell in line.split("\t"))
    desk.do("copy_elements")
    head, *lines = (line.split("\t") for line in clipboard.text().splitlines())
    assert head == desk.page.table.text().splitlines()[0].split("\t")
    np.testing.assert_array_equal([float(line[1]) for line in lines], desk.settle().tensor.values[: len(lines)])
    assert desk.page.table.text().splitlines()[1].split("\t")[1] in clipboard.mimeData().html()
    assert clipboard.text().replace("x̂", "").isascii()
    assert "−" not in clipboard.text()  # a spreadsheet reads it
    desk.do("copy_snippet")
    compile(clipboard.text(), "snippet", "exec")
    assert "import numpy" in clipboard.text()
    assert "in the clipboard" in desk.banner.text


def test_a_script_that_asks_a_runtime_goes_to_the_clipboard(desk: Desk) -> None:
    clipboard = QApplication.clipboard()
    for convention, runtime in (("onnxruntime", "onnx"), ("pytorch", "torch"), ("paddle", "paddle")):
        desk.session.update(convention=convention, symmetric=True)
        desk.settle()
        desk.do(f"copy_{runtime}_script")
        compile(clipboard.text(), "script", "exec")
        assert f"import {runtime}" in clipboard.text() or f"from {runtime}" in clipboard.text()
        assert "in the clipboard" in desk.banner.text
    desk.do("copy_torch_script")
    assert desk.banner.text.startswith("PyTorch has no function that gives these codes: take the script for Paddle")
    assert "paddle" in clipboard.text()


def test_integers_are_taken_as_floats_and_the_person_is_told(desk: Desk, tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", np.arange(12).reshape(3, 4))
    desk.open(tmp_path / "whole.npy")
    frame = desk.settle()
    assert frame.tensor.dtype == "int64"
    assert "holds int64 values, taken as float32" in desk.banner.text


# -- the list of tensors


def test_the_list_chooses_filters_and_closes(desk: Desk) -> None:
    panel = desk.page.tensors
    desk.show(np.arange(8, dtype=np.float32), "second")
    desk.do("article")
    desk.rest()
    desk.settle()
    assert panel.model.rowCount() == 3
    assert panel.list.currentIndex().data() == "Ten values (worked example)"
    assert not panel.hint.isVisible()

    desk.click(panel.list.viewport(), panel.list.visualRect(panel.list.model().index(1, 0)).center())
    desk.rest()
    assert desk.settle().tensor.name == "second"

    desk.bot.keyClicks(panel.filter, "WORKED")
    assert panel.list.model().rowCount() == 1
    panel.filter.clear()
    assert panel.list.model().rowCount() == 3
    assert desk.session.state.tensor.name == "second"  # filtering chooses nothing

    assert panel.list.currentIndex().data() == "second"

    desk.bot.keyClicks(panel.filter, "given")
    desk.click(panel.list.viewport(), panel.list.visualRect(panel.list.model().index(0, 0)).center())
    desk.rest()
    assert desk.settle().tensor.name == "given"
    assert panel.filter.text() == "given"

    desk.app.library.open_article()  # what is newly shown is not hidden by a filter
    desk.rest()
    assert panel.filter.text() == ""
    assert panel.list.currentIndex().data() == "Ten values (worked example)"

    panel.list.setCurrentIndex(panel.list.model().index(1, 0))
    desk.rest()
    desk.press(panel.list, Key.Key_Delete)
    desk.rest()
    desk.settle()
    assert [item.name for item in desk.session.state.items] == ["given", "Ten values (worked example)"]


def test_closing_the_last_tensor_generates_one(desk: Desk) -> None:
    desk.do("close_tensor")
    desk.rest()
    frame = desk.settle()
    assert frame.tensor.name == "Normal (generated)"
    assert desk.page.error.tables()


# -- the generator


def test_the_generator_is_live(started: Desk) -> None:
    panel = started.page.generator
    started.click(started.page.tensors.generate_button)
    assert started.page.docks["generator"].isVisible()

    def after(act: Callable[[], object]) -> Frame:
        before = started.session.state.tensor
        act()
        started.bot.waitUntil(lambda: started.session.state.tensor is not before)
        return started.settle()

    frame = after(lambda: started.type(panel.shape, "8 x 16"))
    assert frame.tensor.shape == (8, 16)
    seed = frame.tensor.values.copy()
    frame = after(lambda: started.click(panel.reseed))
    assert not np.array_equal(frame.tensor.values, seed)
    frame = after(lambda: started.press(panel.kind, Key.Key_Down))
    assert frame.tensor.name == "Uniform (generated)"
    low = panel._boxes["low"]
    frame = after(lambda: started.type(low, "0,25"))
    assert frame.tensor.minimum >= 0.25
    assert len(started.session.state.items) == 1  # each takes the place of the one before
    started.changes.clear()
    for nonsense in ("eight", "1e3, -5", "9" * 5000):
        started.type(panel.shape, nonsense)
        assert panel.trouble.isVisible()
        assert panel.trouble.text().startswith(f"“{nonsense[:7]}")
        assert len(panel.trouble.text()) < 200
        assert started.changes == []
    frame = after(lambda: started.type(panel.shape, "4 x 4"))
    assert not panel.trouble.isVisible()


def test_a_shape_too_large_to_draw_is_refused_and_what_was_shown_stays(started: Desk) -> None:
    before = started.session.state.tensor
    started.do("generate")
    started.type(started.page.generator.shape, "100000 x 100000")
    started.rest()
    assert "10,000,000,000 elements" in started.banner.text
    assert started.session.state.tensor is before


def test_the_mouse_of_the_tests_is_the_mouse_of_a_person(desk: Desk) -> None:
    """Buttons hear it as they hear Qt's own."""
    button = desk.scheme.mode.button(False)
    Mouse(button).click(button.rect().center())
    assert desk.session.scheme.symmetric is False


@every("name", list(CONVENTIONS))
def test_a_runtime_is_one_choice_whatever_was_chosen_before(desk: Desk, name: str) -> None:
    desk.session.update(scheme=Scheme(IntFormat(8, False), symmetric=False))
    box = desk.page.scheme.convention
    box.setCurrentIndex(box.findData(name))
    desk.settle()
    scheme, convention = desk.session.scheme, CONVENTIONS[name]
    last = desk.page.frame.tensor.shape[-1]
    size = convention.superblock or convention.default_block or 0
    if (size > last and not convention.fills_blocks) or (convention.whole_blocks and size and last % size):
        said = desk.scheme.trouble.text()
        assert "longer than axis -1" in said or f"{size} does not divide" in said
        assert scheme.convention == box.currentData() != name
        return
    assert scheme.convention == name
    assert convention.offers(scheme.number_format, scheme.symmetric, scheme.granularity)
    assert not desk.scheme.trouble.isVisible()
    numbers = desk.page.formula._shown
    assert numbers[2][1].startswith("Q = clip(round(" if convention.beyond is None else "Q = round(")


@pytest.mark.parametrize("name", ["tensors", "scheme", "generator"])
def test_the_generator_opens_beside_docks_that_float(desk: Desk, name: str) -> None:
    dock = desk.page.docks[name]
    dock.setFloating(True)
    desk.do("generate")  # a warning of Qt would fail this
    desk.do("generate")
    assert dock.isFloating()
    desk.page.reset_layout()


def test_every_chart_has_its_place_on_the_page() -> None:
    assert tuple(kind.name for kind in charts.CHARTS) == page_module.CHARTS  # by name: some are loaded later
