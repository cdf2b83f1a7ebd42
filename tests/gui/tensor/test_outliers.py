"""Charts open on nearly all values; chips at their edges say what lies beyond, and bring it into sight."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QApplication

from qviz.core.tensors.granularity import PerAxis
from qviz.gui.charts.drawing import Brush
from tests.gui.conftest import Desk, mouse_over

NORMAL = np.random.default_rng(3).normal(0, 1, (64, 64)).astype(np.float32)


def with_outlier() -> np.ndarray:
    values = NORMAL.copy()
    values[5, 7] = 41
    return values


def click_chip(desk: Desk, name: str) -> None:
    """Click the chip of a chart where it is painted."""
    chart = {chart.name: chart for chart in desk.page.charts}[name]
    desk.page.docks[name].raise_()
    QApplication.processEvents()
    chart.canvas.grab()
    (place,) = chart.view.chips.values()
    spot = chart.canvas.mapFromScene(chart.view.mapToScene(place.center()))
    mouse_over(chart).click(QPoint(spot))
    QApplication.processEvents()


def span(desk: Desk, name: str, axis: int) -> tuple[float, float]:
    chart = {chart.name: chart for chart in desk.page.charts}[name]
    low, high = chart.view.viewRange()[axis]
    return low, high


AXES = {"values": 1, "distribution": 0, "transfer": 0, "loss": 0}


@pytest.mark.parametrize("name", AXES)
def test_an_outlier_is_beyond_the_edge_until_its_chip_is_clicked(desk: Desk, name: str) -> None:
    desk.show(with_outlier())
    chart = {chart.name: chart for chart in desk.page.charts}[name]
    axis, side = AXES[name], "top" if AXES[name] else "right"
    assert span(desk, name, axis)[1] < 12
    assert chart.ornaments.chips == {side: f"1 beyond, up to 41 {'▴' if axis else '▸'}"}
    click_chip(desk, name)
    assert span(desk, name, axis)[1] >= 41
    assert chart.ornaments.chips == {side: "without the outlier"}
    click_chip(desk, name)
    assert span(desk, name, axis)[1] < 12
    if name == "loss":
        assert span(desk, "distribution", 0) == span(desk, "loss", 0)


def test_a_click_on_a_chip_points_at_no_element(desk: Desk) -> None:
    desk.show(with_outlier())
    click_chip(desk, "values")
    assert desk.session.state.selected is None


def test_what_is_clipped_far_away_is_beyond_the_edge_of_the_errors(desk: Desk) -> None:
    from qviz.core.ranges.rules import Percentile

    desk.show(with_outlier(), range_rule=Percentile(99.9))
    chart = desk.page.error
    assert "left" in chart.ornaments.chips
    assert span(desk, "error", 0)[0] > -12
    half = desk.settle().shown.error_histogram.half_step
    assert span(desk, "error", 0)[0] < -half
    click_chip(desk, "error")
    assert span(desk, "error", 0)[0] < -30


@pytest.mark.parametrize("width", [60, 120, 400])
def test_what_a_chip_says_is_not_cut_off_by_a_narrow_chart(desk: Desk, width: int) -> None:
    from qviz.core.ranges.rules import Percentile

    values = with_outlier()
    values[9, 9] = -4123.5
    values[5, 7] = 4123.5
    desk.show(values, range_rule=Percentile(99.9))
    chart, drawn = desk.page.error, []
    image = QImage(width, 200, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    brush = Brush(painter, chart.view, 1.0, {})
    brush.width = width
    brush.take(chart.letters(11))
    brush.label = lambda text, x, middle, **_: drawn.append((text, x, x + brush.text_size(text)[0]))
    places = chart.ornaments._paint_chips(brush, chart.theme)
    painter.end()
    assert {*places} == {"left", "right"} == {*chart.ornaments.chips}
    for text, left, right in drawn:
        assert left >= 0 and right <= width, text
    whole = [text in chart.ornaments.chips.values() for text, *_ in drawn]
    assert all(whole) == (width == 400)


def test_a_channel_far_better_than_all_others_is_beyond_the_edge(desk: Desk) -> None:
    values = NORMAL.copy()
    values[9] = np.where(np.arange(64) % 2, 1, -1)  # nothing is lost of it
    values[9, 0] = 1 + 1e-7
    desk.show(values, granularity=PerAxis(0))
    chart = desk.page.channels
    assert chart.ornaments.chips["top"].startswith("1 beyond, up to 1")
    assert span(desk, "channels", 1)[1] < 60
    click_chip(desk, "channels")
    assert span(desk, "channels", 1)[1] > 100


def test_without_outliers_there_are_no_chips_and_another_tensor_opens_without_its_own(desk: Desk) -> None:
    desk.show(with_outlier())
    click_chip(desk, "distribution")
    desk.show(NORMAL)
    for chart in desk.page.charts:
        assert chart.ornaments.chips == {}, chart.name
    desk.show(with_outlier() * 2)
    assert span(desk, "distribution", 0)[1] < 24


def test_a_double_click_goes_back_to_what_a_chart_opened_on(desk: Desk) -> None:
    desk.show(with_outlier())
    before = span(desk, "distribution", 0)
    click_chip(desk, "distribution")
    desk.do("reset_zoom")
    assert span(desk, "distribution", 0) == before


def test_the_menu_of_a_chart_brings_the_outliers_into_sight_without_a_mouse(desk: Desk) -> None:
    desk.show(with_outlier())
    chart = desk.page.distribution
    actions = {action.text(): action for action in desk.page.menus.menu(chart).actions()}
    actions["With the outliers"].trigger()
    assert span(desk, "distribution", 0)[1] >= 41
    actions = {action.text(): action for action in desk.page.menus.menu(chart).actions()}
    actions["Without the outliers"].trigger()
    assert span(desk, "distribution", 0)[1] < 12
