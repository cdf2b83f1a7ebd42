"""A clip line that is dragged passes over what is kept: what is on the screen is what would be painted anew."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QImage
from pytestqt.qtbot import QtBot

from qviz.core.questions.analysis import analyze
from qviz.core.ranges.rules import Manual
from qviz.core.schemes.scheme import Scheme
from qviz.gui.charts.base import LinkedCursor
from qviz.gui.kit.theme import load_theme
from qviz.gui.tensor.distribution_chart import DistributionChart
from tests.gui.pictures import dots

X = np.random.default_rng(3).standard_normal(4096).astype(np.float32)
PLACES = (1.9, 2.0, 0.4, -0.9, -0.95, 1.2, 9.0, -9.0, 1.0)
"""Near, far, past the other one, out of sight and back."""


@pytest.fixture(params=[(260, 240), (700, 400)], ids=str)
def chart(request: pytest.FixtureRequest, qtbot: QtBot) -> DistributionChart:
    made = DistributionChart(LinkedCursor())
    qtbot.addWidget(made)
    made.apply_theme(load_theme("light"))
    made.resize(*request.param)
    made.show()
    qtbot.waitExposed(made)
    made.present(analyze(X, Scheme("int4", symmetric=False, range_rule=Manual(-1.0, 2.0))))
    QCoreApplication.processEvents()
    return made


def screen(chart: DistributionChart) -> QImage:
    return chart.screen().grabWindow(chart.winId()).toImage()


def test_what_a_line_passes_is_painted_as_if_all_was(chart: DistributionChart) -> None:
    line = chart.lines[1]
    line.setBounds((None, None))
    line.moving = True
    for place in PLACES:
        line.setPos(place)
        QCoreApplication.processEvents()
        shown = dots(screen(chart))
        chart.canvas.viewport().repaint()
        np.testing.assert_array_equal(shown, dots(screen(chart)), f"at {place}")


def test_levels_of_another_answer_are_painted_anew(chart: DistributionChart) -> None:
    before = dots(screen(chart))
    chart.present(analyze(X, Scheme("int3", symmetric=False, range_rule=Manual(-1.0, 2.0))))
    QCoreApplication.processEvents()
    after = dots(screen(chart))
    assert (before != after).any()
    chart.present(analyze(X, Scheme("int4", symmetric=False, range_rule=Manual(-1.0, 2.0))))
    QCoreApplication.processEvents()
    np.testing.assert_array_equal(before, dots(screen(chart)))
