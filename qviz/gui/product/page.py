"""What does a layer's output lose when it multiplies integers? An activation times a weight."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QDockWidget, QMainWindow

from qviz.core.questions.product import Product
from qviz.core.schemes.dynamic import DYNAMIC_RUNTIMES
from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.gui.charts.cards import ChartMenus
from qviz.gui.charts.page import Closing, Job, Subject
from qviz.gui.kit.docks import Dock
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import Segments
from qviz.gui.product.charts import LinesChart, OutputErrorChart, OutputsChart, SourcesChart
from qviz.gui.product.factors_panel import FactorsPanel
from qviz.gui.product.figures_panel import ProductFigures
from qviz.gui.words.schemes import line
from qviz.session.guard import guarded
from qviz.session.history import History, parts_changed
from qviz.session.multiplier import ACTIVATIONS, WEIGHTS, Factors, Multiplier
from qviz.session.settings import Settings
from qviz.session.state import Item, Session, State

SIDE_WIDTH = 290
RIGHT_WIDTH = 300
TITLE_HEIGHT = 38

STALE_AFTER_MILLISECONDS = 200
"""What takes no longer leaves the figures as they are until they are replaced."""


@guarded
class ProductPage(QMainWindow):
    """Composes the panels and charts; shows a `Product`; asks the multiplier for changes."""

    export_requested = Signal(object, str)
    copy_requested = Signal(object)
    problem = Signal(str)
    notice = Signal(str)

    def __init__(self, session: Session, multiplier: Multiplier) -> None:
        super().__init__()
        self.setWindowFlags(Qt.WindowType.Widget)
        self._session, self._multiplier = session, multiplier
        self.history = History(multiplier.factors, self._go_to, self)
        self.workers: tuple[Closing, ...] = ()
        self.jobs: tuple[Job, ...] = ()
        self._fresh = True
        self.menus = ChartMenus(self)
        self.link = link = LinkedCursor()
        self.outputs = OutputsChart(link)
        self.errors = OutputErrorChart(link)
        self.lines = LinesChart(link)
        self.sources = SourcesChart(link)
        self.charts: tuple[Chart, ...] = (self.outputs, self.errors, self.lines, self.sources)
        self.factors = FactorsPanel(session, multiplier)
        self.figures = ProductFigures()
        self.docks: dict[str, Dock] = {
            "factors": Dock("factors", self.tr("Product"), self.factors, scrolls=True),
            "figures": Dock("product_figures", self.tr("Metrics"), self.figures, scrolls=True),
        }
        for chart in self.charts:
            self.docks[chart.name] = Dock(chart.name, chart.title(), chart)
            self.menus.dress(chart, self.docks[chart.name].title)
        for dock in self.docks.values():
            dock.setParent(self)
            dock.setFeatures(QDockWidget.DockWidgetFeature.NoDockWidgetFeatures)
            dock.title.close_button.hide()
        self._add_choices()
        copy = self.docks["figures"].title.add_tool("copy", self.tr("Copy the metrics as text"))
        copy.clicked.connect(self.copy_figures)
        self._arrange()
        self.menus.export_requested.connect(self.export_requested)
        self.menus.copy_requested.connect(self.copy_requested)
        multiplier.answered.connect(self.present)
        multiplier.began.connect(self._on_began)
        multiplier.ended.connect(self._on_ended)
        multiplier.given_up.connect(self._on_unanswered)
        multiplier.changed.connect(self._on_changed)
        session.changed.connect(self._on_session)

    def _add_choices(self) -> None:
        self.kind = Segments(
            [
                (False, self.tr("Output"), self.tr("The integer output over the float one.")),
                (True, self.tr("Error"), self.tr("Integer − float, over the float output.")),
            ],
            self.tr("What is drawn"),
        )
        self.kind.choose(False)
        self.kind.setFixedWidth(120)
        self.kind.chosen.connect(self.outputs.show_errors)
        self.docks["outputs"].title.add_widget(self.kind)
        self.along = Segments(
            [
                (True, self.tr("Tokens"), self.tr("Rows of the output.")),
                (False, self.tr("Outputs"), self.tr("Columns of the output: output channels.")),
            ],
            self.tr("What the bars are of"),
        )
        self.along.choose(True)
        self.along.setFixedWidth(136)
        self.along.chosen.connect(self.lines.show_rows)
        self.docks["lines"].title.add_widget(self.along)
        for chart in self.charts:  # neighbours begin at one height
            self.docks[chart.name].title.setFixedHeight(TITLE_HEIGHT)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(STALE_AFTER_MILLISECONDS)
        self._patience.timeout.connect(self._pale)

    def _arrange(self) -> None:
        left, across, down = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        self.setDockNestingEnabled(True)
        d = self.docks
        self.addDockWidget(left, d["factors"])
        self.splitDockWidget(d["factors"], d["sources"], across)
        self.splitDockWidget(d["sources"], d["figures"], across)
        self.splitDockWidget(d["sources"], d["outputs"], down)
        self.splitDockWidget(d["outputs"], d["lines"], down)
        self.splitDockWidget(d["outputs"], d["output_error"], across)

    def reset_layout(self) -> None:
        """Every dock where it was in the beginning."""
        for dock in self.docks.values():
            dock.setFloating(False)  # or it would be no part of the layout that others are placed in
            self.removeDockWidget(dock)
        self._arrange()
        for dock in self.docks.values():
            dock.show()
        self.size_up()

    def size_up(self) -> None:
        """The sizes of a fresh layout, for the room there is."""
        d, across, down = self.docks, Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        middle = max(400, self.width() - SIDE_WIDTH - RIGHT_WIDTH)
        docks = [d["factors"], d["outputs"], d["output_error"], d["figures"]]
        self.resizeDocks(docks, [SIDE_WIDTH, middle // 2, middle // 2, RIGHT_WIDTH], across)
        bars = 148
        chart = (self.height() - bars) // 9
        self.resizeDocks([d["sources"], d["outputs"], d["lines"]], [bars, 5 * chart, 4 * chart], down)

    # -- what is shown

    @Slot(object)
    def present(self, product: Product) -> None:
        """Paint an answer: each chart only hands ready points to its items."""
        self._set_stale(False)
        self._set_caveat("")
        for chart in (self.outputs, self.errors, self.lines, self.sources):
            chart.show_product(product)
        self.figures.present(product)

    def apply_theme(self, theme: Theme) -> None:
        for dock in self.docks.values():
            dock.apply_theme(theme)

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._multiplier.want(True)
        if self._fresh:
            self._fresh = False
            self.size_up()
            QTimer.singleShot(0, self, self.size_up)  # once more, when the size is the real one

    def hideEvent(self, event: Any) -> None:
        super().hideEvent(event)
        self._multiplier.want(False)

    def _set_stale(self, stale: bool) -> None:
        """Figures of other factors are pale until their successors arrive."""
        if self.figures.isEnabled() == stale:
            self.figures.setEnabled(not stale)

    @Slot()
    def _on_began(self) -> None:
        self._patience.start()

    @Slot()
    def _pale(self) -> None:
        self._set_stale(True)

    @Slot()
    def _on_ended(self) -> None:
        self._patience.stop()

    @Slot()
    def _on_unanswered(self) -> None:
        """What is shown stays, and is of other factors."""
        self._set_stale(True)
        if self._multiplier.last is not None:
            self._set_caveat(self.tr("out of date: showing the previous product"))

    def _set_caveat(self, caveat: str) -> None:
        for chart in self.charts:
            chart.set_caveat(caveat)

    def show_pair(self, activation: Item, weight: Item) -> None:
        """Multiply these: tokens × features with outputs × features."""
        self._multiplier.update(activation=activation, weight=weight, transposed=True)

    # -- what the window asks

    @property
    def step_name(self) -> str:
        return self.tr("change of the product")

    @property
    def ready(self) -> bool:
        return self._multiplier.last is not None

    def subject(self, chart: Chart) -> Subject:
        """Both factors, and how each of them is quantized."""
        factors = self._multiplier.factors
        runtime = DYNAMIC_RUNTIMES.get(factors.runtime)
        schemes = f"{line(factors.activation_scheme)} × {line(factors.weight_scheme)}"
        return Subject(
            f"{factors.activation.name} × {factors.weight.name}", self.tr(runtime.label) if runtime else schemes
        )

    @Slot()
    def copy_figures(self) -> None:
        self.figures.copy()

    def remember(self, settings: Settings) -> None:
        """Nothing yet."""

    def recall(self, settings: Settings) -> None:
        """It opens on the generated pair."""

    @Slot(object)
    def _on_changed(self, factors: Factors) -> None:
        self.history.note(factors, parts_changed(self.history.present, factors))

    def _go_to(self, factors: Factors) -> Factors:
        self._multiplier.update(**vars(factors))
        return self._multiplier.factors

    @Slot(object, object)
    def _on_session(self, old: State, new: State) -> None:
        """What was closed is not multiplied any more, and earlier choices do not keep it."""
        if new.items is not old.items:
            self.history.amend(partial(_without_closed, there=new.items))


def _without_closed(factors: Factors, there: tuple[Item, ...]) -> Factors:
    """Factors of which what is not there any more has made way for the first ones."""
    activation, weight = factors.activation, factors.weight
    return replace(
        factors,
        activation=activation if activation in there else ACTIVATIONS,
        weight=weight if weight in there else WEIGHTS,
    )
