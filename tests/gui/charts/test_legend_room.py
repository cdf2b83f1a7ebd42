"""What is drawn lies under no legend, and no mark is cut off, whatever the size of a chart, or a later one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PySide6.QtWidgets import QApplication

from qviz.core import MSE, Scheme, analyze, prepare
from qviz.core.questions.loss_curves import compare_ranges
from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.gui.charts.ornaments import LEGEND_HEIGHT
from qviz.gui.kit.theme import load_theme
from qviz.gui.model.frontier_chart import MOST_DB, RING, FrontierChart
from qviz.gui.tensor.error_chart import ErrorChart
from qviz.gui.tensor.loss_chart import LossChart
from qviz.gui.tensor.values_chart import ValuesChart
from qviz.gui.training.curves_chart import SweepChart
from qviz.models.frontier import FrontierPoint
from qviz.session.network_frontier import Frontier, Measured
from qviz.session.trainer import SweepProgress
from qviz.training import Experiment
from qviz.training.seeds import Spread, Summary
from tests.gui.pictures import dots, picture

X = np.random.default_rng(6).normal(0, 1, 3000).astype(np.float32)

HEIGHTS = (400, 240, 116, 180, 400)
"""Pixels of a chart, one after the other: the least are what a panel has in a small window."""


def swept(chart: Any) -> float:
    quantization = Experiment().quantization
    found = [
        Summary(
            Experiment(quantization=replace(quantization, weight_bits=bits)),
            Spread((1.0,)),
            Spread((0.4 + 0.05 * bits,)),
            Spread((1.0,)),
            0,
        )
        for bits in range(1, 9)
    ]
    chart.show_sweep(SweepProgress(1.0, tuple(found), 1))
    return 100.0


def found_frontier(chart: Any) -> float:
    points = tuple(FrontierPoint({}, 1000.0 * (at + 1), 10.0 ** -(at + 2)) for at in range(6))
    chart.show_frontier(Frontier(points, {}, {}, False))
    return points[-1].sqnr_db


def loss_shown(chart: Any) -> float:
    chart.present(analyze(X, Scheme()))
    chart.show_losses(compare_ranges(prepare(X), Scheme(), MSE()))
    values = np.concatenate([y for _, y in chart._drawn()])
    return min(float(np.log10(values.max())), float(np.log10(values[values > 0].min())) + 6)


def values_shown(chart: Any) -> float:
    chart.present(analyze(X, Scheme()))
    return float(X.max())


def errors_shown(chart: Any) -> float:
    chart.present(analysis := analyze(X, Scheme()))
    return float(chart._largest(analysis))


SHOWN = {
    SweepChart: swept,
    FrontierChart: found_frontier,
    LossChart: loss_shown,
    ValuesChart: values_shown,
    ErrorChart: errors_shown,
}
"""What is shown in each, and the highest value in sight."""


@pytest.fixture(params=SHOWN, ids=lambda kind: kind.name)
def shown(request: pytest.FixtureRequest, qapp: QApplication) -> Iterator[tuple[Chart, float]]:
    chart = request.param(LinkedCursor())
    chart.apply_theme(load_theme("light"))
    resize(chart, HEIGHTS[0])
    chart.show()
    highest = SHOWN[request.param](chart)
    QApplication.processEvents()
    yield chart, highest
    chart.deleteLater()


def resize(chart: Chart, height: int) -> None:
    chart.resize(320, height)
    QApplication.processEvents()


def test_the_highest_lies_under_the_legend_at_every_size(shown: tuple[Chart, float]) -> None:
    chart, highest = shown
    for height in HEIGHTS:
        resize(chart, height)
        assert chart._under.ruler().at_y(highest) >= LEGEND_HEIGHT
        before = chart.view.viewRange()
        chart.reset_view()
        assert chart.view.viewRange() == before


@pytest.mark.parametrize("shown", [kind for kind in SHOWN if kind is not ErrorChart], indirect=True)
def test_a_view_that_was_moved_stays_at_another_size(shown: tuple[Chart, float]) -> None:
    chart, _ = shown
    low, high = chart.view.viewRange()[1]
    chart.view.setYRange(low + (high - low) / 4, high, padding=0)
    chart.view.sigRangeChangedManually.emit([False, True])
    moved = chart.view.viewRange()
    resize(chart, 180)
    assert chart.view.viewRange() == moved


def test_what_is_beyond_every_notice_neither_flattens_the_curve_nor_lies_under_the_legend(qapp: QApplication) -> None:
    chart = FrontierChart(LinkedCursor())
    chart.apply_theme(load_theme("light"))
    chart.show()
    found_frontier(chart)
    assert chart.frontier is not None
    resize(chart, 150)
    before, seen = chart.view.viewRange(), dots(picture(chart))
    for sqnr_db in (MOST_DB + 1, 2 * MOST_DB, np.inf):
        chart.add_measured(Measured(chart.frontier.points[-1], sqnr_db, ()))
        assert chart.view.viewRange() == before
        legend = slice(0, round(chart.view.pos().y()) + LEGEND_HEIGHT)
        assert (dots(picture(chart))[legend] == seen[legend]).all()
    chart.deleteLater()


def test_the_ring_of_the_smallest_choice_is_seen_whole_at_every_size(qapp: QApplication) -> None:
    chart = FrontierChart(LinkedCursor())
    chart.apply_theme(load_theme("light"))
    chart.show()
    found_frontier(chart)
    assert chart.frontier is not None
    points = chart.frontier.points
    for height in HEIGHTS:
        resize(chart, height)
        ruler = chart._under.ruler()
        lowest = ruler.at_y(points[0].sqnr_db)
        assert lowest + RING + 1 <= chart.view.height()
        assert ruler.at_y(points[-1].sqnr_db) - RING >= LEGEND_HEIGHT
    chart.deleteLater()
