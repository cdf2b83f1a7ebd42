"""What does a layer's output lose when it multiplies integers? An activation times a weight."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QApplication, QDockWidget, QMainWindow, QProgressBar

from qviz.core.questions.product import Product
from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.gui.charts.cards import ChartMenus
from qviz.gui.kit.docks import Dock
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import Segments
from qviz.gui.product.charts import LinesChart, OutputErrorChart, OutputsChart, SourcesChart
from qviz.gui.product.factors_panel import FactorsPanel
from qviz.gui.product.figures_panel import ProductFigures
from qviz.session.multiplier import Multiplier
from qviz.session.state import Session

SIDE_WIDTH = 290
RIGHT_WIDTH = 300
TITLE_HEIGHT = 38

PROGRESS_AFTER_MILLISECONDS = 200
"""What takes no longer shows no bar."""


class ProductPage(QMainWindow):
    """Composes the panels and charts; shows a `Product`; asks the multiplier for changes."""

    export_requested = Signal(object, str)
    copy_requested = Signal(object)

    def __init__(self, session: Session, multiplier: Multiplier) -> None:
        super().__init__()
        self.setWindowFlags(Qt.WindowType.Widget)
        self._multiplier = multiplier
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
        copy.clicked.connect(self._copy)
        self._arrange()
        self.menus.export_requested.connect(self.export_requested)
        self.menus.copy_requested.connect(self.copy_requested)
        multiplier.answered.connect(self.present)
        multiplier.began.connect(self._on_began)
        multiplier.advanced.connect(self._on_advanced)
        multiplier.ended.connect(self._on_ended)
        multiplier.problem.connect(self._on_problem)

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
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setFixedSize(72, 8)
        self.progress.setAccessibleName(self.tr("Multiplying"))
        self.progress.hide()
        title = self.docks["factors"].title
        title.add_widget(self.progress)
        self.stop = title.add_tool("stop", self.tr("Stop multiplying"))
        self.stop.clicked.connect(self._multiplier.cancel)
        self.stop.hide()
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PROGRESS_AFTER_MILLISECONDS)
        self._patience.timeout.connect(self._show_progress)

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
            self.reset_layout()
            QTimer.singleShot(0, self.reset_layout)  # once more, when the size is the real one

    def hideEvent(self, event: Any) -> None:
        super().hideEvent(event)
        self._multiplier.want(False)

    def _set_stale(self, stale: bool) -> None:
        """Figures of other factors are pale until their successors arrive."""
        if self.figures.isEnabled() == stale:
            self.figures.setEnabled(not stale)

    @Slot()
    def _on_began(self) -> None:
        self.progress.setValue(0)
        self._patience.start()

    @Slot(float)
    def _on_advanced(self, fraction: float) -> None:
        self.progress.setValue(round(1000 * fraction))

    @Slot()
    def _show_progress(self) -> None:
        self._set_stale(True)
        self.progress.show()
        self.stop.show()

    @Slot()
    def _on_ended(self) -> None:
        self._patience.stop()
        self.progress.hide()
        self.stop.hide()

    @Slot()
    def _on_problem(self, *_: object) -> None:
        self._set_stale(True)

    @Slot()
    def _copy(self) -> None:
        QApplication.clipboard().setText(self.figures.text())
