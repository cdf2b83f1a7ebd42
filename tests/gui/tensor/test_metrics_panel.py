"""Do the figures of a page stand where they stood, exact or not?"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PySide6.QtCore import QCoreApplication, QEvent, QObject
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from qviz.core.questions.analysis import analyze
from qviz.core.schemes.scheme import Scheme
from qviz.gui.kit.widgets import Line
from qviz.gui.tensor.metrics_panel import MetricsPanel


class Layouts(QObject):
    """Counts how often a widget is laid out."""

    count = 0

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        self.count += event.type() == QEvent.Type.LayoutRequest
        return False


def test_an_estimate_is_as_wide_as_what_is_exact(qtbot: QtBot) -> None:
    exact = analyze(np.random.default_rng(0).standard_normal(1000), Scheme())
    panel = MetricsPanel()
    qtbot.addWidget(panel)
    panel.present(exact)
    panel.resize(600, 400)
    panel.show()
    QCoreApplication.processEvents()
    before, layouts = panel.minimumSizeHint(), Layouts()
    headline = panel._headline.figure
    assert headline.mapTo(panel, headline.rect().topLeft()).x() == panel.layout().contentsMargins().left()
    for each in (panel, *panel.findChildren(QWidget)):
        each.installEventFilter(layouts)
    for analysis, words in ((replace(exact, exact=False), "an estimate"), (exact, "higher is better")):
        panel.present(analysis)
        QCoreApplication.processEvents()
        assert panel.minimumSizeHint() == before
        (shown,) = (line for line in panel.findChildren(Line, "caption") if line.text() == words)
        assert shown.width() >= shown.fontMetrics().horizontalAdvance(words)
    assert layouts.count == 0
