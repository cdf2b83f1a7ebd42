"""What does each bit buy? The schemes of a sweep, what they came to, and those that no other one beats."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QSplitter

from qviz.core.questions.figures import Figures
from qviz.core.questions.sweep import Combinations
from qviz.gui.charts.base import LinkedCursor
from qviz.gui.charts.cards import Card, ChartMenus, chart_card, table_card
from qviz.gui.compare.pareto_chart import ParetoChart, Point
from qviz.gui.compare.pins_panel import OPEN
from qviz.gui.compare.sweep_panel import SweepPanel
from qviz.gui.compare.sweep_results_panel import Result, SweepResults
from qviz.gui.kit.fields import ComboBox
from qviz.gui.kit.panel_scroll import PanelScroll
from qviz.gui.kit.widgets import add_stretched
from qviz.gui.words.figures import MEASURES
from qviz.gui.words.schemes import lines, words
from qviz.session.language import tr
from qviz.session.state import Session

SIDE_WIDTH = 286

REFRESH_MILLISECONDS = 60
"""Results that come in quick succession are shown together."""

REST = 6
"""Times as long as it took to show many results, the next ones wait: the window is there for hands, too."""


class SweepPart(QSplitter):
    """Composes the choice, the chart and the table of a sweep.

    Signals
    -------
    scheme_requested(Scheme), pin_requested(Scheme)
    """

    scheme_requested = Signal(object)
    pin_requested = Signal(object)

    def __init__(self, session: Session, menus: ChartMenus, link: LinkedCursor) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self._metrics: list[Figures] = []
        self._words: list[dict[str, str]] = []
        self._planned: Combinations | None = None
        self._stopped = False
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(REFRESH_MILLISECONDS)
        self._refresh.timeout.connect(self._show_results)
        self.pareto = ParetoChart(link, MEASURES[0])
        self.choice, self.results = SweepPanel(session), SweepResults()
        area = PanelScroll(self.choice, self.tr("Schemes"))
        area.setMinimumWidth(SIDE_WIDTH)
        self.choice_card = Card(self.tr("Schemes"), area)
        self.pareto_card = chart_card(self.pareto, menus)
        self.results_card = table_card(self.tr("Results"), self.results)
        self.measure = ComboBox()
        self.measure.setAccessibleName(self.tr("Figure to compare by"))
        for each in MEASURES:
            self.measure.addItem(tr(each.label), each.key)
        self.pareto_card.title.add_widget(self.measure)
        self.again = self.choice_card.title.add_tool("refresh", self.tr("Sweep again"))
        right = QSplitter(Qt.Orientation.Vertical)
        add_stretched(right, (self.pareto_card, 3), (self.results_card, 2))
        add_stretched(self, (self.choice_card, 0), (right, 1))
        self.setSizes([SIDE_WIDTH, 1000])
        self.measure.currentIndexChanged.connect(self._on_measure)
        self.pareto.chosen.connect(self._on_metrics)
        self.pareto.pointed.connect(self.results.point_to_metrics)
        self.results.pointed.connect(self._on_result_pointed)
        self.results.opened.connect(self._on_result)
        self.results.acted.connect(self._on_result_acted)

    @Slot(object)
    def plan(self, combinations: Combinations) -> None:
        """A sweep begins."""
        self._planned, self._metrics, self._words, self._stopped = combinations, [], [], False
        self._refresh.start()

    @Slot(object)
    def add_metrics(self, metrics: Figures) -> None:
        """One result has come."""
        self._metrics.append(metrics)
        if not self._refresh.isActive():
            self._refresh.start()

    @Slot()
    def forget(self) -> None:
        """The results are of another tensor."""
        self._metrics, self._words, self._planned, self._stopped = [], [], None, False
        self._refresh.start()

    @Slot()
    def stop(self) -> None:
        """Somebody stopped it, or it failed."""
        self._stopped = True
        self._refresh.start()

    @Slot()
    def _show_results(self) -> None:
        began = time.thread_time()
        self._words += [words(m.scheme) for m in self._metrics[len(self._words) :]]
        of_range, of_group = tr("Range"), tr("Per")
        points = [
            Point(metrics, name, parts[of_range], parts[of_group])
            for metrics, name, parts in zip(self._metrics, lines(self._words), self._words, strict=True)
        ]
        self.pareto.show_points(points)
        self._show_table()
        took = round(1000 * (time.thread_time() - began))
        self._refresh.setInterval(max(REFRESH_MILLISECONDS, REST * took))

    def _show_table(self) -> None:
        front = {id(self.pareto.points[at].metrics) for at in self.pareto.front.tolist()}
        self.results.show_metrics(self._metrics, front)
        planned = len(self._planned.schemes) if self._planned is not None else 0
        done = len(self._metrics)
        stopped = self._stopped and done < planned
        if stopped:
            note = self.tr("stopped: {done} of {count} schemes").format(done=done, count=planned)
        elif done < planned:
            note = self.tr("{done} of {count}").format(done=done, count=planned)
        elif done == 1:
            note = self.tr("1 scheme")
        else:
            note = self.tr("{count} schemes, {best} unbeaten").format(count=done, best=len(self.pareto.front))
        self.results_card.title.set_note(note if planned else "")
        self.pareto.set_caveat(note if stopped else "")

    @Slot()
    def _on_measure(self) -> None:
        self.pareto.set_measure(MEASURES[self.measure.currentIndex()])
        self._show_table()

    @Slot(object)
    def _on_metrics(self, metrics: Figures) -> None:
        self.scheme_requested.emit(metrics.scheme)

    @Slot(object)
    def _on_result(self, result: Result) -> None:
        self.scheme_requested.emit(result.metrics.scheme)

    @Slot(object)
    def _on_result_pointed(self, result: Result | None) -> None:
        self.pareto.mark(result.metrics if result is not None else None)

    @Slot(object, str)
    def _on_result_acted(self, result: Result, action: str) -> None:
        (self.scheme_requested if action == OPEN else self.pin_requested).emit(result.metrics.scheme)
