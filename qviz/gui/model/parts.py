"""What is the Model page made of, and where does each part stand?"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtWidgets import (
    QDockWidget,
    QHBoxLayout,
    QMainWindow,
    QStackedWidget,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from qviz.gui.charts.base import Chart, LinkedCursor
from qviz.gui.charts.cards import Card, ChartMenus
from qviz.gui.kit.docks import Dock
from qviz.gui.kit.theme import Theme
from qviz.gui.kit.widgets import Segments, named_label
from qviz.gui.model.budget_chart import BudgetChart
from qviz.gui.model.budget_panel import BudgetPanel
from qviz.gui.model.checkpoint_panel import CheckpointPanel
from qviz.gui.model.data_panel import DataPanel
from qviz.gui.model.deploy_panel import DeployPanel
from qviz.gui.model.figures_panel import OutputPanel
from qviz.gui.model.frontier_chart import FrontierChart
from qviz.gui.model.frontier_panel import FrontierPanel
from qviz.gui.model.graph_chart import GraphChart
from qviz.gui.model.hints import Hinted
from qviz.gui.model.layers_panel import LayersPanel
from qviz.gui.model.network_panel import NetworkPanel
from qviz.gui.model.runs_chart import SIZE, TIME, RunsChart
from qviz.gui.model.runs_panel import RunsPanel
from qviz.gui.model.scheme_panel import WeightSchemePanel
from qviz.gui.model.times_panel import TimesPanel
from qviz.gui.model.traces_panel import TracesPanel
from qviz.gui.model.viewers_menu import ViewersMenu
from qviz.gui.model.weight_map_chart import WeightMapChart
from qviz.gui.model.weights_panel import WeightsPanel
from qviz.session.guard import guarded

SIDE_WIDTH, RIGHT_WIDTH = 292, 306
NETWORK, WEIGHTS = "network", "weights"


@guarded
class ModelParts(QWidget):
    """The panels and charts of both parts, in their docks; they know of no network yet."""

    def __init__(self) -> None:
        super().__init__()
        self._fresh = True
        self._build()
        self._arrange()

    def _build(self) -> None:
        link = LinkedCursor()
        self.graph, self.frontier, self.cost = GraphChart(link), FrontierChart(link), RunsChart(link)
        self.weight_map, self.budget_chart = WeightMapChart(link), BudgetChart(link)
        self.charts: tuple[Chart, ...] = (self.graph, self.frontier, self.cost, self.weight_map, self.budget_chart)
        self.network, self.data, self.scheme = NetworkPanel(), DataPanel(), WeightSchemePanel()
        self.deploy, self.layers, self.figures = DeployPanel(), LayersPanel(), OutputPanel()
        self.times, self.traces = TimesPanel(), TracesPanel()
        self.bits, self.runs, self.weights = FrontierPanel(self.frontier), RunsPanel(), WeightsPanel()
        self.graph_place = Hinted(self.graph, "")
        self.cost_place = Hinted(self.cost, "")
        self.weights_place = Hinted(self.weights, "")
        self.docks: dict[str, Dock] = {
            "network_panel": Dock("network_panel", self.tr("Network"), self.network, scrolls=True),
            "data": Dock("data", self.tr("Data"), self.data, scrolls=True),
            "scheme": Dock("network_scheme", self.tr("Scheme"), self.scheme, scrolls=True),
            "deploy": Dock("deploy", self.tr("Deploy"), self.deploy, scrolls=True),
            "graph": Dock("graph", self.graph.title(), self.graph_place),
            "layers": Dock("layers", self.tr("Layers"), self.layers),
            "runs_table": Dock("runs_table", self.tr("Runs"), self.runs),
            "times": Dock("times", self.tr("Time"), self.times),
            "traces": Dock("traces", self.tr("± 1"), self.traces),
            "figures": Dock("output_figures", self.tr("Output"), self.figures, scrolls=True),
            "frontier": Dock("frontier", self.frontier.title(), self.bits),
            "cost": Dock("cost", self.cost.title(), self.cost_place),
        }
        self.menus = ChartMenus(self)
        for chart, key in ((self.graph, "graph"), (self.frontier, "frontier"), (self.cost, "cost")):
            self.menus.dress(chart, self.docks[key].title)
        self.across = Segments(
            [
                (TIME, self.tr("Time"), self.tr("Over the time of a run, by the float network's.")),
                (SIZE, self.tr("Size"), self.tr("Over the bytes of the file, by the float network's.")),
            ],
            self.tr("What runs stand over"),
        )
        self.across.choose(TIME)
        self.across.setFixedWidth(110)
        self.across.chosen.connect(self.cost.show_across)
        self.docks["cost"].title.add_widget(self.across)
        self.copy_button = self.docks["figures"].title.add_tool("copy", self.tr("Copy the figures as text"))
        self.compare_button = self.docks["runs_table"].title.add_button(
            self.tr("Hold a network that was quantized elsewhere against this one")
        )
        self.compare_button.setObjectName("text")
        self.compare_button.setText(self.tr("Add a file…"))
        self.compare_button.setFixedSize(self.compare_button.sizeHint().width() + 8, 24)
        self.report_button = self.docks["runs_table"].title.add_button(
            self.tr("Write what is known of these runs into one file, with the chart of them")
        )
        self.report_button.setObjectName("text")
        self.report_button.setText(self.tr("Report…"))
        self.report_button.setFixedSize(self.report_button.sizeHint().width() + 8, 24)
        self.docks["runs_table"].title.add_widget(self.runs.table.filter_box())
        self.docks["times"].title.add_widget(self.times.table.filter_box())
        self.docks["traces"].title.add_widget(self.traces.table.filter_box())
        copy = self.docks["traces"].title.add_tool("copy", self.tr("Copy the table as text"))
        copy.clicked.connect(self.traces.table.copy)
        copy = self.docks["times"].title.add_tool("copy", self.tr("Copy the table as text"))
        copy.clicked.connect(self.times.table.copy)
        self.viewers = ViewersMenu()
        self.docks["layers"].title.add_widget(self.viewers)
        copy = self.docks["runs_table"].title.add_tool("copy", self.tr("Copy the table as text"))
        copy.clicked.connect(self.runs.table.copy)
        copy = self.docks["layers"].title.add_tool("copy", self.tr("Copy the table as text"))
        copy.clicked.connect(self.layers.table.copy)
        self.weights_card = Card(self.tr("Weights"), self.weights_place)
        copy = self.weights_card.title.add_tool("copy", self.tr("Copy the table as text"))
        copy.clicked.connect(self.weights.table.copy)
        self.open_checkpoint_button = self.weights_card.title.add_button(self.tr("Open a checkpoint"))
        self.open_checkpoint_button.setObjectName("text")
        self.open_checkpoint_button.setText(self.tr("Open…"))
        self.open_checkpoint_button.setFixedSize(self.open_checkpoint_button.sizeHint().width() + 8, 24)
        self.budget = BudgetPanel(self.budget_chart)
        self.checkpoint = CheckpointPanel(self.weight_map, self.budget)
        self.menus.dress(self.weight_map, self.checkpoint.map_card.title)
        self.menus.dress(self.budget_chart, self.checkpoint.budget_card.title)
        self.checkpoint_card = Card(self.tr("Weights"), self.checkpoint)
        self.checkpoint_card.title.set_note(
            self.tr("Weight error is not accuracy: Network measures what the output loses.")
        )
        copy = self.checkpoint_card.title.add_tool("copy", self.tr("Copy the table as text"))
        copy.clicked.connect(self.checkpoint.copy)
        self.parts = Segments(
            [
                (
                    NETWORK,
                    self.tr("Network"),
                    self.tr("Which layer hurts the output, and what does deploying it cost?"),
                ),
                (WEIGHTS, self.tr("Weights"), self.tr("All tensors of a checkpoint, and what a scheme does to each.")),
            ],
            self.tr("What is looked at"),
        )
        self.parts.setFixedWidth(200)
        self.parts.choose(NETWORK)
        self.about = named_label("", "caption")
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        self.inner = QMainWindow()
        self.inner.setWindowFlags(Qt.WindowType.Widget)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.inner)
        self.weights_stack = QStackedWidget()
        self.weights_stack.addWidget(self.weights_card)
        self.weights_stack.addWidget(self.checkpoint_card)
        self.stack.addWidget(self.weights_stack)
        head = QHBoxLayout()
        head.setContentsMargins(2, 0, 8, 0)
        head.setSpacing(12)
        head.addWidget(self.parts)
        head.addWidget(self.about, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(6)
        layout.addLayout(head)
        layout.addWidget(self.stack, 1)

    def _arrange(self) -> None:
        inner, d = self.inner, self.docks
        left, across, down = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        inner.setDockNestingEnabled(True)
        inner.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        for dock in d.values():
            dock.setParent(inner)
            dock.setFeatures(QDockWidget.DockWidgetFeature.NoDockWidgetFeatures)
            dock.title.close_button.hide()
        inner.addDockWidget(left, d["network_panel"])
        inner.splitDockWidget(d["network_panel"], d["graph"], across)
        inner.splitDockWidget(d["graph"], d["figures"], across)
        inner.splitDockWidget(d["graph"], d["layers"], down)
        inner.splitDockWidget(d["figures"], d["frontier"], down)
        for first, others in (
            ("network_panel", ("data", "scheme", "deploy")),
            ("layers", ("runs_table", "times", "traces")),
            ("frontier", ("cost",)),
        ):
            for other in others:
                inner.tabifyDockWidget(d[first], d[other])
            d[first].raise_()
        for dock in d.values():
            dock.show()

    def reset_layout(self) -> None:
        """The sizes of a fresh layout, for the room there is."""
        d, across, down = self.docks, Qt.Orientation.Horizontal, Qt.Orientation.Vertical
        middle = max(360, self.width() - SIDE_WIDTH - RIGHT_WIDTH)
        columns = [d["network_panel"], d["graph"], d["figures"]]
        self.inner.resizeDocks(columns, [SIDE_WIDTH, middle, RIGHT_WIDTH], across)
        height = self.height()
        self.inner.resizeDocks([d["graph"], d["layers"]], [56 * height // 100, 44 * height // 100], down)
        self.inner.resizeDocks([d["figures"], d["frontier"]], [52 * height // 100, 48 * height // 100], down)

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        if self._fresh:
            self._fresh = False
            self.reset_layout()
            QTimer.singleShot(0, self, self._settle)  # once more, when the size is the real one

    @Slot()
    def _settle(self) -> None:
        self.reset_layout()
        self.graph.reset_view()

    def apply_theme(self, theme: Theme) -> None:
        for dock in self.docks.values():
            dock.apply_theme(theme)
        self.weights_card.apply_theme(theme)
        self.checkpoint_card.apply_theme(theme)

    def show_checkpoint(self, shown: bool) -> None:
        """The tensors of a checkpoint under *Weights*, or the constants of the network."""
        self.weights_stack.setCurrentIndex(1 if shown else 0)
